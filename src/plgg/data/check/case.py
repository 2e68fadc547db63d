"""Check one case of a cohort: read its files once, and keep only findings and statistics."""

from __future__ import annotations

import hashlib
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np

from plgg.config import Label
from plgg.config.base import TITLES
from plgg.core.errors import PlggError
from plgg.core.regular import is_there
from plgg.core.volume import Volume
from plgg.data.check.image import brain_ml
from plgg.data.check.mask import orientation_codes
from plgg.data.check.report import CaseRow, Finding
from plgg.data.check.usable import ScanCheck, check_mask_scan, check_scan
from plgg.data.labels import required_values
from plgg.data.manifest import Case
from plgg.data.scan import open_scan

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class CaseCheck:
    """Result of the check of a case, without its images.

    Attributes:
        case: The manifest's row.
        row: The case in numbers.
        findings: What was found in its files.
        flair_hash: Hash of the FLAIR's voxels; None where unreadable, constant or not finite.
        mask_hash: Hash of the mask's voxels; likewise, so None for an empty mask.
    """

    case: Case
    row: CaseRow
    findings: tuple[Finding, ...]
    flair_hash: str | None
    mask_hash: str | None


def check_case(case: Case, labels: Sequence[Label] = ()) -> CaseCheck:
    """Read a case's images once and check them.

    The values of its mask are checked against `labels`, if there are any.
    Any error becomes a finding of the case; nothing is raised.
    """
    try:
        return _check_files(case, labels)
    except Exception as error:  # the one guard around a case of a batch
        log.debug("case %s could not be checked", case.case_id, exc_info=True)
        return _summed_up(case, None, None, [_unchecked(error)])


def _unchecked(error: Exception) -> Finding:
    if isinstance(error, MemoryError):
        message, remedy = "checking it takes more memory than there is", "Close other programs."
    else:
        message = f"the check of it came to an end ({type(error).__name__})"
        remedy = "Look at its files; if they are sound, plgg is wrong: please report it."
    return Finding("error", "check-failed", None, message, remedy)


def _check_files(case: Case, labels: Sequence[Label]) -> CaseCheck:
    (name, path), *others = case.sequences().items()
    flair, findings = _image(path, name)
    for name, path in others:
        findings += _image(path, name)[1]
    mask, outline = None, case.mask
    if outline is not None:
        mask, more = _check(outline, "mask", lambda: _mask(case, outline, flair, labels))
        findings += more
    return _summed_up(case, flair, mask, findings)


def _mask(case: Case, path: Path, flair: Volume | None, labels: Sequence[Label]) -> ScanCheck:
    return check_mask_scan(open_scan(path), flair, required_values(case, labels))


def _summed_up(
    case: Case, flair: Volume | None, mask: Volume | None, findings: list[Finding]
) -> CaseCheck:
    found = tuple(replace(finding, case_id=case.case_id) for finding in findings)
    return CaseCheck(case, _row(case, flair, mask, found), found, _hash(flair), _hash(mask))


def _image(path: Path, sequence: str) -> tuple[Volume | None, list[Finding]]:
    return _check(path, TITLES[sequence], lambda: check_scan(open_scan(path, sequence), sequence))


def _check(
    path: Path, role: str, judge: Callable[[], ScanCheck]
) -> tuple[Volume | None, list[Finding]]:
    try:
        judged = judge()
    except PlggError as error:
        code = "unreadable" if is_there(path) else "missing-file"
        message = f"the {role} {path}: {error.what}"
        return None, [Finding("error", code, None, message, error.remedy or "")]
    return judged.scan.volume, list(judged.findings)


def _row(
    case: Case, flair: Volume | None, mask: Volume | None, findings: tuple[Finding, ...]
) -> CaseRow:
    codes = {finding.code for finding in findings}
    severities = [finding.severity for finding in findings]
    return CaseRow(
        case_id=case.case_id,
        patient_id=case.patient_id,
        marker=case.marker,
        site=case.site,
        shape=flair.shape if flair else None,
        spacing_mm=_spacing(flair) if flair else None,
        orientation=orientation_codes(flair) if flair else None,
        brain_ml=brain_ml(flair) if flair else None,
        tumour_ml=None if not mask or "mask-not-binary" in codes else _tumour_ml(mask),
        n_errors=severities.count("error"),
        n_warnings=severities.count("warning"),
    )


def _spacing(volume: Volume) -> tuple[float, float, float]:
    i, j, k = (round(float(value), 4) for value in volume.spacing_mm)
    return i, j, k


def _tumour_ml(mask: Volume) -> float:
    return float(np.count_nonzero(mask.data > 0)) * mask.voxel_volume_ml


def _hash(volume: Volume | None) -> str | None:
    """Hash of the voxels with the axes turned to R, A, S, so that a reoriented copy is a copy."""
    if volume is None:
        return None
    low, high = float(volume.data.min()), float(volume.data.max())
    # Two constant or non-finite images are not copies of one scan.
    if low == high or not (math.isfinite(low) and math.isfinite(high)):
        return None
    turned = nib.apply_orientation(volume.data, nib.io_orientation(volume.affine))
    content = hashlib.sha256(str(turned.shape).encode())
    content.update(np.ascontiguousarray(turned).data)
    return content.hexdigest()
