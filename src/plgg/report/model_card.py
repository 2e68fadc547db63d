"""`write_model_card`: RUN/model_card.md, under the headings of Mitchell et al. 2019.

The text is in `templates/model_card.md`; this module computes the numbers and names in it.
"""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from plgg.config.base import TITLES
from plgg.core.files import write_text
from plgg.data.ensemble_folder import OUT_OF_FOLD
from plgg.evaluate.experiment_records import Record, finite, nested
from plgg.evaluate.records import CaseScores, Subgroup, Summary
from plgg.evaluate.subgroups import AGE_BANDS, SIZE_BANDS
from plgg.report.measures import (
    ADULT_YEARS,
    FEW_PATIENTS,
    group_mean,
    marker_sentences,
    measures,
    volume_sentence,
)
from plgg.report.numbers import UNDEFINED, blank, count, duration, number
from plgg.report.parts import Facts
from plgg.report.run_records import PARTS, Case, RunRecords, read_run
from plgg.report.table import Table
from plgg.report.template import render_markdown

_FEW = 3
_UNKNOWN = "unknown"
SCORED = ("validation", "test", OUT_OF_FOLD)


def write_model_card(run: Path) -> Path:
    """Write a run's model card atomically.

    Everything in it is read from the run's files, and from the store's list of cases if the store
    is still there. It holds no name of a patient or a scan and no path of this machine.

    Args:
        run: Folder of a training run, preferably evaluated.

    Returns:
        Path of the card.

    Raises:
        RunError: If the folder is no run, or one of its files cannot be read.
        OutputError: If the card cannot be written.
    """
    path = run / "model_card.md"
    write_text(path, render_markdown("model_card.md", _page(read_run(run))))
    return path


def _page(run: RunRecords) -> dict[str, object]:
    """The variables of the template: text, which it escapes, and finished Markdown."""
    traits = ("site", "age_years", "sex", "marker")
    known = [t for t in traits if any(getattr(case, t) is not None for case in run.cases)]
    sexes = sorted(Counter(case.sex for case in run.cases if case.sex).items())
    part = next((p for p in reversed(SCORED) if p in run.evaluations), "")
    groups = run.evaluations[part].summary.subgroups if part else ()
    calibration = run.calibration
    return {
        "name": run.name,
        "single": not _names_marker(run),
        "told_marker": run.config.get("model", {}).get("marker_planes", False),
        "details": _details(run),
        "folds": run.folds,
        "about": run.about,
        "traits": ", ".join(name.replace("_years", "") for name in known) or "nothing",
        "sizes": ", ".join(f"{name} {count(n, 'scan')}" for name, n in run.sizes.items()),
        "patients": _patients_table(run) if run.cases else None,
        "population": _population(run),
        "is_whole": run.is_whole,
        "results": _results_table(run) if part else None,
        "sentences": [
            f"On {name}: {sentence}"
            for name in SCORED
            if name in run.evaluations
            for sentence in _sentences(run.evaluations[name].summary)
        ],
        "subgroups_of": part,
        "subgroups": _subgroups_table(groups) if groups else None,
        "calibration": calibration,
        "volume_factor": math.exp(calibration.volume.log_ratio)
        if calibration and calibration.volume
        else None,
        "is_of_other_weights": calibration is not None
        and calibration.model_sha256 != run.checkpoint.get("sha256"),
        "sexes": ", ".join(f"{name} {n}" for name, n in sexes),
        "caveats": _caveats(run),
        "provenance": _provenance(run),
        "best_dice": blank(number(finite(run.checkpoint.get("best_dice")))),
    }


def _patients_table(run: RunRecords) -> Table:
    """Table of the patients in each part of the split."""
    parts = [part for part in PARTS if run.parts.get(part)]
    columns = [run.parts[part] for part in parts] + [run.cases]
    rows: list[tuple[str, ...]] = [
        ("Patients", *(str(len({case.patient_id for case in cases})) for cases in columns)),
        ("Scans", *(str(len(cases)) for cases in columns)),
        ("Scans with an outline by hand", *(str(sum(map(_outlined, c))) for c in columns)),
        ("Age, median (range), years", *(_ages(cases) for cases in columns)),
        *_counted("Sex", [[case.sex for case in cases] for cases in columns]),
        *_counted("Marker", [[case.marker for case in cases] for cases in columns]),
        *_counted("Site", [[case.site for case in cases] for cases in columns]),
    ]
    return Table(("", *parts, "all"), tuple(rows))


def _population(run: RunRecords) -> Facts:
    """Whom the patients represent, as pairs of an emphasised text and an explanation."""
    if run.cases and all(case.patient_id.startswith("phantom-") for case in run.cases):
        shows = "The model shows that the software works; it has learnt nothing of real tumours."
        return (("The patients are synthetic.", shows),)
    ages = _known_ages(run.cases)
    if not ages:
        return (("", "No patient's age is known."),)
    if min(ages) >= ADULT_YEARS:
        adults = f"All patients of known age are adults, from {min(ages):.0f} years."
        return ((adults, "Nothing here is a result on children."),)
    n = sum(age < ADULT_YEARS for age in ages)
    return (("", f"{n} of the {len(ages)} scans of known age are of children under 18 years."),)


def _outlined(case: Case) -> bool:
    return case.dice is not None if isinstance(case, CaseScores) else case.has_mask


def _ages(cases: Sequence[Case]) -> str:
    ages = _known_ages(cases)
    if not ages:
        return _UNKNOWN
    return (
        f"{number(statistics.median(ages), 0)} ({number(min(ages), 0)} to {number(max(ages), 0)})"
    )


def _known_ages(cases: Iterable[Case]) -> list[float]:
    return [case.age_years for case in cases if case.age_years is not None]


def _counted(label: str, values: Sequence[Sequence[str | None]]) -> list[tuple[str, ...]]:
    """A row for each value that occurs; one of `unknown` where some are."""
    counts = [Counter(value or _UNKNOWN for value in found) for found in values]
    names = sorted({name for found in counts for name in found}, key=lambda n: (n == _UNKNOWN, n))
    return [(f"{label}: {name}", *(str(found[name]) for found in counts)) for name in names]


def _results_table(run: RunRecords) -> Table:
    """All measures, by part, each with its 95 % interval over patients."""
    summaries = {p: run.evaluations[p].summary for p in SCORED if p in run.evaluations}
    columns = {p: {m.label: m.cell for m in measures(found)} for p, found in summaries.items()}
    labels = dict.fromkeys(label for found in columns.values() for label in found)
    rows = tuple((label, *(c.get(label, UNDEFINED) for c in columns.values())) for label in labels)
    counted = (f"{p}, {found.n_patients} patients" for p, found in summaries.items())
    return Table(("Value (95 % interval)", *counted), rows)


def _sentences(summary: Summary) -> Iterator[str]:
    """Volumes and abstention in words; and what was not predicted."""
    yield from filter(None, (volume_sentence(summary), marker_sentences(summary)))
    if summary.failed:
        n = len(summary.failed)
        are = "is" if n == 1 else "are"
        yield f"{count(n, 'scan')} could not be scored and {are} in no number."
    if summary.missing:
        n = len(summary.missing)
        yield f"{count(n, 'scan')} without a prediction {'is' if n == 1 else 'are'} in no number."


def _subgroups_table(groups: Sequence[Subgroup]) -> Table:
    """Dice and accuracy by subgroup."""
    rows = tuple(
        (
            f"{group.group}: {group.level}",
            str(group.n_patients),
            group_mean(group, "dice", 2),
            group_mean(group, "marker_named_rightly", 2),
        )
        for group in groups
    )
    return Table(("Subgroup", "patients", "Dice", "marker accuracy"), rows)


def _details(run: RunRecords) -> Facts:
    """What kind of model, and how it was trained."""
    config = run.config
    size = nested(config, "patches", "size") or ()
    seconds = [s for e in run.epochs if (s := finite(e.get("seconds"))) is not None]
    return (
        ("Answers", _answers(run)),
        ("Preset and arm", ", ".join(str(config[k]) for k in ("preset", "arm") if k in config)),
        ("Input", _input(run)),
        ("Preparation", _preparation(run)),
        ("Network", _network(config)),
        ("Patch", "×".join(map(str, size))),
        ("Patches a step", _text(nested(config, "patches", "batch"))),
        ("Learning rate", _text(nested(config, "optimiser", "learning_rate"))),
        ("Weight of the marker's loss", _text(nested(config, "loss", "marker_weight"))),
        ("Seed", _text(config.get("seed"))),
        ("Epochs", f"{len(run.epochs)} trained" if run.epochs else ""),
        ("Chosen epoch", _text(run.checkpoint.get("epoch"))),
        ("Time of training", duration(sum(seconds)) if seconds else ""),
    )


def _network(config: Record) -> str:
    backbone = _text(nested(config, "model", "backbone")) or "segresnet"
    if backbone != "segresnet":
        return backbone
    return f"{backbone}, {_text(nested(config, 'model', 'init_filters'))} first filters"


def _input(run: RunRecords) -> str:
    """The sequences and the grid."""
    channels = ", ".join(
        TITLES.get(c, str(c)) for c in nested(run.config, "channels") or ("flair",)
    )
    spacing = finite(nested(run.config, "grid", "spacing_mm"))
    if spacing is None:
        return channels
    if nested(run.config, "grid", "kind") == "slices":
        return f"{channels}, slices as acquired; those nearer than {spacing:g} mm are joined"
    return f"{channels}, on the SRI24 atlas at {spacing:g} mm"


def _names_marker(run: RunRecords) -> bool:
    """Whether the model predicts the marker: not in the single arm or with other tasks only."""
    return run.config.get("arm") != "single" and "marker" in run.config.get("tasks", {"marker"})


def _answers(run: RunRecords) -> str:
    classes = run.checkpoint.get("classes") or ()
    outline = "an outline of the tumour on the patient's own scan, and its volume"
    if not classes or not _names_marker(run):
        return outline
    return f"{outline}; a probability for each marker: {', '.join(map(str, classes))}"


def _preparation(run: RunRecords) -> str:
    found = nested(run.config, "preprocess") or {}
    steps = [f"{key} {found[key]}" for key in ("registration", "stripping") if key in found]
    if "n4" in found:
        steps.append(f"bias field {'taken out' if found['n4'] else 'left in'}")
    return ", ".join(steps)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _caveats(run: RunRecords) -> list[str]:
    """Limits of the evidence, such as what the model was not tested on."""
    test = run.evaluations.get("test")
    sites = {case.site for case in run.cases if case.site}
    lines = [" ".join(filter(None, pair)) for pair in _population(run)]
    unseen = test or run.evaluations.get(OUT_OF_FOLD)
    lines += ["The model was not tested on patients it had not seen."] if unseen is None else []
    lines += _untested(unseen.summary) if unseen else []
    if sites:
        n_sites = count(len(sites), "site")
        lines.append(f"All patients come from {n_sites}; it was not tested on another.")
    how = f"{run.folds} folds" if run.folds else "one split"
    lines.append(f"It was tested on {how} of one cohort, looking back, not in use.")
    if nested(run.checkpoint, "metrics", "marker_collapsed"):
        lines.append(
            "The marker head has collapsed: it gives every patient the same answer, and its "
            "probabilities mean nothing."
        )
    return lines


def _untested(summary: Summary) -> list[str]:
    lines = []
    if summary.n_patients < FEW_PATIENTS:
        lines.append(
            f"Only {count(summary.n_patients, 'patient')} were tested: intervals are wide, and may "
            "still be too narrow."
        )
    bands = {
        "age": tuple(AGE_BANDS),
        "size": tuple(SIZE_BANDS),
        "region": ("supratentorial", "infratentorial"),
    }
    for trait, levels in bands.items():
        found = [group for group in summary.subgroups if group.group == trait]
        few = [level for level in levels if _patients(found, level) < _FEW]
        if found and few:
            lines.append(f"Fewer than {_FEW} test patients by {trait}: {', '.join(few)}.")
    return lines


def _patients(groups: list[Subgroup], level: str) -> int:
    return next((group.n_patients for group in groups if group.level == level), 0)


def _provenance(run: RunRecords) -> Facts:
    """Hashes and versions."""
    machine = nested(run.environment, "machine") or {}
    parts = [f"{key.replace('_', ' ')} {value}" for key, value in machine.items()]
    versions = nested(run.environment, "versions") or {}
    preset_hash = nested(run.config, "preprocess", "atlas_sha256")
    calibrated = run.calibration.model_sha256 if run.calibration else ""
    return (
        ("Weights, SHA-256", _text(run.checkpoint.get("sha256"))),
        ("Weights that the calibration is for", calibrated),
        ("Atlas, SHA-256", _text(preset_hash)),
        ("Checkpoint format", _text(run.checkpoint.get("version"))),
        ("Machine", ", ".join(parts)),
        ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
    )
