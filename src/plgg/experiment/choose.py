"""The winner of a grid, for each split by its own validation patients. Never looks at test."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence

from plgg.compare.metric import find_metric
from plgg.compare.results import read_scores
from plgg.experiment.plan import Job, Plan
from plgg.experiment.work import is_finished
from plgg.io.experiment import Choice, arm_folder, read_failure
from plgg.io.files import write_json


def choose(plan: Plan, jobs: Sequence[Job]) -> None:
    """Write `choice.json` for every split and arm whose points are all finished or failed."""
    for key in dict.fromkeys((job.k, job.arm) for job in jobs if job.point):
        mine = [job for job in jobs if (job.k, job.arm) == key]
        finished = [job for job in mine if is_finished(job, plan.store)]
        failed = [job for job in mine if job not in finished and read_failure(job.run)]
        if not finished or len(finished) + len(failed) < len(mine):
            continue
        scores = {job.point: _validation_dice(job) if job in finished else None for job in mine}
        best = max(finished, key=lambda job: _or_least(scores[job.point]))
        choice = Choice(point=best.point, scores=scores)
        write_json(arm_folder(plan.out, *key) / "choice.json", choice.model_dump(mode="json"))


def _validation_dice(job: Job) -> float | None:
    """Mean over patients of the mean over their scans."""
    patients: dict[str, list[float]] = defaultdict(list)
    found = read_scores(job.run / "evaluation" / "validation", find_metric("dice"))
    for score in found.values():
        if score.value is not None:
            patients[score.patient_id].append(score.value)
    means = [math.fsum(values) / len(values) for values in patients.values()]
    return math.fsum(means) / len(means) if means else None


def _or_least(value: float | None) -> float:
    return -math.inf if value is None else value
