"""Forest plot of the arms' gains, and patients in both arms side by side."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plgg.evaluate.compare.records import Contrast, Difference, Interval
from plgg.report.drawing import FAINT, INK, arm_colour, arm_title, panel
from plgg.report.numbers import number, signed

_ROW = 0.26
_HEAD = 1.1
Ends = tuple[float, float]
Ticks = list[tuple[float, str]]


def forest_figure(contrasts: Sequence[Contrast], arms: Sequence[str]) -> Figure:
    """A dot for each split, a diamond with its 95 % intervals for all of them, by arm.

    The bold line is the bootstrap's interval; the thin one, where there are splits that share
    patients, the wider interval that is corrected for it.

    Args:
        contrasts: Of the arms with the baseline, on one part.
        arms: All arms, the baseline first; they have the same colours everywhere.
    """
    rows = sum(1 + len(contrast.split_differences) for contrast in contrasts)
    baseline = arm_title(contrasts[0].a).lower()
    figure, axes = panel(
        f"Test Dice less that of {baseline}",
        x=f"← {baseline} is better · difference of Dice · the other is better →",
        y="",
        size=(6.6, _HEAD + _ROW * (rows + len(contrasts))),
    )
    axes.axvline(0, color=FAINT, linewidth=1)
    ticks: Ticks = []
    y = 0.0
    for contrast in contrasts:
        y = _draw(axes, contrast, y, arm_colour(contrast.b, arms), ticks)
    axes.set_yticks([at for at, _ in ticks], [name for _, name in ticks], color=INK, fontsize=9)
    axes.set_ylim(y - 0.4, -0.8)
    axes.set_xlim(*window(contrasts))
    return figure


def window(contrasts: Sequence[Contrast]) -> Ends:
    """The range to show: every dot and bootstrap whole, of longer lines as much again.

    With two or three splits the corrected interval is so wide that all else would be one dot.
    """
    inner = [0.0]
    outer: list[float] = []
    for contrast in contrasts:
        inner += [contrast.difference, *(d.difference for d in contrast.split_differences)]
        inner += ends(contrast.interval) or ()
        outer += corrected(contrast) or ()
    low, high = min(inner), max(inner)
    room = max(high - low, 0.01)
    least = max(min([low, *outer]), low - room)
    most = min(max([high, *outer]), high + room)
    margin = 0.06 * (most - least) + 0.001
    # The number stands right of the line.
    return least - margin, most + 3 * margin


def ends(interval: Interval) -> Ends | None:
    """Both ends; None where one is unknown."""
    if interval.low is None or interval.high is None:
        return None
    return interval.low, interval.high


def corrected(contrast: Contrast) -> Ends | None:
    """The interval that is corrected for splits that share patients; None with one split."""
    return ends(contrast.splits.interval) if contrast.splits is not None else None


def _draw(axes: Axes, contrast: Contrast, y: float, colour: str, ticks: Ticks) -> float:
    """The rows of one arm; gives where the next one begins."""
    found = ends(contrast.interval)
    wide = corrected(contrast)
    if wide:
        axes.plot(wide, (y, y), color=colour, linewidth=1.1)
    if found:
        axes.plot(found, (y, y), color=colour, linewidth=3.2, solid_capstyle="butt")
    axes.scatter([contrast.difference], [y], marker="D", s=58, color=colour, zorder=3)
    axes.annotate(
        signed(contrast.difference),
        (0.995, y),
        xycoords=("axes fraction", "data"),
        ha="right",
        va="bottom",
        fontsize=9,
        color=INK,
    )
    # Where runs failed or are still to come, one arm may have fewer splits than another.
    n = len(contrast.split_differences)
    ticks.append((y, f"{arm_title(contrast.b)}, {n} splits" if n > 1 else arm_title(contrast.b)))
    for each in contrast.split_differences:
        y += 1
        axes.scatter([each.difference], [y], s=30, color=colour, alpha=0.75, linewidth=0)
        ticks.append((y, split_name(each.name)))
    return y + 1.6


def split_name(folder: str) -> str:
    """Splits count from 1 for people."""
    number = folder.removeprefix("split-")
    return f"split {int(number) + 1}" if number.isdigit() else folder


def paired_figure(contrast: Contrast, arms: tuple[str, ...]) -> Figure:
    """A line for each patient from the baseline's test Dice to the other arm's."""
    figure, axes = panel("Dice of each patient", x="", y="Dice")
    for found in contrast.patient_differences:
        colour = _colour(found, contrast, arms)
        axes.plot((0, 1), (found.a, found.b), color=colour, linewidth=1.1, alpha=0.6)
    for x, arm in enumerate((contrast.a, contrast.b)):
        values = [found.b if x else found.a for found in contrast.patient_differences]
        colour = arm_colour(arm, arms)
        axes.scatter([x] * len(values), values, s=22, color=colour, zorder=3, linewidth=0)
        _mark_mean(axes, x, sum(values) / len(values))
    axes.set_xticks((0, 1), [arm_title(contrast.a), arm_title(contrast.b)], fontsize=10, color=INK)
    axes.set_xlim(-0.45, 1.45)
    axes.set_ylim(-0.03, 1.03)
    axes.grid(visible=False, axis="x")
    return figure


def _colour(found: Difference, contrast: Contrast, arms: tuple[str, ...]) -> str:
    """The colour of the arm that is better."""
    if found.difference == 0:
        return FAINT
    return arm_colour(contrast.b if found.difference > 0 else contrast.a, arms)


def _mark_mean(axes: Axes, x: int, value: float) -> None:
    side = 1 if x else -1
    axes.plot((x + side * 0.07, x + side * 0.17), (value, value), color=INK, linewidth=2.5)
    axes.annotate(
        f"mean\n{number(value)}",
        (x + side * 0.2, value),
        ha="left" if x else "right",
        va="center",
        fontsize=9.5,
        color=INK,
    )
