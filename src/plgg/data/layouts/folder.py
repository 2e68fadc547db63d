"""Any folder: one file or one subfolder for each patient; file names give the role of an image.

File names (see `role`) or patterns distinguish FLAIR and mask. If several files are possible, the
patient is left out and the files are listed. For DICOM, the manifest names the folder, and the
reader chooses the series.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from plgg.data.layouts.listing import (
    Choices,
    Exclusion,
    Layout,
    Listing,
    Scan,
    files_below,
    fits,
    folders_below,
    listed,
    natural,
    unconverted_images,
    visible,
)
from plgg.data.nifti.image import is_nifti, stem

_UNREAD = (".nrrd", ".mha", ".mhd", ".mgz", ".img", ".hdr", ".tif", ".tiff", ".png", ".rar", ".7z")


@dataclass(frozen=True)
class _Patient:
    """Files that belong to one patient; patterns are relative to `home`."""

    name: str
    home: Path
    files: tuple[Path, ...]
    own_folder: bool


class _AmbiguousError(Exception):
    """Several files, or no file, can be the image that is looked for."""


def find(root: Path, choices: Choices) -> Listing:
    """One scan for each subfolder and each patient among the files of a folder."""
    scans, left_out, notes = [], [], []
    patients = (*_by_file(root), *_by_folder(root))
    for patient in sorted(patients, key=lambda patient: natural(Path(patient.name))):
        try:
            flair, note = _flair(patient, choices.flair)
            mask = _mask(patient, choices.mask)
        except _AmbiguousError as reason:
            left_out.append(Exclusion(patient.name, str(reason)))
            continue
        others = _others(patient, flair)
        scans.append(Scan(patient.name, flair, mask, others=others))
        notes += [*([note] if note else []), *_unused(patient, (flair, mask, *others.values()))]
    unread = [path.relative_to(root) for path in files_below(root) if _is_unread(path)]
    notes += [f"In formats that are not read: {listed(unread)}."] if unread else []
    return Listing(tuple(scans), tuple(left_out), tuple(notes))


def _is_unread(path: Path) -> bool:
    return path.suffix.lower() in _UNREAD


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _by_file(root: Path) -> list[_Patient]:
    """Patients among the files directly in the folder."""
    groups: dict[str, list[Path]] = {}
    for path in visible(root):
        if path.is_file() and (is_nifti(path) or _is_zip(path)):
            name = path.stem if _is_zip(path) else stem(path)
            groups.setdefault(patient_of(name), []).append(path)
    return [_Patient(name, root, tuple(files), False) for name, files in groups.items()]


def _by_folder(root: Path) -> list[_Patient]:
    return [
        _Patient(path.name, path, tuple(files_below(path)), True)
        for path in visible(root)
        if path.is_dir()
    ]


def _flair(patient: _Patient, pattern: str | None) -> tuple[Path, str | None]:
    """The FLAIR, and a note if its name does not identify it as one."""
    if pattern:
        folders = list(folders_below(patient.home)) if patient.own_folder else []
        fitting = [p for p in (*patient.files, *folders) if fits(p, patient.home, pattern)]
        found = [path for path in fitting if is_nifti(path) or _is_dicom(path)]
        return _only(found, patient, "FLAIR", "--flair"), None
    images = [path for path in patient.files if is_nifti(path)]
    named = [path for path in images if role(stem(path)) == "flair"]
    if named:
        return _only(named, patient, "FLAIR", "--flair"), None
    plain = [path for path in images if role(stem(path)) == "plain"]
    flair = _only([*plain, *_dicom(patient)], patient, "FLAIR", "--flair")
    said = not is_nifti(flair) or stem(flair) == patient.name
    return flair, None if said else f"{patient.name}: {flair.name} is taken as its FLAIR."


def _others(patient: _Patient, flair: Path) -> dict[str, Path]:
    """Other sequences by file name, if exactly one file has the name of each."""
    found: dict[str, list[Path]] = {}
    for path in patient.files:
        name = sequence(stem(path)) if is_nifti(path) and path != flair else None
        if name:
            found.setdefault(name, []).append(path)
    return {name: paths[0] for name, paths in found.items() if len(paths) == 1}


def _dicom(patient: _Patient) -> list[Path]:
    """Zips of DICOM, or the patient's folder if it holds DICOM itself."""
    zips = [path for path in patient.files if _is_zip(path) and _is_dicom(path)]
    return [*zips, *([patient.home] if patient.own_folder and _is_dicom(patient.home) else [])]


def _is_dicom(path: Path) -> bool:
    from plgg.data.dicom.find import is_dicom

    return is_dicom(path)


def _mask(patient: _Patient, pattern: str | None) -> Path | None:
    images = [path for path in patient.files if is_nifti(path)]
    if pattern:
        found = [path for path in images if fits(path, patient.home, pattern)]
    else:
        found = [path for path in images if role(stem(path)) == "mask"]
    return _only(found, patient, "mask", "--mask") if found else None


def _unused(patient: _Patient, used: Sequence[Path | None]) -> list[str]:
    """A note on unused images whose names do not identify them as another sequence."""
    images = [path for path in patient.files if is_nifti(path) and path not in used]
    names = [path.name for path in images if role(stem(path)) != "other"]
    return [f"{patient.name}: not used: {listed(names)}."] if names else []


def _only(found: Sequence[Path], patient: _Patient, kind: str, option: str) -> Path:
    if not found:
        raise _AmbiguousError(f"has no {kind} that is known by its name; name it with {option}")
    if len(found) > 1:
        names = listed(path.relative_to(patient.home.parent).as_posix() for path in found)
        raise _AmbiguousError(f"{len(found)} could be the {kind} ({names}); choose with {option}")
    return found[0]


LAYOUT = Layout(
    find,
    unconverted_images,
    "one NIfTI, zip or subfolder for each patient",
    patterns=("flair", "mask"),
)


Role = Literal["flair", "mask", "other", "plain"]

_FLAIR = frozenset(("flair", "t2f", "tirm", "darkfluid", "t2flair"))
_MASK = frozenset(
    ("mask", "seg", "segm", "segmentation", "label", "labels", "tumor", "tumour", "roi", "lesion",
     "wt", "gt", "annotation")
)  # fmt: skip
_TUMOUR = frozenset(("tumor", "tumour", "lesion", "wt"))
_OTHER = frozenset(
    ("t1", "t1w", "t1n", "t1c", "t1ce", "t1gd", "t1post", "mprage", "t2", "t2w", "pd", "adc", "dwi",
     "swi", "asl", "perf", "dti", "bold")
)  # fmt: skip
_BRAIN = frozenset(("brain", "brainmask", "bet", "skull"))
_T1_FLAIR = re.compile(r"t1w?[\W_]*flair")
_ONTO_FLAIR = re.compile(r"[\W_](?:to|in|on|onto|2|space|reg[a-z]*2?|registered)[\W_]*flair")
_WORDS = _FLAIR | _MASK | _OTHER | _BRAIN


_SEQUENCES = {
    "t1c": ("t1c", "t1ce", "t1gd", "t1post"),
    "t1": ("t1", "t1w", "t1n", "mprage"),
    "t2": ("t2", "t2w"),
    "pd": ("pd",),
    "swi": ("swi",),
    "adc": ("adc",),
}


def sequence(stem: str) -> str | None:
    """Sequence other than FLAIR in a file's name (without suffix); None unless there is one.

    >>> sequence("P001_T1ce"), sequence("P001_T2w"), sequence("P001_flair"), sequence("t2_mask")
    ('t1c', 't2', None, None)
    """
    words = set(re.findall(r"[a-z0-9]+", stem.casefold()))
    if role(stem) != "other" or words & _FLAIR:
        return None
    claimed = [name for name, known in _SEQUENCES.items() if words & set(known)]
    return claimed[0] if len(claimed) == 1 else None


def role(stem: str) -> Role:
    """Role of an image by its file name (without suffix).

    A mask of the brain is `other`; so is any sequence that is known to be no FLAIR.
    """
    name = stem.casefold()
    words = set(re.findall(r"[a-z0-9]+", name))
    if words & _MASK or "brainmask" in words:
        return "other" if words & _BRAIN and not words & _TUMOUR else "mask"
    if _T1_FLAIR.search(name) or _moved_onto_flair(name):
        return "other"
    if words & _FLAIR or "flair" in name:
        return "flair"
    return "other" if words & _OTHER else "plain"


def _moved_onto_flair(name: str) -> bool:
    """Whether the name means another sequence on the grid of the FLAIR: `T1_to_FLAIR`."""
    found = _ONTO_FLAIR.search(name)
    return found is not None and bool(set(re.findall(r"[a-z0-9]+", name[: found.start()])) & _OTHER)


def patient_of(stem: str) -> str:
    """Patient in a file name, without words for the role of the image: `P001_flair` is `P001`."""
    parts = re.findall(r"[^A-Za-z0-9]*[A-Za-z0-9]+", stem)
    kept = [part for part in parts if re.sub(r"\W|_", "", part).casefold() not in _WORDS]
    return "".join(kept).lstrip(" _-.") or stem
