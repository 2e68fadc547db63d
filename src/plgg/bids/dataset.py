"""Read the requested scans of a BIDS dataset, as cases for prediction."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from plgg.core.case_id import case_id_fault
from plgg.core.errors import InputError
from plgg.core.records import JsonError, read_json
from plgg.data.layouts.bids import find_raw
from plgg.data.layouts.listing import Exclusion
from plgg.data.layouts.listing import Scan as ListedScan
from plgg.data.manifest import Case
from plgg.data.nifti.image import stem

_LABEL = re.compile(r"[0-9A-Za-z+]+", flags=re.ASCII)
_SUFFIX = re.compile(r"_FLAIR$", flags=re.IGNORECASE)


@dataclass(frozen=True)
class BidsScan:
    """One FLAIR of a BIDS dataset.

    Attributes:
        case: Case to predict, named after the file, without its suffix.
        subject: `sub-01`.
        session: `ses-1`; empty where the dataset has none.
        folder: Folder of the file, relative to the dataset, with `/`.
        sources: Files of all sequences by name, relative to the dataset; the FLAIR first.
    """

    case: Case
    subject: str
    session: str
    folder: str
    sources: dict[str, str]

    @property
    def name(self) -> str:
        """The file's entities: `sub-01_ses-1_run-2`."""
        return self.case.case_id

    def derivative(self, suffix: str) -> str:
        """Path in the derivative dataset: `mask.nii.gz` gives `…/sub-01_desc-plgg_mask.nii.gz`."""
        return f"{self.folder}/{self.name}_desc-plgg_{suffix}"


@dataclass(frozen=True)
class BidsDataset:
    """The requested scans of a dataset.

    Attributes:
        root: Folder of the dataset.
        scans: Scans, sorted by name.
        left_out: Participants and scans that cannot be used, and why.
    """

    root: Path
    scans: tuple[BidsScan, ...]
    left_out: tuple[Exclusion, ...]


def read_dataset(
    root: Path, *, participants: Sequence[str] = (), sessions: Sequence[str] = ()
) -> BidsDataset:
    """Find the raw FLAIRs of a dataset; nothing in it is changed.

    Args:
        root: Folder with `dataset_description.json`.
        participants: Labels, with or without `sub-`; all if empty.
        sessions: Labels, with or without `ses-`; all if empty.

    Raises:
        InputError: If it is no BIDS dataset, a participant is missing, or a session has no FLAIR.
    """
    _require_raw(root)
    subjects = _labels(participants, "sub-", "--participant-label")
    wanted = _labels(sessions, "ses-", "--session-label")
    _require_subjects(root, subjects)
    found = find_raw(root)
    scans, unusable = [], []
    for listed in found.scans:
        scan = _scan(root, listed)
        if _is_wanted(scan.subject, subjects) and _is_wanted(scan.session, wanted):
            fault = case_id_fault(scan.name)
            scans += [] if fault else [scan]
            unusable += [Exclusion(scan.name, f"its name {fault}")] if fault else []
    for session in sorted(wanted - {scan.session for scan in scans}):
        raise InputError(f"has no FLAIR of {session}", where=root, remedy="Check the label.")
    left_out = [one for one in found.left_out if _is_asked_for(one.name, subjects, wanted)]
    ordered = tuple(sorted(scans, key=lambda scan: scan.name))
    return BidsDataset(root, ordered, (*left_out, *unusable))


def _require_raw(root: Path) -> None:
    """Check that a dataset has a description, and is a raw one.

    Raises:
        InputError: If it has none, or is a derivative.
    """
    path = root / "dataset_description.json"
    remedy = "Name the folder of a BIDS dataset."
    try:
        said = read_json(path)
    except JsonError as error:
        what = f"is no BIDS dataset (dataset_description.json: {error.fault})"
        raise InputError(what, where=root, remedy=remedy) from error
    if not isinstance(said, dict):
        raise InputError("holds no record of a dataset", where=path, remedy=remedy)
    if said.get("DatasetType", "raw") == "derivative":
        raise InputError("is a derivative dataset, not a raw one", where=root, remedy=remedy)


def _labels(given: Iterable[str], prefix: str, option: str) -> frozenset[str]:
    labels = [one.strip().removeprefix(prefix) for one in given]
    for label in labels:
        if not _LABEL.fullmatch(label):
            raise InputError(
                f"{label!a} is no label",
                where=option,
                remedy=f"Give letters and digits, with or without {prefix}.",
            )
    return frozenset(f"{prefix}{label}" for label in labels)


def _require_subjects(root: Path, subjects: Iterable[str]) -> None:
    for subject in sorted(subjects):
        if not (root / subject).is_dir():
            raise InputError(
                f"has no participant {subject}", where=root, remedy="Check --participant-label."
            )


def _is_wanted(name: str, wanted: frozenset[str]) -> bool:
    return not wanted or name in wanted


def _is_asked_for(name: str, subjects: frozenset[str], sessions: frozenset[str]) -> bool:
    """Whether a scan, or a whole participant without one, is of these subjects and sessions."""
    subject, *entities = name.split("_")
    session = next((part for part in entities if part.startswith("ses-")), None)
    of_session = session is None or _is_wanted(session, sessions)
    return _is_wanted(subject, subjects) and of_session


def _scan(root: Path, listed: ListedScan) -> BidsScan:
    path = listed.flair
    name = _SUFFIX.sub("", stem(path))
    session = next((part for part in name.split("_") if part.startswith("ses-")), "")
    case = Case(
        case_id=name,
        patient_id=listed.patient_id,
        flair=path,
        age_years=listed.labels.age_years,
        sex=listed.labels.sex,
        others=dict(listed.others),
    )
    sources = {name: one.relative_to(root).as_posix() for name, one in case.images.items()}
    folder = path.parent.relative_to(root).as_posix()
    return BidsScan(case, listed.patient_id, session, folder, sources)
