"""The experiment: the same splits for every arm, each (split, arm, grid point) a run of its own."""

from typing import TYPE_CHECKING

from plgg.lazy import lazily

if TYPE_CHECKING:
    from plgg.experiment.arms import require_own, resolve_arms
    from plgg.experiment.design import Design
    from plgg.experiment.grid import parse_grid
    from plgg.experiment.plan import Plan, Workers
    from plgg.experiment.run import Done, run_experiment

__all__ = [
    "Design",
    "Done",
    "Plan",
    "Workers",
    "parse_grid",
    "require_own",
    "resolve_arms",
    "run_experiment",
]
__getattr__ = lazily(
    __name__,
    {
        "Design": "design",
        "Done": "run",
        "Plan": "plan",
        "Workers": "plan",
        "parse_grid": "grid",
        "require_own": "arms",
        "resolve_arms": "arms",
        "run_experiment": "run",
    },
)
