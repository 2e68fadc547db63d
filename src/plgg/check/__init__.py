"""Checking a cohort before anything is spent on it: files, grids, masks, labels, twins."""

from typing import TYPE_CHECKING

from plgg.lazy import lazily

if TYPE_CHECKING:
    from plgg.check.cohort import check_manifest
    from plgg.check.finding import Finding, Severity
    from plgg.check.flair import inspect_flair
    from plgg.check.mask import inspect_mask
    from plgg.check.report import CaseRow, CheckReport
    from plgg.check.usable import require_usable, usable_flair, usable_mask, usable_scans

__all__ = [
    "CaseRow",
    "CheckReport",
    "Finding",
    "Severity",
    "check_manifest",
    "inspect_flair",
    "inspect_mask",
    "require_usable",
    "usable_flair",
    "usable_mask",
    "usable_scans",
]
_USABLE = ("require_usable", "usable_flair", "usable_mask", "usable_scans")
__getattr__ = lazily(
    __name__,
    {
        "check_manifest": "cohort",
        "inspect_flair": "flair",
        "inspect_mask": "mask",
        **dict.fromkeys(("Finding", "Severity"), "finding"),
        **dict.fromkeys(("CaseRow", "CheckReport"), "report"),
        **dict.fromkeys(_USABLE, "usable"),
    },
)
