"""`export_nnunet`: write a store as a data set of nnU-Net v2, with plgg's splits.

Images are the store's arrays on the store's grid, written without loss: code + 128 as uint8, so
that 0 is outside the brain. nnU-Net computes z-scores itself. Images are skull-stripped. Several
labels of the mask become nnU-Net's regions, with one output each.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.config import GridConfig, PreprocessConfig
from plgg.config.base import TITLES
from plgg.config.labels import Label, require_label_rules
from plgg.core.errors import ConfigError, OutputError, StoreError
from plgg.core.files import sha256, write_json
from plgg.core.folders import replace_folder
from plgg.core.output import OutputKind, output_folder
from plgg.core.paths import named_atlas
from plgg.core.placement import Placement
from plgg.core.progress import Progress
from plgg.core.records import JsonError, as_record, read_json
from plgg.core.tables import write_csv
from plgg.core.volume import Affine, Volume
from plgg.data.budget import require_affordable
from plgg.data.folds import fold_splits
from plgg.data.nifti.image import write_volume
from plgg.data.nnunet import (
    CASES,
    DATASET,
    KEY,
    NNUNET_DATASET,
    PREPROCESSED,
    RECORD,
    SPLITS,
    TESTS,
    NnunetExport,
    nnunet_labels,
)
from plgg.data.split import Split, make_split
from plgg.data.store import Store
from plgg.data.store_arrays import OUTSIDE
from plgg.data.store_records import GridKind, StoredCase

KIND = OutputKind("nnU-Net data sets", (), inside=((".", NNUNET_DATASET), (PREPROCESSED, None)))
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]{0,39}")
# Keys of dataset.json's labels.
_RESERVED = ("background", "ignore")
_COLUMNS = ("case_id", "patient_id", "marker", "age_years", "sex", "site")


@dataclass(frozen=True)
class NnunetDesign:
    """Name and splits of the data set.

    Attributes:
        number: Number of the data set, 1 to 999; nnU-Net's `-d`.
        name: Letters and digits.
        splits: Repeated splits, as `plgg experiment` draws them.
        folds: Instead, how many folds of a cross validation.
        seed: Seed of the splits.
    """

    number: int = 500
    name: str = "plgg"
    splits: int = 6
    folds: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.number <= 999:
            raise ConfigError(
                f"{self.number} is no number of a data set", remedy="Choose --id from 1 to 999."
            )
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"{self.name!r} cannot name a data set",
                remedy="Choose --name of letters and digits, a letter first.",
            )

    @property
    def folder(self) -> str:
        """Name of the data set's folder."""
        return f"Dataset{self.number:03d}_{self.name}"


@dataclass(frozen=True)
class ExportedNnunet:
    """Result of an export.

    Attributes:
        folder: The data set.
        cases: Number of cases.
        left_out: Cases without a mask.
        splits: Number of splits or folds.
        partly: Cases whose mask does not annotate all labels; they are left out, too.
    """

    folder: Path
    cases: int
    left_out: tuple[str, ...]
    splits: int
    partly: tuple[str, ...] = ()


def export_nnunet(
    store: Store, out: Path, design: NnunetDesign, *, progress: Progress
) -> ExportedNnunet:
    """Write a store's cases with a mask as a data set of nnU-Net.

    Args:
        store: A preprocessed cohort.
        out: Folder of data sets: `nnUNet_raw`.
        design: Name and splits.
        progress: Called after each case.

    Raises:
        ConfigError: If there are too few patients for such splits, or none has a mask.
        OutputError: If something that plgg did not write is in the place of the data set.
        StoreError: If the store was damaged.
    """
    _require_regions(store)
    known = [case for case in store.cohort.cases if _has_complete_mask(case, store.cohort.labels)]
    record = _record(store, design)
    _require_parts(record.splits, known)
    placed = out / PREPROCESSED / design.folder / SPLITS
    with output_folder(out, KIND):
        earlier = _splits_of(out / design.folder)
        _require_own_splits(placed, (earlier, _for_nnunet(record.splits)))
        with replace_folder(out / design.folder, NNUNET_DATASET, inputs=[store.folder]) as aside:
            for done, case in enumerate(known, start=1):
                _write_case(store, case, aside)
                progress(done, len(known))
            _write_tables(aside, record, known, design)
        write_json(placed, _for_nnunet(record.splits))
    partly = [case.case_id for case in store.cohort.cases if case.has_mask and case not in known]
    without = tuple(name for name in record.left_out if name not in partly)
    return ExportedNnunet(
        out / design.folder, len(known), without, len(record.splits), tuple(partly)
    )


def _require_regions(store: Store) -> None:
    """Check that the labels of a store can be regions of nnU-Net.

    Raises:
        ConfigError: If they overlap in part, or one has a name that nnU-Net keeps for itself.
    """
    labels = store.cohort.labels
    try:
        require_label_rules(labels)
    except ValueError as fault:
        raise ConfigError(
            f"has labels that are neither nested nor disjoint ({fault})",
            where=store.folder,
            remedy="Preprocess into another store with labels that are.",
        ) from fault
    taken = [label.name for label in labels if label.name in _RESERVED]
    if taken and len(labels) > 1:
        raise ConfigError(
            f"has the label {taken[0]}, which means something else to nnU-Net",
            where=store.folder,
            remedy="Preprocess into another store, and call the label otherwise.",
        )


def _has_complete_mask(case: StoredCase, labels: Sequence[Label]) -> bool:
    """Whether a mask annotates all labels; nnU-Net would take others as absent."""
    return case.has_mask and (len(labels) < 2 or len(case.labels) == len(labels))


def _record(store: Store, design: NnunetDesign) -> NnunetExport:
    cohort = store.cohort
    return NnunetExport(
        channels=cohort.channels,
        labels=cohort.labels if len(cohort.labels) > 1 else (),
        grid=_grid(store),
        preprocess=_without_place(cohort.settings),
        splits=tuple(_with_masks(split, store) for split in _splits(store, design)),
        folds=design.folds is not None,
        seed=design.seed,
        left_out=tuple(c.case_id for c in cohort.cases if not _has_complete_mask(c, cohort.labels)),
    )


def _grid(store: Store) -> GridConfig:
    cohort = store.cohort
    try:
        return as_record({"kind": cohort.grid, "spacing_mm": cohort.spacing_mm}, GridConfig)
    except JsonError as fault:
        raise StoreError(
            f"has a grid that no scan can be brought to ({fault.fault})",
            where=store.folder,
            remedy="Preprocess again.",
        ) from fault


def _without_place(settings: PreprocessConfig) -> PreprocessConfig:
    """The settings without a path of this machine; the hash identifies the atlas."""
    plain = settings.atlas if named_atlas(settings.atlas) else Path(settings.atlas).name
    return settings.model_copy(update={"atlas": plain})


def _splits(store: Store, design: NnunetDesign) -> list[Split]:
    """The splits or folds that `plgg experiment` draws from the same store with the same seed."""
    if design.folds is not None:
        return fold_splits(store, design.folds, seed=design.seed, test=True)
    cases = store.cohort.cases
    return [make_split(cases, k=k, seed=design.seed) for k in range(design.splits)]


def _with_masks(split: Split, store: Store) -> Split:
    """The split without cases that lack a complete mask, which nnU-Net needs."""

    def known(names: Sequence[str]) -> tuple[str, ...]:
        labels = store.cohort.labels
        return tuple(name for name in names if _has_complete_mask(store.by_id[name], labels))

    parts = {part: known(split.part(part)) for part in ("train", "validation", "test")}
    return split.model_copy(update=parts)


def _require_parts(splits: Sequence[Split], known: Sequence[StoredCase]) -> None:
    if not known:
        raise ConfigError(
            "no case of the store has a mask that tells all its labels",
            remedy="nnU-Net learns from masks.",
        )
    for split in splits:
        lost = [name for name in ("train", "validation") if not split.part(name)]
        if lost:
            raise ConfigError(
                f"split {split.k} has no case with a mask in its part {lost[0]}",
                remedy="Choose another --seed or fewer --folds.",
            )


def _for_nnunet(splits: Sequence[Split]) -> list[dict[str, list[str]]]:
    """Splits in the format of `splits_final.json`, where test patients are in neither part."""
    return [{"train": list(split.train), "val": list(split.validation)} for split in splits]


def _splits_of(folder: Path) -> object:
    try:
        return read_json(folder / SPLITS)
    except JsonError:
        return None


def _require_own_splits(placed: Path, own: Sequence[object]) -> None:
    """Check that no splits of nnU-Net or of others would be replaced.

    Raises:
        OutputError: If there are others than plgg's.
    """
    if not placed.exists() and not placed.is_symlink():
        return
    if placed.is_symlink() or _splits_of(placed.parent) not in own:
        raise OutputError(
            "holds splits that plgg did not write",
            where=placed,
            remedy="Choose another --id or output folder, or move them away.",
        )


def _write_case(store: Store, case: StoredCase, folder: Path) -> None:
    channels = store.cohort.channels
    require_affordable((len(channels) * case.shape[0], *case.shape[1:]), 1, where=case.case_id)
    affine = grid_affine(store.placement(case.case_id), store.cohort.grid)
    codes = store.channels(case.case_id, channels)
    for number, one in enumerate(codes):
        image = (one.astype(np.int16) - int(OUTSIDE)).astype(np.uint8)
        name = f"{case.case_id}_{number:04d}.nii.gz"
        write_volume(folder / "imagesTr" / name, Volume(image, affine))
    label = _label(store, case.case_id)
    if label is not None:
        write_volume(folder / "labelsTr" / f"{case.case_id}.nii.gz", Volume(label, affine))


def _label(store: Store, case_id: str) -> NDArray[np.uint8] | None:
    """1 in the tumour; of a store with several labels the number of the innermost."""
    if len(store.cohort.labels) > 1:
        return store.labels(case_id)
    mask = store.mask(case_id)
    return None if mask is None else (mask > 0).astype(np.uint8)


def grid_affine(placement: Placement, grid: GridKind) -> Affine:
    """4×4 affine of a stored box: in atlas space, or of native slices in scanner space."""
    if grid == "atlas":
        return np.array(placement.box_affine, dtype=np.float64)
    native = np.array(placement.native_affine) @ placement.native_from_box()
    return np.asarray(native, dtype=np.float64)


def _write_tables(
    folder: Path, record: NnunetExport, cases: Sequence[StoredCase], design: NnunetDesign
) -> None:
    """All but the images; `plgg.json` last."""
    write_json(folder / DATASET, _dataset(record, len(cases), design))
    write_json(folder / SPLITS, _for_nnunet(record.splits))
    write_json(folder / TESTS, [list(split.test) for split in record.splits])
    write_csv(folder / CASES, _COLUMNS, [[getattr(case, c) for c in _COLUMNS] for case in cases])
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    hashes = {path.relative_to(folder).as_posix(): sha256(path) for path in files}
    whole = record.model_copy(update={"files": hashes})
    write_json(folder / RECORD, whole.model_dump(mode="json"))


def _dataset(record: NnunetExport, n_cases: int, design: NnunetDesign) -> Mapping[str, Any]:
    return {
        "name": design.name,
        "description": "Made by plgg export nnunet; skull-stripped, see the key plgg.",
        "channel_names": {str(n): TITLES[name] for n, name in enumerate(record.channels)},
        **nnunet_labels(record.labels),
        "numTraining": n_cases,
        "file_ending": ".nii.gz",
        # The other readers refuse affines with shear, as a tilted gantry makes them.
        "overwrite_image_reader_writer": "NibabelIO",
        KEY: record.model_dump(mode="json", exclude={"files"}),
    }
