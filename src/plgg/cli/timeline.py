"""The command timeline: several results of one patient."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from plgg.cli import options, show

commands: typer.Typer = typer.Typer()


@commands.command()
def timeline(
    results: Annotated[
        list[Path], typer.Argument(help="Folders of one case each, as plgg predict leaves them.")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Page to write.")] = None,
    dates: Annotated[
        list[datetime] | None,
        typer.Option(
            "--date",
            formats=["%Y-%m-%d"],
            help="Of each scan, in the order of the results; by default as predict had it.",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Show one patient over time: volumes, diameters, and response categories after RAPNO.

    The categories are by the diameters on FLAIR alone. Clinical status and new lesions are not
    known to plgg, and a response that no later scan bears out is called unconfirmed.

    Example: plgg timeline then/P01 now/P01 --date 2024-01-31 --date 2024-06-30 --out P01.html
    """
    from plgg import api

    found = api.timeline(results, out, dates=[when.date() for when in dates or ()])
    if as_json:
        typer.echo(found.model_dump_json(indent=2))
        return
    show.timeline(found)
    if out is not None:
        show.line(f"open in a browser: {out.resolve()}")
