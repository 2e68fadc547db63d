"""What can be predicted: the cases of a store, of a manifest, or single scans."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from plgg.check import require_usable
from plgg.errors import InputError
from plgg.io.files import sha256
from plgg.io.manifest import Case, read_manifest
from plgg.io.nifti import is_nifti, stem
from plgg.io.store import Store, is_store
from plgg.preprocess.case import Prepared, prepare
from plgg.preprocess.grid import Grid


@dataclass(frozen=True)
class Scan:
    """One scan to be predicted.

    Attributes:
        case_id: Names its folder.
        patient_id: None where it is not known.
        path: The native scan.
        digest: Gives the SHA-256 of the native scan.
        load: Gives the scan on the atlas grid.
    """

    case_id: str
    patient_id: str | None
    path: Path
    digest: Callable[[], str]
    load: Callable[[Grid], Prepared]


def find_scans(inputs: Sequence[Path], *, only: Sequence[str] | None = None) -> list[Scan]:
    """The scans that the inputs name: store folders, manifests (.csv), NIfTI files.

    Args:
        inputs: Paths.
        only: Cases to keep; all if None.

    Raises:
        InputError: If an input is none of these, or two scans have one name.
    """
    scans = [scan for path in inputs for scan in _scans(path)]
    if only is not None:
        scans = [scan for scan in scans if scan.case_id in set(only)]
    names = [scan.case_id.lower() for scan in scans]
    for scan in scans:
        if names.count(scan.case_id.lower()) > 1:
            raise InputError(
                f"two scans are called {scan.case_id!r}",
                where=scan.path,
                remedy="Rename a file, or predict them in two runs.",
            )
    return scans


def _scans(path: Path) -> list[Scan]:
    if is_store(path):
        store = Store(path)
        return [_stored(store, case_id) for case_id in store.by_id]
    if path.suffix.lower() == ".csv":
        return [_native(case, case.patient_id) for case in read_manifest(path)]
    if is_nifti(path):
        return [_native(Case(stem(path), stem(path), path), None)]
    raise InputError(
        "is not a store, a manifest (.csv) or a NIfTI file (.nii, .nii.gz)",
        where=path,
        remedy="Name one of these." if path.exists() else "Check the path: nothing is there.",
    )


def _stored(store: Store, case_id: str) -> Scan:
    record = store.by_id[case_id]

    def load(grid: Grid) -> Prepared:
        prepared = Prepared(store.image(case_id), None, store.placement(case_id))
        spacing = store.cohort.spacing_mm
        if abs(abs(grid.affine[0, 0]) - spacing) > 1e-6:
            raise InputError(
                f"the store has {spacing:g} mm voxels, the model wants "
                f"{abs(grid.affine[0, 0]):g} mm",
                where=store.folder,
                remedy="Predict from the manifest, or preprocess with the model's preset.",
            )
        return prepared

    path = Path(record.flair)
    return Scan(case_id, record.patient_id, path, lambda: record.flair_sha256, load)


def _native(case: Case, patient_id: str | None) -> Scan:
    def load(grid: Grid) -> Prepared:
        flair, _ = require_usable(replace(case, mask=None))
        return prepare(flair, None, grid)

    return Scan(case.case_id, patient_id, case.flair, partial(_digest, case.flair), load)


def _digest(path: Path) -> str:
    if not path.is_file():
        raise InputError("no such file", where=path, remedy="Check the path.")
    return sha256(path)
