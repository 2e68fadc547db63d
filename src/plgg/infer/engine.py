"""The network over a whole brain box in one pass.

Takes coded images as the store holds them and gives probabilities on the same box. Knows nothing
of files, of the native grid or of training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from plgg.config import InferenceConfig
from plgg.io.codes import decode
from plgg.model.device import Runtime
from plgg.model.network import MultitaskNet


@dataclass(frozen=True, eq=False)
class BoxPrediction:
    """What the network says of a brain box.

    Attributes:
        tumour: Probability of tumour, float32, shape of the box.
        marker: Probability of each class, float64, shape (classes,); None without that head.
    """

    tumour: NDArray[np.float32]
    marker: NDArray[np.float64] | None


def predict_box(
    network: MultitaskNet, codes: NDArray[np.int8], runtime: Runtime, settings: InferenceConfig
) -> BoxPrediction:
    """Predict one brain box, padded with background to the network's divisor.

    Args:
        network: In evaluation mode, on the runtime's device.
        codes: Coded z-scores, shape (I, J, K).
        runtime: Device and precision.
        settings: Whether to average over mirror images.
    """
    image = torch.from_numpy(decode(codes))[None, None]
    views: list[tuple[int, ...]] = [(), (2,)] if settings.mirror else [()]
    with torch.inference_mode():
        answers = [_view(network, image, axes, runtime) for axes in views]
    tumour = torch.stack([answer[0] for answer in answers]).mean(dim=0)
    named = [answer[1] for answer in answers if answer[1] is not None]
    marker = torch.stack(named).mean(dim=0).double().numpy() if named else None
    return BoxPrediction(tumour.numpy(), marker)


def _view(
    network: MultitaskNet, image: Tensor, axes: tuple[int, ...], runtime: Runtime
) -> tuple[Tensor, Tensor | None]:
    i, j, k = image.shape[2:]
    # Padded after mirroring, at the same ends: a mirrored scan gets exactly the mirrored answer.
    seen = torch.flip(image, axes) if axes else image
    seen = functional.pad(seen, _padding((i, j, k), network.divisor))
    seen = seen.to(runtime.device, memory_format=torch.channels_last_3d)
    with runtime.autocast():
        outputs = network(seen)
    logits = outputs["segmentation"][..., :i, :j, :k].float()
    tumour = torch.sigmoid(torch.flip(logits, axes) if axes else logits)[0, 0].cpu()
    if "marker" not in outputs:
        return tumour, None
    return tumour, torch.softmax(outputs["marker"].cpu().double(), dim=1)[0]


def _padding(shape: tuple[int, ...], divisor: int) -> list[int]:
    """Voxels to add at the end of each axis, in the order that torch wants: last axis first."""
    padding: list[int] = []
    for n in reversed(shape):
        padding += [0, -n % divisor]
    return padding
