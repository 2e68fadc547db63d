"""A MONAI bundle: MONAI's own network with these weights, and how to run it.

    configs/inference.json          network_def, preprocessing, inferer, evaluator
    configs/metadata.json           what goes in, what comes out, versions
    models/model.safetensors        weights of monai.networks.nets.SegResNet: the outline
    models/marker.safetensors       weights of what plgg alone can build: the marker head, a guide
    models/settings.json            by which plgg builds the whole network again
    docs/README.md

No pickle. Everything but the marker works without plgg, unless the network has a stem or a guided
outline, which MONAI's has not.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict
from safetensors.torch import save
from torch import Tensor, nn

from plgg.config import Config
from plgg.errors import RunError
from plgg.export.bundle_configs import inference_config, metadata, readme
from plgg.io.files import make_folder, write_json, write_text, written_aside
from plgg.io.json_records import read_record
from plgg.model.checkpoint import Checkpoint, network_of, read_tensors
from plgg.model.network import MultitaskNet

MODEL, MARKER, SETTINGS = "model.safetensors", "marker.safetensors", "settings.json"
# Ours: the last layer is a head beside the backbone. MONAI's: it is the backbone's own.
_BODY, _LAST, _THEIR_LAST = "backbone.", "heads.segmentation.", "conv_final."


class BundleSettings(BaseModel):
    """The contents of `models/settings.json`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: Config
    classes: tuple[str, ...]


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
    settings = {"config": meta.config.model_dump(mode="json"), "classes": list(meta.classes)}
    write_json(models / SETTINGS, settings)
    write_json(folder / "configs" / "inference.json", inference_config(meta.config))
    write_json(folder / "configs" / "metadata.json", metadata(meta))
    write_text(folder / "docs" / "README.md", readme(meta))


def load_bundle(folder: str | Path) -> MultitaskNet:
    """The whole network from a bundle, with the marker head if it has one; it evaluates.

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
    return network_of(config, n_classes, tensors, where=models / MODEL).eval()


class Outliner(nn.Module):
    """The outline alone of a whole network, as MONAI's network gives it."""

    def __init__(self, network: MultitaskNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> Tensor:
        """Logits of tumour, (batch, 1, i, j, k), for z-scores of that shape."""
        outline: Tensor = self.network(image)["segmentation"]
        return outline


def load_outliner(folder: str | Path) -> Outliner:
    """What a bundle runs whose outline MONAI's own network cannot draw."""
    return Outliner(load_bundle(folder))


def _their_name(name: str) -> str:
    """MONAI's name of a weight of ours; empty for what MONAI has not."""
    if name.startswith(_BODY):
        return name.removeprefix(_BODY)
    return _THEIR_LAST + name.removeprefix(_LAST) if name.startswith(_LAST) else ""


def _our_name(name: str) -> str:
    if name.startswith(_THEIR_LAST):
        return _LAST + name.removeprefix(_THEIR_LAST)
    return _BODY + name


def _write_tensors(path: Path, tensors: dict[str, Tensor]) -> None:
    with written_aside(path) as aside:
        aside.write_bytes(save({name: value.contiguous() for name, value in tensors.items()}))
