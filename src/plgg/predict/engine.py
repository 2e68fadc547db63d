"""`Engine`: runs one network on one image; the record of an export; a cache of answers."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, model_validator

from plgg.config import MARKER, SEGMENTATION, Config
from plgg.core.case_id import ClassNames
from plgg.core.errors import RunError
from plgg.core.files import sha256
from plgg.core.paths import RelativePath, join_inside
from plgg.core.records import read_record
from plgg.data.inputs import append_constant_channels
from plgg.tasks.base import TaskRecord

Step = Callable[[], object]
FEATURES = "features"


@dataclass(frozen=True)
class Meter:
    """Functions that measure the memory of one device.

    Attributes:
        free: Bytes that can still be allocated.
        peak: Peak bytes of a step, beyond what is allocated before it.
        release: Returns memory that this process has freed but still keeps.
    """

    free: Callable[[], int]
    peak: Callable[[Step], int]
    release: Callable[[], None]


@dataclass(frozen=True, eq=False)
class Answer:
    """Outputs of a network for one image.

    Attributes:
        segmentation: Logits of tumour, float32, shape of the image.
        tasks: Output of each other head, float64, shape (n,).
        features: Pooled bottleneck, float32, shape (channels,).
        inner: Logits of the regions within the tumour, float32, shape (R - 1, I, J, K).
    """

    segmentation: NDArray[np.float32]
    tasks: dict[str, NDArray[np.float64]]
    features: NDArray[np.float32]
    inner: NDArray[np.float32] | None = None

    @property
    def outlines(self) -> NDArray[np.float32]:
        """Logits of all regions, the tumour first, shape (R, I, J, K)."""
        whole = self.segmentation[None]
        return whole if self.inner is None else np.concatenate([whole, self.inner])

    @property
    def marker(self) -> NDArray[np.float64] | None:
        """Logits of the marker's classes, shape (classes,); None without that head."""
        return self.tasks.get(MARKER)


def answer_from_arrays(outputs: Mapping[str, NDArray[np.generic]]) -> Answer:
    """An answer from arrays by head, each with a first axis for the batch."""
    inner = outputs[SEGMENTATION][0, 1:]
    return Answer(
        segmentation=outputs[SEGMENTATION][0, 0].astype(np.float32, copy=False),
        tasks={
            name: values[0].astype(np.float64)
            for name, values in outputs.items()
            if name not in {SEGMENTATION, FEATURES}
        },
        features=outputs[FEATURES][0].astype(np.float32, copy=False),
        inner=inner.astype(np.float32, copy=False) if len(inner) else None,
    )


@dataclass(frozen=True, eq=False)
class Engine:
    """A network that is ready to run.

    Attributes:
        name: Name for results: library, device and precision.
        divisors: The sides of an image must be multiples of these.
        run: Takes z-scores, contiguous float32, shape (c, i, j, k).
        meter: Measures the memory of its device.
        n_channels: Channels of the image: sequences, and neighbouring slices of each.
        alike: Engines with the same text here take the same memory; none if empty.
    """

    name: str
    divisors: tuple[int, int, int]
    run: Callable[[NDArray[np.float32]], Answer]
    meter: Meter
    n_channels: int = 1
    alike: str = ""

    def __call__(self, image: NDArray[np.float32]) -> Answer:
        """Run the network on z-scores of shape (c, i, j, k), or (i, j, k) of one sequence."""
        if image.ndim == 3:
            image = image[None]
        return self.run(np.ascontiguousarray(image, dtype=np.float32))


FILE = "export.json"
Format = Literal["onnx", "openvino", "monai-bundle"]


class ExportRecord(BaseModel):
    """`export.json`.

    Attributes:
        kind: The format.
        model: The model file to open.
        files: SHA-256 of every file of the network, by its path in the folder.
        checkpoint_sha256: Hash of the weights that were exported.
        config: The run's settings.
        classes: Marker classes, in the order of the logits.
        tasks: Task records of the checkpoint; None in older exports.
        divisor: Every side of an image must be a multiple of this, or one number for each side.
        largest_difference: From PyTorch in fp32, of any voxel or class: `tumour` and `marker` in
            probability, `features` as a share of the largest, other tasks in their own unit.
        boxes: Sizes of the images that were compared.
        versions: Versions of the packages that made it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["plgg-export"] = "plgg-export"
    version: Literal[1] = 1
    kind: Format
    model: RelativePath
    files: dict[RelativePath, str]
    checkpoint_sha256: str
    config: Config
    classes: ClassNames
    tasks: dict[str, TaskRecord] | None = None
    divisor: int | tuple[int, int, int]
    largest_difference: dict[str, float]
    boxes: tuple[tuple[int, int, int], ...]
    versions: dict[str, str]

    @property
    def divisors(self) -> tuple[int, int, int]:
        """The sides of an image must be multiples of these."""
        return (self.divisor,) * 3 if isinstance(self.divisor, int) else self.divisor

    @model_validator(mode="after")
    def _model_is_hashed(self) -> Self:
        if self.model not in self.files:
            raise ValueError("the file that is to be opened has no hash")
        return self


def export_folder(run: Path, kind: Format) -> Path:
    """Folder that `plgg export` writes to by default, and engines read from."""
    return run / "export" / kind


def read_export(folder: Path, kind: Format) -> ExportRecord:
    """Read the record of an export and check the hashes of its files.

    Raises:
        RunError: If there is none, it is of another format or version, or a file was altered.
    """
    remedy = f"Make it again: plgg export RUN --format {kind}."
    record = read_record(
        folder / FILE,
        ExportRecord,
        error=RunError,
        what="does not fit this version",
        remedy=remedy,
        absent=RunError(f"holds no {kind} export", where=folder, remedy=remedy),
    )
    if record.kind != kind:
        raise RunError(f"is an export to {record.kind}, not {kind}", where=folder, remedy=remedy)
    for name, digest in record.files.items():
        path = join_inside(folder, *name.split("/"), error=RunError)
        if not path.is_file() or sha256(path) != digest:
            raise RunError(
                "is missing, or not as it was written (SHA-256)", where=path, remedy=remedy
            )
    return record


def with_marker(engine: Engine, marker: NDArray[np.float32]) -> Engine:
    """Fix the true marker that a network takes as input to that of one patient.

    Args:
        engine: Of a network with an input plane for each class after the channels of the image.
        marker: 1 at the class, all 0 where it is unknown, shape (classes,).
    """

    def run(image: NDArray[np.float32]) -> Answer:
        return engine.run(np.ascontiguousarray(append_constant_channels(image, marker)))

    return replace(engine, run=run, n_channels=engine.n_channels - len(marker))


_MOST_BYTES = 2**30


def with_cache(engine: Engine, *, most_bytes: int = _MOST_BYTES) -> Engine:
    """The engine with a cache of its answers, keyed by the hash of the image.

    Args:
        engine: What runs the network.
        most_bytes: Size of the cache; answers beyond it are not kept.
    """
    known: dict[bytes, Answer] = {}
    held = 0

    def run(image: NDArray[np.float32]) -> Answer:
        nonlocal held
        key = hashlib.sha256(repr(image.shape).encode() + image.tobytes()).digest()
        if key in known:
            return known[key]
        answer = engine.run(image)
        n_bytes = answer.outlines.nbytes
        if held + n_bytes <= most_bytes:
            held += n_bytes
            known[key] = answer
        return answer

    return replace(engine, run=run)
