"""What a layout finds in a folder: scans, what it leaves out, and what it has to say.

Plain records between the layouts and the manifest's builder. Knows nothing of any layout.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, fields
from pathlib import Path


@dataclass(frozen=True)
class Labels:
    """What is known of a scan besides its images; None where unknown."""

    marker: str | None = None
    site: str | None = None
    age_years: float | None = None
    sex: str | None = None

    def filled_from(self, other: Labels) -> Labels:
        """These labels, and the other's where these are unknown."""
        pairs = {f.name: (getattr(self, f.name), getattr(other, f.name)) for f in fields(self)}
        return Labels(**{k: mine if mine is not None else its for k, (mine, its) in pairs.items()})


@dataclass(frozen=True)
class Scan:
    """One scan as its layout names it.

    Attributes:
        patient_id: Name of the patient, as the layout writes it.
        flair: Path of the FLAIR, or of the folder that it is made from.
        mask: Path of the tumour mask; None where there is none.
        scan_id: Tells the scans of a patient apart; blank where a patient has one scan.
        labels: What the layout's own tables and names say.
    """

    patient_id: str
    flair: Path
    mask: Path | None = None
    scan_id: str = ""
    labels: Labels = field(default_factory=Labels)

    @property
    def name(self) -> str:
        """The patient, and the scan where it has a name."""
        return f"{self.patient_id}_{self.scan_id}" if self.scan_id else self.patient_id


@dataclass(frozen=True)
class LeftOut:
    """A patient or a scan that cannot be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Found:
    """All that a layout finds in a folder."""

    scans: tuple[Scan, ...]
    left_out: tuple[LeftOut, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choices:
    """What a user may settle; None leaves it to the layout.

    Attributes:
        marker_column: Column of the layout's own table, or of `labels`, that is the marker.
        labels: Table with a column patient_id; what it says goes before what the layout says.
        flair: Pattern that a FLAIR's path must fit.
        mask: Pattern that a mask's path must fit.
    """

    marker_column: str | None = None
    labels: Path | None = None
    flair: str | None = None
    mask: str | None = None


@dataclass(frozen=True)
class Layout:
    """How a layout is read.

    Attributes:
        find: Looks for scans below a folder; reads names and tables, but no image.
        prepare: Gives the FLAIR and the mask of a scan; what must be made goes into the folder.
        expected: What files it looks for, for the message that there are none.
        patterns: Which of the patterns of `Choices` are read.
    """

    find: Callable[[Path, Choices], Found]
    prepare: Callable[[Scan, Path], tuple[Path, Path | None]]
    expected: str
    patterns: tuple[str, ...] = ()


def as_they_are(scan: Scan, folder: Path) -> tuple[Path, Path | None]:  # noqa: ARG001
    """Images that a manifest can name where they lie."""
    return scan.flair, scan.mask


def listed(names: Iterable[object], *, most: int = 5) -> str:
    """Names in one line, the rest counted."""
    known = [str(name) for name in names]
    shown = ", ".join(known[:most])
    return shown if len(known) <= most else f"{shown} and {len(known) - most} more"
