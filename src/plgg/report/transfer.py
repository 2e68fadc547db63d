"""`write_transfer_report`: models against cohorts, on one page that opens offline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from plgg.core.files import write_text
from plgg.core.tables import write_csv
from plgg.evaluate.compare.experiment import TransferRow
from plgg.report.drawing import as_svg, panel
from plgg.report.numbers import ends, estimate, number
from plgg.report.parts import INK
from plgg.report.table import Table
from plgg.report.template import render

_HEADER = ("Trained on", "Tested on", "Dice", "95 % interval", "Marker AUC", "Patients", "Splits")
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7")


def transfer_table(rows: Sequence[TransferRow]) -> Table:
    """A row for each pair of training and test patients."""
    cells = tuple(
        (
            row.trained_on,
            row.tested_on,
            number(row.dice.value),
            ends(row.dice),
            number(row.marker_auc),
            str(sum(map(len, row.patients))),
            str(len(row.patients)),
        )
        for row in rows
    )
    return Table(_HEADER, cells, words=frozenset({0, 1}))


def write_rows(path: Path, rows: Sequence[TransferRow]) -> None:
    """Write the table as `path`.md and `path`.csv."""
    table = transfer_table(rows)
    write_text(path.with_suffix(".md"), table.to_markdown() + "\n")
    write_csv(path.with_suffix(".csv"), table.header, table.rows)


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
        failed: Reason of each failed run, by name.
        command: The command line.

    Returns:
        Path of the page.
    """
    dice = {(row.trained_on, row.tested_on): estimate(row.dice) for row in rows}
    page = {
        "title": f"From {home} to {away}",
        "home": home,
        "away": away,
        "at_home": dice.get((home, home)),
        "moved": dice.get((home, away)),
        "own": dice.get((away, away)),
        "tuned": dice.get((f"{home}, then {away}", away)),
        "table": transfer_table(rows),
        "picture": as_svg(
            _figure(rows),
            "Dice of every test patient, by training and test cohort",
            "A dot for each test patient; the bar is the mean over splits with its 95 % interval.",
        ),
        "failed": tuple(f"{name}: {reason}" for name, reason in failed.items()),
        "command": command,
    }
    path = out / "report.html"
    write_text(path, render("transfer.html", page))
    return path


def _figure(rows: Sequence[TransferRow]) -> Figure:
    figure, axes = panel("Test Dice", x="Dice", y="", size=(8.4, 1.2 + 0.55 * len(rows)))
    cohorts = list(dict.fromkeys(row.tested_on for row in rows))
    for y, row in enumerate(rows):
        values = [value for split in row.patients for value in split]
        # Spread up and down, the same in every drawing.
        jitter = 0.16 * np.sin(np.arange(len(values)) * 2.4)
        colour = _COLOURS[cohorts.index(row.tested_on) % len(_COLOURS)]
        axes.scatter(values, y + jitter, s=14, alpha=0.45, color=colour, linewidth=0)
        if row.dice.ends:
            axes.plot(row.dice.ends, (y, y), color=INK, linewidth=2)
        axes.scatter([row.dice.value or 0.0], [y], s=52, marker="D", color=INK, zorder=3)
    labels = [f"{row.trained_on}\n→ {row.tested_on}" for row in rows]
    axes.set_yticks(range(len(rows)), labels, fontsize=9, color=INK)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(-0.03, 1.03)
    return figure
