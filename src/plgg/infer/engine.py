"""The network over a whole brain box, in one pass or in overlapping windows.

Takes coded images as the store holds them and gives probabilities on the same box. Knows nothing
of files, of the native grid or of training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from plgg.config import InferenceConfig
from plgg.io.codes import decode
from plgg.model.device import Runtime
from plgg.model.network import MultitaskNet

_Answer = tuple[Tensor, Tensor | None]


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
    """Predict one brain box.

    Args:
        network: In evaluation mode, on the runtime's device.
        codes: Coded z-scores, shape (I, J, K).
        runtime: Device and precision.
        settings: One pass or windows; whether to average over mirror images.
    """
    image = torch.from_numpy(decode(codes))[None, None]
    mirrors: list[tuple[int, ...]] = [(), (2,)] if settings.mirror else [()]
    answers: list[_Answer] = []
    with torch.inference_mode():
        for axes in mirrors:
            seen = torch.flip(image, axes) if axes else image
            tumour, marker = _view(network, seen, runtime, settings)
            answers.append((torch.flip(tumour, axes) if axes else tumour, marker))
    tumour = torch.stack([answer[0] for answer in answers]).mean(dim=0)
    named = [answer[1] for answer in answers if answer[1] is not None]
    marker = torch.stack(named).mean(dim=0) if named else None
    return BoxPrediction(tumour[0, 0].numpy(), None if marker is None else marker.numpy())


def _view(
    network: MultitaskNet, image: Tensor, runtime: Runtime, settings: InferenceConfig
) -> _Answer:
    """Probabilities of tumour, (1, 1, i, j, k), and of the classes, (classes,)."""
    shape = image.shape[2:]
    named: list[Tensor] = []

    def one(part: Tensor) -> Tensor:
        with runtime.autocast():
            outputs = network(part.to(memory_format=torch.channels_last_3d))
        if "marker" in outputs:
            named.append(torch.softmax(outputs["marker"].cpu().double(), dim=1))
        segmentation: Tensor = outputs["segmentation"].float()
        return segmentation

    image = image.to(runtime.device)
    if settings.window is None:
        # Padded at the far ends, also in a mirror image, so that it gets the mirrored answer.
        logits = one(functional.pad(image, _padding(shape, network.divisor)))
        logits = logits[..., : shape[0], : shape[1], : shape[2]]
    else:
        logits = sliding_window_inference(
            image, settings.window, 1, one, overlap=0.5, mode="gaussian"
        )
    marker = torch.cat(named).mean(dim=0) if named else None
    return torch.sigmoid(logits).cpu(), marker


def _padding(shape: tuple[int, ...], divisor: int) -> list[int]:
    """Voxels to add at the end of each axis, in the order that torch wants: last axis first."""
    padding: list[int] = []
    for n in reversed(shape):
        padding += [0, -n % divisor]
    return padding
