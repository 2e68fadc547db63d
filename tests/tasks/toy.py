"""A kind of task that plgg does not know: a count, learned by a Poisson regression."""

import numpy as np
from torch.nn import functional

from plgg.tasks.base import AuxiliaryTask, TaskAnswer, TaskRecord


class Count(AuxiliaryTask):
    kind = "count"
    lower_is_better = frozenset({"deviation"})

    @classmethod
    def fit(cls, name, column, targets, settings):
        known = [float(text) for text in targets.train if text is not None]
        record = TaskRecord(kind="count", column=column, numbers={"mean": float(np.mean(known))})
        return cls(name, record, settings)

    def encode(self, text):
        return float("nan") if text is None else float(int(text))

    def losses(self, output, value):
        return functional.poisson_nll_loss(output[:, 0], value.float(), reduction="none")

    def answer(self, output):
        return np.exp(output)

    def describe(self, answer, rules):
        del rules
        return TaskAnswer(value=float(answer[0]))

    @classmethod
    def case_scores(cls, answer, text):
        return {"deviation": abs(answer.value - float(text))}
