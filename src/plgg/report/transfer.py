"""`write_transfer_report`: models against cohorts, on one page that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import plgg
from plgg.core.files import write_text
from plgg.evaluate.compare.experiment import HEADER, TransferRow
from plgg.report.drawing import INK, Picture, as_svg, panel
from plgg.report.experiment.tables import Table
from plgg.report.numbers import number, reach
from plgg.report.template import render

_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


@dataclass(frozen=True)
class TransferPage:
    """All that the template shows."""

    title: str
    lead: str
    table: Table
    picture: Picture
    failed: tuple[str, ...]
    command: str
    version: str = field(default=plgg.__version__)


def write_transfer_report(
    out: Path,
    rows: Sequence[TransferRow],
    *,
    home: str,
    away: str,
    failed: Mapping[str, str],
    command: str,
) -> Path:
    """Write `report.html` of a transfer experiment.

    Args:
        out: The experiment's folder.
        rows: Every pair of training and test patients.
        home: Name of the cohort that the model comes from.
        away: Name of the cohort that it goes to.
        failed: Why each run failed that did.
        command: What was typed.

    Returns:
        Path of the page.
    """
    page = TransferPage(
        title=f"From {home} to {away}",
        lead=_lead(rows, home, away),
        table=Table(HEADER, tuple(row.cells() for row in rows), words=frozenset({0, 1})),
        picture=as_svg(
            _figure(rows),
            "Dice of every test patient, by training and test cohort",
            "A dot for each test patient; the bar is the mean over splits with its 95 % interval.",
        ),
        failed=tuple(f"{name}: {reason}" for name, reason in failed.items()),
        command=command,
    )
    path = out / "report.html"
    write_text(path, render("transfer.html", page))
    return path


def _lead(rows: Sequence[TransferRow], home: str, away: str) -> str:
    """What happened to the model on its way, in two sentences."""
    by_pair = {(row.trained_on, row.tested_on): row for row in rows}
    at_home, moved = by_pair.get((home, home)), by_pair.get((home, away))
    own, tuned = by_pair.get((away, away)), by_pair.get((f"{home}, then {away}", away))
    said = []
    if at_home and moved:
        said.append(
            f"Trained on {home}, the model reaches a mean test Dice of {_told(at_home)} on {home} "
            f"and {_told(moved)} on {away}."
        )
    if own and tuned:
        said.append(
            f"On {away}, a model trained there reaches {_told(own)}, and the first one, trained on "
            f"there, {_told(tuned)}."
        )
    return " ".join(said) or "Not enough is evaluated yet to say more than the table does."


def _told(row: TransferRow) -> str:
    interval = reach(row.low, row.high)
    return f"{number(row.dice)} ({interval})"


def _figure(rows: Sequence[TransferRow]) -> Figure:
    height = 1.2 + 0.55 * len(rows)
    figure, axes = panel("Test Dice", x="Dice", y="", size=(8.4, height))
    cohorts = list(dict.fromkeys(row.tested_on for row in rows))
    for y, row in enumerate(rows):
        values = [value for split in row.patients for value in split]
        # Spread up and down, the same in every drawing.
        jitter = 0.16 * np.sin(np.arange(len(values)) * 2.4)
        colour = _COLOURS[cohorts.index(row.tested_on) % len(_COLOURS)]
        axes.scatter(values, y + jitter, s=14, alpha=0.45, color=colour, linewidth=0)
        if row.low is not None and row.high is not None:
            axes.plot((row.low, row.high), (y, y), color=INK, linewidth=2)
        axes.scatter([row.dice], [y], s=52, marker="D", color=INK, zorder=3)
    labels = [f"{row.trained_on}\n→ {row.tested_on}" for row in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=9, color=INK)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    return figure
