"""`compare_table`: the arms of a plain CSV table with one row for each split.

For results of any origin, such as a table printed in a paper. Knows nothing of patients or cases.
"""

from __future__ import annotations

from pathlib import Path

from plgg.compare.contrast import Question, contrast_of_splits, difference_of
from plgg.compare.family import as_family
from plgg.compare.metric import find_metric
from plgg.compare.power import Aim
from plgg.compare.records import Comparison, Contrast, Unpaired
from plgg.compare.statistics import TEST_TO_TRAIN
from plgg.compare.table_file import Table, read_table
from plgg.errors import RunError


def compare_table(
    path: Path,
    *,
    part: str | None = None,
    metric: str = "dice",
    test_to_train: float = TEST_TO_TRAIN,
    aim: Aim | None = None,
) -> Comparison:
    """Compare every arm of a CSV table with its first, over splits.

    The columns are `split` and one for each arm. Parts are told by a column `part` or by names such
    as `single_test, multitask_test` (`test_single` likewise).

    Args:
        path: The table.
        part: Which part to compare; by default `test` where the table has parts.
        metric: What the numbers are; it only tells which direction is better.
        test_to_train: n_test / n_train of the splits, for the corrected t test.
        aim: The gain whose power is told.

    Raises:
        RunError: If the table cannot be read so.
    """
    table = read_table(path, part)
    contrasts = tuple(
        _contrast(table, n, metric, test_to_train, path) for n in range(1, len(table.arms))
    )
    notes = list(table.notes)
    return Comparison((str(path),) * len(table.arms), as_family(contrasts, aim), tuple(notes))


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
    question = Question(
        a=table.arms[0],
        b=table.arms[n],
        part=table.part,
        metric=find_metric(metric),
        seed=0,
        test_to_train=test_to_train,
    )
    return contrast_of_splits(paired, unpaired, question)
