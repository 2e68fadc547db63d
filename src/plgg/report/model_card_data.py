"""What a run's folder holds that its model card says, and the sections that are numbers."""

from __future__ import annotations

import math
import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from plgg.core.errors import PlggError, RunError
from plgg.core.markdown import escaped, facts
from plgg.core.records import JsonError, read_json
from plgg.data.calibration import Calibration, MarkerRule, MaskRule, read_calibration
from plgg.data.run_folder import read_config, read_environment, read_metrics, read_split
from plgg.data.store import Store, StoredCase
from plgg.evaluate.evaluation import Evaluation, read_evaluation
from plgg.evaluate.experiment_records import Record, dig
from plgg.evaluate.records import CaseScores, Summary
from plgg.report.measures import (
    ADULT_YEARS,
    group_mean,
    marker_sentences,
    measures,
    volume_sentence,
)
from plgg.report.numbers import UNDEFINED, count, number
from plgg.report.table import Table

PARTS = ("train", "validation", "test")
Case = StoredCase | CaseScores


@dataclass(frozen=True)
class RunRecords:
    """A run's records; what is not there is empty or None.

    Attributes:
        name: The folder's name.
        config: Its settings.
        environment: Versions and machine.
        checkpoint: `checkpoints/best.json`.
        epochs: Lines of `metrics.jsonl`.
        sizes: Scans of each part of the split.
        parts: Cases of each part: from the store, or where that is gone those that were scored.
        is_whole: Whether they are all cases of the split.
        evaluations: By part.
        calibration: What was fitted on the validation patients.
    """

    name: str
    config: Record
    environment: Record
    checkpoint: Record
    epochs: tuple[Record, ...]
    sizes: Mapping[str, int]
    parts: Mapping[str, tuple[Case, ...]]
    is_whole: bool
    evaluations: Mapping[str, Evaluation]
    calibration: Calibration | None

    @property
    def cases(self) -> tuple[Case, ...]:
        """All known cases."""
        return tuple(case for part in self.parts.values() for case in part)


def read_run(run: Path) -> RunRecords:
    """Read a run.

    Raises:
        RunError: If the folder is no run, or one of its files cannot be read.
    """
    if not (run / "config.json").is_file():
        raise RunError("is not a run (no config.json)", where=run, remedy="Make one: plgg train.")
    split = read_split(run) if (run / "split.json").exists() else {}
    environment = read_environment(run)
    folders = {part: run / "evaluation" / part for part in PARTS}
    evaluations = {
        part: read_evaluation(folder)
        for part, folder in folders.items()
        if (folder / "summary.json").is_file()
    }
    stored = _stored(environment, split)
    scored = {part: found.rows for part, found in evaluations.items()}
    return RunRecords(
        name=run.resolve().name,
        config=read_config(run).model_dump(mode="json"),
        environment=environment,
        checkpoint=_record(run / "checkpoints" / "best.json"),
        epochs=tuple(read_metrics(run)),
        sizes={part: len(split.get(part, ())) for part in PARTS},
        parts=stored or scored,
        is_whole=bool(stored),
        evaluations=evaluations,
        calibration=read_calibration(run),
    )


def _record(path: Path) -> Record:
    try:
        found = read_json(path)
    except JsonError as fault:
        if fault.is_missing:
            return {}
        raise RunError(
            f"cannot be read ({fault.fault})", where=path, remedy="Train again."
        ) from fault
    return found if isinstance(found, dict) else {}


def _stored(environment: Record, split: Record) -> dict[str, tuple[Case, ...]]:
    """The split's cases in the store that the run was trained on, if that is still the same."""
    named = dig(environment, "store")
    if not isinstance(named, str):
        return {}
    try:
        known = Store(Path(named)).by_id
    except PlggError:
        return {}
    wanted = {part: tuple(split.get(part, ())) for part in PARTS}
    if not all(name in known for names in wanted.values() for name in names):
        return {}
    return {part: tuple(known[name] for name in names) for part, names in wanted.items()}


_UNKNOWN = "unknown"


def data(run: RunRecords) -> str:
    """Who the model was trained, chosen and tested on."""
    if not run.cases:
        return "Who the patients were is not on record."
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
    table = Table(("", *parts, "all"), tuple(rows)).to_markdown()
    blocks = [table, *population(run)]
    if not run.is_whole:
        blocks.append(
            "The store that the model was trained on is no longer at hand or was changed: these "
            "are only the scans that were scored afterwards."
        )
    return "\n\n".join(blocks)


def population(run: RunRecords) -> list[str]:
    """For whom the patients stand, in whole sentences."""
    if all(case.patient_id.startswith("phantom-") for case in run.cases) and run.cases:
        return [
            "**The patients are synthetic.** The model shows that the software works; it has "
            "learnt nothing of real tumours."
        ]
    ages = _known_ages(run.cases)
    if not ages:
        return ["No patient's age is known."]
    if min(ages) >= ADULT_YEARS:
        return [
            f"**All patients of known age are adults, from {min(ages):.0f} years.** Nothing here "
            "is a result on children."
        ]
    children = sum(age < ADULT_YEARS for age in ages)
    return [f"{children} of the {len(ages)} scans of known age are of children under 18 years."]


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


SCORED = ("validation", "test")


def results(run: RunRecords) -> str:
    """All measures, by part, each with its 95 % interval over patients."""
    parts = [part for part in SCORED if part in run.evaluations]
    if not parts:
        return "The model has not been evaluated."
    columns = {
        part: {m.label: m.cell for m in measures(run.evaluations[part].summary)} for part in parts
    }
    labels = dict.fromkeys(label for found in columns.values() for label in found)
    rows = tuple((label, *(columns[p].get(label, UNDEFINED) for p in parts)) for label in labels)
    counted = [f"{p}, {run.evaluations[p].summary.n_patients} patients" for p in parts]
    blocks = [
        Table(("Value (95 % interval)", *counted), rows).to_markdown(),
        f"{'Checkpoint and calibration were' if run.calibration else 'The checkpoint was'} "
        "chosen on the validation patients, so their numbers are too good; the test patients chose "
        "nothing.",
    ]
    for part in parts:
        summary = run.evaluations[part].summary
        blocks += [escaped(f"On {part}: {sentence}") for sentence in _sentences(summary)]
    return "\n\n".join(blocks)


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


def subgroups(run: RunRecords) -> str:
    """Dice by subgroup of the test patients, or of validation where there is no test."""
    part = next((p for p in reversed(SCORED) if p in run.evaluations), None)
    found = run.evaluations[part].summary.subgroups if part else ()
    if not found:
        return "Nothing is known that would tell the scans apart."
    rows = tuple(
        (
            f"{g.group}: {g.level}",
            str(g.n_patients),
            group_mean(g, "dice", 2),
            group_mean(g, "marker_named_rightly", 2),
        )
        for g in found
    )
    return (
        f"Means (95 % interval) of the {part} patients; of fewer than three only their number. "
        "Groups this small differ by chance alone.\n\n"
        + Table(("Subgroup", "patients", "Dice", "marker accuracy"), rows).to_markdown()
    )


def calibration(run: RunRecords) -> str:
    """What was chosen on the validation patients."""
    found = run.calibration
    if found is None:
        return (
            "The run has no calibration: probabilities are those of the network, the mask is cut "
            "at the configured threshold, no answer is withheld, and volumes have no interval."
        )
    blocks = [facts(_rules(found))]
    if found.model_sha256 != run.checkpoint.get("sha256"):
        blocks.append("**This calibration was made for other weights than the best checkpoint's.**")
    return "\n\n".join(blocks)


def _rules(found: Calibration) -> Iterator[tuple[str, str]]:
    yield "Mask", _mask(found.mask)
    if found.volume:
        factor = math.exp(found.volume.log_ratio)
        yield (
            "Volume interval",
            f"from the volume ÷ {number(factor, 2)} to the volume × {number(factor, 2)}, to hold "
            f"the true volume with a probability of {found.volume.level:.0%} "
            f"({found.volume.n} validation scans)",
        )
    if found.marker:
        yield "Marker probabilities", _probabilities(found.marker)
        yield "Abstention", _abstention(found.marker)
    if found.clinical:
        inputs = ", ".join(name.replace("_", " ") for name in found.clinical.inputs)
        yield (
            "Clinical data alone",
            f"a logistic regression on {inputs}, of {found.clinical.n} training scans, stands "
            "beside the network's answer for comparison",
        )
    if found.familiarity:
        n = len(found.familiarity.references)
        yield "Unlike scans", f"a scan is compared with {n} training scans as the network sees them"


def _mask(rule: MaskRule) -> str:
    return (
        f"tumour from a probability of {number(rule.threshold, 2)}; parts below "
        f"{number(rule.smallest_ml, 2)} mL are removed. Mean Dice of {rule.n} validation scans "
        f"{number(rule.dice)}, against {number(rule.plain_dice)} at 0.5 with all parts"
    )


def _probabilities(rule: MarkerRule) -> str:
    return (
        f"temperature {number(rule.temperature, 2)}, fitted on {rule.n} validation scans; on these "
        f"the expected calibration error went from {number(rule.ece_before)} to "
        f"{number(rule.ece_after)}, the negative log likelihood from {number(rule.nll_before)} to "
        f"{number(rule.nll_after)}"
    )


def _abstention(rule: MarkerRule) -> str:
    target = f"{rule.target_risk:.0%} of the answers wrong"
    if rule.answer_from is None:
        return (
            "no confidence threshold met the target risk on validation "
            f"({target}), so the model abstains for every patient"
        )
    return (
        f"below a probability of {number(rule.answer_from, 2)} the answer is withheld, to have at "
        f"most {target}; on validation {rule.coverage:.0%} of the scans got an answer, of which "
        f"{number(rule.risk, 2)} were wrong"
    )
