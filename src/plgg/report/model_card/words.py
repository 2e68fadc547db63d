"""The card's sections in words: intended use, limits, origin."""

from __future__ import annotations

from collections import Counter

from plgg.evaluate.experiment_records import dig, finite
from plgg.evaluate.records import Subgroup, Summary
from plgg.evaluate.subgroups import AGE_BANDS, SIZE_BANDS
from plgg.report.evaluation.sentences import FEW_PATIENTS
from plgg.report.model_card.records import Facts, bullets
from plgg.report.model_card.records import facts as listed_facts
from plgg.report.model_card.sections import population
from plgg.report.numbers import count, duration, number

FEW = 3


def details(facts: Facts) -> str:
    """What kind of model, and how it was trained."""
    config = facts.config
    size = dig(config, "patches", "size") or ()
    seconds = [s for e in facts.epochs if (s := finite(e.get("seconds"))) is not None]
    spacing = finite(dig(config, "grid", "spacing_mm"))
    pairs = (
        ("Answers", _answers(facts)),
        ("Preset and arm", ", ".join(str(config[k]) for k in ("preset", "arm") if k in config)),
        ("Input", f"one FLAIR, on the SRI24 atlas at {spacing:g} mm" if spacing else ""),
        ("Preparation", _preparation(facts)),
        ("First filters", _text(dig(config, "model", "init_filters"))),
        ("Patch", "×".join(map(str, size))),
        ("Patches a step", _text(dig(config, "patches", "batch"))),
        ("Learning rate", _text(dig(config, "optimiser", "learning_rate"))),
        ("Weight of the marker's loss", _text(dig(config, "loss", "marker_weight"))),
        ("Seed", _text(config.get("seed"))),
        ("Epochs", f"{len(facts.epochs)} trained" if facts.epochs else ""),
        ("Chosen epoch", _text(facts.checkpoint.get("epoch"))),
        ("Time of training", duration(sum(seconds)) if seconds else ""),
    )
    return listed_facts(pairs)


def _answers(facts: Facts) -> str:
    classes = facts.checkpoint.get("classes") or ()
    outline = "an outline of the tumour on the patient's own scan, and its volume"
    if facts.config.get("arm") == "single" or not classes:
        return outline
    return f"{outline}; a probability for each marker: {', '.join(map(str, classes))}"


def _preparation(facts: Facts) -> str:
    found = dig(facts.config, "preprocess") or {}
    told = [f"{key} {found[key]}" for key in ("registration", "stripping") if key in found]
    if "n4" in found:
        told.append(f"bias field {'taken out' if found['n4'] else 'left in'}")
    return ", ".join(told)


def _text(value: object) -> str:
    return "" if value is None else str(value)


def intended_use(facts: Facts) -> str:
    """What it is for, and what not."""
    single = facts.config.get("arm") == "single"
    return bullets(
        (
            "For research on the segmentation of gliomas on one FLAIR"
            + ("." if single else " and on naming a genetic marker from it."),
            "For people who look at every outline before they use it.",
            "Not for the care of patients: it is no medical device, and no clinical study of it "
            "was made.",
            "" if single else "Not in place of a biopsy.",
            "Not for finding out whether there is a tumour: it was trained on patients who have "
            "one.",
            "Not for sequences other than FLAIR.",
        )
    )


def factors(facts: Facts) -> str:
    """What results may depend on, and which of it is known here."""
    known = [
        name
        for name in ("site", "age_years", "sex", "marker")
        if any(getattr(case, name) is not None for case in facts.cases)
    ]
    told = ", ".join(name.replace("_years", "") for name in known) or "nothing"
    return (
        f"Known of the patients: {told}. Results are split by these, and by the true tumour's "
        "size and place, under Subgroups. Scanners, field strengths, treatment before the scan "
        "and who drew the outlines are not on record."
    )


METRICS = (
    "Dice is twice the overlap of outline and truth over the sum of their sizes; HD95 the "
    "distance that 95 % of one surface keeps within of the other; limits of agreement hold 95 % "
    "of volume errors (Bland and Altman); AUC is one marker against the rest, averaged, 0.5 is "
    "guessing; the calibration error is the mean gap between stated and true certainty. "
    "Intervals are 95 % over 2,000 resamples of patients, those of agreement by t."
)


def ethics(facts: Facts) -> str:
    """Whose data, and who may be served worse."""
    sexes = Counter(case.sex for case in facts.cases if case.sex)
    shares = ", ".join(f"{name} {n}" for name, n in sorted(sexes.items()))
    return bullets(
        (
            "The card holds counts and means only, no names of patients or scans.",
            f"Scans by sex: {shares}." if shares else "",
            "Ethnicity and income are not on record: whether the model serves some groups worse "
            "is not known beyond the subgroups above.",
            ""
            if facts.config.get("arm") == "single"
            else "A wrongly named marker could mislead: probabilities are to be shown with their "
            "calibration, and withheld answers stay withheld.",
        )
    )


def caveats(facts: Facts) -> str:
    """What was not tested, and what follows."""
    test = facts.evaluations.get("test")
    sites = sorted({case.site for case in facts.cases if case.site})
    told = [said.replace("**", "") for said in population(facts)]
    if test is None:
        told.append("The model was not tested on patients it had not seen.")
    else:
        told += _untested(test.summary)
    if sites:
        told.append(
            f"All patients come from {count(len(sites), 'site')}; it was not tested on another."
        )
    told.append("It was tested on one split of one cohort, looking back, not in use.")
    if dig(facts.checkpoint, "metrics", "marker_collapsed"):
        told.append(
            "The marker head has collapsed: it gives every patient the same answer, and its "
            "probabilities mean nothing."
        )
    return bullets(told)


def _untested(summary: Summary) -> list[str]:
    told = []
    if summary.n_patients < FEW_PATIENTS:
        told.append(
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
        few = [level for level in levels if _patients(found, level) < FEW]
        if found and few:
            told.append(f"Fewer than {FEW} test patients by {trait}: {', '.join(few)}.")
    return told


def _patients(groups: list[Subgroup], level: str) -> int:
    return next((group.n_patients for group in groups if group.level == level), 0)


def provenance(facts: Facts) -> str:
    """Hashes and versions."""
    machine = dig(facts.environment, "machine") or {}
    told = [f"{key.replace('_', ' ')} {value}" for key, value in machine.items()]
    versions = dig(facts.environment, "versions") or {}
    preset_hash = dig(facts.config, "preprocess", "atlas_sha256")
    calibrated = facts.calibration.model_sha256 if facts.calibration else ""
    return listed_facts(
        (
            ("Weights, SHA-256", _text(facts.checkpoint.get("sha256"))),
            ("Weights that the calibration is for", calibrated),
            ("Atlas, SHA-256", _text(preset_hash)),
            ("Checkpoint format", _text(facts.checkpoint.get("version"))),
            ("Machine", ", ".join(told)),
            ("Versions", ", ".join(f"{name} {version}" for name, version in versions.items())),
        )
    )


def how_to_use(facts: Facts) -> str:
    """Commands; paths are placeholders."""
    best = finite(facts.checkpoint.get("best_dice"))
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
