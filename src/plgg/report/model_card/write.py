"""`write_model_card`: RUN/model_card.md, under the headings of Mitchell et al. 2019."""

from __future__ import annotations

from pathlib import Path

import plgg
from plgg.core.files import write_text
from plgg.core.markdown import escaped
from plgg.report.model_card import words
from plgg.report.model_card.records import Facts, read_facts
from plgg.report.model_card.sections import calibration, data, results, subgroups
from plgg.report.numbers import count

FILE = "model_card.md"


def read_model_card(run: Path) -> str | None:
    """A run's model card as Markdown; None where none was written."""
    path = run / FILE
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


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
    path = run / FILE
    write_text(path, card(read_facts(run)))
    return path


def card(facts: Facts) -> str:
    """The card as Markdown."""
    sections = (
        ("Model details", words.details(facts)),
        ("Intended use", words.intended_use(facts)),
        ("Factors", words.factors(facts)),
        ("Metrics", words.METRICS),
        ("Training and evaluation data", f"{_split(facts)}\n\n{data(facts)}"),
        ("Quantitative analyses", results(facts)),
        ("Subgroups", subgroups(facts)),
        ("Calibration and abstention", calibration(facts)),
        ("Ethical considerations", words.ethics(facts)),
        ("Caveats and recommendations", words.caveats(facts)),
        ("Provenance", words.provenance(facts)),
        ("How to use", words.how_to_use(facts)),
    )
    body = "\n\n".join(f"## {title}\n\n{text}" for title, text in sections)
    return (
        f"# Model card: {escaped(facts.name)}\n\n"
        f"For research use only. Made by plgg {plgg.__version__} from the run's own records, under "
        "the headings of Mitchell et al., Model Cards for Model Reporting, 2019.\n\n"
        f"{body}\n"
    )


def _split(facts: Facts) -> str:
    told = ", ".join(f"{part} {count(n, 'scan')}" for part, n in facts.sizes.items())
    return (
        f"The cohort was split by patient: {told}. The scans of train were learnt from, those "
        "of validation chose the checkpoint and the calibration, those of test chose nothing."
    )
