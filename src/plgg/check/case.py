"""One case: its files read once, looked at, and kept only as numbers.

`require_usable` is what preprocessing asks before it works on a case, in the words of the check.
Knows nothing of other cases.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import nibabel as nib
import numpy as np

from plgg.check.finding import Finding, first_error
from plgg.check.flair import brain_ml, inspect_flair
from plgg.check.mask import inspect_mask
from plgg.check.report import CaseRow
from plgg.errors import InputError, PlggError
from plgg.io.manifest import Case
from plgg.io.regular import is_there
from plgg.io.scan import Scan, open_scan
from plgg.volume import Volume

_DICOM_DOUBT = (
    "dicom-series",
    "Name the folder, zip or file of the FLAIR, or go on if this is the one that is meant.",
)
_GEOMETRY_DOUBT = (
    "geometry",
    "Look at it over a scan that you trust, or convert it from DICOM again.",
)


@dataclass(frozen=True)
class Examined:
    """What is kept of a case once its images are let go.

    Attributes:
        case: The manifest's row.
        row: The case in numbers.
        findings: What was found in its files.
        flair_hash: Hash of the FLAIR's voxels; None where unreadable or constant.
        mask_hash: Hash of the mask's voxels; likewise, so None for an empty mask.
    """

    case: Case
    row: CaseRow
    findings: tuple[Finding, ...]
    flair_hash: str | None
    mask_hash: str | None


def require_usable(case: Case) -> tuple[Volume, Volume | None]:
    """Read a case's images and refuse what a check calls an error.

    Args:
        case: A row of the manifest.

    Returns:
        The FLAIR and the mask as stored; None for a mask that is unknown.

    Raises:
        InputError: For the first error that is found in the FLAIR, then in the mask.
    """
    flair, mask = usable_scans(case)
    return flair.volume, mask.volume if mask else None


def usable_scans(case: Case) -> tuple[Scan, Scan | None]:
    """As `require_usable`, with what was read besides the images: doubts, hashes.

    Raises:
        InputError: For the first error that is found in the FLAIR, then in the mask.
    """
    flair = usable_flair(case.flair)
    if case.mask is None:
        return flair, None
    return flair, _usable(case.mask, lambda mask: inspect_mask(mask, flair.volume))


def usable_flair(path: Path) -> Scan:
    """Read a FLAIR and refuse what a check calls an error.

    Raises:
        InputError: For the first error that is found in it.
    """
    return _usable(path, inspect_flair)


def _usable(path: Path, inspect: Callable[[Volume], list[Finding]]) -> Scan:
    scan = open_scan(path)
    error = first_error(inspect(scan.volume))
    if error:
        raise InputError(error.message, where=path, remedy=error.remedy)
    return scan


def examine(case: Case) -> Examined:
    """Read a case's images once and keep what the check of a cohort needs of them.

    An image that cannot be read becomes a finding; nothing is raised for it.
    """
    flair, findings = _looked_at(case.flair, "FLAIR", inspect_flair)
    mask: Volume | None = None
    if case.mask is not None:
        mask, more = _looked_at(case.mask, "mask", lambda mask: inspect_mask(mask, flair))
        findings += more
    found = tuple(replace(finding, case_id=case.case_id) for finding in findings)
    return Examined(case, _row(case, flair, mask, found), found, _hash(flair), _hash(mask))


def _looked_at(
    path: Path, role: str, inspect: Callable[[Volume], list[Finding]]
) -> tuple[Volume | None, list[Finding]]:
    try:
        scan = open_scan(path)
    except PlggError as error:
        code = "unreadable" if is_there(path) else "missing-file"
        message = f"the {role} {path}: {error.what}"
        return None, [Finding("error", code, None, message, error.remedy or "")]
    return scan.volume, [*_header(scan, role), *inspect(scan.volume)]


def _header(scan: Scan, role: str) -> list[Finding]:
    """What the header chose or left in doubt."""
    code, remedy = _DICOM_DOUBT if scan.chosen else _GEOMETRY_DOUBT
    found = [
        Finding("warning", code, None, f"of the {role}, {doubt}", remedy) for doubt in scan.doubts
    ]
    if scan.chosen:
        found.append(
            Finding("note", "dicom-series", None, f"read from DICOM {scan.chosen}", "Nothing.")
        )
    return found


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
        orientation="".join(nib.aff2axcodes(flair.affine)) if flair else None,
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
    if volume is None or float(volume.data.min()) == float(volume.data.max()):
        return None
    turned = nib.apply_orientation(volume.data, nib.io_orientation(volume.affine))
    content = hashlib.sha256(str(turned.shape).encode())
    content.update(np.ascontiguousarray(turned).data)
    return content.hexdigest()
