"""Whole-brain inference: one pass or sliding windows, with test-time augmentation.

The input is a coded image as in the store, the output probabilities on the same brain box. Files
and the native grid are handled elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from plgg.config import MARKER, InferenceConfig
from plgg.core.volume import Volume
from plgg.data.inputs import stack_neighbours
from plgg.data.store_arrays import OUTSIDE, decode
from plgg.predict.engine import Answer, Engine
from plgg.predict.memory import Shape, padded, window_for
from plgg.predict.zoom import resized, zoomed, zoomed_shape
from plgg.tasks.base import AuxiliaryTask

_OVERLAP = 0.5
# Slices whose largest tumour probability is lower are skipped at the other zooms (ADR 24).
_MIN_ZOOM_PROBABILITY = 0.1


@dataclass(frozen=True, eq=False)
class BoxPrediction:
    """Prediction of a network for a brain box.

    Attributes:
        tumour: Probability of tumour, mean of the views, float32, shape of the box.
        tasks: Answer of each other task at the first zoom, mean of the mirror images, float64,
            shape (n,).
        features: Pooled bottleneck, likewise, float32, shape (channels,).
        views: Probability of tumour at each zoom and mirror image, transformed back to the box.
        window: Shape of the first sliding windows that were used; None for one pass at every
            zoom.
        native: Probability on the native grid, of a network that predicts on it; else None.
        inner: Probability of each region within the tumour, shape (R - 1, I, J, K); None without.
    """

    tumour: NDArray[np.float32]
    tasks: dict[str, NDArray[np.float64]]
    features: NDArray[np.float32]
    views: tuple[NDArray[np.float32], ...]
    window: Shape | None
    native: Volume | None = None
    inner: NDArray[np.float32] | None = None

    @property
    def marker(self) -> NDArray[np.float64] | None:
        """Probability of each class, shape (classes,); None without that head."""
        return self.tasks.get(MARKER)


@dataclass(frozen=True, eq=False)
class _View:
    """Output of one test-time augmentation: probabilities of regions, task answers, features."""

    outlines: NDArray[np.float32]
    tasks: dict[str, NDArray[np.float64]]
    features: NDArray[np.float32]

    def mirrored(self) -> _View:
        """The same, with left and right exchanged."""
        return replace(self, outlines=self.outlines[:, ::-1])

    def at_size(self, shape: Sequence[int]) -> _View:
        """The same, resized to the voxels of the box."""
        i, j, k = shape
        return replace(self, outlines=resized(self.outlines, (i, j, k)))

    def with_slices(self, slices: NDArray[np.intp], other: _View) -> _View:
        """The same, with some slices replaced by those of another view."""
        outlines = self.outlines.copy()
        outlines[..., slices] = other.outlines
        return replace(self, outlines=outlines)


@dataclass(frozen=True, eq=False)
class _AuxiliaryTasks:
    """The auxiliary tasks, which convert outputs of their heads into answers."""

    tasks: Mapping[str, AuxiliaryTask]
    known: Mapping[str, NDArray[np.float64]]

    def answers(self, found: Answer) -> dict[str, NDArray[np.float64]]:
        """The answer of each task."""
        return {
            name: task.answer(found.tasks[name] + self.known.get(name, 0.0))
            for name, task in self.tasks.items()
            if name in found.tasks
        }

    def combined(
        self, answers: Sequence[dict[str, NDArray[np.float64]]]
    ) -> dict[str, NDArray[np.float64]]:
        """Combine the answers of several views."""
        return {
            name: task.combine([answer[name] for answer in answers])
            for name, task in self.tasks.items()
            if name in answers[0]
        }


def predict_box(
    engine: Engine,
    codes: NDArray[np.int8],
    settings: InferenceConfig,
    *,
    known: Mapping[str, NDArray[np.float64]] | None = None,
    measure: bool = True,
    tasks: Mapping[str, AuxiliaryTask] | None = None,
    offsets: Sequence[int] = (0,),
) -> BoxPrediction:
    """Predict one brain box.

    Args:
        engine: Runs the network.
        codes: Coded z-scores, shape (C, I, J, K), or (I, J, K) of one sequence.
        settings: One pass or windows; the zooms and mirror images to average over.
        known: What age and sex add to the output of each task, shape (n,).
        measure: Whether to use windows where one pass does not fit into free memory. Validation
            sets False, so that its scores do not depend on the load of the machine.
        tasks: Auxiliary tasks to answer; by default none.
        offsets: Of the slices that are channels, 0 for the slice itself (`plgg.data.inputs`).

    Raises:
        RunError: If not even a small window fits into memory.
    """
    if codes.ndim == 3:
        codes = codes[None]
    asked = _AuxiliaryTasks(tasks or {}, known or {})
    sliced = engine.divisors[2] == 1
    *plane, depth = codes.shape[1:]

    def looks(zoom: float, slices: NDArray[np.intp] | None) -> tuple[list[_View], Shape | None]:
        image = stack_neighbours(_network_image(codes, zoom, in_plane=sliced), offsets)
        if slices is not None:
            image = image[..., slices]
        _, i, j, k = image.shape
        window = window_for(engine, (i, j, k), settings) if measure else settings.window
        found = [_view(engine, image, window, asked)]
        if settings.mirror:
            found.append(_view(engine, image[:, ::-1], window, asked).mirrored())
        size = (*plane, depth if slices is None else k)
        return [look.at_size(size) for look in found], window

    first, window = looks(settings.zooms[0], None)
    slices = _suspicious_slices(first) if sliced else None
    together = list(first)
    for zoom in settings.zooms[1:]:
        if slices is not None and not len(slices):
            together += first
            continue
        further, through = looks(zoom, slices)
        window = window or through
        if slices is not None:
            further = [a.with_slices(slices, b) for a, b in zip(first, further, strict=True)]
        together += further
    views = tuple(look.outlines[0] for look in together)
    inner = [look.outlines[1:] for look in together if len(look.outlines) > 1]
    return BoxPrediction(
        tumour=np.mean(views, axis=0, dtype=np.float32) if len(views) > 1 else views[0],
        tasks=asked.combined([look.tasks for look in first]),
        features=np.mean([look.features for look in first], axis=0, dtype=np.float32),
        views=views,
        window=window,
        inner=np.mean(inner, axis=0, dtype=np.float32) if inner else None,
    )


def _network_image(codes: NDArray[np.int8], zoom: float, *, in_plane: bool) -> NDArray[np.float32]:
    image = decode(codes)
    if zoom == 1:
        return image
    _, i, j, k = image.shape
    return zoomed(image, codes != OUTSIDE, zoomed_shape((i, j, k), zoom, in_plane=in_plane))


def _suspicious_slices(looks: Sequence[_View]) -> NDArray[np.intp]:
    """Indices of the slices where the mean of these views shows possible tumour."""
    mean = np.mean([look.outlines[0] for look in looks], axis=0)
    return np.flatnonzero(mean.max(axis=(0, 1)) >= _MIN_ZOOM_PROBABILITY)


def _view(
    engine: Engine, image: NDArray[np.float32], window: Shape | None, asked: _AuxiliaryTasks
) -> _View:
    if window is None:
        return _one_pass(engine, image, asked)
    return _in_windows(engine, image, window, asked)


def _one_pass(engine: Engine, image: NDArray[np.float32], asked: _AuxiliaryTasks) -> _View:
    """Run the network on the whole image, padded at the far end of each axis."""
    _, i, j, k = image.shape
    whole = padded((i, j, k), engine.divisors)
    answer = engine(
        np.pad(image, [(0, 0), *((0, n - m) for n, m in zip(whole, (i, j, k), strict=True))])
    )
    logits = np.ascontiguousarray(answer.outlines[:, :i, :j, :k])
    return _View(expit(logits), asked.answers(answer), answer.features)


def _in_windows(
    engine: Engine, image: NDArray[np.float32], window: Shape, asked: _AuxiliaryTasks
) -> _View:
    """Run sliding windows: Gaussian weights on logits; means of task answers and features."""
    import torch
    from monai.inferers import sliding_window_inference

    answers: list[Answer] = []

    def one(part: torch.Tensor) -> torch.Tensor:
        answers.append(engine(part[0].numpy()))
        return torch.from_numpy(answers[-1].outlines)[None]

    tensor = torch.from_numpy(np.ascontiguousarray(image))[None]
    logits = sliding_window_inference(tensor, window, 1, one, overlap=_OVERLAP, mode="gaussian")
    return _View(
        expit(logits[0].numpy()),
        asked.combined([asked.answers(answer) for answer in answers]),
        np.mean([answer.features for answer in answers], axis=0, dtype=np.float32),
    )
