"""Commands on results: evaluate, compare; and demo and info."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from plgg.cli import options, show
from plgg.cli.show import Bars

commands: typer.Typer = typer.Typer()


@commands.command()
def evaluate(
    predictions: Annotated[
        Path, typer.Argument(help="Folder of CASE/mask.nii.gz, or of CASE.nii.gz of any tool.")
    ],
    manifest: Annotated[Path, typer.Argument(help="manifest.csv with the truth, or a store.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="Default: PREDICTIONS/evaluation.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Cases without a prediction are no error.")
    ] = False,
    seed: options.BootstrapSeed = 0,
    scan_gib: options.ScanGib = None,
    workers: options.WorkersOrRay = "1",
    ray_address: options.RayAddress = None,
    as_json: options.Json = False,
) -> None:
    """Score masks and markers by patient: Dice, HD95, surface Dice, lesions, AUC.

    Example: plgg evaluate predictions patients/manifest.csv
    """
    from plgg import api

    found = api.evaluate(
        predictions,
        manifest,
        out=out,
        seed=seed,
        scan_gib=scan_gib,
        workers=options.workers_of(workers, ray_address),
        watch=Bars(quiet=as_json),
    )
    if as_json:
        typer.echo(json.dumps(found.summary_json(), indent=2))
    else:
        show.evaluation(found, title=str(predictions))
    failed: list[tuple[str, str | None]] = [(f.case_id, f.reason) for f in found.summary.failed]
    if not partial:
        lost = "has no prediction (--partial accepts it)"
        failed += [(case, lost) for case in found.summary.missing]
    if failed:
        show.failures(failed)
        raise typer.Exit(1)


@commands.command()
def compare(
    a: Annotated[
        Path, typer.Argument(help="Results (run, predictions), an experiment, or a CSV table.")
    ],
    b: Annotated[Path | None, typer.Argument(help="Results to compare with.")] = None,
    metric: Annotated[str, typer.Option(help="Column of cases.csv.")] = "dice",
    baseline: Annotated[
        str | None, typer.Option(help="Of an experiment: the arm to compare the others with.")
    ] = None,
    gain: Annotated[
        float, options.number(help="Difference to find: what would it take?", min=1e-6, max=1e6)
    ] = 0.03,
    power: Annotated[
        float, options.number(help="Chance to find it that is wanted.", min=0.06, max=0.999)
    ] = 0.8,
    seed: options.BootstrapSeed = 0,
    as_json: options.Json = False,
) -> None:
    """Paired differences B - A by patient and split, with intervals, tests and power.

    A table is a CSV file with the column split and one for each arm.

    Example: plgg compare results/split-0/single results/split-0/multitask
    """
    from plgg import api
    from plgg.evaluate.compare.power import PowerTarget
    from plgg.report.comparison import as_markdown

    found = api.compare(
        a, b, metric=metric, seed=seed, baseline=baseline, aim=PowerTarget(gain, power)
    )
    typer.echo(json.dumps(found.as_json(), indent=2) if as_json else as_markdown(found))


@commands.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for everything it makes.")] = Path(
        "demo"
    ),
    seed: options.Seed = 0,
    patients: Annotated[int, typer.Option(help="Patients to learn from.", min=6)] = 120,
    unseen: Annotated[
        int, typer.Option(help="More patients, predicted by what was learnt.", min=1)
    ] = 40,
    settings: options.Set = None,
) -> None:
    """See it all, offline, in about four minutes: synthetic patients, two arms, a report.

    Fewer patients are quicker and show the way, not a result: with twelve, networks learn nothing.

    Example: plgg demo --out demo

    Example: plgg demo --out quick --patients 12 --unseen 4 --set optimiser.epochs=2
    """
    from plgg import api

    report = api.demo(
        out,
        seed=seed,
        patients=patients,
        unseen=unseen,
        settings=settings or (),
        watch=Bars(),
        command=shlex.join(["plgg", *sys.argv[1:]]),
    )
    show.line(f"open in a browser: {report.resolve()}")


@commands.command()
def info(as_json: options.Json = False) -> None:
    """Versions, device, presets, and every setting with its meaning."""
    from plgg import api

    found = api.info()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
    else:
        show.info(found)
