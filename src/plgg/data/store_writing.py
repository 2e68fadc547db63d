"""Write a store: each case atomically, and `cohort.json` at the end."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.core.files import make_folder, sha256, write_json
from plgg.core.folders import STORED_CASE, replace_folder
from plgg.core.records import sealed
from plgg.core.volume import Volume
from plgg.data.nifti.image import write_volume
from plgg.data.store import LABELS, case_folder
from plgg.data.store_records import CaseRecord, Cohort

_CHUNK = 32


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
    """Write one case atomically, with the SHA-256 of every file.

    Args:
        store: The store's folder.
        record: The case.
        image: Coded z-scores, shape (C, I, J, K), or (I, J, K) of a FLAIR alone.
        mask: Tumour on the same grid; None where it is unknown.
        truth: Tumour on the native grid; None where it is unknown.
        labels: Label maps on both grids; None without labels.
        inputs: Files that it is made from; none may lie in the case's folder.

    Raises:
        OutputError: If something else is in the folder's place, or it cannot be written.
    """
    folder = case_folder(store, record.case.case_id)
    make_folder(store / "cases")
    with replace_folder(folder, STORED_CASE, inputs=inputs) as aside:
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
    except RuntimeError as error:  # Blosc2 raises nothing more specific for a full disk.
        raise OSError(f"Blosc2: {error}") from error


def write_cohort(store: Path, cohort: Cohort) -> None:
    """Write `cohort.json`, which makes a folder a store."""
    write_json(store / "cohort.json", sealed(cohort.model_dump(mode="json")))
