"""Check a whole manifest: read each image once, and find duplicates between rows by hash."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from plgg.config import Label
from plgg.data.budget import scan_limit
from plgg.data.check.case import CaseCheck, check_case
from plgg.data.check.report import (
    CheckReport,
    Finding,
    by_severity,
    listed,
    shape_counts,
    spacing_ranges,
)
from plgg.data.check.table import check_columns, check_labels, patients_by_class
from plgg.data.manifest import Case, read_manifest


def find_duplicates(examined: Iterable[CaseCheck]) -> list[Finding]:
    """Findings about equal FLAIRs and equal masks among the cases."""
    flairs: dict[str, list[CaseCheck]] = defaultdict(list)
    masks: dict[str, list[CaseCheck]] = defaultdict(list)
    for one in examined:
        if one.flair_hash:
            flairs[one.flair_hash].append(one)
        if one.mask_hash:
            masks[one.mask_hash].append(one)
    return [
        *(_flair_twins(group) for group in _several(flairs)),
        *(_mask_twins(group) for group in _several(masks) if _n_patients(group) > 1),
    ]


def _several(groups: Mapping[str, list[CaseCheck]]) -> list[list[CaseCheck]]:
    return [group for group in groups.values() if len(group) > 1]


def _n_patients(group: list[CaseCheck]) -> int:
    return len({one.case.patient_id for one in group})


def _names(group: list[CaseCheck]) -> str:
    return listed(one.case.case_id for one in group)


def _flair_twins(group: list[CaseCheck]) -> Finding:
    if _n_patients(group) > 1:
        return Finding(
            "error",
            "twin-patients",
            group[0].case.case_id,
            f"one FLAIR stands under several patients ({_names(group)})",
            "Give all scans of one patient the same patient_id, or mend the wrong path; otherwise "
            "a test scan may have been trained on.",
        )
    return Finding(
        "warning",
        "twin-scans",
        group[0].case.case_id,
        f"one FLAIR stands in several rows of a patient ({_names(group)})",
        "Drop the copies, or mend the path of the other scan.",
    )


def _mask_twins(group: list[CaseCheck]) -> Finding:
    return Finding(
        "warning",
        "twin-masks",
        group[0].case.case_id,
        f"one mask stands under several patients ({_names(group)})",
        "Mend the wrong path.",
    )


Progress = Callable[[int, int], None]


def check_manifest(
    path: Path,
    *,
    progress: Progress | None = None,
    workers: int = 1,
    scan_gib: float | None = None,
    labels: Sequence[Label] = (),
) -> CheckReport:
    """Check a cohort: its columns, its labels, every image, and images that occur twice.

    Args:
        path: The manifest.
        progress: Called with (done, all) after each case.
        workers: Threads that read images; each holds one case in memory.
        scan_gib: GiB that one scan or mask may unpack to; the setting's default if None.
        labels: Regions that the masks' values are checked against.

    Returns:
        The report; a case that cannot be read is a finding and does not end the check.

    Raises:
        ManifestError: If the manifest itself cannot be read.
    """
    cases = read_manifest(path)
    examined = _examine_all(cases, labels, progress, workers, scan_gib)
    rows = tuple(one.row for one in examined)
    findings = [
        *check_columns(path),
        *check_labels(cases),
        *find_duplicates(examined),
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
    cases: Sequence[Case],
    labels: Sequence[Label],
    progress: Progress | None,
    workers: int,
    scan_gib: float | None,
) -> list[CaseCheck]:
    examined: list[CaseCheck] = []
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for one in pool.map(partial(_examine, scan_gib, labels), cases):
            examined.append(one)
            if progress:
                progress(len(examined), len(cases))
    return examined


def _examine(scan_gib: float | None, labels: Sequence[Label], case: Case) -> CaseCheck:
    with scan_limit(scan_gib):
        return check_case(case, labels)
