"""What `plgg pacs` prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import typer
from rich.table import Table
from rich.text import Text

from plgg.cli.show import failures, line, plain_console
from plgg.core.errors import visible

if TYPE_CHECKING:
    from plgg.pacs.pull import PullOutcome
    from plgg.pacs.push import PushOutcome
    from plgg.pacs.records import Study

_LEAST_WIDTH = 150


def studies(found: Sequence[Study]) -> None:
    """Print studies and their series, a line each, with control characters escaped."""
    table = Table(title="Studies", title_justify="left", header_style="bold", box=None)
    for column in ("date", "patient", "name", "description", "modality", "images", "UID"):
        table.add_column(column, overflow="fold", no_wrap=column == "UID")
    for study in found:
        who = (study.date, study.patient_id, study.patient_name, study.description)
        _row(table, *who, "", "", study.uid)
        for series in study.series:
            count = "" if series.n_instances is None else str(series.n_instances)
            said = f"  {series.number} {series.description}"
            _row(table, "", "", "", said, series.modality, count, series.uid)
    console = plain_console()
    # UIDs are copied by users: a line that is too long is better than a UID that is cut.
    console.width = max(console.width, _LEAST_WIDTH)
    console.print(table, soft_wrap=True)
    line(f"{len(found)} studies")


def _row(table: Table, *cells: str) -> None:
    table.add_row(*(Text(visible(cell)) for cell in cells))


def watching(rule: str, days: int | None, *, push: bool) -> None:
    """Print which studies will be predicted."""
    from plgg.pacs.days import describe_days

    after = "predicted and sent back" if push else "predicted, not sent back (--push does)"
    line(f"{describe_days(days)} that fit {visible(rule)} are {after}")


def pulled(found: PullOutcome) -> None:
    """Print how many objects were pulled, and where they are."""
    more = f", {found.n_passed_over} of other kinds passed over" if found.n_passed_over else ""
    line(f"{found.n_new} objects pulled, {found.n_kept} were there already{more}: {found.folder}")


def pushed(found: Sequence[PushOutcome], *, as_json: bool) -> None:
    """Print how many objects were sent, and which were refused."""
    counts = {state: sum(one.state == state for one in found) for state in ("sent", "there")}
    if as_json:
        told = [{"file": str(o.path), "state": o.state, "reason": o.reason} for o in found]
        typer.echo(json.dumps(told, indent=2))
        return
    line(f"{counts['sent']} objects sent, {counts['there']} were there already")
    failures([(str(one.path), one.reason) for one in found if one.state == "refused"])
