"""Every setting of plgg: typed, frozen, unknown keys refused; defaults live here alone."""

from plgg.config.load import config_from_json, preset, same_preprocessing, with_atlas, with_settings
from plgg.config.presets import PRESETS
from plgg.config.schema import (
    Arm,
    Augmentation,
    Config,
    GridConfig,
    InferenceConfig,
    LossConfig,
    MarkerHeadConfig,
    ModelConfig,
    OptimiserConfig,
    PatchConfig,
    PreprocessConfig,
)

__all__ = [
    "PRESETS",
    "Arm",
    "Augmentation",
    "Config",
    "GridConfig",
    "InferenceConfig",
    "LossConfig",
    "MarkerHeadConfig",
    "ModelConfig",
    "OptimiserConfig",
    "PatchConfig",
    "PreprocessConfig",
    "config_from_json",
    "preset",
    "same_preprocessing",
    "with_atlas",
    "with_settings",
]
