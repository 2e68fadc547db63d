"""Regression: one number in the column's own unit, with a conformal interval.

The head gives mean + std · z, with mean and standard deviation of the training part, and the loss
is that of the standardised residual. So the unit of the column does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from plgg.config import LossConfig
from plgg.core.errors import ConfigError, InputError
from plgg.core.tables import number
from plgg.metrics.conformal import conformal_quantile
from plgg.tasks.base import Array, AuxiliaryTask, BodySpec, Column, TaskAnswer, TaskRecord

LEVEL = 0.9


class RegressionHead(nn.Module):
    """A head with one output z, converted to the target's unit.

    Args:
        inner: The head that gives z.
        mean: Of the training part.
        std: Likewise.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, inner: nn.Module, mean: float, std: float) -> None:
        super().__init__()
        self.inner = inner
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("std", torch.tensor(std))

    def forward(self, *seen: Any) -> Float[Tensor, "batch 1"]:  # noqa: ANN401 - as any head
        """The value in the target's unit, float32."""
        value: Tensor = self.mean + self.std * self.inner(*seen)
        return value

    def known(self, patient: Float[Tensor, "batch 4"]) -> Float[Tensor, "batch 1"]:
        """The part of the value from age and sex."""
        head: Any = self.inner
        value: Tensor = self.std * head.known(patient)
        return value


class Regression(AuxiliaryTask):
    """Regression of one number."""

    kind: ClassVar[str] = "regression"
    lower_is_better: ClassVar[frozenset[str]] = frozenset({"mae", "rmse"})

    @classmethod
    def fit(cls, name: str, column: str, targets: Column, settings: LossConfig) -> Self:
        """Take mean and standard deviation of the training part.

        Raises:
            ConfigError: If a cell is no number, or fewer than two differ.
        """
        for text in targets.all:
            if text is not None and _number(text) is None:
                raise ConfigError(
                    f"the task {name} is a regression, but the column {column} says {text[:40]!r}",
                    where=targets.where or None,
                    remedy="Write numbers, or learn it as a classification.",
                )
        values = np.array([_number(text) for text in targets.train if text is not None])
        if len(set(values.tolist())) < 2:
            raise ConfigError(
                f"the training part has fewer than two different values of {column}",
                where=targets.where or None,
                remedy=f"Fill the column, or leave the task {name} out.",
            )
        numbers = {"mean": float(values.mean()), "std": float(values.std(ddof=1))}
        return cls(name, TaskRecord(kind=cls.kind, column=column, numbers=numbers), settings)

    def head(self, body: BodySpec) -> nn.Module:
        """One output, in the target's unit."""
        numbers = self.record.numbers
        return RegressionHead(body.make_head(1), numbers["mean"], numbers["std"])

    def encode(self, text: str | None) -> float:
        """The number.

        Raises:
            InputError: If it is none.
        """
        if text is None:
            return float("nan")
        value = _number(text)
        if value is None:
            raise InputError(
                f"{self.name} is {text[:40]!r}, no number",
                remedy=f"Write a number in the column {self.record.column}, or leave it blank.",
            )
        return value

    def losses(
        self, output: Float[Tensor, "batch n"], value: Float[Tensor, " batch"]
    ) -> Float[Tensor, " batch"]:
        """Huber's loss of the residual in standard deviations (Huber 1964), δ = 1."""
        residual = (output[:, 0] - value.to(output.dtype)) / self.record.numbers["std"]
        return functional.huber_loss(residual, torch.zeros_like(residual), reduction="none")

    def comparable(self, output: Array) -> Array:
        """In standard deviations of the training part."""
        return output / self.record.numbers["std"]

    def calibrate(
        self, answers: Array, texts: Sequence[str], patients: Sequence[str]
    ) -> dict[str, float] | None:
        """Fit the absolute error that a new patient stays below with a probability of 90 %."""
        errors = np.abs(answers[:, 0] - np.array([self.encode(text) for text in texts]))
        reach = conformal_quantile(errors, patients, level=LEVEL)
        return None if reach is None else {"reach": reach, "level": LEVEL}

    def describe(self, answer: Array, rules: Sequence[Mapping[str, float]]) -> TaskAnswer:
        """The number, with the widest of the networks' intervals."""
        value = float(answer[0])
        if not rules:
            return TaskAnswer(value=value)
        widest = max(rules, key=lambda rule: rule["reach"])
        reach = widest["reach"]
        return TaskAnswer(
            value=value,
            low=value - reach,
            high=value + reach,
            level=widest["level"],
            calibrated=True,
        )

    @classmethod
    def case_scores(cls, answer: TaskAnswer, text: str) -> dict[str, float]:
        """The absolute error, and whether the interval holds the truth, where there is one."""
        scores = {"mae": abs(_residual(answer, text))}
        truth = _number(text)
        if answer.low is not None and answer.high is not None and truth is not None:
            scores["coverage"] = float(answer.low <= truth <= answer.high)
        return scores

    @classmethod
    def metrics(cls, answers: Sequence[TaskAnswer], texts: Sequence[str]) -> dict[str, float]:
        """Root mean square error, R² and Pearson's r; the last two of values that differ."""
        residuals = np.array([_residual(a, t) for a, t in zip(answers, texts, strict=True)])
        truth = np.array([_number(text) for text in texts], dtype=np.float64)
        said = truth + residuals
        found = {"rmse": float(np.sqrt(np.square(residuals).mean()))}
        spread = float(np.square(truth - truth.mean()).sum())
        if spread > 0.0:
            found["r2"] = 1.0 - float(np.square(residuals).sum()) / spread
            if float(np.ptp(said)) > 0.0:
                found["r"] = float(np.corrcoef(truth, said)[0, 1])
        return found


def _residual(answer: TaskAnswer, text: str) -> float:
    truth = _number(text)
    if truth is None or answer.value is None:
        return float("nan")
    return answer.value - truth


def _number(text: str) -> float | None:
    value = number(text.replace(",", "."))
    return value if value is not None and np.isfinite(value) else None
