"""`Finding` and `CheckReport`: the results of a check of a cohort."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

from plgg.core.errors import visible

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One error, warning or note of a check.

    Attributes:
        severity: `error`: cannot be used as it is; `warning`: probably not what is meant; `note`:
            good to know.
        code: Stable name of the kind of finding, for programs and for the manual's table.
        case_id: The scan it is about; None where it is about the cohort.
        message: What was found, in one clause without a full stop.
        remedy: What to do about it, in whole sentences.
    """

    severity: Severity
    code: str
    case_id: str | None
    message: str
    remedy: str

    def __post_init__(self) -> None:
        # File names and table cells may contain control characters for a terminal.
        object.__setattr__(self, "message", visible(self.message))


def first_error(findings: Iterable[Finding]) -> Finding | None:
    """The first finding that keeps a scan from being used, if there is one."""
    return next((finding for finding in findings if finding.severity == "error"), None)


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first, then warnings, then notes; the order within each is kept."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def listed(names: Iterable[str], *, most: int = 5) -> str:
    """Join names in one line; those beyond `most` are counted."""
    known = list(names)
    shown = ", ".join(known[:most])
    return shown if len(known) <= most else f"{shown} and {len(known) - most} more"


Range = Mapping[str, float]


@dataclass(frozen=True)
class CaseRow:
    """Statistics of one scan; values that could not be read are None.

    Attributes:
        case_id: Name of the scan.
        patient_id: Its patient.
        marker: Its class; None where unknown.
        site: Its hospital or scanner; None where unknown.
        shape: Voxels along each axis.
        spacing_mm: Distance between voxels along each axis.
        orientation: Orientation of the axes, for example `LPS`.
        brain_ml: Volume of the voxels that are not background.
        tumour_ml: Volume of the mask; None where it is unknown or unusable.
        n_errors: Errors found in its files.
        n_warnings: Warnings likewise.
    """

    case_id: str
    patient_id: str
    marker: str | None
    site: str | None
    shape: tuple[int, int, int] | None
    spacing_mm: tuple[float, float, float] | None
    orientation: str | None
    brain_ml: float | None
    tumour_ml: float | None
    n_errors: int
    n_warnings: int


@dataclass(frozen=True)
class CheckReport:
    """Report of the check of a cohort.

    Attributes:
        manifest: The file that was checked.
        findings: All findings, errors first.
        n_cases: Scans.
        n_patients: Patients.
        class_counts: Patients in each marker class, in alphabetical order.
        n_unknown_marker: Scans whose marker is blank.
        n_unknown_mask: Scans whose mask is blank.
        shapes: Scans of each shape, the most frequent first.
        spacing_mm: `min`, `median` and `max` over the scans of the `finest` and of the `coarsest`
            axis; empty where no scan could be read.
        cases: One row a scan, in the manifest's order.
    """

    manifest: Path
    findings: tuple[Finding, ...]
    n_cases: int
    n_patients: int
    class_counts: Mapping[str, int]
    n_unknown_marker: int
    n_unknown_mask: int
    shapes: Mapping[str, int]
    spacing_mm: Mapping[str, Range]
    cases: tuple[CaseRow, ...]

    @property
    def n_errors(self) -> int:
        """Number of errors."""
        return self._count("error")

    @property
    def n_warnings(self) -> int:
        """Number of warnings."""
        return self._count("warning")

    def _count(self, severity: Severity) -> int:
        return sum(finding.severity == severity for finding in self.findings)

    def as_json(self) -> dict[str, Any]:
        """The report as a record for JSON; unknown values are None, never NaN."""
        counts = {"n_errors": self.n_errors, "n_warnings": self.n_warnings}
        record = asdict(self) | {"manifest": str(self.manifest)}
        return {"format": "plgg-check", "version": 1, **counts, **record}


def shape_counts(rows: Iterable[CaseRow]) -> dict[str, int]:
    """Scans of each shape, the most frequent first."""
    names = ("×".join(str(n) for n in row.shape) for row in rows if row.shape)
    return dict(Counter(names).most_common())


def spacing_ranges(rows: Iterable[CaseRow]) -> dict[str, Range]:
    """Range of the finest and of the coarsest axis, whichever axis of the array that is."""
    known = [row.spacing_mm for row in rows if row.spacing_mm]
    if not known:
        return {}
    return {
        "finest": _range([min(spacing) for spacing in known]),
        "coarsest": _range([max(spacing) for spacing in known]),
    }


def _range(values: list[float]) -> Range:
    return {"min": min(values), "median": median(values), "max": max(values)}
