"""Read a checkpoint of nnU-Net v2 as data; code in its pickle is never run.

nnU-Net itself loads with `weights_only=False`, which runs any code that a file holds. Here
PyTorch's restricted unpickler is used, which accepts tensors, plain Python values and, in addition,
the NumPy numbers that nnU-Net logs.
"""

from __future__ import annotations

import pickle
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy import dtypes
from torch import Tensor

from plgg.core.errors import CheckpointError
from plgg.core.regular import open_regular

_AGAIN = "Copy the file again, or train again: nnUNetv2_train."
_MOST_BYTES = 16 * 2**30
_MAX_EPOCH = 1_000_000


@dataclass(frozen=True, eq=False)
class NnunetCheckpoint:
    """The parts of a checkpoint that a prediction needs.

    Attributes:
        weights: State dict of the network.
        configuration: Name of the configuration in the plans, such as `2d`.
        trainer: Name of the trainer's class.
        epoch: Number of finished epochs.
        mirror_axes: Axes of the network's input that may be mirrored, from 0.
    """

    weights: dict[str, Tensor]
    configuration: str
    trainer: str
    epoch: int
    mirror_axes: tuple[int, ...]


def load_nnunet_checkpoint(path: Path) -> NnunetCheckpoint:
    """Read a checkpoint without running code that it holds.

    Raises:
        CheckpointError: If it is missing, holds anything but data, or is no such checkpoint.
    """
    _require_plain_archive(path)
    try:
        with torch.serialization.safe_globals(_numbers()):
            raw = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            "holds more than weights and numbers, so it was not read: it could run code",
            where=path,
            remedy="Take a checkpoint that nnUNetv2_train wrote.",
        ) from error
    except (OSError, RuntimeError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise CheckpointError("cannot be read", where=path, remedy=_AGAIN) from error
    return _checked(raw, path)


def _require_plain_archive(path: Path) -> None:
    """Check that it is an uncompressed zip archive, as PyTorch writes it, and not too large.

    Raises:
        CheckpointError: If it is not.
    """
    try:
        with open_regular(path) as handle, zipfile.ZipFile(handle) as archive:
            entries = archive.infolist()
    except FileNotFoundError as error:
        raise CheckpointError("no such checkpoint", where=path, remedy=_AGAIN) from error
    except (OSError, ValueError, zipfile.BadZipFile, NotImplementedError) as error:
        raise CheckpointError("is no checkpoint of PyTorch", where=path, remedy=_AGAIN) from error
    packed = any(entry.compress_type != zipfile.ZIP_STORED for entry in entries)
    if packed or sum(entry.file_size for entry in entries) > _MOST_BYTES:
        raise CheckpointError("is packed, or larger than 16 GiB", where=path, remedy=_AGAIN)


def _numbers() -> list[Any]:
    """Globals that pickled NumPy numbers need: their constructor, `np.dtype`, and the dtypes."""
    maker = np.float64(0).__reduce__()[0]
    kinds = (
        dtypes.Float64DType,
        dtypes.Float32DType,
        dtypes.Float16DType,
        dtypes.Int64DType,
        dtypes.Int32DType,
        dtypes.BoolDType,
    )
    # NumPy before 2.0 had the same function in another module.
    old = (maker, "numpy.core.multiarray.scalar")
    return [maker, old, np.dtype, *kinds]


def _checked(raw: object, path: Path) -> NnunetCheckpoint:
    try:
        return _fields(raw)
    except (TypeError, ValueError, LookupError, AttributeError) as error:
        raise CheckpointError(
            "is no checkpoint of nnU-Net v2", where=path, remedy=_AGAIN
        ) from error


def _is_whole(value: object) -> bool:
    """Whether a value is a dense tensor whose shape is not larger than its storage."""
    return (
        type(value) is Tensor
        and value.layout == torch.strided
        and value.untyped_storage().nbytes() >= value.numel() * value.element_size()
    )


def _fields(raw: Any) -> NnunetCheckpoint:  # noqa: ANN401 - whatever a file held
    weights, axes = dict(raw["network_weights"]), raw.get("inference_allowed_mirroring_axes")
    if not weights or not all(_is_whole(value) for value in weights.values()):
        raise ValueError("no weights")
    found = NnunetCheckpoint(
        {str(name): value for name, value in weights.items()},
        str(raw["init_args"]["configuration"]),
        str(raw["trainer_name"]),
        int(raw["current_epoch"]),
        tuple(int(axis) for axis in axes or ()),
    )
    if not set(found.mirror_axes) <= {0, 1, 2} or not 0 <= found.epoch <= _MAX_EPOCH:
        raise ValueError("no such axis or epoch")
    return found
