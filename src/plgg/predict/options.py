"""How a prediction is wanted, beyond the scans and the models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path


@dataclass(frozen=True)
class PredictOptions:
    """What may be asked of a prediction.

    Attributes:
        part: Only the cases of this part of the first run's split.
        atlas: Where the atlas of the model's scans lies, if not where it was when it was trained.
        engine: `pytorch`, or one that `plgg export` has made: `onnx`, `openvino`.
        settings: `inference.key=value`, other than those of the run.
        prior: Folder of an earlier prediction of the same patient, or of several; for one scan.
        scan_date: Of one scan, for its timeline.
        age_years: Of a patient whose scan is named by itself.
        sex: Likewise, `F` or `M`.
        others: Further sequences of one scan that is named by itself, by name.
        pages: Whether to draw `report.html` for each scan.
        rtstruct: Whether to write an RTSTRUCT of scans that are DICOM.
        pdf: Whether to draw `report.pdf`, and of DICOM put it into an object of the study, too.
        case_minutes: After which a scan of a batch is stopped and named.
        case_gib: GiB of memory at which a scan of a batch is; what is free if None.
        scan_gib: GiB that one scan may unpack to; as the model's settings say if None.
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
