"""The command manifest: from a layout that people have to a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plgg.cli import show
from plgg.cli.bars import Bars

if TYPE_CHECKING:
    from plgg.layouts import Written

commands: typer.Typer = typer.Typer()


@commands.command()
def manifest(
    layout: Annotated[str, typer.Argument(help="bids, brats, brats-peds, kaggle-lgg or folder.")],
    folder: Annotated[Path, typer.Argument(help="The data. Nothing in it is changed.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The manifest; images that must be made go beside it, into OUT_files. "
            "By default manifest.csv in the working folder, if that is not within the data."
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV or TSV: patient_id and marker, age_years, sex, site.")
    ] = None,
    marker_column: Annotated[
        str | None, typer.Option(help="Column that is the marker, of --labels or the layout's own.")
    ] = None,
    flair: Annotated[str | None, typer.Option(help="folder: pattern of FLAIRs, '*_t2f*'.")] = None,
    mask: Annotated[str | None, typer.Option(help="folder, bids: pattern of the masks.")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a manifest that says something else.")
    ] = False,
) -> None:
    """Write the manifest of a cohort in a layout that you have.

    What cannot be used is named, and the status is then 1; the others are in the manifest.

    Example: plgg manifest bids study --out study.csv
    """
    from plgg import api
    from plgg.layouts import Choices

    choices = Choices(marker_column, labels, flair, mask)
    written = api.manifest(layout, folder, out, choices=choices, overwrite=overwrite, watch=Bars())
    _show(written)
    raise typer.Exit(1 if written.left_out else 0)


def _show(written: Written) -> None:
    """Notes and what was left out on standard error, the numbers on standard output."""
    for note in written.notes:
        show.line(f"note: {note}", err=True)
    show.failures([(left.name, left.reason) for left in written.left_out])
    show.line(f"{written.summary()}: {written.manifest}")
