"""The table of a transfer experiment: who was trained on what, tested on whom, and how well."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from plgg.compare.transfer import TransferRow, transfer_row
from plgg.transfer.plan import OWN, TRANSFERRED, TUNED, Transfer


def names(plan: Transfer) -> tuple[str, str]:
    """What the cohorts are called: by their folders, if these tell them apart."""
    home, away = plan.home.folder.resolve().name, plan.away.folder.resolve().name
    return (home, away) if home != away else ("home", "away")


def transfer_table(plan: Transfer) -> tuple[TransferRow, ...]:
    """A row for each pair of training and test patients that is evaluated."""
    home, away = names(plan)
    both = f"{home}, then {away}"

    def row(trained_on: str, tested_on: str, folder: Callable[[int], Path]) -> TransferRow | None:
        evaluations = [folder(k) / "evaluation" / "test" for k in range(plan.n_splits)]
        return transfer_row(trained_on, tested_on, evaluations, seed=plan.config.seed)

    rows = (
        row(home, home, plan.home_run),
        row(home, away, lambda k: plan.away_run(k, TRANSFERRED)),
        row(away, away, lambda k: plan.away_run(k, OWN)),
        row(both, away, lambda k: plan.away_run(k, TUNED)),
        row(away, home, lambda k: plan.back(k, OWN)),
        row(both, home, lambda k: plan.back(k, TUNED)),
    )
    return tuple(found for found in rows if found is not None)
