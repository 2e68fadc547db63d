"""What can be predicted: the cases of a store, of a manifest, or single scans, NIfTI or DICOM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, NoReturn

from plgg.config import Config, same_preprocessing
from plgg.core.case_id import case_id_of
from plgg.core.errors import InputError
from plgg.core.regular import is_there
from plgg.core.volume import Volume
from plgg.data.check.usable import usable_flair
from plgg.data.dicom.find import is_dicom
from plgg.data.manifest import Case
from plgg.data.nifti.image import is_nifti
from plgg.data.quality import Quality
from plgg.data.scan import scan_name, scan_sha256
from plgg.data.store import Store, is_store, read_record
from plgg.preprocess.normalise import Prepared
from plgg.preprocess.pipeline import travel
from plgg.preprocess.setup import route_for


@dataclass(frozen=True, eq=False)
class Loaded:
    """A scan as the network sees it, and what was seen on its way.

    Attributes:
        prepared: The brain on the atlas grid.
        quality: Verdicts; None for cases of stores that kept none.
        native: The scan itself; None for cases of stores.
        chosen: Of DICOM, which series was taken and why.
        doubts: What its header leaves in doubt.
        age_years: As given, or as the header of DICOM says.
        sex: Likewise.
        sha256: Of the native scan's bytes; None of DICOM, of which only some files are read.
    """

    prepared: Prepared
    quality: Quality | None
    native: Volume | None = None
    chosen: str | None = None
    doubts: tuple[str, ...] = ()
    age_years: float | None = None
    sex: str | None = None
    sha256: str | None = None


@dataclass(frozen=True)
class Scan:
    """One scan to be predicted.

    Attributes:
        case_id: Names its folder.
        patient_id: None where it is not known.
        path: The native scan.
        kind: What it comes from.
        digest: Gives the SHA-256 of the native scan.
        load: Gives the scan on the atlas grid, for a model of these settings.
        age_years: None where it is not given.
        sex: None where it is not given.
        marker: The truth, which no prediction looks at; its name tells what a model must know.
    """

    case_id: str
    patient_id: str | None
    path: Path
    kind: Literal["nifti", "dicom", "store"]
    digest: Callable[[], str]
    load: Callable[[Config], Loaded]
    age_years: float | None = None
    sex: str | None = None
    marker: str | None = None


def find_scans(
    inputs: Sequence[Path],
    *,
    only: Sequence[str] | None = None,
    age_years: float | None = None,
    sex: str | None = None,
) -> list[Scan]:
    """The scans that the inputs name: stores, manifests (.csv), NIfTI files, DICOM.

    Args:
        inputs: Paths.
        only: Cases to keep; all if None.
        age_years: Of the patient, where a scan is named by itself.
        sex: Likewise.

    Raises:
        InputError: If nothing is at a path, the only input is none of these, two scans have one
            name, or a case to keep is not among them.
    """
    several = len(inputs) > 1
    scans = [scan for path in inputs for scan in _scans(path, age_years, sex, several=several)]
    if only is not None:
        scans = _only(scans, only)
    names = [scan.case_id.lower() for scan in scans]
    for scan in scans:
        if names.count(scan.case_id.lower()) > 1:
            raise InputError(
                f"two scans are called {scan.case_id!r}",
                where=scan.path,
                remedy="Rename a file, or predict them in two runs.",
            )
    return scans


def _only(scans: Sequence[Scan], wanted: Sequence[str]) -> list[Scan]:
    found = {scan.case_id for scan in scans}
    lost = [name for name in wanted if name not in found]
    if lost:
        raise InputError(
            f"{len(lost)} of {len(wanted)} cases are not in the inputs, the first: {lost[0]}",
            remedy="Name the store or the manifest that the run was trained on.",
        )
    return [scan for scan in scans if scan.case_id in set(wanted)]


def _scans(path: Path, age_years: float | None, sex: str | None, *, several: bool) -> list[Scan]:
    if is_there(path) and is_store(path):
        store = Store(path)
        return [_stored(store, case_id) for case_id in store.by_id]
    if path.suffix.lower() == ".csv":
        from plgg.data.check.table import read_unchecked

        return [_native(case, case.patient_id) for case in read_unchecked(path)]
    if is_nifti(path) or is_dicom(path):
        name = case_id_of(scan_name(path))
        return [_native(Case(name, name, path, age_years=age_years, sex=sex), None)]
    if several and is_there(path):
        return [_unusable(path)]
    raise _none_of_these(path)


def _unusable(path: Path) -> Scan:
    """What is no scan, among others: a case that fails, and keeps no other from being predicted."""

    def refuse(*_: Config) -> NoReturn:
        raise _none_of_these(path)

    return Scan(case_id_of(scan_name(path)), None, path, "nifti", refuse, refuse)


def _none_of_these(path: Path) -> InputError:
    return InputError(
        "is not a store, a manifest (.csv), a NIfTI file (.nii, .nii.gz) or DICOM (folder, zip)",
        where=path,
        remedy="Name one of these." if is_there(path) else "Check the path: nothing is there.",
    )


def _stored(store: Store, case_id: str) -> Scan:
    record = store.by_id[case_id]

    def load(config: Config) -> Loaded:
        _refuse_other_store(store, config)
        case = read_record(store.folder, case_id)
        return Loaded(
            Prepared(store.image(case_id), None, case.placement),
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
        lambda: record.flair_sha256,
        load,
        record.age_years,
        record.sex,
        record.marker,
    )


def _native(case: Case, patient_id: str | None) -> Scan:
    def load(config: Config) -> Loaded:
        route = route_for(config)
        flair = usable_flair(case.flair)
        age_years = flair.age_years if case.age_years is None else case.age_years
        arrived = travel(flair.volume, None, route, age_years=age_years)
        return Loaded(
            arrived.prepared,
            arrived.quality,
            native=flair.volume,
            chosen=flair.chosen,
            doubts=flair.doubts,
            age_years=age_years,
            sex=case.sex or flair.sex,
            sha256=flair.sha256,
        )

    return Scan(
        case.case_id,
        patient_id,
        case.flair,
        "nifti" if is_nifti(case.flair) else "dicom",
        partial(_digest, case.flair),
        load,
        case.age_years,
        case.sex,
        case.marker,
    )


def _digest(path: Path) -> str:
    digest = scan_sha256(path)
    if digest is None:
        raise InputError("no such file", where=path, remedy="Check the path.")
    return digest


def _refuse_other_store(store: Store, config: Config) -> None:
    """A model understands only scans that were prepared as those it was trained on."""
    made = store.cohort
    if abs(made.spacing_mm - config.grid.spacing_mm) > 1e-6:
        other = f"has {made.spacing_mm:g} mm voxels, the model wants {config.grid.spacing_mm:g} mm"
    elif not same_preprocessing(made.settings, config.preprocess):
        other = "was stripped or registered in another way, or to another atlas, than the model's"
    else:
        return
    raise InputError(
        f"the store {other}",
        where=store.folder,
        remedy="Predict from the manifest, or preprocess with the model's settings.",
    )
