"""An engine over a whole brain box, in one pass or in overlapping windows.

Takes coded images as the store holds them and gives probabilities on the same box. Knows nothing
of files, of the native grid or of training.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, softmax

from plgg.config import InferenceConfig
from plgg.data.store_arrays import decode
from plgg.predict.engine import Answer, Engine
from plgg.predict.memory import Shape, padded, window_for

_OVERLAP = 0.5
_Known = NDArray[np.float64] | None


@dataclass(frozen=True, eq=False)
class BoxPrediction:
    """What a network says of a brain box.

    Attributes:
        tumour: Probability of tumour, mean of the views, float32, shape of the box.
        marker: Probability of each class, float64, shape (classes,); None without that head.
        features: Pooled bottleneck, float32, shape (channels,).
        views: Probability of tumour as seen in each mirror image, turned back.
        window: Voxels of the windows that it was seen through; None for one pass.
    """

    tumour: NDArray[np.float32]
    marker: NDArray[np.float64] | None
    features: NDArray[np.float32]
    views: tuple[NDArray[np.float32], ...]
    window: Shape | None


@dataclass(frozen=True, eq=False)
class _View:
    """Probabilities and features of one look at the box."""

    tumour: NDArray[np.float32]
    marker: NDArray[np.float64] | None
    features: NDArray[np.float32]


def predict_box(
    engine: Engine,
    codes: NDArray[np.int8],
    settings: InferenceConfig,
    *,
    known: NDArray[np.float64] | None = None,
    measure: bool = True,
) -> BoxPrediction:
    """Predict one brain box.

    Args:
        engine: What runs the network.
        codes: Coded z-scores, shape (I, J, K).
        settings: One pass or windows; whether to average over mirror images.
        known: Logits that age and sex add to the marker's, shape (classes,).
        measure: Whether one pass must fit into memory. Where a training step has just fitted it
            will, and how good an epoch is must not depend on what else the machine does.

    Raises:
        RunError: If not even a small window fits into memory.
    """
    image = decode(codes)
    i, j, k = image.shape
    window = window_for(engine, (i, j, k), settings) if measure else settings.window
    seen = [_view(engine, image, window, known)]
    if settings.mirror:
        mirrored = _view(engine, image[::-1], window, known)
        seen.append(_View(mirrored.tumour[::-1], mirrored.marker, mirrored.features))
    views = tuple(view.tumour for view in seen)
    named = [view.marker for view in seen if view.marker is not None]
    return BoxPrediction(
        tumour=np.mean(views, axis=0, dtype=np.float32) if len(views) > 1 else views[0],
        marker=np.mean(named, axis=0) if named else None,
        features=np.mean([view.features for view in seen], axis=0, dtype=np.float32),
        views=views,
        window=window,
    )


def _view(engine: Engine, image: NDArray[np.float32], window: Shape | None, known: _Known) -> _View:
    if window is None:
        return _one_pass(engine, image, known)
    return _in_windows(engine, image, window, known)


def _one_pass(engine: Engine, image: NDArray[np.float32], known: _Known) -> _View:
    """Padded at the far ends, also in a mirror image, so that it gets the mirrored answer."""
    i, j, k = image.shape
    whole = padded((i, j, k), engine.divisor)
    answer = engine(np.pad(image, [(0, n - m) for n, m in zip(whole, image.shape, strict=True)]))
    logits = np.ascontiguousarray(answer.segmentation[:i, :j, :k])
    return _View(expit(logits), _probabilities(answer, known), answer.features)


def _in_windows(engine: Engine, image: NDArray[np.float32], window: Shape, known: _Known) -> _View:
    """Gaussian weights on the logits; markers and features are averaged over the windows."""
    import torch
    from monai.inferers import sliding_window_inference

    answers: list[Answer] = []

    def one(part: torch.Tensor) -> torch.Tensor:
        answers.append(engine(part[0, 0].numpy()))
        return torch.from_numpy(answers[-1].segmentation)[None, None]

    tensor = torch.from_numpy(np.ascontiguousarray(image))[None, None]
    logits = sliding_window_inference(tensor, window, 1, one, overlap=_OVERLAP, mode="gaussian")
    said = [_probabilities(answer, known) for answer in answers]
    named = [marker for marker in said if marker is not None]
    return _View(
        expit(logits[0, 0].numpy()),
        np.mean(named, axis=0) if named else None,
        np.mean([answer.features for answer in answers], axis=0, dtype=np.float32),
    )


def _probabilities(answer: Answer, known: _Known) -> NDArray[np.float64] | None:
    if answer.marker is None:
        return None
    logits = answer.marker if known is None else answer.marker + known
    return np.asarray(softmax(logits), dtype=np.float64)
