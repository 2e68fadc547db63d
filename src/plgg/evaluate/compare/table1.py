"""The paper's Table 1 from an experiment: Dice of each split and arm, and what may be concluded."""

from __future__ import annotations

from pathlib import Path

from plgg.core.files import write_text
from plgg.core.markdown import escaped, table
from plgg.core.tables import Cell, write_csv
from plgg.evaluate.compare.records import Contrast, ExperimentComparison, PairedStatistics, Scores
from plgg.evaluate.compare.text import UNDEFINED, interval, number, p_value, signed

# As the paper orders them.
PARTS = ("validation", "test")
_TITLES = {"single": "Single-task", "multitask": "Multitask"}
_SIGNIFICANT = 0.05


def write_table1(experiment: Path, comparison: ExperimentComparison) -> tuple[Path, Path]:
    """Write `table1.md` (with a paragraph of statistics) and `table1.csv` (the numbers only).

    `compare_table` reads the CSV again.

    Args:
        experiment: Folder to write to.
        comparison: What `compare_experiment` found.

    Returns:
        Paths of the Markdown and the CSV.

    Raises:
        OutputError: If they cannot be written.
    """
    markdown, numbers = experiment / "table1.md", experiment / "table1.csv"
    write_text(markdown, table1_markdown(comparison))
    write_csv(numbers, *_numbers(comparison))
    return markdown, numbers


def table1_markdown(comparison: ExperimentComparison) -> str:
    """Table 1 as Markdown with its paragraphs."""
    rows = [_header(comparison)]
    columns = [comparison.of(arm, part).dice for arm in comparison.arms for part in PARTS]
    for n, split in enumerate(comparison.splits):
        rows.append([f"Split {split + 1}", *(number(column.values[n]) for column in columns)])
    rows.append(["Mean ± SD", *map(_mean_and_sd, columns)])
    told = [paragraph(contrast, comparison) for contrast in comparison.on("test")]
    told += filter(None, [*comparison.notes, _markers(comparison), _missing(comparison)])
    return "\n\n".join(["Mean Dice over patients.", table(rows), *map(escaped, told)]) + "\n"


def _header(comparison: ExperimentComparison) -> list[str]:
    return ["", *(f"{title(arm)} {part}" for arm in comparison.arms for part in PARTS)]


def title(arm: str) -> str:
    """What the paper calls an arm."""
    return _TITLES.get(arm, arm)


def _mean_and_sd(scores: Scores) -> str:
    return number(scores.mean) if scores.sd is None else f"{scores.mean:.3f} ± {scores.sd:.3f}"


def _numbers(comparison: ExperimentComparison) -> tuple[list[str], list[list[Cell]]]:
    """Names of the columns, and a row for each split."""
    keys = [(arm, part) for arm in comparison.arms for part in PARTS]
    rows: list[list[Cell]] = []
    for n, split in enumerate(comparison.splits):
        values = [comparison.of(arm, part).dice.values[n] for arm, part in keys]
        rows.append([split + 1, *("" if v is None else f"{v:.6f}" for v in values)])
    return ["split", *(f"{arm}_{part}" for arm, part in keys)], rows


def paragraph(contrast: Contrast, comparison: ExperimentComparison) -> str:
    """What the test parts say of one arm against the baseline, in a few honest sentences."""
    a, b = title(contrast.a), title(contrast.b)
    sentences = [
        f"Test Dice, {b} − {a}: Δ = {signed(contrast.difference)} "
        f"(95 % interval {interval(contrast.interval)}; {contrast.interval.method})."
    ]
    n, ties = (1, 0) if contrast.splits is None else (contrast.splits.n, contrast.splits.n_equal)
    tied = f" (equal in {ties})" if ties else ""
    sentences.append(f"{b} won {comparison.won[contrast.b]} of {n}{tied}.")
    if contrast.splits is not None:
        sentences += [_tests(contrast.splits), *_adjusted(contrast, comparison)]
        sentences.append(_verdict(contrast))
    if contrast.patients is not None:
        sentences.append(_tests(contrast.patients))
    if contrast.unpaired.n:
        sentences.append(f"{contrast.unpaired.n} cases are not in both arms and were left out.")
    return " ".join(sentences)


def _tests(found: PairedStatistics) -> str:
    told = [f"paired t {p_value(found.paired_t)}", f"Wilcoxon {p_value(found.wilcoxon)}"]
    if found.corrected_t is not None:
        told.append(
            f"Nadeau–Bengio-corrected t {p_value(found.corrected_t)} "
            f"(95 % interval {interval(found.interval)})"
        )
    plural = "" if found.n == 1 else "s"
    return f"Over {found.n} {found.unit}{plural}: {', '.join(told)}."


def _adjusted(contrast: Contrast, comparison: ExperimentComparison) -> list[str]:
    if contrast.adjusted_p is None or len(comparison.on("test")) < 2:
        return []
    n = len(comparison.on("test"))
    return [f"Holm-adjusted for {n} arms: p = {contrast.adjusted_p:.3f}."]


def _verdict(contrast: Contrast) -> str:
    p = contrast.adjusted_p
    if p is None:
        return "The corrected test is undefined, since the differences do not vary."
    if p < _SIGNIFICANT:
        return "The corrected test finds a difference at the 5 % level."
    return "These splits do not show a difference at the 5 % level; that does not show equality."


def _markers(comparison: ExperimentComparison) -> str:
    told = [
        f"{title(arm)} {_mean_and_sd(scores)}"
        for arm in comparison.arms
        if (scores := comparison.of(arm, "test").marker_auc).mean is not None
    ]
    return f"Marker AUC on test: {'; '.join(told)}." if told else ""


def _missing(comparison: ExperimentComparison) -> str:
    if not comparison.missing:
        return ""
    return f"Not there yet ({UNDEFINED} in the table): {', '.join(comparison.missing)}."
