"""Commands on experiments: experiment, transfer."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from plgg.cli import options, show
from plgg.cli.show import Bars
from plgg.core.errors import ConfigError

commands: typer.Typer = typer.Typer()


@commands.command()
def experiment(
    store: Annotated[Path, typer.Argument(help="Store made by plgg preprocess.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the experiment.")],
    splits: Annotated[int, typer.Option(help="How many splits of 70/15/15.", min=1, max=1000)] = 6,
    folds: Annotated[
        int | None,
        typer.Option(help="Instead: cross validation, each patient tested once.", min=3),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(help="Runs of each split and arm that differ in chance alone.", min=1),
    ] = 1,
    preset: options.Preset = "small",
    arms: Annotated[
        str,
        typer.Option(
            help="Comma-separated: single; multitask; dense (distance to the outline, slices with "
            "tumour); dense-marker (and the marker); oracle (told the true marker: the most it can "
            "give); a preset with settings of its own; one of --define. The first is the baseline."
        ),
    ] = "single,multitask",
    define: Annotated[
        list[str] | None,
        typer.Option(
            help='One more arm: "NAME=multitask key=value key=value", changed from any of '
            "the others."
        ),
    ] = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            help="Search a setting: loss.marker_weight=0,.1,.3. Several multiply. Each split's "
            "winner is chosen on its validation patients alone."
        ),
    ] = None,
    workers: Annotated[
        str, typer.Option(help="local: one run after the other; ray: side by side.")
    ] = "local",
    ray_address: Annotated[
        str | None, typer.Option(help="Ray cluster with these folders; default: this machine.")
    ] = None,
    cpus_per_run: Annotated[int, typer.Option(help="Cores of a run, with ray.", min=1)] = 1,
    gpus_per_run: Annotated[
        float | None,
        options.number(help="GPUs of a run, with ray; by default one where there are any.", min=0),
    ] = None,
    retry: Annotated[int, typer.Option(help="Tries more for a run that fails.", min=0)] = 0,
    track: options.Track = None,
    epochs: options.Epochs = None,
    seed: options.Seed = 0,
    settings: options.Set = None,
) -> None:
    """Compare the arms on the same splits: the paper's Table 1, statistics, a report.

    With single, multitask and oracle it says whether the marker can help here, and whether it did.
    Finished runs are kept and failed ones tried again: repeat the command after an interruption.
    --set and --epochs change single, multitask and what is defined, not an arm that is a preset.
    Status 1 if a run failed; the others are finished and compared.

    Example: plgg experiment store --out results --splits 6 --grid loss.marker_weight=0,.1,.3,1
    """
    from plgg import api
    from plgg.experiment.options import Design, Workers

    config = api.configure(preset, seed=seed, settings=options.with_epochs(settings, epochs))
    if ray_address is not None and workers != "ray":
        raise ConfigError("--ray-address is Ray's", remedy="Add --workers ray.")
    design = Design(
        splits=splits,
        folds=folds,
        seeds=seeds,
        arms=tuple(name.strip() for name in arms.split(",") if name.strip()),
        defined=tuple(define or ()),
        grid=tuple(grid or ()),
        workers=Workers(workers, ray_address, cpus_per_run, gpus_per_run, retry),
        track=tuple(track or ()),
        command=shlex.join(["plgg", *sys.argv[1:]]),
    )
    done = api.experiment(store, out, config, design=design, watch=Bars())
    if done.report is not None:
        typer.echo((out / "table1.md").read_text(encoding="utf-8"))
        show.line(f"report: {done.report}")
    for name, reason in done.failed.items():
        show.line(f"failed: {name}: {reason}", err=True)
    raise typer.Exit(1 if done.failed else 0)


@commands.command()
def transfer(
    out: Annotated[Path, typer.Option("--out", help="Folder of the experiment.")],
    home: Annotated[
        Path | None, typer.Argument(help="Store of the cohort that the model comes from.")
    ] = None,
    away: Annotated[Path | None, typer.Argument(help="Store of the cohort it goes to.")] = None,
    phantoms: Annotated[
        int | None,
        typer.Option(
            help="Instead of stores: make so many synthetic adults and as many children.", min=12
        ),
    ] = None,
    splits: Annotated[
        int, typer.Option(help="How many splits of both cohorts.", min=1, max=1000)
    ] = 1,
    preset: options.Preset = "small",
    arm: Annotated[str, typer.Option(help="single or multitask.")] = "multitask",
    tune: Annotated[
        list[str] | None,
        typer.Option(help="A setting of the fine-tuning alone, e.g. optimiser.epochs=10."),
    ] = None,
    freeze: Annotated[
        int, typer.Option(help="Stages of the encoder that fine-tuning leaves as they were.", min=0)
    ] = 0,
    epochs: options.Epochs = None,
    seed: options.Seed = 0,
    settings: options.Set = None,
) -> None:
    """What a model of one population is worth on another, and what fine-tuning mends.

    Trains on HOME, tests there and on AWAY; trains on AWAY; fine-tunes the first model on AWAY and
    tests it on both. Finished runs are kept: repeat the command after an interruption. Status 1 if
    a run failed.

    Example: plgg transfer adults-store children-store --out results --splits 6
    """
    from plgg import api
    from plgg.experiment.options import SYNTHETIC_SETTINGS, TransferOptions

    n_stores = sum(store is not None for store in (home, away))
    if n_stores != (2 if phantoms is None else 0):
        raise ConfigError(
            "a transfer needs two stores, or --phantoms",
            remedy="Write plgg transfer HOME AWAY --out DIR, or plgg transfer --phantoms 40 --out "
            "DIR.",
        )
    stores = None if home is None or away is None else (home, away)
    given = options.with_epochs(settings, epochs)
    config = api.configure(
        preset,
        arm=options.arm_named(arm),
        seed=seed,
        settings=given if stores else [*SYNTHETIC_SETTINGS, *given],
    )
    course = TransferOptions(
        splits=splits,
        tuning=tuple(tune or ()),
        frozen_stages=freeze,
        patients=phantoms or 0,
        command=shlex.join(["plgg", *sys.argv[1:]]),
    )
    done = api.transfer(stores, out, config, course=course, watch=Bars())
    if done.report is not None:
        typer.echo((out / "transfer.md").read_text(encoding="utf-8"))
        show.line(f"report: {done.report}")
    for name, reason in done.failed.items():
        show.line(f"failed: {name}: {reason}", err=True)
    raise typer.Exit(1 if done.failed else 0)
