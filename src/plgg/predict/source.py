"""Inputs of a prediction: cases of a store or a manifest, or single scans, NIfTI or DICOM."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NoReturn

from plgg.config import Config, same_preprocessing
from plgg.core.case_id import case_id_of
from plgg.core.errors import InputError
from plgg.core.regular import is_there
from plgg.data.check.usable import usable_image
from plgg.data.dicom.find import is_dicom
from plgg.data.dicom.series import available_sequences
from plgg.data.manifest import Case
from plgg.data.nifti.image import is_nifti
from plgg.data.scan import scan_name, scan_sha256
from plgg.data.store import Store, is_store, read_record
from plgg.data.store_records import describe_grid
from plgg.predict.preparation import InferenceInput, Preparation, start_preparation
from plgg.preprocess.assessment_process import AssessmentProcess
from plgg.preprocess.normalise import NormalisedScan


@dataclass(frozen=True)
class Scan:
    """One scan to be predicted.

    Attributes:
        case_id: Name of the case and of its folder.
        patient_id: None where it is not known.
        path: The native scan.
        kind: Its source.
        digest: Computes the SHA-256 of the native scan; with several sequences, of all used ones.
        load: Reads and preprocesses the scan with a model's settings.
        begin: Starts `load` with the registration in another process; None for cases of a store,
            which are registered already.
        age_years: None where it is not given.
        sex: None where it is not given.
        marker: The true class; checked against the model's classes, input of oracle models only.
    """

    case_id: str
    patient_id: str | None
    path: Path
    kind: Literal["nifti", "dicom", "store"]
    digest: Callable[[Config], str]
    load: Callable[[Config], InferenceInput]
    age_years: float | None = None
    sex: str | None = None
    marker: str | None = None
    begin: Callable[[Config, AssessmentProcess], Preparation] | None = None


def find_scans(
    inputs: Sequence[Path],
    *,
    only: Sequence[str] | None = None,
    age_years: float | None = None,
    sex: str | None = None,
    others: Mapping[str, Path] | None = None,
) -> list[Scan]:
    """Find the scans of the inputs: stores, manifests (.csv), NIfTI files, DICOM.

    Args:
        inputs: Paths.
        only: Cases to keep; all if None.
        age_years: Of the patient, if the input is a single scan.
        sex: Likewise.
        others: Further sequences of a single scan, by name.

    Raises:
        InputError: If nothing is at a path, the only input is none of these, two scans have one
            name, a case to keep is not among them, or age, sex or further sequences are given
            for inputs other than a single scan.
    """
    several = len(inputs) > 1
    given = [*(others or ())]
    given += [word for word, said in (("age", age_years), ("sex", sex)) if said is not None]
    if given and (several or not (is_nifti(inputs[0]) or is_dicom(inputs[0]))):
        raise InputError(
            f"{', '.join(given)} given, which goes with one scan named by itself",
            where=inputs[0],
            remedy="Name what is known of several patients in a manifest.",
        )
    known = Case("", "", None, age_years=age_years, sex=sex, others=dict(others or {}))
    scans = [scan for path in inputs for scan in _scans(path, known, several=several)]
    if only is not None:
        scans = _only(scans, only)
    names = Counter(scan.case_id.lower() for scan in scans)
    for scan in scans:
        if names[scan.case_id.lower()] > 1:
            raise InputError(
                f"two scans are called {scan.case_id!r}",
                where=scan.path,
                remedy="Rename a file, or predict them in two runs.",
            )
    return scans


def scan_from_case(case: Case) -> Scan:
    """The scan of a case of a manifest; its paths are used as they are."""
    return _native(case, case.patient_id)


def _only(scans: Sequence[Scan], wanted: Sequence[str]) -> list[Scan]:
    found = {scan.case_id for scan in scans}
    lost = [name for name in wanted if name not in found]
    if lost:
        raise InputError(
            f"{len(lost)} of {len(wanted)} cases are not in the inputs, the first: {lost[0]}",
            remedy="Name the store or the manifest that the run was trained on.",
        )
    chosen = set(wanted)
    return [scan for scan in scans if scan.case_id in chosen]


def _scans(path: Path, known: Case, *, several: bool) -> list[Scan]:
    if is_there(path) and is_store(path):
        store = Store(path)
        return [_stored(store, case_id) for case_id in store.by_id]
    if path.suffix.lower() == ".csv":
        from plgg.data.check.table import read_manifest_with_warnings

        return [_native(case, case.patient_id) for case in read_manifest_with_warnings(path)]
    if is_nifti(path) or is_dicom(path):
        name = case_id_of(scan_name(path))
        return [_native(replace(known, case_id=name, patient_id=name), None, path)]
    if several and is_there(path):
        return [_unusable(path)]
    raise _unsupported_input(path)


def _unusable(path: Path) -> Scan:
    """A scan whose loading raises, for a path that is no scan; the other inputs are predicted."""

    def refuse(*_: Config) -> NoReturn:
        raise _unsupported_input(path)

    return Scan(case_id_of(scan_name(path)), None, path, "nifti", refuse, refuse)


def _unsupported_input(path: Path) -> InputError:
    return InputError(
        "is not a store, a manifest (.csv), a NIfTI file (.nii, .nii.gz) or DICOM (folder, zip)",
        where=path,
        remedy="Name one of these." if is_there(path) else "Check the path: nothing is there.",
    )


def _stored(store: Store, case_id: str) -> Scan:
    record = store.by_id[case_id]

    def load(config: Config) -> InferenceInput:
        _require_same_preprocessing(store, config)
        case = read_record(store.folder, case_id)
        there = record.channels or ("flair",)
        sequences = tuple(name for name in config.channels if name in there)
        _require_some(sequences, config, where=store.folder)
        image = store.channels(case_id, config.channels)
        return InferenceInput(
            NormalisedScan(image[0], None, case.placement),
            image,
            sequences,
            case.quality,
            doubts=record.flair_warnings,
            age_years=record.age_years,
            sex=record.sex,
            sha256=record.flair_sha256,
        )

    return Scan(
        case_id,
        record.patient_id,
        Path(record.flair),
        "store",
        lambda _: record.flair_sha256,
        load,
        record.age_years,
        record.sex,
        record.marker,
    )


def _native(case: Case, patient_id: str | None, single: Path | None = None) -> Scan:
    """A scan that is read from its native files.

    Args:
        case: Its row of the manifest; for a single scan, what else is known of it.
        patient_id: None where it is not known.
        single: A single scan: the model's first sequence that `case` lacks; a study may hold more.
    """

    def sequences(config: Config) -> dict[str, Path]:
        if single is None:
            return case.sequences(config.channels)
        free = [name for name in config.channels if name not in case.images]
        named = dict(case.images)
        if len(free) > 1 and is_dicom(single):  # A study: what it holds, by its headers.
            held = available_sequences(single)
            named |= {name: single for name in free if name in held}
        if single not in named.values() and free:
            named[free[0]] = single
        return {name: named[name] for name in config.channels if name in named}

    def begin(config: Config, assessor: AssessmentProcess | None = None) -> Preparation:
        paths = sequences(config)
        scans = {name: usable_image(path, name) for name, path in paths.items()}
        begun = start_preparation(
            scans, config, age_years=case.age_years, sex=case.sex, assessor=assessor
        )

        def finish() -> InferenceInput:
            loaded = begun.finish()
            hashes = [scans[name].sha256 or _digest(paths[name]) for name in scans]
            return replace(loaded, sha256=_joined(hashes))

        return replace(begun, finish=finish)

    path = single or next(iter(case.sequences().values()))
    return Scan(
        case.case_id,
        patient_id,
        path,
        "nifti" if is_nifti(path) else "dicom",
        lambda config: _joined([_digest(one) for one in sequences(config).values()]),
        lambda config: begin(config).finish(),
        case.age_years,
        case.sex,
        case.marker,
        begin,
    )


def _joined(hashes: Sequence[str]) -> str:
    """One hash for all sequences; with one sequence, its own hash."""
    if len(hashes) == 1:
        return hashes[0]
    return hashlib.sha256(" ".join(hashes).encode()).hexdigest()


def _require_some(sequences: Sequence[str], config: Config, *, where: Path) -> None:
    if not sequences:
        raise InputError(
            f"holds none of the sequences that the model wants ({', '.join(config.channels)})",
            where=where,
            remedy="Preprocess with the model's channels.",
        )


def _digest(path: Path) -> str:
    digest = scan_sha256(path)
    if digest is None:
        raise InputError("no such file", where=path, remedy="Check the path.")
    return digest


def _require_same_preprocessing(store: Store, config: Config) -> None:
    """Refuse a store that was preprocessed with other settings than the model's scans."""
    made = store.cohort
    wanted = describe_grid(config.grid.kind, config.grid.spacing_mm)
    if made.voxels != wanted:
        other = f"has {made.voxels}, the model wants {wanted}"
    elif not same_preprocessing(made.settings, config.preprocess):
        other = "was stripped or registered in another way, or to another atlas, than the model's"
    else:
        return
    raise InputError(
        f"the store {other}",
        where=store.folder,
        remedy="Predict from the manifest, or preprocess with the model's settings.",
    )
