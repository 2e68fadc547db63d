"""The command bids: a BIDS App."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from plgg.cli import options, show
from plgg.cli.show import Bars
from plgg.predict.options import PredictOptions

commands: typer.Typer = typer.Typer()
_SEVERAL = ("--participant-label", "--session-label")
# As other BIDS Apps write them.
_ALIASES = {name.replace("-", "_").replace("__", "--", 1): name
            for name in (*_SEVERAL, "--skip-bids-validation")}  # fmt: skip


class _BidsApp(TyperCommand):
    """Takes several labels after one option, as BIDS Apps do: `--participant-label 01 02`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401 - as typer has it
        return super().parse_args(ctx, _repeated(args))


def _repeated(args: list[str]) -> list[str]:
    """Repeat an option before each of its labels, and write option names with dashes."""
    found: list[str] = []
    option = ""
    for typed in args:
        name, equals, label = typed.partition("=")
        arg = f"{_ALIASES.get(name, name)}{equals}{label}"
        if arg.startswith("-"):
            option = arg if arg in _SEVERAL else ""
        elif option:
            found += [option, arg]
            continue
        found += [] if option else [arg]
    return found


@commands.command(cls=_BidsApp)
def bids(
    bids_dir: Annotated[Path, typer.Argument(help="The BIDS dataset. Nothing raw is changed.")],
    out_dir: Annotated[Path, typer.Argument(help="The derivative dataset; made if need be.")],
    level: Annotated[
        str, typer.Argument(help="participant: predict. group: table and page of all scans.")
    ],
    participants: Annotated[
        list[str] | None,
        typer.Option(
            "--participant-label",
            help="Only these participants, with or without sub-; several may follow.",
        ),
    ] = None,
    sessions: Annotated[
        list[str] | None,
        typer.Option(
            "--session-label",
            help="Only these sessions, with or without ses-; several may follow.",
        ),
    ] = None,
    skip_validation: Annotated[
        bool,
        typer.Option(
            "--skip-bids-validation",
            help="Do not ask the BIDS validator, which is asked where it is installed.",
        ),
    ] = False,
    model: options.Models = None,
    atlas: options.Atlas = None,
    engine: options.Engine = "pytorch",
    mirror: options.Mirror = False,
    memory: options.NetworkGib = None,
    scan_gib: options.ScanGib = None,
    case_minutes: options.CaseMinutes = 30.0,
    case_gib: options.CaseGib = None,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Draw the page of each scan.")
    ] = True,
    settings: options.Set = None,
    as_json: options.Json = False,
) -> None:
    """Outline every FLAIR of a BIDS dataset into a BIDS derivative dataset: a BIDS App.

    Each sub-*/[ses-*/]anat/*_FLAIR.nii.gz gets a mask, a probability, their sidecars with all
    that was measured, and a page; other sequences of its session are used where the model takes
    them. Run again, or side by side for several participants, it makes only what is missing.
    Status 1 if a scan failed; the others are finished. The BIDS validator looks at the dataset
    first, where it is installed, unless --skip-bids-validation is given.

    Example: plgg bids study study/derivatives/plgg participant --participant-label 01 02
    Example: plgg bids study study/derivatives/plgg group
    """
    from plgg import api

    wanted = PredictOptions(
        atlas=atlas,
        engine=engine,
        settings=options.with_inference(settings, mirror=mirror, memory_gib=memory),
        pages=report,
        scan_gib=scan_gib,
        case_minutes=case_minutes,
        case_gib=case_gib,
    )
    found = api.bids(
        bids_dir,
        out_dir,
        level,
        participants=participants or (),
        sessions=sessions or (),
        model=model,
        validate=not skip_validation,
        options=wanted,
        watch=Bars(quiet=as_json),
    )
    _show(found, out_dir, level, as_json=as_json)
    raise typer.Exit(1 if any(outcome.is_fault for outcome in found) else 0)


def _show(found: list[Any], out_dir: Path, level: str, *, as_json: bool) -> None:
    if as_json:
        said = {one.name: {"status": one.status, "reason": one.reason, "volume_ml": one.volume_ml}
                for one in found}  # fmt: skip
        typer.echo(json.dumps(said, indent=2))
    else:
        done = sum(one.status == "done" for one in found)
        where = out_dir / "group.html" if level == "group" else out_dir
        show.line(f"{done} of {len(found)} scans predicted: {where}")
        for one in found:
            if one.status == "left out":
                show.line(f"left out: {one.name} {one.reason}")
    show.failures([(one.name, one.reason) for one in found if one.is_fault])
