"""The store: a preprocessed cohort in one folder.

    STORE/cohort.json                 grid, classes, and one record a case
    STORE/cases/CASE/image.b2nd       coded z-scores of the brain box (int8, C×I×J×K, chunked)
    STORE/cases/CASE/mask.b2nd        tumour on the same grid (absent where unknown)
    STORE/cases/CASE/labels.b2nd      numbers of its regions likewise (where labels are set)
    STORE/cases/CASE/case.json        placement and provenance; written last, so it marks the end
    STORE/cases/CASE/truth.nii.gz     tumour on the native grid (absent where unknown)
    STORE/cases/CASE/labels.nii.gz    numbers of its regions there (where labels are set)
    STORE/qc/CASE.png                 a picture to look at, of failed cases too
    STORE/qc.html                     all of them with their verdicts, to be sorted

Arrays are cut into 32³ chunks, so that a patch decodes only what it covers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from plgg.config import GridConfig, Label
from plgg.core.errors import ConfigError, StoreError
from plgg.core.files import make_folder, sha256, write_json
from plgg.core.folders import STORED_CASE, replaced
from plgg.core.paths import below
from plgg.core.placement import Placement
from plgg.core.records import read_record as read_json_record
from plgg.core.records import sealed
from plgg.core.volume import Volume
from plgg.data.labels import shown
from plgg.data.manifest import Case, StoredLabels
from plgg.data.nifti.image import write_volume
from plgg.data.store_arrays import OUTSIDE, Box, read_array
from plgg.data.store_records import (
    VERSION_1,
    CaseRecord,
    Cohort,
    FailedCase,
    GridKind,
    StoredCase,
    StoredImage,
    voxels_of,
)

__all__ = [
    "VERSION_1",
    "CaseRecord",
    "Cohort",
    "FailedCase",
    "GridKind",
    "Store",
    "StoredCase",
    "StoredImage",
    "case_folder",
    "is_store",
    "read_record",
    "require_channels",
    "require_grid",
    "require_unaltered",
    "voxels_of",
    "write_case",
    "write_cohort",
]
_CHUNK = 32
LABELS = "labels.nii.gz"
"""Numbers of the regions on the native grid, in a store as in a prediction."""
_AGAIN = "Preprocess again: the same command makes anew what is damaged."


class Store:
    """A store that is read; images are opened when asked for.

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

        One that the case lacks is outside everywhere.
        """
        case = self.by_id[case_id]
        whole = box or (slice(None),) * 3
        there = case.channels or ()
        rows = [there.index(name) for name in wanted if name in there]
        found: dict[str, NDArray[np.int8]] = {}
        if case.channels is None:  # Stored before there were channels.
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
        """Numbers of the regions of a case (`plgg.data.labels`), or of a part of it.

        None where the mask is unknown; of a store without labels the mask is the one region.
        """
        if not self.cohort.labels or not self.by_id[case_id].has_mask:
            return self.mask(case_id, box)
        return self._array(case_id, "labels.b2nd", np.uint8, box)

    def placement(self, case_id: str) -> Placement:
        """What puts the case's box back on the native scan."""
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
        """The path of a file, whose hash is compared once a process."""
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
        record: The case's.
        names: Of the files; all by default. Stores of earlier versions have no hashes.

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
    return below(store, "cases", case_id, error=StoreError)


def require_grid(store: Store, grid: GridConfig, *, who: str = "the settings") -> None:
    """Refuse a store that was made on another grid.

    Raises:
        ConfigError: If it was.
    """
    wanted, made = voxels_of(grid.kind, grid.spacing_mm), store.cohort.voxels
    if wanted != made:
        raise ConfigError(
            f"the store has {made}, {who} want{'' if who.endswith('s') else 's'} {wanted}",
            where=store.folder,
            remedy="Choose the preset that the store was made with, or preprocess again.",
        )


def require_channels(store: Store, channels: Sequence[str]) -> None:
    """Refuse sequences that a store was not made with.

    Raises:
        ConfigError: If one is not among the store's channels.
    """
    known = store.cohort.channels
    lost = [name for name in channels if name not in known]
    if lost:
        raise ConfigError(
            f"the store holds {', '.join(known)}, and not {', '.join(lost)}",
            where=store.folder,
            remedy=f"Preprocess with --set 'channels=[{','.join(channels)}]', or choose others.",
        )


def require_labels(store: Store, labels: Sequence[Label]) -> None:
    """Refuse labels that a store was not made with; of those it has, some may be left out.

    Raises:
        ConfigError: If the whole tumour is another, or a label is not among the store's.
    """
    made = store.cohort.labels
    if not labels or (made and labels[0] == made[0] and set(labels) <= set(made)):
        return
    raise ConfigError(
        f"the store's masks have the labels {shown(made)}; the settings want {shown(labels)}",
        where=store.folder,
        remedy="Preprocess with the same --set tasks.segmentation.labels=…",
    )


def is_store(folder: Path) -> bool:
    """Whether a folder holds a finished store."""
    return (folder / "cohort.json").is_file()


def write_case(
    store: Path,
    record: CaseRecord,
    *,
    image: NDArray[np.int8],
    mask: NDArray[np.uint8] | None,
    truth: Volume | None,
    labels: tuple[NDArray[np.uint8], Volume] | None = None,
    inputs: Sequence[Path] = (),
) -> None:
    """Write one case, whole or not at all, with the SHA-256 of every file.

    Args:
        store: The store's folder.
        record: The case.
        image: Coded z-scores, shape (C, I, J, K), or (I, J, K) of a FLAIR alone.
        mask: Tumour on the same grid; None where it is unknown.
        truth: Tumour on the native grid; None where it is unknown.
        labels: Numbers of its regions on both grids; None without labels.
        inputs: What it is made from; none may lie in the case's folder.

    Raises:
        OutputError: If something else is in the folder's place, or it cannot be written.
    """
    folder = case_folder(store, record.case.case_id)
    make_folder(store / "cases")
    with replaced(folder, STORED_CASE, inputs=inputs) as aside:
        _write_array(aside / "image.b2nd", image)
        if mask is not None:
            _write_array(aside / "mask.b2nd", mask)
        if truth is not None:
            write_volume(aside / "truth.nii.gz", truth)
        if labels is not None:
            _write_array(aside / "labels.b2nd", labels[0])
            write_volume(aside / LABELS, labels[1])
        hashes = {path.name: sha256(path) for path in sorted(aside.iterdir())}
        whole = record.model_copy(update={"sha256": hashes})
        write_json(aside / "case.json", sealed(whole.model_dump(mode="json")))


def _write_array(path: Path, data: NDArray[Any]) -> None:
    import blosc2  # It takes a while to load, and a prediction of a scan writes no store.

    spatial = tuple(min(_CHUNK, n) for n in data.shape[-3:])
    chunks = (*[1] * (data.ndim - 3), *spatial)
    try:
        blosc2.asarray(
            np.ascontiguousarray(data),
            chunks=chunks,
            blocks=chunks,
            cparams={"codec": blosc2.Codec.ZSTD, "clevel": 5, "nthreads": 1},
            urlpath=str(path),
            mode="w",
        )
    except RuntimeError as error:  # All that it says of a full disk.
        raise OSError(f"Blosc2: {error}") from error


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


def write_cohort(store: Path, cohort: Cohort) -> None:
    """Write `cohort.json`, which makes a folder a store."""
    write_json(store / "cohort.json", sealed(cohort.model_dump(mode="json")))


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
