"""A whole manifest checked: each image read once, each case on its own.

Only hashes and numbers are kept of a case, so memory does not grow with the cohort beyond them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from plgg.check.case import Examined, examine
from plgg.check.columns import check_columns
from plgg.check.finding import by_severity
from plgg.check.labels import check_labels, patients_by_class
from plgg.check.report import CheckReport, shape_counts, spacing_ranges
from plgg.check.twins import find_twins
from plgg.io.budget import scan_limit
from plgg.io.manifest import Case, read_manifest

Progress = Callable[[int, int], None]


def check_manifest(
    path: Path,
    *,
    progress: Progress | None = None,
    workers: int = 1,
    scan_gib: float | None = None,
) -> CheckReport:
    """Check a cohort: its columns, its labels, every image, and images that occur twice.

    Args:
        path: The manifest.
        progress: Called with (done, all) after each case.
        workers: Threads that read images; each holds one case in memory.
        scan_gib: GiB that one scan or mask may unpack to; the setting's default if None.

    Returns:
        What was found; a case that cannot be read is a finding and does not end the check.

    Raises:
        ManifestError: If the manifest itself cannot be read.
    """
    cases = read_manifest(path)
    examined = _examine_all(cases, progress, workers, scan_gib)
    rows = tuple(one.row for one in examined)
    findings = [
        *check_columns(path),
        *check_labels(cases),
        *find_twins(examined),
        *(finding for one in examined for finding in one.findings),
    ]
    return CheckReport(
        manifest=path,
        findings=by_severity(findings),
        n_cases=len(cases),
        n_patients=len({case.patient_id for case in cases}),
        class_counts={name: len(who) for name, who in patients_by_class(cases).items()},
        n_unknown_marker=sum(case.marker is None for case in cases),
        n_unknown_mask=sum(case.mask is None for case in cases),
        shapes=shape_counts(rows),
        spacing_mm=spacing_ranges(rows),
        cases=rows,
    )


def _examine_all(
    cases: Sequence[Case], progress: Progress | None, workers: int, scan_gib: float | None
) -> list[Examined]:
    examined: list[Examined] = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for one in pool.map(partial(_examine, scan_gib), cases):
            examined.append(one)
            if progress:
                progress(len(examined), len(cases))
    return examined


def _examine(scan_gib: float | None, case: Case) -> Examined:
    with scan_limit(scan_gib):
        return examine(case)
