"""The command `transfer`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from plgg.cli import options, show
from plgg.cli.bars import Bars
from plgg.errors import ConfigError

commands: typer.Typer = typer.Typer()


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
    splits: Annotated[int, typer.Option(help="How many splits of both cohorts.", min=1)] = 1,
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
    from plgg.synthetic import SETTINGS
    from plgg.transfer import Course

    if (home is None or away is None) == (phantoms is None):
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
        settings=given if stores else [*SETTINGS, *given],
    )
    course = Course(
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
