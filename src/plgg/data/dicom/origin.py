"""`Origin`: what an answer was made from and by, from which the UIDs of its objects follow.

    origin = origin_of(result)
    series = origin.uid("segmentation series", frames)

The same source, models and settings give the same UIDs, and any other gives others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import plgg
from plgg.data.dicom.uids import canonical, derived_uid
from plgg.data.result import Result, threshold_setting

if TYPE_CHECKING:
    from plgg.data.dicom.source import SourceFrames

NAME = "plgg"


@dataclass(frozen=True)
class Correction:
    """That a mask is a model's after a person has corrected it.

    Attributes:
        number: Of the edit, from 1.
        reader: Who corrected it; only where they want to be named.
    """

    number: int
    reader: str | None = None


@dataclass(frozen=True)
class Origin:
    """How an answer came about.

    Attributes:
        models: Each as `NAME, SHA-256 of the weights, SHA-256 of the calibration`.
        settings: Those that change the answer, as JSON.
        given: What else was known and changes it, such as the age; goes into UIDs, never into text.
        correction: Where a person has changed it.
    """

    models: tuple[str, ...] = ()
    settings: str = ""
    given: tuple[object, ...] = ()
    correction: Correction | None = None

    def uid(self, kind: str, frames: SourceFrames, *content: object) -> str:
        """The UID of what was made in this way of some frames.

        Args:
            kind: Such as `segmentation series`.
            frames: The source.
            content: What more it depends on; the same UID must never name two contents.
        """
        source = [str(header.SOPInstanceUID) for header in frames.headers]
        made = [plgg.__version__, self.models, self.settings, self.given]
        return derived_uid(kind, source, frames.frames, *made, *content)

    @property
    def device_uid(self) -> str:
        """Of the program with these models, as an observer."""
        return derived_uid("device", plgg.__version__, self.models)

    @property
    def parameters(self) -> tuple[str, ...]:
        """Models and settings, one line each, for the algorithm's parameters."""
        models = tuple(f"model: {model}" for model in self.models)
        return (*models, *([f"settings: {self.settings}"] if self.settings else []))


UNKNOWN = Origin()


def origin_of(result: Result, correction: Correction | None = None) -> Origin:
    """How a result came about."""
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
    return Origin(models, canonical(settings), (result.age_years, result.sex), correction)
