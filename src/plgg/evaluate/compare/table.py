"""Compare the arms of a plain CSV table with one row for each split."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from plgg.core.errors import RunError
from plgg.core.tables import known, number, read_csv
from plgg.evaluate.compare.contrast import ContrastSetup, contrast_of_splits, difference_of
from plgg.evaluate.compare.metric import Metric, find_metric
from plgg.evaluate.compare.multiple_comparisons import adjust_p_values
from plgg.evaluate.compare.power import PowerTarget
from plgg.evaluate.compare.records import Comparison, Contrast, Unpaired
from plgg.evaluate.compare.statistics import TEST_TO_TRAIN

PARTS = ("test", "validation")
_LARGEST = 1e12
# Rows that papers add below the splits, in the words they use.
_SUMMARY = re.compile(r"(mean|average|sd|std|median)\b", re.IGNORECASE)


@dataclass(frozen=True)
class Table:
    """Values by split and arm.

    Attributes:
        splits: Names of the splits.
        arms: Names of the arms, in the order of their columns.
        values: For each split a value of each arm; None where the cell is blank.
        part: Part that was chosen; None where the table has none.
        notes: What was left out, in whole sentences.
    """

    splits: tuple[str, ...]
    arms: tuple[str, ...]
    values: tuple[tuple[float | None, ...], ...]
    part: str | None
    notes: tuple[str, ...]


def read_table(path: Path, part: str | None) -> Table:
    """Read a table; rows and columns that are no values of an arm are left out and noted.

    Args:
        path: The table.
        part: Which part to read; by default `test` where the table has parts.

    Raises:
        RunError: If it has another form.
    """
    names, rows = _cells(path)
    columns, chosen = _columns(names, part)
    if part and chosen is None and "part" not in names:
        raise RunError("tells no parts", where=path, remedy="Leave the part out.")
    if "part" in names:
        chosen = part or _default({row["part"].lower() for row in rows})
        rows = [row for row in rows if row["part"].lower() == chosen]
    kept = [row for row in rows if not _SUMMARY.match(row["split"])]
    splits = [row["split"] for row in kept]
    _require(path, columns, splits, chosen)
    values = tuple(
        tuple(_number(row[column], f"{path}, split {row['split']}") for column in columns)
        for row in kept
    )
    notes = [
        f"The row {row['split']!r} is a summary and was left out."
        for row in rows
        if row not in kept
    ]
    notes += [
        f"The column {name!r} belongs to no part and was left out."
        for name in names
        if name not in ("split", "part") and name not in columns and _parted(name) is None
    ]
    return Table(tuple(splits), tuple(columns.values()), values, chosen, tuple(notes))


def _cells(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Column names in lower case where they are ours, and the rows as text."""
    table = read_csv(path, error=RunError, key=_own)
    names = [_own(name) for name in table.header]
    if "split" not in names or "" in names:
        raise RunError(
            f"needs a column 'split' and one for each arm (it has: {', '.join(names) or 'none'})",
            where=path,
            remedy="Write, for example: split,single,multitask.",
        )
    return names, [dict(zip(names, line.cells, strict=True)) for line in table.lines]


def _own(name: str) -> str:
    """A column's name, in lower case where it is ours; the names of arms are the user's."""
    return name.lower() if name.lower() in ("split", "part") else name


def _columns(names: Sequence[str], part: str | None) -> tuple[dict[str, str], str | None]:
    """Columns of the part and the arms they belong to."""
    arms = [name for name in names if name not in ("split", "part")]
    parted = {name: found for name in arms if (found := _parted(name)) is not None}
    if not parted:
        return {name: name for name in arms}, None
    chosen = part or _default({found[1] for found in parted.values()})
    return {name: arm for name, (arm, of) in parted.items() if of == chosen}, chosen


def _parted(name: str) -> tuple[str, str] | None:
    """The arm and part in `multitask_test` or `test_multitask`; None for another name."""
    for part in PARTS:
        for arm in (name.removesuffix(f"_{part}"), name.removeprefix(f"{part}_")):
            if arm != name:
                return arm, part
    return None


def _default(parts: set[str]) -> str:
    return next((part for part in PARTS if part in parts), min(parts, default="test"))


def _require(path: Path, columns: dict[str, str], splits: list[str], part: str | None) -> None:
    of = f" of the part {part!r}" if part else ""
    if len(columns) < 2:
        raise RunError(
            f"needs two arms{of}, has {len(columns)}",
            where=path,
            remedy="Write one column for each arm, for example: split,single,multitask.",
        )
    if not splits or "" in splits or len(set(splits)) < len(splits):
        raise RunError(
            f"has no rows{of}, or a split that is blank or occurs twice",
            where=path,
            remedy="Write one row for each split.",
        )


def _number(text: str, where: str) -> float | None:
    if known(text) is None:
        return None
    value = number(text.replace(",", "."))
    if value is None or not math.isfinite(value):
        raise RunError(
            f"{text!r} is no number", where=where, remedy="Leave a cell blank where unknown."
        )
    return value


def _require_possible(table: Table, metric: Metric, path: Path) -> None:
    """Check that the values are ones that the metric can have.

    Raises:
        RunError: If one is not.
    """
    low, high = metric.bounds or (-_LARGEST, _LARGEST)
    for split, row in zip(table.splits, table.values, strict=True):
        for value in row:
            if value is not None and not max(low, -_LARGEST) <= value <= min(high, _LARGEST):
                raise RunError(
                    f"{value:g} is no value of {metric.name}, which lies from {low:g} to {high:g}",
                    where=f"{path}, split {split}",
                    remedy="Correct the table (a share, not per cent), or name its --metric.",
                )


def compare_table(
    path: Path,
    *,
    part: str | None = None,
    metric: str = "dice",
    test_to_train: float = TEST_TO_TRAIN,
    aim: PowerTarget | None = None,
) -> Comparison:
    """Compare every arm of a CSV table with its first, over splits.

    The columns are `split` and one for each arm. Parts are given by a column `part` or by names
    such as `single_test, multitask_test` (`test_single` likewise).

    Args:
        path: The table.
        part: Which part to compare; by default `test` where the table has parts.
        metric: The metric of the numbers; it determines which direction is better.
        test_to_train: n_test / n_train of the splits, for the corrected t test.
        aim: The gain and the power to compute sample sizes for.

    Raises:
        RunError: If the table has another form.
    """
    table = read_table(path, part)
    _require_possible(table, find_metric(metric), path)
    contrasts = tuple(
        _contrast(table, n, metric, test_to_train, path) for n in range(1, len(table.arms))
    )
    notes = list(table.notes)
    return Comparison((str(path),) * len(table.arms), adjust_p_values(contrasts, aim), tuple(notes))


def _contrast(table: Table, n: int, metric: str, test_to_train: float, path: Path) -> Contrast:
    rows = [(name, row[0], row[n]) for name, row in zip(table.splits, table.values, strict=True)]
    paired = [difference_of(s, a, b, None) for s, a, b in rows if a is not None and b is not None]
    if not paired:
        raise RunError(
            f"no split has both {table.arms[0]} and {table.arms[n]}",
            where=path,
            remedy="Fill in the table.",
        )
    unpaired = Unpaired(
        only_a=tuple(s for s, a, b in rows if a is not None and b is None),
        only_b=tuple(s for s, a, b in rows if a is None and b is not None),
        undefined=tuple(s for s, a, b in rows if a is None and b is None),
    )
    question = ContrastSetup(
        a=table.arms[0],
        b=table.arms[n],
        part=table.part,
        metric=find_metric(metric),
        seed=0,
        test_to_train=test_to_train,
    )
    return contrast_of_splits(paired, unpaired, question)
