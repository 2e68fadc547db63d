"""A comparison in words: rows for a terminal's table, Markdown, JSON. Computes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from plgg.core.files import write_json
from plgg.core.markdown import escaped, table
from plgg.evaluate.compare.records import (
    Comparison,
    Contrast,
    ExperimentComparison,
    Interval,
    PairedStatistics,
    Significance,
)

UNDEFINED = "–"
_SHOWN_UNPAIRED = 8
_SIGNIFICANT = 0.05
_METHODS = {"dice": "Dice", "soft_dice": "soft Dice", "surface_dice": "surface Dice"}


def write_comparison(path: Path, comparison: Comparison | ExperimentComparison) -> None:
    """Write a comparison as JSON; an undefined number is null and its record says why.

    Raises:
        OutputError: If it cannot be written.
    """
    write_json(path, comparison.as_json())


def as_rows(comparison: Comparison | ExperimentComparison) -> tuple[tuple[str, ...], ...]:
    """All statistics as rows of text: a header, then one row for each quantity.

    There is one column for each contrast and unit (patients, splits).
    """
    columns = [
        (contrast, found)
        for contrast in comparison.contrasts
        for found in (contrast.patients, contrast.splits)
        if found is not None
    ]
    several = len(comparison.contrasts) > 1
    header = ["", *(_column_title(c, s, several) for c, s in columns)]
    cells = [[text for _, text in _quantities(c, s)] for c, s in columns]
    names = [name for name, _ in _quantities(*columns[0])] if columns else []
    if names and not several:
        names[:2] = [f"mean of {columns[0][0].a}", f"mean of {columns[0][0].b}"]
    rows = [(name, *row) for name, row in zip(names, zip(*cells, strict=True), strict=True)]
    return (tuple(header), *rows)


def _column_title(contrast: Contrast, found: PairedStatistics, several: bool) -> str:
    over = f"over {found.n} {found.unit}{'' if found.n == 1 else 's'}"
    if not several:
        return over
    part = f", {contrast.part}" if contrast.part else ""
    return f"{contrast.b} − {contrast.a}{part}, {over}"


def _quantities(contrast: Contrast, found: PairedStatistics) -> list[tuple[str, str]]:
    return [
        ("mean of the baseline", number(found.mean_a)),
        ("mean of the other", number(found.mean_b)),
        ("mean difference", signed(found.difference)),
        ("95 % interval", interval(found.interval)),
        ("standard deviation", number(found.sd)),
        ("median difference", signed(found.median)),
        ("effect size d_z", _effect(found)),
        ("paired t", p_value(found.paired_t)),
        ("Wilcoxon", p_value(found.wilcoxon)),
        ("corrected t", p_value(found.corrected_t)),
        (
            "Holm-adjusted",
            p_value(Significance(None, contrast.adjusted_p))
            if (found is contrast.splits or contrast.splits is None)
            else UNDEFINED,
        ),
        ("better / equal / worse", _counts(found, contrast.better is not None)),
    ]


def _effect(found: PairedStatistics) -> str:
    reach = found.effect_interval
    told = signed(found.effect_size)
    return told if reach is None or reach.low is None else f"{told} ({interval(reach)})"


def _counts(found: PairedStatistics, directed: bool) -> str:
    if not directed:
        return f"{UNDEFINED} / {found.n_equal} / {UNDEFINED}"
    return f"{found.n_improved} / {found.n_equal} / {found.n_worse}"


def as_markdown(comparison: Comparison | ExperimentComparison) -> str:
    """A comparison as Markdown: the headline, the statistics, what was left out, notes."""
    blocks = [verdict(contrast) for contrast in comparison.contrasts]
    blocks += [headline(contrast) for contrast in comparison.contrasts]
    rows = as_rows(comparison)
    notes = [*_reasons(comparison.contrasts)]
    notes += filter(None, (_left_out(contrast) for contrast in comparison.contrasts))
    notes += (c.power.sentence for c in comparison.contrasts[:1] if c.power is not None)
    notes += comparison.notes
    tables = [table(rows)] if len(rows) > 1 else []
    return "\n\n".join([*map(escaped, blocks), *tables, *map(escaped, notes)]) + "\n"


def headline(contrast: Contrast) -> str:
    """One sentence: what is compared, by how much it differs, and the interval."""
    part = f" on {contrast.part}" if contrast.part else ""
    metric = _METHODS.get(contrast.metric, contrast.metric)
    direction = f" ({contrast.better} is better)" if contrast.better else ""
    found = contrast.interval
    reach = found.reason if found.low is None else f"{interval(found)}; {found.method}"
    return (
        f"{metric}{part}{direction}: {contrast.b} − {contrast.a} = "
        f"{signed(contrast.difference)} (95 % interval {reach})."
    )


def verdict(contrast: Contrast) -> str:
    """One sentence for a reader without statistics: which is better, and if it may be chance."""
    unit = contrast.splits or contrast.patients
    metric = _METHODS.get(contrast.metric, contrast.metric)
    if unit is None or contrast.better is None:
        return f"{contrast.b} less {contrast.a}, {metric}: {signed(contrast.difference)}."
    better = (contrast.difference > 0) == (contrast.better == "higher")
    n = unit.n_improved if better else unit.n_worse
    which = "equal to" if not contrast.difference else "better than" if better else "worse than"
    on = f" on {contrast.part}" if contrast.part else ""
    return (
        f"{contrast.b} is {which} {contrast.a}{on} by {abs(contrast.difference):.3f} {metric}, so "
        f"in {n} of {unit.n} {unit.unit}s; {_chance(contrast.adjusted_p)}."
    )


def _chance(p: float | None) -> str:
    if p is None:
        return "whether that is chance cannot be told"
    if p >= _SIGNIFICANT:
        return f"p = {p:.2f}: this could be chance"
    return f"p = {p:.2g}: hardly chance alone"


def _reasons(contrasts: Iterable[Contrast]) -> list[str]:
    """Why something is undefined or limited, each reason once."""
    found = []
    for contrast in contrasts:
        for statistics in filter(None, (contrast.patients, contrast.splits)):
            over = f"over {statistics.unit}s"
            found += [
                f"{name} {over}: {reason}."
                for name, reason in (
                    ("Interval", statistics.interval.reason),
                    ("Paired t", statistics.paired_t.note),
                    ("Wilcoxon", statistics.wilcoxon.note),
                )
                if reason
            ]
    return list(dict.fromkeys(found))


def _left_out(contrast: Contrast) -> str:
    parts = (
        (f"only in {contrast.a}", contrast.unpaired.only_a),
        (f"only in {contrast.b}", contrast.unpaired.only_b),
        (f"{contrast.metric} undefined", contrast.unpaired.undefined),
    )
    told = [f"{why}: {_listed(names)}" for why, names in parts if names]
    return f"Not compared: {'; '.join(told)}." if told else ""


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_SHOWN_UNPAIRED])
    rest = len(names) - _SHOWN_UNPAIRED
    return f"{shown} and {rest} more" if rest > 0 else shown


def number(value: float | None) -> str:
    """Three decimals; a dash for None."""
    return UNDEFINED if value is None else f"{value:.3f}"


def signed(value: float | None) -> str:
    """Three decimals with a sign, none for zero; a dash for None."""
    if value is None:
        return UNDEFINED
    text = f"{value:+.3f}"
    return text[1:] if float(text) == 0 else text


def interval(found: Interval) -> str:
    """Both ends with their signs; a dash where undefined."""
    if found.low is None or found.high is None:
        return UNDEFINED
    return f"{signed(found.low)} to {signed(found.high)}"


def p_value(found: Significance | None) -> str:
    """As `p = 0.230`; a dash where there is none."""
    if found is None or found.p is None:
        return UNDEFINED
    if found.p < 0.001:
        return "p < 0.001"
    return f"p = {found.p:.3f}"
