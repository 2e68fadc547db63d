"""Comparisons in words and tables: Markdown, JSON, and the paper's Table 1."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from plgg.core.files import write_json, write_text
from plgg.core.markdown import escaped
from plgg.core.tables import Cell, write_csv
from plgg.evaluate.compare.experiment_records import ExperimentComparison
from plgg.evaluate.compare.records import Comparison, Contrast, PairedStatistics
from plgg.report.numbers import UNDEFINED, count, ends, listed, number, p_value, signed, spread
from plgg.report.parts import arm_title
from plgg.report.table import Table

# In the order of the paper's Table 1.
PARTS = ("validation", "test")
SIGNIFICANT = 0.05
_METRICS = {"dice": "Dice", "soft_dice": "soft Dice", "surface_dice": "surface Dice"}


def write_comparison(path: Path, comparison: Comparison | ExperimentComparison) -> None:
    """Write a comparison as JSON; an undefined number is null and its record says why.

    Raises:
        OutputError: If it cannot be written.
    """
    write_json(path, comparison.as_json())


def as_markdown(comparison: Comparison | ExperimentComparison) -> str:
    """A comparison as Markdown: the headline, the statistics, what was left out, notes."""
    contrasts = comparison.contrasts
    blocks = [*map(verdict, contrasts), *map(_headline, contrasts)]
    if isinstance(comparison, ExperimentComparison):
        marker = comparison.marker.sentence if comparison.marker else ""
        blocks += filter(None, [marker, spread_sentence(comparison)])
    found = statistics_table(comparison)
    notes = [*_reasons(contrasts), *filter(None, map(_left_out, contrasts))]
    notes += (c.power.sentence for c in contrasts[:1] if c.power is not None)
    tables = [found.to_markdown()] if found.rows else []
    if isinstance(comparison, ExperimentComparison) and comparison.missing:
        notes.append(_missing(comparison))
    paragraphs = [*map(escaped, blocks), *tables, *map(escaped, (*notes, *comparison.notes))]
    return "\n\n".join(paragraphs) + "\n"


def statistics_table(comparison: Comparison | ExperimentComparison) -> Table:
    """All statistics: a row for each quantity, a column for each contrast and unit."""
    columns = [
        (contrast, found)
        for contrast in comparison.contrasts
        for found in (contrast.patients, contrast.splits)
        if found is not None
    ]
    several = len(comparison.contrasts) > 1
    cells = [[text for _, text in _quantities(c, s)] for c, s in columns]
    names = [name for name, _ in _quantities(*columns[0])] if columns else []
    if names and not several:
        names[:2] = [f"mean of {columns[0][0].a}", f"mean of {columns[0][0].b}"]
    header = ("", *(_column_title(c, s, several) for c, s in columns))
    return Table(header, tuple(zip(names, *cells, strict=True)))


def _column_title(contrast: Contrast, found: PairedStatistics, several: bool) -> str:
    over = f"over {count(found.n, found.unit)}"
    if not several:
        return over
    part = f", {contrast.part}" if contrast.part else ""
    return f"{contrast.b} − {contrast.a}{part}, {over}"


def _quantities(contrast: Contrast, found: PairedStatistics) -> list[tuple[str, str]]:
    decides = found is contrast.splits or contrast.splits is None
    corrected = found.corrected_t.p if found.corrected_t else None
    return [
        ("mean of the baseline", number(found.mean_a)),
        ("mean of the other", number(found.mean_b)),
        ("mean difference", signed(found.difference)),
        ("95 % interval", ends(found.interval, with_sign=True)),
        ("standard deviation", number(found.sd)),
        ("median difference", signed(found.median)),
        ("effect size d_z", _effect(found)),
        ("paired t", p_value(found.paired_t.p)),
        ("Wilcoxon", p_value(found.wilcoxon.p)),
        ("corrected t", p_value(corrected)),
        ("Holm-adjusted", p_value(contrast.adjusted_p if decides else None)),
        ("better / equal / worse", _counts(found, contrast.better is not None)),
    ]


def _effect(found: PairedStatistics) -> str:
    within = found.effect_interval
    size = signed(found.effect_size)
    return size if within is None or not within.ends else f"{size} ({ends(within, with_sign=True)})"


def _counts(found: PairedStatistics, directed: bool) -> str:
    if not directed:
        return f"{UNDEFINED} / {found.n_equal} / {UNDEFINED}"
    return f"{found.n_improved} / {found.n_equal} / {found.n_worse}"


def _headline(contrast: Contrast) -> str:
    """One sentence: what is compared, by how much it differs, and the interval."""
    part = f" on {contrast.part}" if contrast.part else ""
    metric = _metric_name(contrast.metric)
    direction = f" ({contrast.better} is better)" if contrast.better else ""
    found = contrast.interval
    within = f"{ends(found, with_sign=True)}; {found.method}" if found.ends else found.note
    return (
        f"{metric}{part}{direction}: {contrast.b} − {contrast.a} = "
        f"{signed(contrast.difference)} (95 % interval {within})."
    )


def verdict(contrast: Contrast) -> str:
    """One sentence for a reader without statistics: which is better, and if it may be chance."""
    unit = contrast.splits or contrast.patients
    metric = _metric_name(contrast.metric)
    if unit is None or contrast.better is None:
        return f"{contrast.b} less {contrast.a}, {metric}: {signed(contrast.difference)}."
    better = (contrast.difference > 0) == (contrast.better == "higher")
    n = unit.n_improved if better else unit.n_worse
    which = "equal to" if not contrast.difference else "better than" if better else "worse than"
    on = f" on {contrast.part}" if contrast.part else ""
    size = f"{abs(contrast.difference):.3f}"
    if contrast.difference and size == "0.000":
        size = "less than 0.001"
    return (
        f"{contrast.b} is {which} {contrast.a}{on} by {size} {metric}, so "
        f"in {n} of {unit.n} {unit.unit}s; {_significance(contrast.adjusted_p)}."
    )


def _significance(p: float | None) -> str:
    if p is None:
        return "whether that is chance cannot be told"
    if p >= SIGNIFICANT:
        return f"p = {p:.2f}: this could be chance"
    return f"p = {p:.2g}: hardly chance alone"


def _metric_name(metric: str) -> str:
    """`Dice`; of a label of the mask or a task `Dice of cyst`."""
    of, _, name = metric.rpartition(":")
    words = _METRICS.get(name, name)
    return f"{words} of {of}" if of else words


def _reasons(contrasts: Iterable[Contrast]) -> list[str]:
    """Why something is undefined or limited, each reason once."""
    reasons = []
    for contrast in contrasts:
        for found in filter(None, (contrast.patients, contrast.splits)):
            notes = {
                "Interval": found.interval.note,
                "Paired t": found.paired_t.note,
                "Wilcoxon": found.wilcoxon.note,
            }
            reasons += [f"{k} over {found.unit}s: {note}." for k, note in notes.items() if note]
    return list(dict.fromkeys(reasons))


def _left_out(contrast: Contrast) -> str:
    parts = (
        (f"only in {contrast.a}", contrast.unpaired.only_a),
        (f"only in {contrast.b}", contrast.unpaired.only_b),
        (f"{contrast.metric} undefined", contrast.unpaired.undefined),
    )
    clauses = [f"{why}: {listed(names, at_most=8)}" for why, names in parts if names]
    return f"Not compared: {'; '.join(clauses)}." if clauses else ""


def write_table1(experiment: Path, comparison: ExperimentComparison) -> tuple[Path, Path]:
    """Write `table1.md` (with a paragraph of statistics) and `table1.csv` (the numbers only).

    `compare_table` reads the CSV again.

    Args:
        experiment: Folder to write to.
        comparison: The result of `compare_experiment`.

    Returns:
        Paths of the Markdown and the CSV.

    Raises:
        OutputError: If they cannot be written.
    """
    markdown, numbers = experiment / "table1.md", experiment / "table1.csv"
    write_text(markdown, _table1_markdown(comparison))
    write_csv(numbers, *_table1_numbers(comparison))
    return markdown, numbers


def table1(comparison: ExperimentComparison) -> Table:
    """The paper's Table 1: a row for each split, a column for each arm and part."""
    columns = [(arm, part) for arm in comparison.arms for part in PARTS]
    scores = [comparison.of(arm, part).dice for arm, part in columns]
    return Table(
        header=("Split", *(part for _, part in columns)),
        rows=tuple(
            (str(split + 1), *(number(score.values[n]) for score in scores))
            for n, split in enumerate(comparison.splits)
        ),
        # The mean of one split is that split.
        foot=("Mean ± SD", *(spread(score.mean, score.sd) for score in scores))
        if len(comparison.splits) > 1
        else (),
        groups=(("", 1), *((arm_title(arm), len(PARTS)) for arm in comparison.arms)),
    )


def spreads_table(comparison: ExperimentComparison) -> Table:
    """Standard deviations of the test Dice between seeds, between splits and between patients."""
    rows = tuple(
        (
            " − ".join(arm_title(arm) for arm in found.name.split(" − ")),
            number(found.seeds),
            number(found.splits),
            number(found.patients),
        )
        for found in comparison.spreads
    )
    header = ("SD of the Dice", "seeds", "splits", "patients")
    return Table(header, rows, words=frozenset({0}))


def spread_sentence(comparison: ExperimentComparison) -> str:
    """`spreads_table` as a sentence; blank with one seed."""
    told = [
        f"{' − '.join(arm_title(arm) for arm in found.name.split(' − '))} {number(found.seeds)}, "
        f"{number(found.splits)} and {number(found.patients)}"
        for found in comparison.spreads
    ]
    if not told:
        return ""
    return (
        "Standard deviation of the test Dice between seeds (chance in training: of a run's mean), "
        "between splits (of their means, less that chance) and between patients (means over "
        f"seeds): {'; '.join(told)}."
    )


def _table1_markdown(comparison: ExperimentComparison) -> str:
    found = table1(comparison)
    names = (f"{arm_title(arm)} {part}" for arm in comparison.arms for part in PARTS)
    scores = [comparison.of(arm, part).dice for arm in comparison.arms for part in PARTS]
    rows = tuple((f"Split {row[0]}", *row[1:]) for row in found.rows)
    foot = ("Mean ± SD", *(spread(score.mean, score.sd) for score in scores))
    text = [comparison.marker.sentence] if comparison.marker else []
    text += [paragraph(contrast, comparison) for contrast in comparison.on("test")]
    text += filter(None, [spread_sentence(comparison)])
    text += filter(None, [*comparison.notes, _markers(comparison), _missing(comparison)])
    table = Table(("", *names), rows, foot=foot).to_markdown()
    return "\n\n".join(["Mean Dice over patients.", table, *map(escaped, text)]) + "\n"


def _table1_numbers(comparison: ExperimentComparison) -> tuple[list[str], list[list[Cell]]]:
    """Names of the columns, and a row for each split."""
    keys = [(arm, part) for arm in comparison.arms for part in PARTS]
    rows: list[list[Cell]] = []
    for n, split in enumerate(comparison.splits):
        values = [comparison.of(arm, part).dice.values[n] for arm, part in keys]
        rows.append([split + 1, *("" if v is None else f"{v:.6f}" for v in values)])
    return ["split", *(f"{arm}_{part}" for arm, part in keys)], rows


def paragraph(contrast: Contrast, comparison: ExperimentComparison) -> str:
    """One arm against the baseline on the test parts: difference, interval, tests, conclusion."""
    a, b = arm_title(contrast.a), arm_title(contrast.b)
    within = ends(contrast.interval, with_sign=True)
    sentences = [
        f"Test Dice, {b} − {a}: Δ = {signed(contrast.difference)} "
        f"(95 % interval {within}; {contrast.interval.method})."
    ]
    n, ties = (1, 0) if contrast.splits is None else (contrast.splits.n, contrast.splits.n_equal)
    tied = f" (equal in {ties})" if ties else ""
    sentences.append(f"{b} won {comparison.won[contrast.b]} of {n}{tied}.")
    n_arms = len(comparison.on("test"))
    if contrast.splits is not None:
        sentences.append(_tests(contrast.splits))
        if contrast.adjusted_p is not None and n_arms > 1:
            p = f"{contrast.adjusted_p:.3f}"
            sentences.append(f"Holm-adjusted for {n_arms} arms: p = {p}.")
        sentences.append(_conclusion(contrast.adjusted_p))
    if contrast.patients is not None:
        sentences.append(_tests(contrast.patients))
    if contrast.unpaired.n:
        sentences.append(f"{contrast.unpaired.n} cases are not in both arms and were left out.")
    return " ".join(sentences)


def _tests(found: PairedStatistics) -> str:
    tests = [f"paired t {p_value(found.paired_t.p)}", f"Wilcoxon {p_value(found.wilcoxon.p)}"]
    if found.corrected_t is not None:
        tests.append(
            f"Nadeau–Bengio-corrected t {p_value(found.corrected_t.p)} "
            f"(95 % interval {ends(found.interval, with_sign=True)})"
        )
    return f"Over {count(found.n, found.unit)}: {', '.join(tests)}."


def _conclusion(p: float | None) -> str:
    if p is None:
        return "The corrected test is undefined, since the differences do not vary."
    if p < SIGNIFICANT:
        return "The corrected test finds a difference at the 5 % level."
    return "These splits do not show a difference at the 5 % level; that does not show equality."


def _markers(comparison: ExperimentComparison) -> str:
    aucs = [
        f"{arm_title(arm)} {spread(scores.mean, scores.sd)}"
        for arm in comparison.arms
        if (scores := comparison.of(arm, "test").marker_auc).mean is not None
    ]
    return f"Marker AUC on test: {'; '.join(aucs)}." if aucs else ""


def _missing(comparison: ExperimentComparison) -> str:
    if not comparison.missing:
        return ""
    return f"Not there yet ({UNDEFINED} in the table): {', '.join(comparison.missing)}."
