"""`Origin`: provenance of a prediction, from which the UIDs of its DICOM objects are derived.

    origin = origin_of(result)
    series = origin.uid("segmentation series", frames)

The same source, models and settings give the same UIDs, and any other gives others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import plgg
from plgg.data.dicom.uids import canonical_json, derived_uid
from plgg.data.result import Result, threshold_setting

if TYPE_CHECKING:
    from plgg.data.dicom.source import SourceFrames

NAME = "plgg"


@dataclass(frozen=True)
class Correction:
    """Manual correction of a model's mask.

    Attributes:
        number: Number of the edit, from 1.
        reader: Name of the reader; None unless they want to be named.
    """

    number: int
    reader: str | None = None


@dataclass(frozen=True)
class Origin:
    """Provenance of a prediction.

    Attributes:
        models: Each as `NAME, SHA-256 of the weights, SHA-256 of the calibration`.
        settings: Those that change the answer, as JSON.
        given: Further inputs that change it, such as the age; used in UIDs, never in text.
        correction: Manual correction; None without one.
    """

    models: tuple[str, ...] = ()
    settings: str = ""
    given: tuple[object, ...] = ()
    correction: Correction | None = None

    def uid(self, kind: str, frames: SourceFrames, *content: object) -> str:
        """Derive the UID of an object that was made from some frames with this provenance.

        Args:
            kind: Such as `segmentation series`.
            frames: The source.
            content: Whatever else its content depends on; a UID must never name two contents.
        """
        source = [str(header.SOPInstanceUID) for header in frames.headers]
        made = [plgg.__version__, self.models, self.settings, self.given]
        return derived_uid(kind, source, frames.frames, *made, *content)

    @property
    def device_uid(self) -> str:
        """UID of the program with these models, as a device observer."""
        return derived_uid("device", plgg.__version__, self.models)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Models and settings, one line each, for the algorithm's parameters."""
        models = tuple(f"model: {model}" for model in self.models)
        return (*models, *([f"settings: {self.settings}"] if self.settings else []))


UNKNOWN = Origin()


def origin_of(result: Result, correction: Correction | None = None) -> Origin:
    """Provenance of a result."""
    models = tuple(
        f"{model.preset} {model.arm}, weights sha256 {model.sha256}, "
        f"calibration sha256 {model.calibration_sha256 or 'none'}"
        for model in result.models
    )
    quality = result.quality
    settings = {
        "engine": result.engine,
        "inference": result.inference.model_dump(mode="json", exclude={"memory_gib"}),
        "threshold": threshold_setting(result),
        "smallest_ml": result.smallest_ml,
        "sequences": result.input.sequences,
        "atlas": quality.atlas if quality else None,
        "stripping": quality.stripping if quality else None,
    }
    return Origin(models, canonical_json(settings), (result.age_years, result.sex), correction)
