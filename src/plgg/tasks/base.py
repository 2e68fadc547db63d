"""`Task` and `AuxiliaryTask`: target, head, loss, answer, calibration and metrics of a task.

Each kind of task is a class in a file of its own, listed in `KINDS`. Other packages add kinds by
`register_kind`, or by an entry point of the group `plgg.tasks`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from torch import Tensor, nn

from plgg.config import LossConfig
from plgg.core.case_id import ClassNames
from plgg.data.result import TaskAnswer

Array = NDArray[np.float64]


class TaskRecord(BaseModel):
    """Record of a task in a checkpoint.

    Attributes:
        kind: A name in `KINDS`.
        column: Column of the manifest with the target.
        classes: Of a classification, in the order of the outputs.
        numbers: Values fitted to the training part, such as `mean` and `std`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    kind: str
    column: str
    classes: ClassNames = ()
    numbers: dict[str, float] = {}


class Target(NamedTuple):
    """Targets of some patches: a value each, and whether it is known."""

    value: Tensor
    known: Tensor

    def to(self, device: torch.device) -> Target:
        """The same on a device."""
        return Target(self.value.to(device, non_blocking=True), self.known.to(device))


@dataclass(frozen=True)
class BodySpec:
    """Backbone features that a task head can be built on.

    Attributes:
        channels: Of the bottleneck.
        divisors: Voxels of the image along each side of a voxel of the bottleneck.
        make_head: Makes the usual head, fully connected layers on the bottleneck, from its
            number of outputs.
        make_map: Makes a head on the finest decoded features, built as the segmentation head.
    """

    channels: int
    divisors: tuple[int, int, int]
    make_head: Callable[[int], nn.Module]
    make_map: Callable[[], nn.Module]


@dataclass(frozen=True)
class Column:
    """Targets of a column, which a task is fitted to.

    Attributes:
        all: Of every case of the store; None where unknown.
        train: Of the training part.
        where: The store, for messages.
        classes: In the order of the store; empty where the store has none for the column.
    """

    all: Sequence[str | None]
    train: Sequence[str | None]
    where: str = ""
    classes: tuple[str, ...] = ()


class Task(Protocol):
    """Interface of a task of the network; new kinds derive from `AuxiliaryTask`."""

    name: str

    def loss(
        self, outputs: Mapping[str, Any], target: Target, *, n_known: int | None = None
    ) -> Tensor:
        """The loss on a batch, or on a piece of one; unknown targets give no gradient.

        Args:
            outputs: Of the network, by head.
            target: The targets.
            n_known: Number of known targets of the whole batch, if this is a piece of one, so that
                losses of pieces add up. By default this is the whole batch.
        """


class AuxiliaryTask:
    """Base class of tasks beside the segmentation: one target, head and answer for each scan.

    A kind overrides the methods that differ. Outputs, answers and targets are arrays of one scan,
    shape (n,), unless said otherwise.

    Args:
        name: Of the task, its head, its loss.
        record: The fitted record.
        settings: Forms of the losses.
    """

    kind: ClassVar[str]
    lower_is_better: ClassVar[frozenset[str]] = frozenset()
    """Names of metrics for which lower is better."""

    def __init__(self, name: str, record: TaskRecord, settings: LossConfig) -> None:
        self.name, self.record, self.settings = name, record, settings

    @classmethod
    def fit(cls, name: str, column: str, targets: Column, settings: LossConfig) -> Self:
        """Fit the task to the targets of the training part.

        Raises:
            ConfigError: If nothing can be learned of the column.
        """
        raise NotImplementedError

    @property
    def n_outputs(self) -> int:
        """Number of outputs of the head."""
        return 1

    def head(self, body: BodySpec) -> nn.Module:
        """The head: called with bottleneck, image, segmentation and patient; gives (batch, n)."""
        return body.make_head(self.n_outputs)

    def encode(self, text: str | None) -> float:
        """A target as a number; NaN where it is unknown.

        Raises:
            InputError: If it is no target of this task.
        """
        raise NotImplementedError

    def target(self, texts: Sequence[str | None]) -> Target:
        """Targets of many scans."""
        values = torch.tensor([self.encode(text) for text in texts], dtype=torch.float64)
        known = torch.isfinite(values)
        return Target(torch.where(known, values, 0.0), known)

    def loss(
        self, outputs: Mapping[str, Any], target: Target, *, n_known: int | None = None
    ) -> Tensor:
        """Sum of the losses of the known targets over their number."""
        output: Tensor = outputs[self.name]
        if not bool(target.known.any()):
            return output.sum() * 0.0
        each = self.losses(output[target.known].float(), target.value[target.known])
        return each.sum() / (n_known or int(target.known.sum()))

    def losses(
        self, output: Float[Tensor, "batch n"], value: Float[Tensor, " batch"]
    ) -> Float[Tensor, " batch"]:
        """The loss of each patch; all targets are known."""
        raise NotImplementedError

    def fits(self, other: TaskRecord) -> bool:
        """Whether answers of both tasks can be averaged: same kind, column and classes."""
        mine = self.record
        return (mine.kind, mine.column, mine.classes) == (other.kind, other.column, other.classes)

    def answer(self, output: Array) -> Array:
        """Convert an output of the head into an answer, which can be averaged over networks."""
        return output

    def comparable(self, output: Array) -> Array:
        """Scale an output so that the tolerance of exports, 0.003, applies to it."""
        return self.answer(output)

    def combine(self, answers: Sequence[Array]) -> Array:
        """One answer of several: their mean."""
        return np.asarray(np.mean(answers, axis=0))

    def calibrate(
        self, answers: Array, texts: Sequence[str], patients: Sequence[str]
    ) -> dict[str, float] | None:
        """Fit the calibration to validation patients; None where they are too few.

        Args:
            answers: Shape (scans, n).
            texts: The true values.
            patients: The patient of each scan.
        """
        del answers, texts, patients
        return None

    def calibrated(self, answer: Array, rule: Mapping[str, float]) -> Array:
        """Apply a calibration to an answer."""
        del rule
        return answer

    def recall(self, said: TaskAnswer) -> Array:
        """The answer as an array again, from a record that `describe` made."""
        if said.probabilities:
            return np.array(list(said.probabilities.values()), dtype=np.float64)
        return np.array([np.nan if said.value is None else said.value], dtype=np.float64)

    def describe(self, answer: Array, rules: Sequence[Mapping[str, float]]) -> TaskAnswer:
        """The record of an answer for result.json; `rules` are the networks' calibrations."""
        raise NotImplementedError

    def scores(self, answers: Sequence[TaskAnswer], texts: Sequence[str]) -> dict[str, float]:
        """The task's metrics over some scans; those that are undefined are left out."""
        if not answers:
            return {}
        each = [self.case_scores(a, t) for a, t in zip(answers, texts, strict=True)]
        names = dict.fromkeys(name for one in each for name in one)
        means = {name: float(np.mean([o[name] for o in each if name in o])) for name in names}
        found = means | self.metrics(answers, texts)
        return {name: value for name, value in found.items() if np.isfinite(value)}

    @classmethod
    def case_scores(cls, answer: TaskAnswer, text: str) -> dict[str, float]:
        """Scores of one scan; their means over scans are metrics."""
        del answer, text
        return {}

    @classmethod
    def metrics(cls, answers: Sequence[TaskAnswer], texts: Sequence[str]) -> dict[str, float]:
        """Metrics that are defined only over several scans."""
        del answers, texts
        return {}


__all__ = [
    "Array",
    "AuxiliaryTask",
    "BodySpec",
    "Column",
    "Target",
    "Task",
    "TaskAnswer",
    "TaskRecord",
]
