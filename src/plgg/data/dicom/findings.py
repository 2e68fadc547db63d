"""`Findings`: content of a measurement report on one tumour, and how a `Result` provides it."""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass, is_dataclass

from pydantic import BaseModel

from plgg.data.dicom.uids import canonical_json
from plgg.data.quality import Verdict
from plgg.data.result import RESEARCH_ONLY, Diameters, Marker, Result, VolumeInterval

_NO_SEGMENTATION = "no DICOM"


@dataclass(frozen=True)
class LabelVolume:
    """A region within the tumour: the number of its segment in the SEG, and its volume."""

    segment: int
    volume_ml: float


@dataclass(frozen=True)
class Findings:
    """Content of the measurement report; nothing in it identifies the patient or the case.

    Attributes:
        volume_ml: Volume of the mask.
        volume_interval: None where it was not calibrated, or a person drew the outline.
        diameters: None without a tumour.
        marker: None where the model names none, or the outline is not the model's.
        verdicts: Verdicts on the scan, its registration and its similarity to training scans.
        comments: Further sentences.
        labels: Regions within the tumour; empty where a person drew the outline.
    """

    volume_ml: float
    volume_interval: VolumeInterval | None = None
    diameters: Diameters | None = None
    marker: Marker | None = None
    verdicts: tuple[Verdict, ...] = ()
    comments: tuple[str, ...] = (RESEARCH_ONLY,)
    labels: tuple[LabelVolume, ...] = ()

    @property
    def sha256(self) -> str:
        """Hash of all values, so that a report with other values is another DICOM object."""
        whole = {name: _plain(value) for name, value in vars(self).items()}
        # Left out without labels, so that the object is the same as of versions without labels.
        if not self.labels:
            del whole["labels"]
        return hashlib.sha256(canonical_json(whole).encode()).hexdigest()


def _plain(value: object) -> object:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else value


def findings_of(result: Result) -> Findings:
    """Make the findings of a result."""
    said = {verdict.message for verdict in verdicts_of(result)}
    more = [
        text
        for text in result.warnings
        if text not in said and not text.startswith(_NO_SEGMENTATION)
    ]
    return Findings(
        volume_ml=result.volume_ml,
        volume_interval=result.volume_interval,
        diameters=result.diameters,
        marker=result.marker,
        verdicts=verdicts_of(result),
        comments=(result.note, *more),
        labels=tuple(LabelVolume(one.number, one.volume_ml) for one in result.labels[1:]),
    )


def verdicts_of(result: Result) -> tuple[Verdict, ...]:
    """All verdicts on the scan: those of the gates, and its familiarity."""
    gates = result.quality.verdicts if result.quality else ()
    return (*gates, result.familiarity) if result.familiarity else tuple(gates)


def gate_statement(verdict: Verdict) -> str:
    """Value and limits of a gate that is good, else its message, which describes the fault."""
    if verdict.status != "good":
        return verdict.message
    value = "not measured" if verdict.value is None else f"measured {verdict.value:.4g}"
    return f"{value}; limits: {verdict.limits}"
