"""Commands on models: train, experiment, predict."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, cast

import typer

from plgg.cli import options, show
from plgg.cli.bars import Bars
from plgg.config import Arm
from plgg.errors import ConfigError

commands: typer.Typer = typer.Typer()


def _arm(name: str) -> Arm:
    if name not in {"single", "multitask"}:
        raise ConfigError(f"no arm is called {name!r}", remedy="Choose single or multitask.")
    return cast("Arm", name)


@commands.command()
def train(
    store: Annotated[Path, typer.Argument(help="Store made by plgg preprocess.")],
    run: Annotated[Path, typer.Option("--run", help="Folder of the run; repeat to resume.")],
    preset: options.Preset = "small",
    arm: Annotated[str, typer.Option(help="single or multitask.")] = "multitask",
    epochs: options.Epochs = None,
    seed: options.Seed = 0,
    split: Annotated[int, typer.Option(help="Number of the split, from 0.", min=0)] = 0,
    settings: options.Set = None,
    as_json: options.Json = False,
) -> None:
    """Train one arm on one split, then score its validation and test patients.

    Ctrl-C, or a crash, leaves a run that the same command takes up again.

    Example: plgg train store --run runs/multitask --preset small --arm multitask
    """
    from plgg import api

    chosen = options.with_epochs(settings, epochs)
    config = api.configure(preset, arm=_arm(arm), seed=seed, settings=chosen)
    found = api.train(store, run, config, split=split, watch=Bars(quiet=as_json))
    if as_json:
        typer.echo(json.dumps({part: e.summary_json() for part, e in found.items()}, indent=2))
        return
    for part, evaluation in found.items():
        show.evaluation(evaluation, title=part)
    typer.echo(f"run: {run}")


@commands.command()
def experiment(
    store: Annotated[Path, typer.Argument(help="Store made by plgg preprocess.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the experiment.")],
    splits: Annotated[int, typer.Option(help="How many splits of 70/15/15.", min=1)] = 6,
    preset: options.Preset = "small",
    arms: Annotated[str, typer.Option(help="Arms, comma-separated.")] = "single,multitask",
    epochs: options.Epochs = None,
    seed: options.Seed = 0,
    settings: options.Set = None,
) -> None:
    """Compare the arms on the same splits: the paper's Table 1, statistics, a report.

    Finished pieces are kept: repeat the command after an interruption.

    Example: plgg experiment store --out results --splits 6 --preset small
    """
    from plgg import api

    config = api.configure(preset, seed=seed, settings=options.with_epochs(settings, epochs))
    report = api.experiment(
        store,
        out,
        config,
        splits=splits,
        arms=[_arm(name.strip()) for name in arms.split(",")],
        command=shlex.join(["plgg", *sys.argv[1:]]),
        watch=Bars(),
    )
    typer.echo((out / "table1.md").read_text(encoding="utf-8"))
    typer.echo(f"report: {report}")


@commands.command()
def predict(
    inputs: Annotated[
        list[Path], typer.Argument(help="NIfTI files, DICOM folders or zips, manifests, stores.")
    ],
    model: Annotated[Path, typer.Option("--model", help="Folder of a training run.")],
    out: Annotated[Path, typer.Option("--out", help="One folder a case is made here.")],
    part: Annotated[
        str | None, typer.Option(help="Only train, validation or test of the run's split.")
    ] = None,
    atlas: options.Atlas = None,
    as_json: options.Json = False,
) -> None:
    """Outline the tumour on the patient's own scan and name its marker.

    A scan is prepared as those that the model was trained on: the skull is taken off where it is
    on, and it is registered to the same atlas. Status 1 if a scan failed; the others are finished.

    Example: plgg predict scan.nii.gz --model runs/multitask --out predictions
    """
    from plgg import api

    outcomes = api.predict(
        inputs, model=model, out=out, part=part, atlas=atlas, watch=Bars(quiet=as_json)
    )
    failed = [(outcome.case_id, outcome.reason) for outcome in outcomes if outcome.reason]
    if as_json:
        results = {outcome.case_id: outcome.result or outcome.reason for outcome in outcomes}
        typer.echo(json.dumps(results, indent=2))
    else:
        show.predictions(outcomes)
        typer.echo(f"{len(outcomes) - len(failed)} scans predicted: {out}")
    show.failures(failed)
    raise typer.Exit(1 if failed else 0)
