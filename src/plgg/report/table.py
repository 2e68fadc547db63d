"""`Table`: rows of text for a page, for Markdown and for a terminal.

>>> print(Table(("Split", "Dice"), (("1", "0.8"),)).to_markdown())
| Split | Dice |
| --- | ---: |
| 1 | 0.8 |
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Generic, TypeVar

from plgg.core.errors import visible
from plgg.core.markdown import row

if TYPE_CHECKING:
    import rich.table

T = TypeVar("T")


@dataclass(frozen=True)
class Table:
    """A header and its rows.

    Attributes:
        header: A name for each column.
        rows: A cell for each column.
        words: Columns of text, to the left; the others are numbers, to the right.
        foot: A last row that sums up; empty for none.
        groups: Headings above the header with the number of columns each spans; empty for none.
        caption: What it holds; blank where its place says so.
    """

    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: frozenset[int] = frozenset({0})
    foot: tuple[str, ...] = ()
    groups: tuple[tuple[str, int], ...] = ()
    caption: str = ""

    def to_markdown(self) -> str:
        """The table in GitHub's Markdown; whatever comes from data is escaped."""
        sides = ["---" if n in self.words else "---:" for n in range(len(self.header))]
        rows = (*self.rows, self.foot) if self.foot else self.rows
        return "\n".join([row(self.header), f"| {' | '.join(sides)} |", *map(row, rows)])

    def to_rich(self) -> rich.table.Table:
        """The table for a terminal; markup in names is shown literally."""
        from rich.table import Table as RichTable
        from rich.text import Text

        found = RichTable(
            title=Text(visible(self.caption)), title_justify="left", header_style="bold"
        )
        for n, name in enumerate(self.header):
            found.add_column(name, overflow="fold", justify="left" if n in self.words else "right")
        for cells in self.rows:
            found.add_row(*(Text(visible(cell)) for cell in cells))
        return found


@dataclass(frozen=True)
class Column(Generic[T]):
    """A column: its header, and the function that gives its cell for a record; blank if unknown."""

    header: str
    cell: Callable[[T], str]
    is_words: bool = False


def table_of(records: Sequence[T], columns: Sequence[Column[T]]) -> Table:
    """A row for each record; columns that are blank throughout are left out."""
    used = [column for column in columns if any(map(column.cell, records))]
    return Table(
        tuple(column.header for column in used),
        tuple(tuple(column.cell(record) for column in used) for record in records),
        frozenset(n for n, column in enumerate(used) if column.is_words),
    )
