"""All settings of plgg as typed, frozen records with their defaults; unknown keys are refused."""

from plgg.config.base import EXPECTED_DICE, SEQUENCES, Arm, Sequence, Threshold
from plgg.config.labels import Label
from plgg.config.load import (
    config_from_json,
    config_from_record,
    preset,
    same_preprocessing,
    with_atlas,
    with_settings,
)
from plgg.config.network import MarkerHeadConfig, ModelConfig
from plgg.config.scan import GridConfig, InferenceConfig, PreprocessConfig
from plgg.config.schema import PRESETS, Config
from plgg.config.tasks import MARKER, SEGMENTATION, TaskConfig
from plgg.config.training import (
    Augmentation,
    ExecutionConfig,
    InitConfig,
    LossConfig,
    OptimiserConfig,
    PatchConfig,
    Weighting,
)

__all__ = [
    "EXPECTED_DICE",
    "MARKER",
    "PRESETS",
    "SEGMENTATION",
    "SEQUENCES",
    "Arm",
    "Augmentation",
    "Config",
    "ExecutionConfig",
    "GridConfig",
    "InferenceConfig",
    "InitConfig",
    "Label",
    "LossConfig",
    "MarkerHeadConfig",
    "ModelConfig",
    "OptimiserConfig",
    "PatchConfig",
    "PreprocessConfig",
    "Sequence",
    "TaskConfig",
    "Threshold",
    "Weighting",
    "config_from_json",
    "config_from_record",
    "preset",
    "same_preprocessing",
    "with_atlas",
    "with_settings",
]
