"""Options of a prediction, other than its scans and models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path


@dataclass(frozen=True)
class PredictOptions:
    """Options of a prediction.

    Attributes:
        part: Only the cases of this part of the first run's split.
        atlas: Where the atlas of the model is now, if it was moved since the training.
        engine: `pytorch`, or an export of `plgg export`: `onnx`, `openvino`.
        settings: Changes to the run's settings, each `inference.key=value`.
        prior: Folder of an earlier prediction of the same patient, or of several; for one scan.
        scan_date: Of one scan, for its timeline.
        age_years: Of the patient, if the input is a single scan.
        sex: Likewise, `F` or `M`.
        others: Further sequences of a single scan, by name.
        pages: Whether to draw `report.html` for each scan.
        rtstruct: Whether to write an RTSTRUCT of scans that are DICOM.
        pdf: Whether to draw `report.pdf`, and for DICOM to write it as an object of the study, too.
        case_minutes: Time after which a scan of a batch is stopped and reported.
        case_gib: Memory limit of a scan of a batch, GiB; None for an equal share of what is free.
        scan_gib: Largest size of an unpacked scan, GiB; None for the model's setting.
    """

    part: str | None = None
    atlas: str | None = None
    engine: str = "pytorch"
    settings: tuple[str, ...] = ()
    prior: Path | tuple[Path, ...] | None = None
    scan_date: date | None = None
    age_years: float | None = None
    sex: str | None = None
    others: Mapping[str, Path] = field(default_factory=dict, hash=False)
    pages: bool = True
    rtstruct: bool = False
    pdf: bool = False
    scan_gib: float | None = None
    case_minutes: float = 30.0
    case_gib: float | None = None

    @property
    def priors(self) -> tuple[Path, ...]:
        """Folders of all earlier predictions."""
        if self.prior is None:
            return ()
        return (self.prior,) if isinstance(self.prior, Path) else tuple(self.prior)
