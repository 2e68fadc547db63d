"""The store: a preprocessed cohort in one folder.

    STORE/cohort.json                 grid, classes, and one record a case
    STORE/cases/CASE/image.b2nd       coded z-scores of the brain box (int8, C×I×J×K, chunked)
    STORE/cases/CASE/mask.b2nd        tumour on the same grid (absent where unknown)
    STORE/cases/CASE/labels.b2nd      label map on the same grid (where labels are set)
    STORE/cases/CASE/case.json        placement and provenance; written last, so it marks the end
    STORE/cases/CASE/truth.nii.gz     tumour on the native grid (absent where unknown)
    STORE/cases/CASE/labels.nii.gz    label map on the native grid (where labels are set)
    STORE/qc/CASE.png                 a picture for visual QC, of failed cases too
    STORE/qc.html                     all pictures with their verdicts, sortable

Arrays are stored in 32³ chunks, so that a patch decompresses only the chunks that it covers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from plgg.core.errors import StoreError
from plgg.core.files import sha256
from plgg.core.paths import join_inside
from plgg.core.placement import Placement
from plgg.core.records import read_record as read_json_record
from plgg.data.manifest import Case, StoredLabels
from plgg.data.store_arrays import OUTSIDE, Box, read_array
from plgg.data.store_records import CaseRecord, Cohort, StoredCase

LABELS = "labels.nii.gz"
"""File name of the label map on the native grid, in a store and in a prediction."""
_AGAIN = "Preprocess again: the same command makes anew what is damaged."


class Store:
    """A store opened for reading; images are loaded on demand.

    Args:
        folder: The store's folder.

    Raises:
        StoreError: If it is not a store of this version.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.cohort = _read_cohort(folder)
        self.by_id = {case.case_id: case for case in self.cohort.cases}
        self._placements: dict[str, Placement] = {}
        self._seen: dict[Path, tuple[int, int, int] | None] = {}

    def image(self, case_id: str, box: Box | None = None) -> NDArray[np.int8]:
        """Codes of a case's reference, or of a part of it; shape (I, J, K)."""
        codes: NDArray[np.int8] = self.channels(case_id, (self.by_id[case_id].reference,), box)[0]
        return codes

    def channels(
        self, case_id: str, wanted: Sequence[str], box: Box | None = None
    ) -> NDArray[np.int8]:
        """Codes of some channels of a case, or of a part of it; shape (C, I, J, K).

        A channel that the case lacks is `OUTSIDE` everywhere.
        """
        case = self.by_id[case_id]
        whole = box or (slice(None),) * 3
        there = case.channels or ()
        rows = [there.index(name) for name in wanted if name in there]
        found: dict[str, NDArray[np.int8]] = {}
        if case.channels is None:  # A store of an earlier version, without a channel axis.
            found["flair"] = self._array(case_id, "image.b2nd", np.int8, box)
        elif rows:
            part = (slice(min(rows), max(rows) + 1), *whole)
            data = self._array(case_id, "image.b2nd", np.int8, part, len(there))
            found = {there[row]: data[row - min(rows)] for row in rows}
        nothing = np.broadcast_to(OUTSIDE, case.shape)[whole]
        return np.stack([found.get(name, nothing) for name in wanted])

    def mask(self, case_id: str, box: Box | None = None) -> NDArray[np.uint8] | None:
        """Tumour mask of a case, or of a part of it; None where it is unknown."""
        if not self.by_id[case_id].has_mask:
            return None
        return self._array(case_id, "mask.b2nd", np.uint8, box)

    def labels(self, case_id: str, box: Box | None = None) -> NDArray[np.uint8] | None:
        """Label map of a case (`plgg.data.labels`), or of a part of it.

        None where the mask is unknown; in a store without labels, the mask itself.
        """
        if not self.cohort.labels or not self.by_id[case_id].has_mask:
            return self.mask(case_id, box)
        return self._array(case_id, "labels.b2nd", np.uint8, box)

    def placement(self, case_id: str) -> Placement:
        """Placement of the case, which maps its brain box to the native scan."""
        if case_id not in self._placements:
            self._placements[case_id] = read_record(self.folder, case_id).placement
        return self._placements[case_id]

    def truth_path(self, case_id: str) -> Path | None:
        """Tumour mask on the native grid; None where it is unknown."""
        if not self.by_id[case_id].has_mask:
            return None
        return self._unaltered(case_id, "truth.nii.gz")

    def manifest_cases(self, only: Sequence[str] | None = None) -> list[Case]:
        """The cohort, or the named cases of it, as manifest rows whose masks lie in the store."""
        wanted = self.by_id if only is None else set(only)
        return [
            Case(
                case_id=case.case_id,
                patient_id=case.patient_id,
                flair=Path(case.flair) if case.reference == "flair" else None,
                mask=self.truth_path(case.case_id),
                marker=case.marker,
                site=case.site,
                age_years=case.age_years,
                sex=case.sex,
                columns=case.columns,
                others=_others(case),
                stored_labels=self._labels_of(case),
            )
            for case in self.cohort.cases
            if case.case_id in wanted
        ]

    def _labels_of(self, case: StoredCase) -> StoredLabels | None:
        if not case.labels:
            return None
        path = self._unaltered(case.case_id, LABELS)
        return StoredLabels(path, self.cohort.labels, case.labels)

    def _array(
        self,
        case_id: str,
        name: str,
        dtype: DTypeLike,
        box: tuple[slice, ...] | None,
        n_channels: int | None = None,
    ) -> NDArray[Any]:
        path = self._unaltered(case_id, name)
        shape: tuple[int, ...] = self.by_id[case_id].shape
        if n_channels is not None:
            shape = (n_channels, *shape)
        return read_array(path, dtype=dtype, shape=shape, box=box)

    def _unaltered(self, case_id: str, name: str) -> Path:
        """Path of a file after a check of its hash, which is repeated only if the file changes."""
        path = case_folder(self.folder, case_id) / name
        state = _state(path)
        if state is None or self._seen.get(path) != state:
            require_unaltered(self.folder, read_record(self.folder, case_id), [name])
            self._seen[path] = state
        return path


def _others(case: StoredCase) -> dict[str, Path]:
    images = {name: Path(image.path) for name, image in case.others.items()}
    reference = {case.reference: Path(case.flair)}
    return {name: path for name, path in (reference | images).items() if name != "flair"}


def _state(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def require_unaltered(store: Path, record: CaseRecord, names: Iterable[str] | None = None) -> None:
    """Check files of a case against the hashes that they were written with.

    Args:
        store: The store's folder.
        record: Record of the case.
        names: Names of the files; all by default. Stores of earlier versions have no hashes.

    Raises:
        StoreError: If one is missing or was altered.
    """
    folder = case_folder(store, record.case.case_id)
    for name in record.sha256 if names is None else names:
        path = folder / name
        if not path.is_file():
            raise StoreError("cannot be read: it is missing, or no file", where=path, remedy=_AGAIN)
        if name in record.sha256 and sha256(path) != record.sha256[name]:
            raise StoreError(
                "was altered since it was written (SHA-256)", where=path, remedy=_AGAIN
            )


def case_folder(store: Path, case_id: str) -> Path:
    """Folder of one case.

    Raises:
        StoreError: If it lies outside the store, by its name or by a link.
    """
    return join_inside(store, "cases", case_id, error=StoreError)


def is_store(folder: Path) -> bool:
    """Whether a folder holds a finished store."""
    return (folder / "cohort.json").is_file()


def read_record(store: Path, case_id: str) -> CaseRecord:
    """Read one case's record.

    Raises:
        StoreError: If it is missing or not of this version.
    """
    path = case_folder(store, case_id) / "case.json"
    record = read_json_record(
        path,
        CaseRecord,
        error=StoreError,
        what="is missing or of another version",
        remedy="Preprocess again.",
    )
    if record.case.case_id != case_id:
        raise StoreError(
            f"is of the case {record.case.case_id!r}, not {case_id!r}",
            where=path,
            remedy="Delete the case's folder and preprocess again.",
        )
    return record


def _read_cohort(folder: Path) -> Cohort:
    return read_json_record(
        folder / "cohort.json",
        Cohort,
        error=StoreError,
        what="is not a store of this version",
        remedy="Run plgg preprocess again.",
        absent=StoreError(
            "is not a store (no cohort.json)", where=folder, remedy="Make one: plgg preprocess."
        ),
    )
