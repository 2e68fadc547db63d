"""BIDS: `sub-*/[ses-*/]anat/*_FLAIR.nii.gz`, masks in `derivatives`, `participants.tsv`.

Every raw FLAIR of a participant is a scan, named by its entities (`ses-01_run-2`). Files with
`desc-` or `space-` are derived and no raw scans; nor are `part-phase`, `-real` and `-imag`. Tumour
masks are recognised by their names only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from plgg.core.errors import ManifestError
from plgg.data.layouts.labels import (
    Row,
    by_patient,
    columns,
    key,
    labels_of,
    marker_columns,
    read_table,
)
from plgg.data.layouts.listing import (
    Choices,
    Exclusion,
    Labels,
    Layout,
    Listing,
    Scan,
    files_below,
    fits,
    listed,
    unconverted_images,
    visible,
)
from plgg.data.nifti.image import is_nifti, stem

NO_FLAIR = "has no anat/*_FLAIR.nii.gz"


def find(root: Path, choices: Choices) -> Listing:
    """Raw FLAIRs of a BIDS dataset with their masks and labels."""
    return _listing(root, choices, find_masks(root, choices.mask))


def find_raw(root: Path) -> Listing:
    """Raw FLAIRs of a BIDS dataset with their labels; derivatives are not looked into."""
    return _listing(root, Choices(), Masks((), ()))


def _listing(root: Path, choices: Choices, masks: Masks) -> Listing:
    participants = read_participants(root, choices)
    scans: list[Scan] = []
    left_out: list[Exclusion] = []
    notes = [*participants.notes, *masks.notes]
    subjects = [p for p in visible(root) if p.is_dir() and p.name.startswith("sub-")]
    for subject in subjects:
        flairs = _flairs(subject)
        if not flairs:
            left_out.append(Exclusion(subject.name, NO_FLAIR))
        notes += _sessions_without(subject, flairs)
        for name in flairs:
            _add(name, _Lookup(subject, flairs, masks, participants), scans, left_out)
    notes += masks.unused([name for subject in subjects for name in _flairs(subject)])
    notes += participants.without({subject.name for subject in subjects})
    return Listing(tuple(scans), tuple(left_out), tuple(notes))


@dataclass(frozen=True)
class _Lookup:
    """FLAIRs, masks and table of participants, to complete a scan of one subject."""

    subject: Path
    flairs: list[Name]
    masks: Masks
    participants: Participants


def _add(name: Name, around: _Lookup, scans: list[Scan], left_out: list[Exclusion]) -> None:
    scan_id = name.without("sub")
    label = f"{around.subject.name}_{scan_id}".rstrip("_")
    copies = [other.path.name for other in around.flairs if other.entities == name.entities]
    fitting = around.masks.of(name, around.flairs)
    if len(copies) > 1:
        reason = f"{listed(copies)} have one name; keep one"
    elif len(fitting) > 1:
        names = listed(mask.name for mask in fitting)
        reason = f"{len(fitting)} masks fit ({names}); name the right one with --mask"
    else:
        try:
            labels = around.participants.labels(around.subject, name.entities.get("ses"))
        except ManifestError as error:  # An error in one row leaves out that participant only.
            reason = str(error).rstrip(".")
        else:
            mask = fitting[0] if fitting else None
            others = _others_of(name, around.subject)
            scans.append(Scan(around.subject.name, name.path, mask, scan_id, labels, others))
            return
    if Exclusion(label, reason) not in left_out:
        left_out.append(Exclusion(label, reason))


_OTHERS = {"t1w": "t1", "t2w": "t2", "pdw": "pd", "swi": "swi"}


def _others_of(flair: Name, subject: Path) -> dict[str, Path]:
    """Other sequences of the FLAIR's session, those that occur once; a T1 after contrast is t1c."""
    found: dict[str, list[Path]] = {}
    for name in _raw(subject, tuple(_OTHERS)):
        if name.entities.get("ses") == flair.entities.get("ses"):
            contrast = name.suffix == "t1w" and "ce" in name.entities
            column = "t1c" if contrast else _OTHERS[name.suffix]
            found.setdefault(column, []).append(name.path)
    return {column: paths[0] for column, paths in found.items() if len(paths) == 1}


def _flairs(subject: Path) -> list[Name]:
    """Names of the raw FLAIRs of a participant."""
    return _raw(subject, ("flair",))


def _raw(subject: Path, suffixes: tuple[str, ...]) -> list[Name]:
    names = [
        parse(path)
        for path in files_below(subject)
        if is_nifti(path) and path.parent.name == "anat"
    ]
    raw = [
        name
        for name in names
        if name.suffix in suffixes
        and not {"desc", "space"} & set(name.entities)
        and name.entities.get("part", "mag") == "mag"
    ]
    return [name for name in raw if f"sub-{name.entities.get('sub')}" == subject.name]


def _sessions_without(subject: Path, flairs: list[Name]) -> list[str]:
    seen = {f"ses-{name.entities.get('ses')}" for name in flairs}
    sessions = [p.name for p in visible(subject) if p.is_dir() and p.name.startswith("ses-")]
    missing = [session for session in sessions if session not in seen]
    return [f"{subject.name}: no FLAIR in {listed(missing)}."] if flairs and missing else []


LAYOUT = Layout(find, unconverted_images, "sub-01/anat/sub-01_FLAIR.nii.gz", patterns=("mask",))


_WORDS = re.compile(r"tumou?r|lesion|glioma", re.IGNORECASE)
_WHOLE = re.compile(r"(whole)?(tumou?r|lesion)s?|wt|glioma|flairabnormality", re.IGNORECASE)
_PARTS = re.compile(r"core|enhanc|necro|edema|cyst|cavity", re.IGNORECASE)
_SAYS_WHAT = ("label", "desc", "seg")
_NATIVE = ("orig", "flair", "native", "individual")
# Entities that describe how a mask was made, not which scan it belongs to.
_OF_MASKS = {*_SAYS_WHAT, "space", "rater", "res", "den", "hemi", "from", "to", "mode"}


@dataclass(frozen=True)
class Masks:
    """Masks of a dataset, and notes on skipped files."""

    masks: tuple[Name, ...]
    notes: tuple[str, ...]

    def of(self, flair: Name, flairs: list[Name]) -> list[Path]:
        """Masks that fit this scan and no other scan as well or better."""
        return [m.path for m in self.masks if _fit(m, flair) and _is_best(m, flair, flairs)]

    def unused(self, flairs: list[Name]) -> list[str]:
        """A note on masks that fit no scan, or several scans equally well."""
        used = {path for flair in flairs for path in self.of(flair, flairs)}
        names = [mask.path.name for mask in self.masks if mask.path not in used]
        return [f"Fits no scan, or several alike, so not used: {listed(names)}."] if names else []


def find_masks(root: Path, pattern: str | None) -> Masks:
    """All tumour masks of a dataset; with a pattern, all masks that fit it."""
    derived = root / "derivatives"
    names = [parse(path) for path in files_below(derived) if is_nifti(path)]
    names = [name for name in names if name.suffix in ("mask", "dseg")]
    if pattern:
        return Masks(tuple(n for n in names if fits(n.path, root, pattern)), ())
    tumours = [name for name in names if _is_whole_tumour(name, derived)]
    native = [n for n in tumours if n.entities.get("space", "orig").casefold() in _NATIVE]
    elsewhere = [n.path.name for n in tumours if n not in native]
    others = [n.path.name for n in names if n not in tumours]
    notes = []
    if elsewhere:
        notes.append(f"In another space than the FLAIR, so not used: {listed(elsewhere)}.")
    if others:
        notes.append(f"Not called the whole tumour, so not used (--mask): {listed(others)}.")
    return Masks(tuple(native), tuple(notes))


def _is_whole_tumour(name: Name, derived: Path) -> bool:
    if name.entities.get("desc") == "plgg":
        return False  # A prediction of plgg is not a true mask, whatever its folder is called.
    said = [name.entities[key] for key in _SAYS_WHAT if key in name.entities]
    if any(_WHOLE.fullmatch(word) for word in said):
        return True
    if "label" in name.entities or any(re.search("brain", word, re.I) for word in said):
        return False
    if any(_PARTS.search(word) for word in said):
        return False
    pipeline = name.path.relative_to(derived).parts[0]
    return any(_WORDS.search(word) for word in (*said, pipeline))


def _fit(mask: Name, flair: Name) -> bool:
    """Whether participant and all shared entities are equal, and the mask has no further ones."""
    shared = (set(mask.entities) & set(flair.entities)) - _OF_MASKS
    extra = set(mask.entities) - set(flair.entities) - _OF_MASKS
    same = all(mask.entities[k] == flair.entities[k] for k in shared)
    return "sub" in shared and same and not extra


def _is_best(mask: Name, flair: Name, flairs: list[Name]) -> bool:
    """Whether the mask belongs to this scan only: in a session with two runs, it must name one.

    Where several scans fit, it belongs to the one without further entities if there is one.
    """
    rivals = [other for other in flairs if _fit(mask, other)]
    exact = [o for o in rivals if set(o.entities) <= set(mask.entities)]
    return rivals == [flair] or exact == [flair]


@dataclass(frozen=True)
class Participants:
    """Rows of participants.tsv by `key`, and which column is the marker."""

    rows: Mapping[str, Row]
    marker_column: str | None
    notes: tuple[str, ...]

    def labels(self, subject: Path, session: str | None) -> Labels:
        """Labels from the tables; the age of a session overrides that of the participant."""
        labels = labels_of(
            self.rows.get(key(subject.name), {}),
            self.marker_column,
            where=f"participants.tsv, {subject.name}",
        )
        path = subject / f"{subject.name}_sessions.tsv"
        if session is None or not path.is_file():
            return labels
        sessions = {r.get("session_id", "").removeprefix("ses-"): r for r in read_table(path)}
        age = labels_of(sessions.get(session, {}), None, where=str(path)).age_years
        return labels if age is None else replace(labels, age_years=age)

    def without(self, subjects: Iterable[str]) -> list[str]:
        """A note on participants that have no folder."""
        seen = {key(subject) for subject in subjects}
        missing = [row["participant_id"] for k, row in self.rows.items() if k not in seen]
        return [f"In participants.tsv, but without a folder: {listed(missing)}."] if missing else []


def read_participants(root: Path, choices: Choices) -> Participants:
    """Read the table of participants, which is optional.

    Raises:
        ManifestError: If it cannot be read, or lacks a column that is needed or asked for.
    """
    path = root / "participants.tsv"
    table = read_table(path) if path.is_file() else []
    if table and "participant_id" not in columns(table):
        raise ManifestError("lacks the column participant_id", where=path, remedy="Add it.")
    wanted = choices.marker_column
    if wanted and wanted.casefold() not in columns(table) and choices.labels is None:
        raise ManifestError(
            f"has no column {wanted!r} (it has: {', '.join(columns(table)) or 'none'})",
            where=path,
            remedy="Give another --marker-column, or a table with --labels.",
        )
    candidates = marker_columns(table)
    column = wanted or next(iter(candidates), None)
    notes = (
        [f"The marker is the column {column!r} of participants.tsv."]
        if column in columns(table)
        else []
    )
    if not wanted and len(candidates) > 1:
        notes.append(f"Other columns that may be the marker: {listed(candidates[1:])}.")
    return Participants(by_patient(table, "participant_id", path), column, tuple(notes))


@dataclass(frozen=True)
class Name:
    """A file with the parts of its name.

    Attributes:
        path: The file.
        entities: Values by entity: `sub-01_run-2_FLAIR` has `sub` 01 and `run` 2.
        suffix: Last part of the name, in lower case.
    """

    path: Path
    entities: dict[str, str]
    suffix: str

    def without(self, *left: str) -> str:
        """The entities without those to leave out, as in a file name."""
        return "_".join(f"{k}-{v}" for k, v in self.entities.items() if k not in left)


def parse(path: Path) -> Name:
    """Parse a file name into entities and suffix; other parts are ignored."""
    *parts, suffix = stem(path).split("_")
    pairs = (part.partition("-") for part in parts)
    return Name(path, {k: v for k, dash, v in pairs if dash}, suffix.casefold())
