"""BraTS: adult 2017 to 2024 and BraTS-PEDs; one folder a scan, and the tables beside them.

    BraTS20_Training_001/BraTS20_Training_001_flair.nii.gz and _seg      (2017 to 2021)
    BraTS-GLI-00000-000/BraTS-GLI-00000-000-t2f.nii.gz and -seg          (from 2023)

The folders may lie at any depth (HGG, LGG), the files also without folders. In the newer names
the last number is the timepoint.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from plgg.core.errors import ManifestError
from plgg.data.layouts.labels import Row, columns, key, labels_of, read_table
from plgg.data.layouts.listing import (
    Choices,
    Exclusion,
    Labels,
    Layout,
    Listing,
    Scan,
    files_below,
    folders_below,
    listed,
    whole_tumour,
)
from plgg.data.nifti.image import is_nifti, stem

OLD = r"brats(?:17|18|19|20|2021)_\w*\d"
NEW = r"brats-(?:gli|ssa)-\d+-\d+"
FLAIRS, MASKS = ("flair", "t2f"), ("seg",)
OTHERS = {"t1": ("t1", "t1n"), "t1c": ("t1c", "t1ce"), "t2": ("t2", "t2w")}
_SITE = re.compile(r"brats1[789]_(cbica|tcia\d+|tmc|uab|washu|mda)_", re.IGNORECASE)
RESECTION_CAVITY = 4
"""In `BraTS-GLI` masks (2024: after treatment) this is a cavity; before 2023, 4 enhances."""

_Images = dict[str, list[Path]]
"""NIfTI files of one scan by sequence, in lower case."""


def find_named(root: Path, cases: str, choices: Choices) -> Listing:
    """Scans whose names fit the pattern `cases`, with the labels of the tables beside them."""
    groups = _groups(root, cases)
    tables = read_tables(root, choices)
    scans, left_out, notes = [], [], list(tables.notes)
    for name, images in groups.items():
        problem = _problem(images, root)
        if problem:
            left_out.append(Exclusion(name, problem))
            continue
        flair = _of(images, FLAIRS)[0]
        masks = _of(images, MASKS) or _misnamed(flair.parent, name)
        if masks and not _of(images, MASKS):
            notes.append(f"{name}: {masks[0].name} is taken as its mask.")
        patient, timepoint = split_name(name)
        labels = tables.labels(name, flair).filled_from(Labels(site=_site(name)))
        mask = masks[0] if masks else None
        given = {column: _of(images, names) for column, names in OTHERS.items()}
        others = {column: paths[0] for column, paths in given.items() if paths}
        scans.append(Scan(patient, flair, mask, timepoint, labels, others))
    return Listing(tuple(scans), tuple(left_out), tuple(notes))


def split_name(name: str) -> tuple[str, str]:
    """Patient and timepoint: `BraTS-GLI-00005-100` is scan 100 of `BraTS-GLI-00005`."""
    if "-" in name:
        patient, _, timepoint = name.rpartition("-")
        return patient, timepoint
    return name, ""


def _groups(root: Path, cases: str) -> dict[str, _Images]:
    """Images of each scan; a folder named as a scan counts even if it holds nothing."""
    named = re.compile(rf"({cases})", re.IGNORECASE)
    filed = re.compile(rf"({cases})[_-](flair|t2f|t1|t1n|t1ce|t1c|t2|t2w|seg)", re.IGNORECASE)
    empty = [p.name for p in folders_below(root) if named.fullmatch(p.name)]
    groups: dict[str, _Images] = {name: {} for name in empty}
    for path in filter(is_nifti, files_below(root)):
        match = filed.fullmatch(stem(path))
        if match:
            name, sequence = match.groups()
            groups.setdefault(name, {}).setdefault(sequence.lower(), []).append(path)
    return dict(sorted(groups.items()))


def _of(images: _Images, sequences: tuple[str, ...]) -> list[Path]:
    return [path for sequence in sequences for path in images.get(sequence, [])]


def _problem(images: _Images, root: Path) -> str | None:
    flairs, masks = _of(images, FLAIRS), _of(images, MASKS)
    others = [(column.upper(), _of(images, names)) for column, names in OTHERS.items()]
    if not flairs:
        return "has no FLAIR (a file that ends in _flair or -t2f)"
    for kind, paths in (("FLAIR", flairs), ("mask", masks), *others):
        if len(paths) > 1:
            places = listed(path.relative_to(root).as_posix() for path in paths)
            return f"has its {kind} {len(paths)} times ({places}); keep one"
    return None


def _misnamed(folder: Path, name: str) -> list[Path]:
    """The only file with `seg` in its name in a scan's folder: a misnamed mask of BraTS 2020."""
    if folder.name.casefold() != name.casefold():
        return []
    found = [p for p in files_below(folder) if is_nifti(p) and "seg" in stem(p).casefold()]
    return found if len(found) == 1 else []


def _site(name: str) -> str | None:
    match = _SITE.match(name)
    return match.group(1) if match else None


def find(root: Path, choices: Choices) -> Listing:
    """Scans of the adult challenges below a folder."""
    return find_named(root, f"{OLD}|{NEW}", choices)


def prepare(scan: Scan, folder: Path) -> tuple[Path, Path | None]:
    """The unchanged FLAIR, and a mask of the whole tumour."""
    return scan.flair, scan.mask and whole_tumour(
        scan.mask,
        folder / f"{scan.name}_mask.nii.gz",
        not_tumour=(RESECTION_CAVITY,) if "-GLI-" in scan.patient_id.upper() else (),
    )


LAYOUT = Layout(
    find,
    prepare,
    "BraTS20_Training_001_flair.nii.gz or BraTS-GLI-00000-000-t2f.nii.gz",
    has_labels=True,
)


def find_peds(root: Path, choices: Choices) -> Listing:
    """Scans of the pediatric challenges below a folder."""
    return find_named(root, r"brats-peds?-\d+-\d+", choices)


PEDS_LAYOUT = Layout(find_peds, prepare, "BraTS-PED-00001-000-t2f.nii.gz", has_labels=True)


_NAMES = ("name_mapping", "survival")
_GRADES = ("HGG", "LGG")


@dataclass(frozen=True)
class Tables:
    """Rows of the tables, by `key` of any name that a row holds."""

    rows: dict[str, dict[str, str]]
    marker_column: str | None
    notes: tuple[str, ...]

    def labels(self, name: str, flair: Path) -> Labels:
        """Labels of a scan from the tables and from the folders above it.

        Raises:
            ManifestError: If the age is invalid.
        """
        row = self.rows.get(key(name), {})
        grade = next((part for part in flair.parts if part in _GRADES), "")
        return labels_of(
            {"grade": grade} | {k: v for k, v in row.items() if v},
            self.marker_column,
            where=f"the tables, {name}",
        )


def read_tables(root: Path, choices: Choices) -> Tables:
    """All tables below a folder.

    Raises:
        ManifestError: If one cannot be read, or the wanted column is in none.
    """
    found = [
        path
        for path in files_below(root)
        if path.suffix.lower() in (".csv", ".tsv") and path.name.casefold().startswith(_NAMES)
    ]
    rows: dict[str, dict[str, str]] = {}
    known: dict[str, None] = {"grade": None}
    for path in found:
        table = read_table(path)
        known |= dict.fromkeys(columns(table))
        for row in table:
            _add(rows, row)
    wanted = choices.marker_column
    if wanted and wanted.casefold() not in known and choices.labels is None:
        raise ManifestError(
            f"no table has a column {wanted!r} (there are: {', '.join(known)})",
            where=root,
            remedy="Give another --marker-column, or a table with --labels.",
        )
    return Tables(rows, wanted, tuple(f"{path.name} is read." for path in found))


def _add(rows: dict[str, dict[str, str]], row: Row) -> None:
    """Index a row by every scan name in it: `name_mapping` has a column for each year."""
    for cell in row.values():
        if cell.casefold().startswith("brats"):
            rows[key(cell)] = rows.get(key(cell), {}) | {k: v for k, v in row.items() if v}
