"""`run_round`: fine-tune the model of a reading room on its corrected cases.

WORK/rounds/held_out.json      cases for validation in every round, never used for training
WORK/rounds/NNN/manifest.csv   the corrected cases: the original scan, the newest mask
WORK/rounds/NNN/run/           the new model, if it was accepted
WORK/rounds/NNN/comparison.json

Every third case, in order of first corrections, is held out in this and all later rounds. The cases
of a round are fixed when it first starts; an interrupted round resumes with them.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from plgg import api
from plgg.core.case_id import CaseId
from plgg.core.errors import InputError, RunError
from plgg.core.files import copy_folder, make_folder, write_json
from plgg.core.output import ROUND, output_folder
from plgg.core.progress import Watch
from plgg.core.records import read_record
from plgg.data.manifest import Case, read_manifest, write_manifest
from plgg.serve.records import ServeRecord
from plgg.serve.work import WorkFolder

EVERY = 3
HELD_OUT, MANIFEST, STORE = "held_out.json", "manifest.csv", "store"


class HeldOut(ServeRecord):
    """`rounds/held_out.json`.

    Attributes:
        scans: SHA-256 of the scan of each corrected case, in order of first corrections.
        cases: Names of these cases.
        held_out: Those that are never used for training.
    """

    format: Literal["plgg-held-out"] = "plgg-held-out"
    version: Literal[1] = 1
    scans: tuple[str, ...] = ()
    cases: tuple[CaseId, ...] = ()
    held_out: tuple[CaseId, ...] = ()


def run_round(work: WorkFolder, number: int, watch: Watch) -> None:
    """Run a fine-tuning round on the corrected cases, or resume it.

    Args:
        work: The reading room.
        number: Number of the round, whose request is on disk.
        watch: Told of the progress.

    Raises:
        InputError: If there are too few corrected cases.
        PlggError: If model, store and scans do not fit together.
    """
    held = held_out(work)
    folder = make_folder(work.round_folder(number))
    manifest = folder / MANIFEST
    if not manifest.is_file():
        cases = [corrected_case(work, name) for name in _wanted(work, number, held)]
        if not cases:
            raise InputError("no case was corrected yet", remedy="Correct 4 cases and save them.")
        write_manifest(manifest, cases, scan_ids={})
    names = [case.case_id for case in read_manifest(manifest)]
    _copy_earlier_store(work, number)
    api.fine_tune(
        _models(work, number),
        manifest,
        folder,
        store=work.store,
        held_out=[name for name in names if name in held],
        watch=watch,
    )


def held_out(work: WorkFolder) -> frozenset[str]:
    """The cases held out of training; new corrections are assigned and recorded first.

    A scan that was uploaded twice is one patient: both cases are held out, or neither.
    """
    path = work.rounds / HELD_OUT
    known = _read(path) if path.is_file() else HeldOut()
    new = [name for name in work.corrected() if name not in known.cases]
    for name in new:
        known = _assign_case(known, name, _scan_of(work, name))
    if new:
        write_json(path, known.model_dump(mode="json"))
    return frozenset(known.held_out)


def _assign_case(known: HeldOut, name: str, scan: str) -> HeldOut:
    """Add a case to the record; of every three different scans the first is held out."""
    twins = [case for case, other in zip(known.cases, known.scans, strict=True) if other == scan]
    held = twins[0] in known.held_out if twins else len(dict.fromkeys(known.scans)) % EVERY == 0
    return HeldOut(
        scans=(*known.scans, scan),
        cases=(*known.cases, name),
        held_out=(*known.held_out, *([name] if held else [])),
    )


def _scan_of(work: WorkFolder, name: str) -> str:
    result = work.result(name)
    return result.input.sha256 if result else ""


def _read(path: Path) -> HeldOut:
    return read_record(
        path,
        HeldOut,
        error=RunError,
        what="does not say who is held out",
        remedy="Restore it from a copy: without it the model would be tested on what it knows.",
    )


def _wanted(work: WorkFolder, number: int, held: Iterable[str]) -> list[str]:
    """The cases of a round: the requested ones, and all that are held out."""
    corrected = work.corrected()
    asked = work.round_record(number).cases
    return [name for name in corrected if asked is None or name in {*asked, *held}]


def corrected_case(work: WorkFolder, name: str) -> Case:
    """A row of the manifest: the original scan with the newest mask."""
    result, upload = work.result(name), work.upload(name)
    if result is None:
        raise InputError("nothing was predicted yet", where=name)
    others = upload.others if upload else {}
    images = {
        sequence: work.upload_folder(name) / others[sequence]
        if sequence in others
        else work.scan(name)
        for sequence in result.input.sequences
    }
    return Case(
        case_id=name,
        patient_id=name,
        flair=images.pop("flair", None),
        mask=work.mask(name),
        age_years=result.age_years,
        sex=result.sex,
        others=images,
    )


def _models(work: WorkFolder, number: int) -> tuple[Path, ...]:
    """The model to fine-tune: of the newest accepted earlier round, else the initial one."""
    before = [n for n in work.accepted_rounds() if n < number]
    return (work.round_folder(before[-1]) / "run",) if before else work.models


def _copy_earlier_store(work: WorkFolder, number: int) -> None:
    """Copy the store of an earlier round, so that its scans are not preprocessed again."""
    here = work.round_folder(number) / STORE
    before = [n for n in work.round_numbers() if n < number]
    stores = [work.round_folder(n) / STORE for n in reversed(before)]
    found = next((store for store in stores if (store / "cohort.json").is_file()), None)
    if found is None or here.exists():
        return
    with output_folder(here.parent, ROUND):
        copy_folder(found, here)
