"""`Finding`: one thing that a check has to say. Knows nothing of how it was found or is shown."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from plgg.errors import visible

Severity = Literal["error", "warning", "note"]
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that a check has to say.

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
        # Names of files and cells of tables may hold what a terminal would obey.
        object.__setattr__(self, "message", visible(self.message))


def first_error(findings: Iterable[Finding]) -> Finding | None:
    """The first finding that keeps a scan from being used, if there is one."""
    return next((finding for finding in findings if finding.severity == "error"), None)


def by_severity(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors first, then warnings, then notes; the order within each is kept."""
    return tuple(sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity)))


def listed(names: Iterable[str], *, most: int = 5) -> str:
    """Names in one line, the rest counted."""
    known = list(names)
    shown = ", ".join(known[:most])
    return shown if len(known) <= most else f"{shown} and {len(known) - most} more"
