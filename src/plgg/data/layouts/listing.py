"""`Listing`: scans that a layout finds, exclusions and notes; functions to walk a folder.

The layouts return these records to the builder of the manifest.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np

from plgg.core.case_id import case_id_fault, safe_case_id
from plgg.core.errors import InputError
from plgg.core.masks import mask_labels
from plgg.data.nifti.image import read_volume, write_volume


@dataclass(frozen=True)
class Labels:
    """Marker, site, age and sex of a scan; None where unknown."""

    marker: str | None = None
    site: str | None = None
    age_years: float | None = None
    sex: str | None = None

    def filled_from(self, other: Labels) -> Labels:
        """A copy in which unknown values are taken from `other`."""
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
        labels: Labels from the tables and file names of the layout.
        others: Paths of the other sequences, by their columns in the manifest.
    """

    patient_id: str
    flair: Path
    mask: Path | None = None
    scan_id: str = ""
    labels: Labels = field(default_factory=Labels)
    others: Mapping[str, Path] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """The patient, and the scan where it has a name."""
        return f"{self.patient_id}_{self.scan_id}" if self.scan_id else self.patient_id


@dataclass(frozen=True)
class Exclusion:
    """A patient or a scan that cannot be used, and why."""

    name: str
    reason: str


@dataclass(frozen=True)
class Listing:
    """All that a layout finds in a folder."""

    scans: tuple[Scan, ...]
    left_out: tuple[Exclusion, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Choices:
    """Options of the user; None leaves the choice to the layout.

    Attributes:
        marker_column: Column of the layout's own table, or of `labels`, that is the marker.
        labels: Table with a column patient_id; it takes precedence over labels of the layout.
        flair: Pattern that a FLAIR's path must fit.
        mask: Pattern that a mask's path must fit.
        keep_labels: Whether the manifest names the original masks with all their values, where the
            layout would make masks of the whole tumour.
    """

    marker_column: str | None = None
    labels: Path | None = None
    flair: str | None = None
    mask: str | None = None
    keep_labels: bool = False


@dataclass(frozen=True)
class Layout:
    """Functions that read a layout, and its properties.

    Attributes:
        find: Looks for scans below a folder; reads names and tables, but no image.
        prepare: Returns the FLAIR and the mask of a scan; writes converted images to the folder.
        expected: Example of its file names, for the message that there are none.
        patterns: Which of the patterns of `Choices` are read.
        has_labels: Whether its masks hold labels, of which `prepare` makes the whole tumour.
    """

    find: Callable[[Path, Choices], Listing]
    prepare: Callable[[Scan, Path], tuple[Path, Path | None]]
    expected: str
    patterns: tuple[str, ...] = ()
    has_labels: bool = False


def unconverted_images(scan: Scan, folder: Path) -> tuple[Path, Path | None]:  # noqa: ARG001
    """Return the images of a scan without conversion."""
    return scan.flair, scan.mask


def listed(names: Iterable[object], *, most: int = 5) -> str:
    """Join names in one line; those beyond `most` are counted."""
    known = [str(name) for name in names]
    shown = ", ".join(known[:most])
    return shown if len(known) <= most else f"{shown} and {len(known) - most} more"


def with_safe_names(found: Listing) -> Listing:
    """Rename scans to valid case IDs; scans whose IDs then coincide are left out."""
    by_name: dict[str, list[tuple[Scan, Scan]]] = defaultdict(list)
    for scan in found.scans:
        safe = replace(
            scan, patient_id=safe_case_id(scan.patient_id), scan_id=safe_case_id(scan.scan_id)
        )
        # Some file systems do not tell 'A' from 'a'.
        by_name[safe.name.casefold()].append((scan, safe))
    left_out = [twin for group in by_name.values() if len(group) > 1 for twin in _twins(group)]
    alone = [group[0] for group in by_name.values() if len(group) == 1]
    faults = [(old, _fault(new)) for old, new in alone]
    left_out += [Exclusion(old.name, fault) for old, fault in faults if fault]
    kept = [(old, new) for old, new in alone if not _fault(new)]
    renamed = {
        old.patient_id: new.patient_id for old, new in kept if new.patient_id != old.patient_id
    }
    notes = [f"Renamed: {listed(f'{a!r} is {b}' for a, b in renamed.items())}."] if renamed else []
    return Listing(
        tuple(new for _, new in kept), (*found.left_out, *left_out), (*found.notes, *notes)
    )


def _fault(scan: Scan) -> str | None:
    """Why a scan's name is not a valid case ID, in a clause; None if it is."""
    if not scan.patient_id:
        return "has no Latin letter or digit in its name"
    fault = case_id_fault(scan.name)
    return f"its name {fault}; rename it" if fault else None


def _twins(group: Iterable[tuple[Scan, Scan]]) -> list[Exclusion]:
    pairs = list(group)
    places = listed(old.flair for old, _ in pairs)
    return [
        Exclusion(old.name, f"{len(pairs)} scans would be called {new.name} ({places}); rename one")
        for old, new in pairs
    ]


def files_below(folder: Path) -> Iterator[Path]:
    """All files below a folder, in natural order; no folder is entered twice."""
    yield from (path for path in _below(folder, set()) if not path.is_dir())


def folders_below(folder: Path) -> Iterator[Path]:
    """All folders below a folder, each once, parents first."""
    yield from (path for path in _below(folder, set()) if path.is_dir())


def _below(folder: Path, entered: set[Path]) -> Iterator[Path]:
    """All files and folders below a folder; links are followed, but not in cycles."""
    entered.add(folder.resolve())
    for path in visible(folder):
        if not path.is_dir():
            yield path
        elif path.resolve() not in entered:
            yield path
            yield from _below(path, entered)


def visible(folder: Path) -> list[Path]:
    """Files and folders in a folder in natural order, without hidden ones and links to parents."""
    if not folder.is_dir():
        return []
    real = folder.resolve()
    found = (p for p in folder.iterdir() if not p.name.startswith("."))
    return sorted((p for p in found if not _leads_up(p, real)), key=natural)


def _leads_up(path: Path, real: Path) -> bool:
    return path.is_symlink() and path.is_dir() and real.is_relative_to(path.resolve())


def natural(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Sort key of the natural order, with `2` before `10`."""
    parts = re.findall(r"\d+|\D+", path.name.casefold())
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in parts], path.name


def fits(path: Path, root: Path, pattern: str) -> bool:
    """Whether a file's name, or its path from `root`, fits a pattern such as `*_FLAIR*.nii.gz`."""
    return fnmatchcase(path.name, pattern) or fnmatchcase(
        path.relative_to(root).as_posix(), pattern
    )


def whole_tumour(mask: Path, made: Path, *, not_tumour: Collection[int] = ()) -> Path:
    """The mask itself if it is binary; else `made`, with 1 wherever a label is tumour.

    Args:
        mask: Labels; 0 is background.
        made: Where a binary mask is written to (uint8, same affine), if one is needed.
        not_tumour: Labels above 0 that are no tumour.

    Raises:
        InputError: If the mask cannot be read or is none (`mask_labels`).
    """
    volume = read_volume(mask)
    try:
        labels = mask_labels(volume.data)
    except InputError as error:
        raise InputError(error.what, where=mask, remedy=error.remedy) from error
    if set(np.unique(volume.data).tolist()) <= {0.0, 1.0}:
        return mask
    tumour = (labels > 0) & ~np.isin(labels, list(not_tumour))
    write_volume(made, volume.with_data(tumour.astype(np.uint8)))
    return made
