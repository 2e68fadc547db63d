"""The table of all scans, a row each, and its data dictionary."""

from __future__ import annotations

from collections.abc import Container, Iterable
from pathlib import Path
from typing import Any

from plgg.bids.outcome import BidsOutcome
from plgg.core.errors import visible
from plgg.core.files import write_json, write_text
from plgg.core.tables import Cell
from plgg.predict.summary import COLUMNS, Row, summary_row

_KEYS = ("participant_id", "session_id", "scan", "source", "status", "reason")
# Given by the keys, or relative to a prior, which a BIDS dataset does not name.
_LEFT = {"case_id", "patient_id", "status", "reason", "change_ml", "change_percent"}
_MEASURES = tuple(name for name in COLUMNS if name not in _LEFT)
_LAST = ("engine", "plgg_version", "model_sha256")
_ABSENT = "n/a"


def write_table(path: Path, outcomes: Iterable[BidsOutcome]) -> None:
    """Write the table, and its data dictionary as JSON beside it.

    Raises:
        OutputError: If it cannot be written.
    """
    outcomes = list(outcomes)
    rows = [_row(outcome) for outcome in outcomes]
    labels = {
        f"{label.name}:value"
        for outcome in outcomes
        if outcome.result
        for label in outcome.result.labels
    }
    first = (*_KEYS, *_MEASURES, *_LAST)
    columns = list(dict.fromkeys((*first, *(name for row in rows for name in row))))
    lines = ["\t".join(columns)]
    lines += ["\t".join(cell(row.get(name)) for name in columns) for row in rows]
    write_text(path, "\n".join(lines) + "\n")
    write_json(path.with_suffix(".json"), {name: _meaning(name, labels) for name in columns})


def _row(outcome: BidsOutcome) -> Row:
    keys: Row = {
        "participant_id": outcome.subject,
        "session_id": outcome.session or None,
        "scan": outcome.name,
        "source": outcome.source or None,
        "status": outcome.status,
        "reason": outcome.reason,
    }
    result = outcome.result
    if result is None:
        return keys
    measured = {n: cell for n, cell in summary_row(result).items() if n not in _LEFT}
    return (
        keys
        | measured
        | {
            "engine": result.engine,
            "plgg_version": result.versions.get("plgg"),
            "model_sha256": " ".join(model.sha256 for model in result.models),
        }
    )


def cell(value: Cell) -> str:
    """Format a value for a table of BIDS: `n/a` where there is none."""
    if value is None or value == "":
        return _ABSENT
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return visible(text)


_MEANINGS: dict[str, dict[str, Any]] = {
    "participant_id": {"Description": "Participant."},
    "session_id": {"Description": "Session."},
    "scan": {"Description": "Entities of the scan; its derivatives begin with them."},
    "source": {"Description": "The FLAIR in the source dataset."},
    "status": {
        "Description": "What became of the scan.",
        "Levels": {
            "done": "Predicted.",
            "failed": "It could not be predicted: see the reason.",
            "left out": "The participant has no FLAIR.",
            "not predicted": "The participant level has not met it, or was stopped.",
        },
    },
    "reason": {"Description": "Why there is no prediction, or what else is to be known."},
    "volume_ml": {"Description": "Volume of the tumour's mask.", "Units": "mL"},
    "volume_low_ml": {"Description": "Lower end of the volume's interval.", "Units": "mL"},
    "volume_high_ml": {"Description": "Upper end of the volume's interval.", "Units": "mL"},
    "volume_interval_level": {
        "Description": "Share of patients whose true volume such an interval holds, judged by the "
        "model's validation patients."
    },
    "n_components": {"Description": "Connected parts of the mask."},
    "plane": {"Description": "Of the slices that the diameters were measured in."},
    "largest_mm": {"Description": "Largest diameter in one slice (RAPNO).", "Units": "mm"},
    "perpendicular_mm": {
        "Description": "Largest diameter at a right angle to it in the same slice.",
        "Units": "mm",
    },
    "depth_mm": {"Description": "Extent across the slices.", "Units": "mm"},
    "product_mm2": {"Description": "Product of the two diameters.", "Units": "mm^2"},
    "marker": {"Description": "The genetic marker; n/a where it is withheld or not predicted."},
    "withheld": {"Description": "Whether the marker is too unsure to be relied on."},
    "expected_dice": {"Description": "Dice that the mask would have were its probabilities exact."},
    "agreement": {"Description": "Mean Dice between the masks of the averaged answers."},
    "familiarity": {"Description": "Whether the scan is like the model's training scans."},
    "quality": {"Description": "Verdict on the scan and its registration to the atlas."},
    "warnings": {"Description": "What is in doubt."},
    "engine": {"Description": "What ran the networks."},
    "plgg_version": {"Description": "Version of plgg."},
    "model_sha256": {"Description": "SHA-256 of the weights of each network that answered."},
}


def _meaning(name: str, labels: Container[str]) -> dict[str, Any]:
    if name in _MEANINGS:
        return _MEANINGS[name]
    if name in labels:
        what = f"Volume of the label {name.split(':')[0]} of the mask, those within it included."
        return {"Description": what, "Units": "mL"}
    if name.startswith("p_"):
        return {"Description": f"Probability of the marker class {name.removeprefix('p_')}."}
    return {"Description": f"Of the auxiliary task {name.split(':')[0]}."}
