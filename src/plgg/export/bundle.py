"""Write and load a MONAI bundle: MONAI's SegResNet with trained weights, configs and README.

    configs/inference.json          network_def, preprocessing, inferer, evaluator
    configs/metadata.json           what goes in, what comes out, versions
    models/model.safetensors        weights of monai.networks.nets.SegResNet: the outline
    models/marker.safetensors       weights of parts that MONAI lacks: the marker head, a guide
    models/settings.json            settings to rebuild the whole network with plgg
    docs/README.md

No pickle. Everything but the marker works without plgg, unless the network has a stem or a guided
outline, which MONAI's SegResNet does not have.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import monai
import numpy as np
import torch
from pydantic import BaseModel, ConfigDict
from safetensors.torch import save
from torch import Tensor, nn

import plgg
from plgg.config import EXPECTED_DICE, Config
from plgg.core.errors import RunError
from plgg.core.files import atomic_write, make_folder, write_json, write_text
from plgg.core.markdown import escaped
from plgg.core.records import read_record
from plgg.data.store_arrays import STEP
from plgg.measure.outline import DEFAULT_THRESHOLD
from plgg.model.checkpoint import Checkpoint, Meta, network_of, read_tensors
from plgg.model.network import MultitaskNet
from plgg.tasks.base import TaskRecord
from plgg.tasks.kinds import restore_tasks

MODEL, MARKER, SETTINGS = "model.safetensors", "marker.safetensors", "settings.json"
# In plgg the last layer is a separate head, in MONAI it is part of the network.
_BODY, _LAST, _THEIR_LAST = "backbone.", "heads.segmentation.", "conv_final."


class BundleSettings(BaseModel):
    """The contents of `models/settings.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: Config
    classes: tuple[str, ...]
    tasks: dict[str, TaskRecord] | None = None


def write_bundle(checkpoint: Checkpoint, network: MultitaskNet, folder: Path) -> None:
    """Write a bundle into a folder."""
    meta = checkpoint.meta
    tensors = network.state_dict()
    body = {_their_name(name): value for name, value in tensors.items() if _their_name(name)}
    head = {name: value for name, value in tensors.items() if not _their_name(name)}
    models = make_folder(folder / "models")
    _write_tensors(models / MODEL, body)
    if head:
        _write_tensors(models / MARKER, head)
    settings = {
        "config": meta.config.model_dump(mode="json"),
        "classes": list(meta.classes),
        "tasks": {name: record.model_dump(mode="json") for name, record in meta.auxiliary.items()},
    }
    write_json(models / SETTINGS, settings)
    write_json(folder / "configs" / "inference.json", inference_config(meta.config))
    write_json(folder / "configs" / "metadata.json", metadata(meta))
    write_text(folder / "docs" / "README.md", readme(meta))


def load_bundle(folder: str | Path) -> MultitaskNet:
    """Load the whole network from a bundle, with the marker head if it has one, for evaluation.

    Raises:
        RunError: If the bundle's settings cannot be read.
        CheckpointError: If its tensors do not fit them.
    """
    models = Path(folder) / "models"
    settings = read_record(
        models / SETTINGS,
        BundleSettings,
        error=RunError,
        what="holds no settings of a network",
        remedy="Export the bundle again: plgg export RUN --format monai-bundle.",
    )
    config, n_classes = settings.config, len(settings.classes)
    tensors = {_our_name(name): value for name, value in read_tensors(models / MODEL).items()}
    if (models / MARKER).is_file():
        tensors |= read_tensors(models / MARKER)
    tasks = None if settings.tasks is None else restore_tasks(settings.tasks, config.loss)
    return network_of(config, n_classes, tensors, where=models / MODEL, tasks=tasks).eval()


class Outliner(nn.Module):
    """The segmentation output of a whole network, as MONAI's network returns it."""

    def __init__(self, network: MultitaskNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Logits of tumour, (batch, 1, i, j, k), for z-scores of that shape."""
        outline: Tensor = self.network(image)["segmentation"]
        return outline


def load_outliner(folder: str | Path) -> Outliner:
    """Load the network of a bundle that MONAI's SegResNet cannot represent."""
    return Outliner(load_bundle(folder))


def _their_name(name: str) -> str:
    """MONAI's name of one of our weights; empty if MONAI has none."""
    if name.startswith(_BODY):
        return name.removeprefix(_BODY)
    return _THEIR_LAST + name.removeprefix(_LAST) if name.startswith(_LAST) else ""


def _our_name(name: str) -> str:
    if name.startswith(_THEIR_LAST):
        return _LAST + name.removeprefix(_THEIR_LAST)
    return _BODY + name


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    with atomic_write(path) as aside:
        aside.write_bytes(save({name: value.contiguous() for name, value in tensors.items()}))


# Limit of z-scores, as in the codes of the store.
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
    """Whether MONAI's SegResNet can represent the network: no stem, no guided outline."""
    guided = config.arm == "multitask" and config.model.marker.guides_outline
    return config.model.backbone == "segresnet" and config.model.stem == 1 and not guided


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
    """Transforms from a skull-stripped scan on the atlas grid to the input of the network."""
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
    """Transforms from logits to a mask on the grid of the input."""
    return [
        {"_target_": "Activationsd", "keys": "pred", "sigmoid": True},
        {
            "_target_": "Invertd",
            "keys": "pred",
            "transform": "@preprocessing",
            "orig_keys": "image",
            "nearest_interp": False,
        },
        {"_target_": "AsDiscreted", "keys": "pred", "threshold": _threshold(config)},
        {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@output_dir"},
    ]


def _threshold(config: Config) -> float:
    """The threshold in the settings; the plain one instead of a threshold for each scan."""
    asked = config.inference.threshold
    return DEFAULT_THRESHOLD if asked is None or asked == EXPECTED_DICE else asked


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
