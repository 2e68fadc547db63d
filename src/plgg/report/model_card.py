"""`write_model_card`: RUN/model_card.md, under the headings of Mitchell et al. 2019."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import plgg
from plgg.core.files import write_text
from plgg.core.markdown import bullets, escaped, facts
from plgg.evaluate.experiment_records import dig, finite
from plgg.evaluate.records import Subgroup, Summary
from plgg.evaluate.subgroups import AGE_BANDS, SIZE_BANDS
from plgg.report.measures import FEW_PATIENTS
from plgg.report.model_card_data import (
    RunRecords,
    calibration,
    data,
    population,
    read_run,
    results,
    subgroups,
)
from plgg.report.numbers import count, duration, number

_FEW = 3


def write_model_card(run: Path) -> Path:
    """Write a run's model card; whole or not at all.

    Everything in it is read from the run's files, and from the store's list of cases where that is
    still at hand. It holds no name of a patient or a scan and no path of this machine.

    Args:
        run: Folder of a training run, best after it was evaluated.

    Returns:
        Path of the card.

    Raises:
        RunError: If the folder is no run, or one of its files cannot be read.
        OutputError: If the card cannot be written.
    """
    path = run / "model_card.md"
    write_text(path, _card(read_run(run)))
    return path


def _card(run: RunRecords) -> str:
    """The card as Markdown."""
    sections = (
        ("Model details", _details(run)),
        ("Intended use", _intended_use(run)),
        ("Factors", _factors(run)),
        ("Metrics", _METRICS),
        ("Training and evaluation data", f"{_split(run)}\n\n{data(run)}"),
        ("Quantitative analyses", results(run)),
        ("Subgroups", subgroups(run)),
        ("Calibration and abstention", calibration(run)),
        ("Ethical considerations", _ethics(run)),
        ("Caveats and recommendations", _caveats(run)),
        ("Provenance", _provenance(run)),
        ("How to use", _how_to_use(run)),
    )
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections)
    return (
        f"# Model card: {escaped(run.name)}\n\n"
        f"For research use only. Made by plgg {plgg.__version__} from the run's own records, under "
        "the headings of Mitchell et al., Model Cards for Model Reporting, 2019.\n\n"
        f"{body}\n"
    )


def _split(run: RunRecords) -> str:
    sizes = ", ".join(f"{part} {count(n, 'scan')}" for part, n in run.sizes.items())
    return (
        f"The cohort was split by patient: {sizes}. The scans of train trained it, those "
        "of validation chose the checkpoint and the calibration, those of test chose nothing."
    )


def _details(run: RunRecords) -> str:
    """What kind of model, and how it was trained."""
    config = run.config
    size = dig(config, "patches", "size") or ()
    seconds = [s for e in run.epochs if (s := finite(e.get("seconds"))) is not None]
    spacing = finite(dig(config, "grid", "spacing_mm"))
    pairs = (
        ("Answers", _answers(run)),
        ("Preset and arm", ", ".join(str(config[k]) for k in ("preset", "arm") if k in config)),
        ("Input", f"one FLAIR, on the SRI24 atlas at {spacing:g} mm" if spacing else ""),
        ("Preparation", _preparation(run)),
        ("First filters", _text(dig(config, "model", "init_filters"))),
        ("Patch", "×".join(map(str, size))),
        ("Patches a step", _text(dig(config, "patches", "batch"))),
        ("Learning rate", _text(dig(config, "optimiser", "learning_rate"))),
        ("Weight of the marker's loss", _text(dig(config, "loss", "marker_weight"))),
        ("Seed", _text(config.get("seed"))),
        ("Epochs", f"{len(run.epochs)} trained" if run.epochs else ""),
        ("Chosen epoch", _text(run.checkpoint.get("epoch"))),
        ("Time of training", duration(sum(seconds)) if seconds else ""),
    )
    return facts(pairs)


def _answers(run: RunRecords) -> str:
    classes = run.checkpoint.get("classes") or ()
    outline = "an outline of the tumour on the patient's own scan, and its volume"
    if run.config.get("arm") == "single" or not classes:
        return outline
    return f"{outline}; a probability for each marker: {', '.join(map(str, classes))}"


def _preparation(run: RunRecords) -> str:
    found = dig(run.config, "preprocess") or {}
    steps = [f"{key} {found[key]}" for key in ("registration", "stripping") if key in found]
    if "n4" in found:
        steps.append(f"bias field {'taken out' if found['n4'] else 'left in'}")
    return ", ".join(steps)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _intended_use(run: RunRecords) -> str:
    """What it is for, and what not."""
    single = run.config.get("arm") == "single"
    return bullets(
        (
            "For research on the segmentation of gliomas on one FLAIR"
            + ("." if single else " and on predicting a genetic marker from it."),
            "For people who look at every outline before they use it.",
            "Not for the care of patients: it is no medical device, and no clinical study of it "
            "was made.",
            "" if single else "Not in place of a biopsy.",
            "Not for finding out whether there is a tumour: it was trained on patients who have "
            "one.",
            "Not for sequences other than FLAIR.",
        )
    )


def _factors(run: RunRecords) -> str:
    """What results may depend on, and which of it is known here."""
    known = [
        name
        for name in ("site", "age_years", "sex", "marker")
        if any(getattr(case, name) is not None for case in run.cases)
    ]
    traits = ", ".join(name.replace("_years", "") for name in known) or "nothing"
    return (
        f"Known of the patients: {traits}. Results are split by these, and by the true tumour's "
        "size and place, under Subgroups. Scanners, field strengths, treatment before the scan "
        "and who drew the outlines are not on record."
    )


_METRICS = (
    "Dice is twice the overlap of outline and truth over the sum of their sizes; HD95 the "
    "distance within which 95 % of each surface lies of the other; limits of agreement hold 95 % "
    "of volume errors (Bland and Altman); AUC is one marker against the rest, averaged, 0.5 is "
    "chance; the calibration error is the mean gap between stated and true certainty. "
    "Intervals are 95 % over 2,000 resamples of patients, those of agreement by t."
)


def _ethics(run: RunRecords) -> str:
    """Whose data, and who may be served worse."""
    sexes = Counter(case.sex for case in run.cases if case.sex)
    shares = ", ".join(f"{name} {n}" for name, n in sorted(sexes.items()))
    return bullets(
        (
            "The card holds counts and means only, no names of patients or scans.",
            f"Scans by sex: {shares}." if shares else "",
            "Ethnicity and income are not on record: whether the model serves some groups worse "
            "is not known beyond the subgroups above.",
            ""
            if run.config.get("arm") == "single"
            else "A wrong marker could mislead: probabilities are to be shown with their "
            "calibration, and withheld answers stay withheld.",
        )
    )


def _caveats(run: RunRecords) -> str:
    """What was not tested, and what follows."""
    test = run.evaluations.get("test")
    sites = sorted({case.site for case in run.cases if case.site})
    lines = [line.replace("**", "") for line in population(run)]
    if test is None:
        lines.append("The model was not tested on patients it had not seen.")
    else:
        lines += _untested(test.summary)
    if sites:
        lines.append(
            f"All patients come from {count(len(sites), 'site')}; it was not tested on another."
        )
    lines.append("It was tested on one split of one cohort, looking back, not in use.")
    if dig(run.checkpoint, "metrics", "marker_collapsed"):
        lines.append(
            "The marker head has collapsed: it gives every patient the same answer, and its "
            "probabilities mean nothing."
        )
    return bullets(lines)


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


def _provenance(run: RunRecords) -> str:
    """Hashes and versions."""
    machine = dig(run.environment, "machine") or {}
    parts = [f"{key.replace('_', ' ')} {value}" for key, value in machine.items()]
    versions = dig(run.environment, "versions") or {}
    preset_hash = dig(run.config, "preprocess", "atlas_sha256")
    calibrated = run.calibration.model_sha256 if run.calibration else ""
    return facts(
        (
            ("Weights, SHA-256", _text(run.checkpoint.get("sha256"))),
            ("Weights that the calibration is for", calibrated),
            ("Atlas, SHA-256", _text(preset_hash)),
            ("Checkpoint format", _text(run.checkpoint.get("version"))),
            ("Machine", ", ".join(parts)),
            ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        )
    )


def _how_to_use(run: RunRecords) -> str:
    """Commands; paths are placeholders."""
    best = finite(run.checkpoint.get("best_dice"))
    chosen = "" if best is None else f" Its mean Dice while training was {number(best)}."
    return (
        "With the run's folder at RUN:\n\n"
        "```\n"
        "plgg predict SCAN --model RUN --out PREDICTIONS\n"
        "plgg evaluate PREDICTIONS MANIFEST\n"
        "```\n\n"
        "SCAN is a FLAIR in NIfTI or DICOM, with or without the skull. The epoch with the best "
        f"Dice on the validation patients is used.{chosen}"
    )
