"""The record of an export: what it was made from, and how near to PyTorch it is.

    RUN/export/onnx/model.onnx, export.json
    RUN/export/openvino/model.xml, model.bin, export.json
    RUN/export/monai-bundle/configs, models, docs, export.json

`plgg export` writes it, an engine reads it. Knows nothing of how a format is written or run.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from plgg.config import Config
from plgg.errors import RunError
from plgg.io.case_id import ClassNames
from plgg.io.files import sha256
from plgg.io.json_records import read_record
from plgg.io.paths import RelativePath, below

FILE = "export.json"
Format = Literal["onnx", "openvino", "monai-bundle"]


class ExportRecord(BaseModel):
    """`export.json`.

    Attributes:
        kind: The format.
        model: The file that is to be opened.
        files: SHA-256 of every file of the network, by its path in the folder.
        checkpoint_sha256: Hash of the weights that it was made from.
        config: The run's settings.
        classes: Marker classes, in the order of the logits.
        divisor: Every side of an image must be a multiple of this.
        largest_difference: From PyTorch in fp32, of any voxel or class: `tumour` and `marker` in
            probability, `features` as a share of the largest.
        boxes: Sizes of the images that were compared.
        versions: What it was made with.
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
    divisor: int
    largest_difference: dict[str, float]
    boxes: tuple[tuple[int, int, int], ...]
    versions: dict[str, str]

    @model_validator(mode="after")
    def _model_is_hashed(self) -> Self:
        if self.model not in self.files:
            raise ValueError("the file that is to be opened has no hash")
        return self


def export_folder(run: Path, kind: Format) -> Path:
    """Where `plgg export` writes by default, and where an engine looks."""
    return run / "export" / kind


def read_export(folder: Path, kind: Format) -> ExportRecord:
    """The record of an export whose files are those that were written.

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
        path = below(folder, *name.split("/"), error=RunError)
        if not path.is_file() or sha256(path) != digest:
            raise RunError(
                "is missing, or not as it was written (SHA-256)", where=path, remedy=remedy
            )
    return record
