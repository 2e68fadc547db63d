"""Figures of arms: forest plot of their gains, patients in both, Dice, volumes and markers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plgg.evaluate.compare.experiment_records import ExperimentComparison
from plgg.evaluate.compare.records import Contrast
from plgg.evaluate.experiment_records import Experiment
from plgg.report.drawing import SHAPES, Look, Style, as_svg, legend, panel
from plgg.report.figures_segmentation import Series, dice_by_size_figure, measured, volumes_figure
from plgg.report.numbers import count, ends, number, signed
from plgg.report.parts import FAINT, INK, Picture, arm_colour, arm_title

_ROW = 0.26
_HEAD = 1.1
Ends = tuple[float, float]
Ticks = list[tuple[float, str]]


def look(arm: str, arms: Sequence[str]) -> Look:
    """Colour and shape of an arm, the same in all figures."""
    return arm_colour(arm, arms), SHAPES[list(arms).index(arm) % len(SHAPES)]


def forest_picture(experiment: Experiment, comparison: ExperimentComparison) -> Picture | None:
    """Every arm's gain over the baseline; None without a contrast."""
    contrasts = comparison.on("test")
    if not contrasts:
        return None
    gains = "; ".join(
        f"{arm_title(c.b)} {signed(c.difference)} ({ends(c.interval)})" for c in contrasts
    )
    alt = f"Forest plot of differences of test Dice: {gains}."
    return as_svg(forest_figure(contrasts, experiment.arms), alt, _reading(contrasts))


def _reading(contrasts: Sequence[Contrast]) -> str:
    """How to read a forest of one split, or of several."""
    if not any(contrast.splits for contrast in contrasts):
        return (
            "The diamond is the mean over patients, the line its 95 % interval of a bootstrap over "
            "patients. A line across 0 leaves open which is better; one split does not show the "
            "chance in training."
        )
    return (
        "Dots are splits, the diamond their mean. Bold: 95 % interval of a bootstrap over splits, "
        "then patients. Thin: the interval corrected for splits that share patients, which is the "
        "one to go by and may reach beyond the figure. Where it crosses 0, it is open which is "
        "better."
    )


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
        f"Forest plot: test Dice less that of {baseline}",
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
    axes.set_xlim(*_window(contrasts))
    return figure


def _window(contrasts: Sequence[Contrast]) -> Ends:
    """Range of the x axis: all dots and bootstrap intervals, and at most that width beyond.

    Longer lines are cut off: with two or three splits the corrected interval is so wide that the
    rest would shrink to a dot.
    """
    inner, outer = [0.0], list[float]()
    for contrast in contrasts:
        inner += [contrast.difference, *(d.difference for d in contrast.split_differences)]
        inner += contrast.interval.ends or ()
        outer += _corrected(contrast) or ()
    low, high = min(inner), max(inner)
    room = max(high - low, 0.01)
    least = max(min([low, *outer]), low - room)
    most = min(max([high, *outer]), high + room)
    margin = 0.06 * (most - least) + 0.001
    # The number stands right of the line.
    return least - margin, most + 3 * margin


def _corrected(contrast: Contrast) -> Ends | None:
    """The interval that is corrected for splits that share patients; None with one split."""
    return contrast.splits.interval.ends if contrast.splits is not None else None


def _draw(axes: Axes, contrast: Contrast, y: float, colour: str, ticks: Ticks) -> float:
    """Draw the rows of one arm; return the y coordinate of the next arm."""
    wide = _corrected(contrast)
    if wide:
        axes.plot(wide, (y, y), color=colour, linewidth=1.1)
    if contrast.interval.ends:
        style: Style = {"linewidth": 3.2, "solid_capstyle": "butt"}
        axes.plot(contrast.interval.ends, (y, y), color=colour, **style)
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
        ticks.append((y, _split_name(each.name)))
    return y + 1.6


def _split_name(folder: str) -> str:
    """Label of a split, counted from 1."""
    number = folder.removeprefix("split-")
    return f"split {int(number) + 1}" if number.isdigit() else folder


def pair_pictures(experiment: Experiment, comparison: ExperimentComparison | None) -> list[Picture]:
    """Patients in both arms, Dice and volume against the tumour's size, and Dice by marker."""
    contrasts = comparison.on("test") if comparison else ()
    pictures = [paired_picture(c, experiment) for c in contrasts if c.patient_differences]
    series: Series = {
        arm_title(arm): (
            look(arm, experiment.arms),
            [case for _, case in experiment.tested(arm)],
        )
        for arm in experiment.arms
    }
    cases = [case for _, rows in series.values() for case in rows]
    if any(case.volume_ml and case.dice is not None for case in cases):
        alt = "Scatter of test Dice against the true tumour volume, one colour and shape an arm."
        caption = "One point for each tested scan and split."
        pictures.append(as_svg(dice_by_size_figure(series), alt, caption))
    if measured(cases):
        alt = "Scatter of predicted against true tumour volume with the line of equality."
        caption = "On the dashed line the predicted volume is the true one."
        pictures.append(as_svg(volumes_figure(series), alt, caption))
    markers = sorted({case.marker for case in cases if case.marker and case.dice is not None})
    if markers:
        alt = "Strips of test Dice by true marker and arm, with their means."
        caption = "Whether one kind of tumour is outlined worse than another. Bars are means."
        pictures.append(as_svg(_marker_figure(series, markers), alt, caption))
    return pictures


def paired_picture(contrast: Contrast, experiment: Experiment) -> Picture:
    """Each patient in both arms, joined by a line."""
    found = contrast.patients
    n = len(contrast.patient_differences)
    a, b = arm_title(contrast.a).lower(), arm_title(contrast.b).lower()
    counts = f"{count(n, 'patient')}."
    if found is not None and found.n_improved is not None:
        counts = (
            f"Of {count(n, 'patient')}, better with {b}: {found.n_improved}, with {a}: "
            f"{found.n_worse}, equal: {found.n_equal}."
        )
    alt = f"Lines from each patient's test Dice with {a} to that with {b}. {counts}"
    caption = f"One line a patient, in the colour of the arm that is better. {counts}"
    return as_svg(_paired_figure(contrast, experiment.arms), alt, caption)


def _paired_figure(contrast: Contrast, arms: Sequence[str]) -> Figure:
    """A line for each patient from the baseline's test Dice to the other arm's."""
    figure, axes = panel("Dice of each patient", x="", y="Dice")
    pairs = contrast.patient_differences
    for pair in pairs:
        better = contrast.b if pair.difference > 0 else contrast.a
        colour = arm_colour(better, arms) if pair.difference else FAINT
        axes.plot((0, 1), (pair.a, pair.b), color=colour, linewidth=1.1, alpha=0.6)
    for x, arm in enumerate((contrast.a, contrast.b)):
        values = [pair.b if x else pair.a for pair in pairs]
        colour = arm_colour(arm, arms)
        axes.scatter([x] * len(values), values, s=22, color=colour, zorder=3, linewidth=0)
        _mark_mean(axes, x, sum(values) / len(values))
    axes.set_xticks((0, 1), [arm_title(contrast.a), arm_title(contrast.b)], fontsize=10, color=INK)
    axes.set(xlim=(-0.45, 1.45), ylim=(-0.03, 1.03))
    axes.grid(visible=False, axis="x")
    return figure


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


_WIDTH = 0.7


def _marker_figure(series: Series, markers: Sequence[str]) -> Figure:
    """A point for each tested scan and split, a bar at their mean, by marker and arm."""
    figure, axes = panel("Dice by true marker", x="", y="test Dice")
    step = _WIDTH / len(series)
    for index, (title, (style, rows)) in enumerate(series.items()):
        offset = (index - (len(series) - 1) / 2) * step
        for place, marker in enumerate(markers):
            values = [row.dice for row in rows if row.marker == marker and row.dice is not None]
            _strip(axes, values, place + offset, step, style)
        axes.scatter([], [], s=26, color=style[0], marker=style[1], lw=0, label=title)
    axes.set_xticks(range(len(markers)), markers, color=INK)
    axes.set(xlim=(-0.6, len(markers) - 0.4), ylim=(-0.03, 1.03))
    axes.grid(visible=False, axis="x")
    legend(axes, loc="lower right")
    return figure


def _strip(axes: Axes, values: Sequence[float], x: float, step: float, style: Look) -> None:
    """Points side by side in the order of the values, so that none hides another."""
    if not values:
        return
    ranks = np.argsort(np.argsort(values, kind="stable"))
    order = (ranks - ranks.mean()) / max(len(values) - 1, 1)
    colour, shape = style
    at = x + order * step * 0.6
    axes.scatter(at, values, s=20, color=colour, marker=shape, alpha=0.7, linewidth=0)
    mean = float(np.mean(values))
    axes.plot((x - step * 0.36, x + step * 0.36), (mean, mean), color=INK, linewidth=2)
