"""BIDS: `sub-*/[ses-*/]anat/*_FLAIR.nii.gz`, masks under `derivatives`, `participants.tsv`.

Every raw FLAIR of a participant is a scan, named by its entities (`ses-01_run-2`). Files with
`desc-` or `space-` are derived and no raw scans; nor are `part-phase`, `-real` and `-imag`. Knows
nothing of what a mask shows but by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plgg.io.nifti import is_nifti
from plgg.layouts.bids_masks import Masks, find_masks
from plgg.layouts.bids_tables import Participants, read_participants
from plgg.layouts.entities import Name, parse
from plgg.layouts.found import Choices, Found, Layout, LeftOut, Scan, as_they_are, listed
from plgg.layouts.walk import files_below, visible


def find(root: Path, choices: Choices) -> Found:
    """Raw FLAIRs of a BIDS dataset with their masks and labels."""
    participants = read_participants(root, choices)
    masks = find_masks(root, choices.mask)
    scans: list[Scan] = []
    left_out: list[LeftOut] = []
    notes = [*participants.notes, *masks.notes]
    subjects = [p for p in visible(root) if p.is_dir() and p.name.startswith("sub-")]
    for subject in subjects:
        flairs = _flairs(subject)
        if not flairs:
            left_out.append(LeftOut(subject.name, "has no anat/*_FLAIR.nii.gz"))
        notes += _sessions_without(subject, flairs)
        for name in flairs:
            _add(name, _Around(subject, flairs, masks, participants), scans, left_out)
    notes += masks.unused([name for subject in subjects for name in _flairs(subject)])
    notes += participants.without({subject.name for subject in subjects})
    return Found(tuple(scans), tuple(left_out), tuple(notes))


@dataclass(frozen=True)
class _Around:
    """What a scan is looked up in."""

    subject: Path
    flairs: list[Name]
    masks: Masks
    participants: Participants


def _add(name: Name, around: _Around, scans: list[Scan], left_out: list[LeftOut]) -> None:
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
        labels = around.participants.labels(around.subject, name.entities.get("ses"))
        mask = fitting[0] if fitting else None
        scans.append(Scan(around.subject.name, name.path, mask, scan_id, labels))
        return
    if LeftOut(label, reason) not in left_out:
        left_out.append(LeftOut(label, reason))


def _flairs(subject: Path) -> list[Name]:
    """Names of the raw FLAIRs of a participant."""
    names = [
        parse(path)
        for path in files_below(subject)
        if is_nifti(path) and path.parent.name == "anat"
    ]
    raw = [
        name
        for name in names
        if name.suffix == "flair"
        and not {"desc", "space"} & set(name.entities)
        and name.entities.get("part", "mag") == "mag"
    ]
    return [name for name in raw if f"sub-{name.entities.get('sub')}" == subject.name]


def _sessions_without(subject: Path, flairs: list[Name]) -> list[str]:
    seen = {f"ses-{name.entities.get('ses')}" for name in flairs}
    sessions = [p.name for p in visible(subject) if p.is_dir() and p.name.startswith("ses-")]
    missing = [session for session in sessions if session not in seen]
    return [f"{subject.name}: no FLAIR in {listed(missing)}."] if flairs and missing else []


LAYOUT = Layout(find, as_they_are, "sub-01/anat/sub-01_FLAIR.nii.gz", patterns=("mask",))
