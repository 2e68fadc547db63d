"""Read a scan for preprocessing or prediction, with the same checks as of a cohort.

The first error is raised; warnings are passed on in the scan's `doubts`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from plgg.config import Label
from plgg.config.base import SEQUENCES, TITLES
from plgg.core.errors import InputError
from plgg.core.volume import Volume
from plgg.data.check.image import inspect_image
from plgg.data.check.mask import check_mask
from plgg.data.check.report import Finding, first_error
from plgg.data.labels import required_values
from plgg.data.manifest import Case
from plgg.data.scan import Scan, open_scan

_DICOM_DOUBT = (
    "dicom-series",
    "Name the folder, zip or file of the FLAIR, or go on if this is the one that is meant.",
)
_GEOMETRY_DOUBT = (
    "geometry",
    "Look at it over a scan that you trust, or convert it from DICOM again.",
)


@dataclass(frozen=True, eq=False)
class ScanCheck:
    """A scan and the findings of its check.

    Attributes:
        scan: The scan as read; a mask has integer labels, reoriented to the FLAIR's voxels.
        findings: Findings on its header and on its voxels, without a case.
    """

    scan: Scan
    findings: tuple[Finding, ...]


def require_usable(case: Case, channels: Sequence[str] = SEQUENCES) -> tuple[Volume, Volume | None]:
    """Read a case's images and raise the first error of their check.

    Args:
        case: A row of the manifest.
        channels: Sequences that may be the reference, the likeliest first.

    Returns:
        The reference as stored, and the mask's labels on its voxels; None where that is unknown.

    Raises:
        InputError: For the first error that is found in the FLAIR, then in the mask.
    """
    flair, mask = usable_scans(case, channels)
    return flair.volume, mask.volume if mask else None


def usable_scans(
    case: Case, channels: Sequence[str] = SEQUENCES, labels: Sequence[Label] = ()
) -> tuple[Scan, Scan | None]:
    """As `require_usable`, but with warnings and hashes of the scans.

    `labels` are the regions that the mask's values are checked against.

    Raises:
        InputError: For the first error that is found in the FLAIR, then in the mask.
    """
    name, path = next(iter(case.sequences(channels).items()))
    reference = usable_image(path, name)
    if case.mask is None:
        return reference, None
    return reference, usable_mask(case.mask, reference.volume, required_values(case, labels))


def usable_image(path: Path, sequence: str = "flair") -> Scan:
    """Read a scan and raise the first error of its check; its `doubts` are the warnings.

    Args:
        path: Path of the scan.
        sequence: Its sequence, by the manifest or the user.

    Raises:
        InputError: For the first error that is found in it.
    """
    return usable_scan(open_scan(path, sequence), sequence, path)


def usable_scan(scan: Scan, sequence: str, where: Path) -> Scan:
    """Raise the first error of the check of a scan that was read; its `doubts` are the warnings.

    Args:
        scan: The scan as read.
        sequence: Its sequence, by the manifest or the user.
        where: Path of the scan, for the message.

    Raises:
        InputError: For the first error that is found in it.
    """
    judged = check_scan(scan, sequence)
    _refuse_error(judged.findings, where)
    doubts = (
        message.removeprefix(f"of the {TITLES[sequence]}, ")
        for message in _warnings(judged.findings)
    )
    return replace(judged.scan, doubts=tuple(doubts))


def usable_mask(path: Path, flair: Volume | None, labels: Sequence[Label] = ()) -> Scan:
    """Read a tumour mask and raise the first error of its check; its `doubts` are the warnings.

    Args:
        path: Path of the mask.
        flair: The scan it belongs to; None if it is not available.
        labels: Regions by their values; none where any value above 0 is tumour.

    Raises:
        InputError: For the first error that is found in it.
    """
    judged = check_mask_scan(open_scan(path), flair, labels)
    _refuse_error(judged.findings, path)
    return replace(judged.scan, doubts=_warnings(judged.findings))


def check_scan(scan: Scan, sequence: str = "flair") -> ScanCheck:
    """Check the header and the voxels of a scan."""
    title = TITLES[sequence]
    return ScanCheck(scan, (*_header(scan, title), *inspect_image(scan.volume, title)))


def check_mask_scan(scan: Scan, flair: Volume | None, labels: Sequence[Label] = ()) -> ScanCheck:
    """Check the header and the voxels of a mask."""
    found = check_mask(scan.volume, flair, says_how=scan.says_how, labels=labels)
    mask = scan if found.labels is None else replace(scan, volume=found.labels)
    return ScanCheck(mask, (*_header(scan, "mask"), *found.findings))


def _warnings(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(finding.message for finding in findings if finding.severity == "warning")


def _refuse_error(findings: Sequence[Finding], path: Path) -> None:
    error = first_error(findings)
    if error:
        raise InputError(error.message, where=path, remedy=error.remedy)


def _header(scan: Scan, role: str) -> list[Finding]:
    """Findings on the header: its warnings, and the DICOM series that was chosen."""
    code, remedy = _DICOM_DOUBT if scan.chosen else _GEOMETRY_DOUBT
    found = [
        Finding("warning", code, None, f"of the {role}, {doubt}", remedy) for doubt in scan.doubts
    ]
    if scan.chosen:
        found.append(
            Finding("note", "dicom-series", None, f"read from DICOM {scan.chosen}", "Nothing.")
        )
    return found
