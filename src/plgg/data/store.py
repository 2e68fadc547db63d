"""The store: a preprocessed cohort in one folder.

    STORE/cohort.json                 grid, classes, and one record a case
    STORE/cases/CASE/image.b2nd       coded z-scores of the brain box (int8, C×I×J×K, chunked)
    STORE/cases/CASE/mask.b2nd        tumour on the same grid (absent where unknown)
    STORE/cases/CASE/case.json        placement and provenance; written last, so it marks the end
    STORE/cases/CASE/truth.nii.gz     tumour on the native grid (absent where unknown)
    STORE/qc/CASE.png                 a picture to look at, of failed cases too
    STORE/qc.html                     all of them with their verdicts, to be sorted

Arrays are cut into 32³ chunks, so that a patch decodes only what it covers.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import blosc2
import numpy as np
from numpy.typing import DTypeLike, NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from plgg.config import GridConfig, PreprocessConfig
from plgg.config import Sequence as SequenceName
from plgg.core.case_id import CaseId, ClassNames, PatientId, first_twin
from plgg.core.errors import ConfigError, StoreError
from plgg.core.files import make_folder, sha256, write_json
from plgg.core.folders import STORED_CASE, replaced
from plgg.core.paths import below
from plgg.core.placement import BoundedShape, Placement, Rows
from plgg.core.records import read_record as read_json_record
from plgg.core.records import sealed, unsealed
from plgg.core.volume import Volume
from plgg.data.manifest import Case
from plgg.data.nifti.image import write_volume
from plgg.data.quality import Quality, Status
from plgg.data.store_arrays import OUTSIDE, Box, read_array

_CHUNK = 32
_AGAIN = "Preprocess again: the same command makes anew what is damaged."
# How the first version's stores were made; their files do not say it.
VERSION_1 = PreprocessConfig(registration="centre", stripping="none")


GridKind = Literal["atlas", "slices"]


class StoredImage(BaseModel):
    """Another sequence of a case: its path, its hash, and what the check warned of.

    `used` is whether it could be registered to the reference; else the case has it not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    path: str
    sha256: str
    warnings: tuple[str, ...] = ()
    used: bool = True


class StoredCase(BaseModel):
    """What `cohort.json` says of one case; labels that are unknown are None.

    `flair` is the path of its reference, whatever sequence that is, and `channels` are those of its
    array; None where that is a FLAIR without an axis for channels, of stores of earlier versions.
    `status` is the worst verdict on its way into the store: `good`, `doubtful`, or None where
    nothing was judged (stores of the first version). `flair_warnings` and `mask_warnings` are what
    the check warned of when it was stored. `columns` are the manifest's others, for tasks.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    case_id: CaseId
    patient_id: PatientId
    marker: str | None
    has_mask: bool
    site: str | None
    age_years: float | None
    sex: str | None
    flair: str
    flair_sha256: str
    reference: str = "flair"
    channels: tuple[str, ...] | None = None
    others: dict[str, StoredImage] = {}
    shape: BoundedShape
    status: Status | None = None
    flair_warnings: tuple[str, ...] = ()
    mask_warnings: tuple[str, ...] = ()
    columns: dict[str, str] = {}

    @property
    def warnings(self) -> tuple[str, ...]:
        """All that the check warned of."""
        others = (warning for image in self.others.values() for warning in image.warnings)
        return (*self.flair_warnings, *others, *self.mask_warnings)


class FailedCase(BaseModel):
    """A case that could not be stored, why, and what was measured until then."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    case_id: CaseId
    reason: str
    quality: Quality | None = None


class Cohort(BaseModel):
    """The contents of `cohort.json`.

    Scans from elsewhere must be prepared with the same spacing and settings to fit it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["plgg-store"] = "plgg-store"
    version: Literal[1, 2] = 2
    spacing_mm: Annotated[float, Field(gt=0.0, le=100.0)]
    grid: GridKind = "atlas"
    settings: PreprocessConfig = VERSION_1
    channels: tuple[SequenceName, ...] = ("flair",)
    classes: ClassNames
    cases: tuple[StoredCase, ...]
    failed: tuple[FailedCase, ...] = ()

    @model_validator(mode="before")
    @classmethod
    def _is_whole(cls, record: Any) -> Any:  # noqa: ANN401 - JSON is any
        return unsealed(record)

    @property
    def voxels(self) -> str:
        """The grid in words, such as "2 mm voxels"."""
        return voxels_of(self.grid, self.spacing_mm)

    def warned(self) -> str | None:
        """How many warnings of how many cases there are; None where there are none."""
        counts = [len(case.warnings) for case in self.cases if case.warnings]
        if not counts:
            return None
        warnings = "warning" if sum(counts) == 1 else "warnings"
        return (
            f"{sum(counts)} {warnings} in {len(counts)} {'case' if len(counts) == 1 else 'cases'}"
        )

    @model_validator(mode="after")
    def _cases_once(self) -> Self:
        twin = first_twin(case.case_id for case in self.cases)
        if twin is not None:
            raise ValueError(f"two cases are called {twin!r}")
        return self


class CaseRecord(BaseModel):
    """The contents of `case.json`: the case, its placement, what it was made from and how.

    `sha256` is that of each file beside it, by name; empty in stores of earlier versions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    case: StoredCase
    spacing_mm: Annotated[float, Field(gt=0.0, le=100.0)]
    grid: GridKind = "atlas"
    settings: PreprocessConfig = VERSION_1
    placement: Placement
    reference_from: dict[str, Rows] = {}
    mask_sha256: str | None
    quality: Quality | None = None
    sha256: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _is_whole(cls, record: Any) -> Any:  # noqa: ANN401 - JSON is any
        return unsealed(record)

    @model_validator(mode="after")
    def _is_of_one_box(self) -> Self:
        if self.case.shape != self.placement.box_shape:
            raise ValueError("the case and its placement have boxes of different shapes")
        return self


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
            )
            for case in self.cohort.cases
            if case.case_id in wanted
        ]

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


def voxels_of(kind: GridKind, spacing_mm: float) -> str:
    """A grid in words."""
    if kind == "atlas":
        return f"{spacing_mm:g} mm voxels"
    return f"slices of at least {spacing_mm:g} mm"


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
    inputs: Sequence[Path] = (),
) -> None:
    """Write one case, whole or not at all, with the SHA-256 of every file.

    Args:
        store: The store's folder.
        record: The case.
        image: Coded z-scores, shape (C, I, J, K), or (I, J, K) of a FLAIR alone.
        mask: Tumour on the same grid; None where it is unknown.
        truth: Tumour on the native grid; None where it is unknown.
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
        hashes = {path.name: sha256(path) for path in sorted(aside.iterdir())}
        whole = record.model_copy(update={"sha256": hashes})
        write_json(aside / "case.json", sealed(whole.model_dump(mode="json")))


def _write_array(path: Path, data: NDArray[Any]) -> None:
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
