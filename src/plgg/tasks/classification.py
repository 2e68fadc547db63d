"""Classification: class-weighted cross-entropy, calibrated probabilities, AUC.

The genetic marker is a classification; any other column of names can be one, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.special import softmax
from torch import Tensor
from torch.nn import functional

from plgg.config import LossConfig
from plgg.core.errors import ConfigError, InputError
from plgg.metrics.calibration import apply_temperature, fit_temperature, log_probabilities
from plgg.metrics.classification import balanced_accuracy, macro_auc
from plgg.tasks.base import Array, AuxiliaryTask, Column, Target, TaskAnswer, TaskRecord

_FEWEST_SCANS = 5


def marker_loss(
    logits: Float[Tensor, "batch classes"],
    marker: Int[Tensor, " batch"],
    weights: Float[Tensor, " classes"],
    *,
    n_known: int | None = None,
) -> Tensor:
    """Weighted cross-entropy over the samples whose marker is known (≥ 0).

    L = Σ w_c(n) · (-log softmax(logits)_c(n)) / N over the N known samples. Dividing by N rather
    than by Σ w keeps the weight of a rare class when a batch holds only that class.

    Args:
        logits: Raw output of the branch.
        marker: Class index, -1 where unknown.
        weights: w.
        n_known: N of the whole batch that this is a piece of; by default this is all of it.

    Returns:
        Scalar; 0 without gradient where no marker is known.
    """
    known = marker >= 0
    if not bool(known.any()):
        return logits.sum() * 0.0
    target = marker[known]
    loss = functional.cross_entropy(logits[known].float(), target, weight=weights, reduction="sum")
    return loss / (n_known or target.numel())


def class_weights(
    markers: Sequence[int], n_classes: int, *, mode: Literal["inverse", "none"] = "inverse"
) -> Float[Tensor, " classes"]:
    """N / n_c over the known markers of the training part, scaled to mean 1 over its samples.

    A class that does not occur gets weight 0. With `mode="none"` all weights are 1.
    """
    known = torch.tensor([m for m in markers if m >= 0], dtype=torch.long)
    counts = torch.bincount(known, minlength=n_classes).float()
    if mode == "none" or not known.numel():
        return torch.ones(n_classes)
    weights = torch.where(counts > 0, known.numel() / counts.clamp(min=1), 0.0)
    return weights / (weights * counts / known.numel()).sum()


class Classification(AuxiliaryTask):
    """One of several named classes.

    Args:
        name: Of the task.
        record: With its classes.
        settings: Forms of the losses.
        weights: Weight of each class; equal by default.
    """

    kind: ClassVar[str] = "classification"
    lower_is_better: ClassVar[frozenset[str]] = frozenset({"brier"})

    def __init__(
        self,
        name: str,
        record: TaskRecord,
        settings: LossConfig,
        *,
        weights: Tensor | None = None,
    ) -> None:
        super().__init__(name, record, settings)
        self.weights = torch.ones(len(record.classes)) if weights is None else weights
        self._index = {label: float(index) for index, label in enumerate(record.classes)}

    @classmethod
    def fit(cls, name: str, column: str, targets: Column, settings: LossConfig) -> Self:
        """Take the classes of the whole store, and class weights from the training part.

        Raises:
            ConfigError: If the training part has fewer than two.
        """
        named = {text for text in targets.all if text is not None}
        classes = targets.classes or tuple(sorted(named))
        if len({text for text in targets.train if text is not None}) < 2:
            raise ConfigError(
                f"the training part has fewer than two {name} classes",
                where=targets.where or None,
                remedy=f"Fill the column {column}, or leave the task out: --arm single trains the "
                "outline alone.",
            )
        record = TaskRecord(kind=cls.kind, column=column, classes=classes)
        return cls(name, record, settings, weights=_weights(classes, targets.train, settings))

    @property
    def n_outputs(self) -> int:
        """One logit a class."""
        return len(self.record.classes)

    def encode(self, text: str | None) -> float:
        """Index of the class.

        Raises:
            InputError: If it is none of the task's classes.
        """
        if text is None:
            return float("nan")
        if text not in self._index:
            raise InputError(
                f"{self.name} is {text!r}; the classes are {', '.join(self.record.classes)}",
                remedy=f"Blank the cell in the column {self.record.column}, or train anew.",
            )
        return self._index[text]

    def loss(
        self, outputs: Mapping[str, Any], target: Target, *, n_known: int | None = None
    ) -> Tensor:
        """Class-weighted cross-entropy."""
        logits: Tensor = outputs[self.name]
        index = torch.where(target.known, target.value, -1.0).long()
        return marker_loss(logits, index, self.weights.to(logits.device), n_known=n_known)

    def answer(self, output: Array) -> Array:
        """Probabilities."""
        return np.asarray(softmax(output), dtype=np.float64)

    def calibrate(
        self, answers: Array, texts: Sequence[str], patients: Sequence[str]
    ) -> dict[str, float] | None:
        """Fit a temperature (Guo et al. 2017); None for fewer than five scans."""
        del patients
        if len(texts) < _FEWEST_SCANS:
            return None
        truth = np.array([int(self.encode(text)) for text in texts], dtype=np.int64)
        # Four decimals, so that equal inputs give equal files on all machines.
        return {"temperature": round(fit_temperature(log_probabilities(answers), truth), 4)}

    def calibrated(self, answer: Array, rule: Mapping[str, float]) -> Array:
        """Scale probabilities by the temperature."""
        return apply_temperature(answer, rule["temperature"])

    def describe(self, answer: Array, rules: Sequence[Mapping[str, float]]) -> TaskAnswer:
        """The probabilities, and the most probable class."""
        named = dict(zip(self.record.classes, map(float, answer), strict=True))
        best = self.record.classes[int(np.argmax(answer))]
        return TaskAnswer(predicted=best, probabilities=named, calibrated=bool(rules))

    @classmethod
    def case_scores(cls, answer: TaskAnswer, text: str) -> dict[str, float]:
        """Whether the class is right, and the Brier score; in [0, 2]."""
        squares = [(p - (name == text)) ** 2 for name, p in answer.probabilities.items()]
        missed = float(text not in answer.probabilities)
        return {"accuracy": float(answer.predicted == text), "brier": sum(squares) + missed}

    @classmethod
    def metrics(cls, answers: Sequence[TaskAnswer], texts: Sequence[str]) -> dict[str, float]:
        """Macro one-vs-rest AUC and balanced accuracy, over the scans of known classes."""
        classes = list(answers[0].probabilities)
        pairs = [(a, t) for a, t in zip(answers, texts, strict=True) if t in classes]
        truth = np.array([classes.index(text) for _, text in pairs], dtype=np.int64)
        said = np.array([[a.probabilities[c] for c in classes] for a, _ in pairs])
        said = said.reshape(len(pairs), len(classes))
        found = {
            "auc": macro_auc(truth, said),
            "balanced_accuracy": balanced_accuracy(truth, said.argmax(axis=1), len(classes)),
        }
        return {name: value for name, value in found.items() if value is not None}


def _weights(
    classes: Sequence[str], train: Sequence[str | None], settings: LossConfig
) -> Float[Tensor, " classes"]:
    indices = [classes.index(text) for text in train if text is not None]
    return class_weights(indices, len(classes), mode=settings.class_weights)
