"""`plans.json` and `dataset.json` of a trained nnU-Net, read as data.

nnU-Net imports classes and functions by names in these files, from any module. Here only names of
its own and of PyTorch's layers are accepted, and only sizes that a scan can have.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from plgg.config.labels import Label
from plgg.core.errors import RunError
from plgg.core.records import JsonError, as_record, read_json
from plgg.data.nnunet import DATASET, PLANS, nnunet_labels

Fitting = TypeVar("Fitting", bound=BaseModel)
_AGAIN = "Copy the folder of nnU-Net's results again."
_MOST_VOXELS = 2**25
_UNETS = "dynamic_network_architectures.architectures.unet"
NETWORKS = tuple(f"{_UNETS}.{name}" for name in ("PlainConvUNet", "ResidualEncoderUNet"))

Layer = Literal[
    "torch.nn.modules.conv.Conv2d",
    "torch.nn.modules.conv.Conv3d",
    "torch.nn.modules.instancenorm.InstanceNorm2d",
    "torch.nn.modules.instancenorm.InstanceNorm3d",
    "torch.nn.modules.batchnorm.BatchNorm2d",
    "torch.nn.modules.batchnorm.BatchNorm3d",
    "torch.nn.modules.dropout.Dropout2d",
    "torch.nn.modules.dropout.Dropout3d",
    "torch.nn.LeakyReLU",
    "torch.nn.ReLU",
    "torch.nn.GELU",
]
Stage = Annotated[int, Field(ge=1, le=64)]
Stages = Annotated[tuple[Stage, ...], Field(min_length=1, max_length=16)]
Sizes = Annotated[
    tuple[tuple[Annotated[int, Field(ge=1, le=9)], ...], ...], Field(min_length=1, max_length=16)
]
Spacing = Annotated[float, Field(ge=0.05, le=100.0)]
Axis = Annotated[int, Field(ge=0, le=2)]
Resampler = Literal[
    "resample_data_or_seg_to_shape", "resample_torch_fornnunet", "no_resampling_hack"
]
Number = int | float | bool | None


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class UNetArguments(BaseModel):
    """Constructor arguments of one of nnU-Net's U-Nets."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    n_stages: Annotated[int, Field(ge=1, le=16)]
    features_per_stage: Annotated[
        tuple[Annotated[int, Field(ge=1, le=2048)], ...], Field(min_length=1, max_length=16)
    ]
    conv_op: Layer
    kernel_sizes: Sizes
    strides: Sizes
    n_conv_per_stage: Stages | None = None
    n_blocks_per_stage: Stages | None = None
    n_conv_per_stage_decoder: Annotated[tuple[Stage, ...], Field(max_length=16)]
    conv_bias: bool
    norm_op: Layer | None
    norm_op_kwargs: dict[str, Number] | None
    dropout_op: Layer | None
    dropout_op_kwargs: dict[str, Number] | None
    nonlin: Layer | None
    nonlin_kwargs: dict[str, Number] | None


class Architecture(_Record):
    """Class and arguments of the network."""

    network_class_name: str
    arch_kwargs: UNetArguments
    requires_import: Annotated[
        tuple[Literal["conv_op", "norm_op", "dropout_op", "nonlin"], ...],
        Field(alias="_kw_requires_import", max_length=4),
    ]


class Configuration(_Record):
    """One configuration, such as `2d`, with the values that it inherits."""

    preprocessor_name: Literal["DefaultPreprocessor"]
    patch_size: Annotated[
        tuple[Annotated[int, Field(ge=1, le=1024)], ...], Field(min_length=2, max_length=3)
    ]
    spacing: Annotated[tuple[Spacing, ...], Field(min_length=2, max_length=3)]
    normalization_schemes: tuple[
        Literal[
            "ZScoreNormalization",
            "CTNormalization",
            "NoNormalization",
            "RescaleTo01Normalization",
            "RGBTo01Normalization",
        ],
        ...,
    ]
    use_mask_for_norm: tuple[bool, ...]
    resampling_fn_data: Resampler
    resampling_fn_seg: Resampler
    resampling_fn_probabilities: Resampler
    resampling_fn_data_kwargs: dict[str, Number]
    resampling_fn_seg_kwargs: dict[str, Number]
    resampling_fn_probabilities_kwargs: dict[str, Number]
    architecture: Architecture
    previous_stage: str | None = None


class Plans(_Record):
    """`plans.json`: settings that all configurations share, and the configurations, unchecked."""

    configurations: dict[str, dict[str, Any]]
    transpose_forward: tuple[Axis, Axis, Axis]
    transpose_backward: tuple[Axis, Axis, Axis]
    image_reader_writer: Literal["SimpleITKIO", "NibabelIO"]
    foreground_intensity_properties_per_channel: dict[str, dict[str, float]]
    label_manager: Literal["LabelManager"] = "LabelManager"


class Dataset(_Record):
    """`dataset.json`: labels and channels of the training data."""

    labels: dict[str, int | tuple[int, ...]]
    regions_class_order: tuple[int, ...] | None = None
    channel_names: Annotated[dict[str, str], Field(min_length=1, max_length=7)]


class Description:
    """Plans and data set of a results folder, raw for nnU-Net and as checked records.

    Args:
        results: The folder.
        regions: Labels of the export that it was trained on; without them, overlapping labels
            are refused.

    Raises:
        RunError: If a file is no such record, or holds settings that plgg does not run.
    """

    def __init__(self, results: Path, regions: Sequence[Label] = ()) -> None:
        self.results = results
        self.raw_plans = _json(results / PLANS)
        self.raw_dataset = _json(results / DATASET)
        self.plans = _fitting(self.raw_plans, Plans, results / PLANS)
        self.dataset = _fitting(self.raw_dataset, Dataset, results / DATASET)
        self.n_regions = len(regions) if len(regions) > 1 else 0
        if regions:
            self._require_regions(regions)
        elif any(isinstance(label, tuple) for label in self.dataset.labels.values()):
            raise _refused(
                results / DATASET, "its labels are regions that overlap, and not those of an export"
            )
        if self.dataset.labels.get("background") != 0 or len(self.dataset.labels) < 2:
            raise _refused(results / DATASET, "its labels are not background, 0, and others")
        there, back = self.plans.transpose_forward, self.plans.transpose_backward
        if [there[axis] for axis in back] != [0, 1, 2]:
            raise _refused(results / PLANS, "its axes are not those of a volume")

    def _require_regions(self, regions: Sequence[Label]) -> None:
        """Check that the outputs are these regions in this order, as the export wrote them."""
        wanted = nnunet_labels(regions)
        names = [
            (name, [*label] if isinstance(label, tuple) else label)
            for name, label in self.dataset.labels.items()
        ]
        order = list(self.dataset.regions_class_order or ())
        if (names, order) != ([*wanted["labels"].items()], wanted.get("regions_class_order", [])):
            raise _refused(
                self.results / DATASET, "its labels are not those that its data set was written of"
            )

    @property
    def n_channels(self) -> int:
        """Input channels of the network."""
        return len(self.dataset.channel_names)

    def require_configuration(self, raw: dict[str, Any]) -> Configuration:
        """Check one configuration.

        Args:
            raw: As nnU-Net reads it, with the values that it inherits.

        Raises:
            RunError: If it is a cascade, or names what is not nnU-Net's own.
        """
        where = self.results / PLANS
        found = _fitting(raw, Configuration, where)
        name = found.architecture.network_class_name
        if name not in NETWORKS:
            raise _refused(where, f"its network {name[:60]!a} is none of nnU-Net's U-Nets")
        if found.previous_stage:
            raise _refused(where, "it is a cascade, which needs another network's answer first")
        if math.prod(found.patch_size) > _MOST_VOXELS:
            raise _refused(where, "its patches are larger than any scan")
        if len(found.spacing) != len(found.patch_size):
            raise _refused(where, "its spacing and its patches differ in dimensions")
        return found


def _json(path: Path) -> dict[str, Any]:
    try:
        raw = read_json(path)
    except JsonError as fault:
        raise RunError(f"cannot be read ({fault.fault})", where=path, remedy=_AGAIN) from fault
    if not isinstance(raw, dict):
        raise RunError("is no record", where=path, remedy=_AGAIN)
    return raw


def _fitting(raw: object, model: type[Fitting], path: Path) -> Fitting:
    try:
        return as_record(raw, model)
    except JsonError as fault:
        raise RunError(
            f"is not as nnU-Net v2 writes it ({fault.fault})", where=path, remedy=_AGAIN
        ) from fault


def _refused(path: Path, why: str) -> RunError:
    return RunError(
        f"is of a network that plgg does not run: {why}",
        where=path,
        remedy="Train 2d or 3d_fullres with labels background and tumour.",
    )
