"""One kind of model on one kind of patients: mean Dice over splits with its interval, and AUC.

What a table of models against cohorts is made of.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from plgg.compare.metric import find_metric
from plgg.compare.results import read_marker_auc, read_scores
from plgg.compare.sources import CASES
from plgg.compare.statistics import Array, hierarchical_interval
from plgg.io.files import write_text
from plgg.io.markdown import table
from plgg.io.tables import write_csv

HEADER = ("Trained on", "Tested on", "Dice", "95 % interval", "Marker AUC", "Patients", "Splits")


@dataclass(frozen=True)
class TransferRow:
    """How well models did on patients that they had not seen.

    Attributes:
        trained_on: Name of the training cohort.
        tested_on: Name of the patients' cohort.
        patients: Dice of each patient, for each split.
        dice: Mean over splits of the mean over patients.
        low: Lower end of its 95 % interval; None with a single patient.
        high: Upper end.
        marker_auc: Mean over splits; None where no marker was named.
    """

    trained_on: str
    tested_on: str
    patients: tuple[tuple[float, ...], ...]
    dice: float
    low: float | None
    high: float | None
    marker_auc: float | None

    def cells(self) -> tuple[str, ...]:
        """The row under `HEADER`."""
        reach = (
            "–" if self.low is None or self.high is None else f"{self.low:.3f} to {self.high:.3f}"
        )
        auc = "–" if self.marker_auc is None else f"{self.marker_auc:.3f}"
        n = sum(map(len, self.patients))
        return (
            self.trained_on,
            self.tested_on,
            f"{self.dice:.3f}",
            reach,
            auc,
            str(n),
            str(len(self.patients)),
        )


def transfer_row(
    trained_on: str, tested_on: str, evaluations: Sequence[Path], *, seed: int
) -> TransferRow | None:
    """Read the evaluations of one row, one for each split; None where none is there.

    Raises:
        RunError: If one cannot be read.
    """
    there = [folder for folder in evaluations if (folder / CASES).is_file()]
    groups = [group for group in map(_by_patient, there) if group.size]
    if not groups:
        return None
    aucs = [auc for auc in map(read_marker_auc, there) if auc is not None]
    interval = hierarchical_interval(groups, np.random.default_rng(seed))
    return TransferRow(
        trained_on,
        tested_on,
        tuple(tuple(group.tolist()) for group in groups),
        float(np.mean([group.mean() for group in groups])),
        interval.low,
        interval.high,
        float(np.mean(aucs)) if aucs else None,
    )


def _by_patient(evaluation: Path) -> Array:
    """Dice of each patient, the mean over scans."""
    found: dict[str, list[float]] = defaultdict(list)
    for score in read_scores(evaluation, find_metric("dice")).values():
        if score.value is not None:
            found[score.patient_id].append(score.value)
    return np.array([np.mean(values) for values in found.values()], dtype=np.float64)


def write_rows(path: Path, rows: Sequence[TransferRow]) -> None:
    """Write the table as `path`.md and `path`.csv."""
    cells = [row.cells() for row in rows]
    write_text(path.with_suffix(".md"), table([HEADER, *cells], words=True) + "\n")
    write_csv(path.with_suffix(".csv"), HEADER, cells)
