"""The texts of a MONAI bundle: how to run it, what it is, and a page to read."""

from __future__ import annotations

from typing import Any

import monai
import numpy as np
import torch

import plgg
from plgg.config import Config
from plgg.io.codes import STEP
from plgg.io.markdown import escaped
from plgg.model.checkpoint import Meta

# z-scores beyond are cut off, as the store's codes do.
_LARGEST = 127 * STEP
_SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/"
    "meta_schema_20240725.json"
)


def inference_config(config: Config) -> dict[str, Any]:
    """`configs/inference.json`."""
    return {
        "imports": [
            "$import glob",
            "$import os",
            "$import torch",
            "$from safetensors.torch import load_file",
        ],
        "bundle_root": ".",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "dataset_dir": "$os.path.join(@bundle_root, 'images')",
        "output_dir": "$os.path.join(@bundle_root, 'predictions')",
        "datalist": "$sorted(glob.glob(os.path.join(@dataset_dir, '*.nii*')))",
        **_network(config),
        "whole_network": {
            "_target_": "plgg.export.bundle.load_bundle",
            "folder": "@bundle_root",
        },
        "preprocessing": _compose(*_before(config)),
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': path} for path in @datalist]",
            "transform": "@preprocessing",
        },
        "dataloader": {"_target_": "DataLoader", "dataset": "@dataset", "batch_size": 1},
        "inferer": {"_target_": "SimpleInferer"},
        "postprocessing": _compose(*_after(config)),
        "evaluator": {
            "_target_": "SupervisedEvaluator",
            "device": "@device",
            "val_data_loader": "@dataloader",
            "network": "@network",
            "inferer": "@inferer",
            "postprocessing": "@postprocessing",
        },
        "run": ["$@evaluator.run()"],
    }


def is_monais(config: Config) -> bool:
    """Whether MONAI's network draws the same outline without plgg: no stem, no guided outline."""
    guided = config.arm == "multitask" and config.model.marker.guides_outline
    return config.model.stem == 1 and not guided


def _network(config: Config) -> dict[str, Any]:
    if not is_monais(config):
        return {
            "network_def": {
                "_target_": "plgg.export.bundle.load_outliner",
                "folder": "@bundle_root",
            },
            "network": "$@network_def.to(@device).eval()",
        }
    return {
        "network_def": _segresnet(config),
        "weights": "$load_file(os.path.join(@bundle_root, 'models', 'model.safetensors'))",
        "network": "$(@network_def.load_state_dict(@weights), @network_def.to(@device).eval())[1]",
    }


def _segresnet(config: Config) -> dict[str, Any]:
    model = config.model
    return {
        "_target_": "SegResNet",
        "spatial_dims": 3,
        "init_filters": model.init_filters,
        "in_channels": 1,
        "out_channels": 1,
        "norm": ["GROUP", {"num_groups": model.norm_groups}],
        "blocks_down": list(model.blocks_down),
        "blocks_up": list(model.blocks_up),
        "upsample_mode": "nontrainable",
    }


def _compose(*transforms: dict[str, Any]) -> dict[str, Any]:
    return {"_target_": "Compose", "transforms": list(transforms)}


def _before(config: Config) -> list[dict[str, Any]]:
    """From a stripped scan on the atlas grid to what the network wants."""
    limits = {"a_min": -_LARGEST, "a_max": _LARGEST, "b_min": -_LARGEST, "b_max": _LARGEST}
    return [
        {"_target_": "LoadImaged", "keys": "image", "reader": "NibabelReader"},
        {"_target_": "EnsureChannelFirstd", "keys": "image"},
        {"_target_": "Orientationd", "keys": "image", "axcodes": "LPS"},
        {"_target_": "CropForegroundd", "keys": "image", "source_key": "image", "margin": 2},
        {"_target_": "NormalizeIntensityd", "keys": "image", "nonzero": True},
        {"_target_": "ScaleIntensityRanged", "keys": "image", **limits, "clip": True},
        {
            "_target_": "DivisiblePadd",
            "keys": "image",
            "k": config.model.divisor,
            "method": "end",
        },
    ]


def _after(config: Config) -> list[dict[str, Any]]:
    """From logits to a mask on the grid of the input."""
    return [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
        {
            "_target_": "Invertd",
            "keys": "pred",
            "transform": "@preprocessing",
            "orig_keys": "image",
            "nearest_interp": False,
        },
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": config.inference.threshold or 0.5},
        {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
    ]


def metadata(meta: Meta) -> dict[str, Any]:
    """`configs/metadata.json`."""
    divisor, spacing = meta.config.model.divisor, meta.config.grid.spacing_mm
    side = f"{divisor}*n"
    shape = {"format": "magnitude", "modality": "MR", "num_channels": 1}
    return {
        "schema": _SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": f"exported by plgg {plgg.__version__}"},
        "monai_version": monai.__version__,
        "pytorch_version": str(torch.__version__).split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {"nibabel": "5.3", "safetensors": "0.4.5"},
        "name": "Outline of a pediatric low-grade glioma on FLAIR",
        "task": "Segmentation of pediatric low-grade glioma on one FLAIR MRI",
        "description": "SegResNet over the whole brain in one pass. For research use only.",
        "authors": "The plgg developers",
        "copyright": "The plgg developers",
        "intended_use": "Research only; not for diagnosis or treatment.",
        "checkpoint_sha256": meta.sha256,
        "marker_classes": list(meta.classes),
        "network_data_format": {
            "inputs": {
                "image": {
                    "type": "image",
                    **shape,
                    "spatial_shape": [side, side, side],
                    "dtype": "float32",
                    "value_range": [-_LARGEST, _LARGEST],
                    "is_patch_data": False,
                    "channel_def": {
                        "0": f"FLAIR, skull-stripped, on the SRI24 grid at {spacing:g} mm, z-scores"
                    },
                }
            },
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": 1,
                    "spatial_shape": [side, side, side],
                    "dtype": "float32",
                    "value_range": [],
                    "is_patch_data": False,
                    "channel_def": {"0": "logit of tumour"},
                }
            },
        },
    }


def readme(meta: Meta) -> str:
    """`docs/README.md`."""
    network = (
        "`network_def` is MONAI's `SegResNet`; `models/model.safetensors` are its weights, without "
        "a pickle."
        if is_monais(meta.config)
        else "`network_def` is plgg's own network, which MONAI has not: plgg must be installed. "
        "`models/*.safetensors` are its weights, without a pickle."
    )
    return f"""# Outline of a pediatric low-grade glioma on FLAIR

Exported by plgg {plgg.__version__} from the checkpoint with the SHA-256 `{meta.sha256}`.
For research use only.

{network}

    from monai.bundle import ConfigParser

    parser = ConfigParser()
    parser.read_config("configs/inference.json")
    parser["bundle_root"] = "."
    network = parser.get_parsed_content("network")

Its input is one FLAIR, skull-stripped and registered to the SRI24 atlas at
{meta.config.grid.spacing_mm:g} mm, as `plgg preprocess` makes it; `preprocessing` does the rest.
Its output is the logit of tumour. `python -m monai.bundle run --config_file configs/inference.json`
predicts what lies in `images` and needs pytorch-ignite.

With plgg installed, `whole_network` gives a dictionary: `segmentation`, `features`, and in the
multitask arm `marker`, the logits of {escaped(", ".join(meta.classes))}. They are not
calibrated here.
"""
