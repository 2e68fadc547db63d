"""`BidsOutcome`: status of a scan: predicted, failed, left out, or not predicted yet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from plgg.bids.dataset import BidsScan
from plgg.data.layouts.bids import NO_FLAIR
from plgg.data.layouts.listing import Exclusion
from plgg.data.result import Result

Status = Literal["done", "failed", "left out", "not predicted"]


@dataclass(frozen=True)
class BidsOutcome:
    """One scan, or a participant that has none.

    Attributes:
        scan: The scan, or only its name, such as `sub-03`, where the dataset has no usable one.
        status: Status of the scan.
        result: Result of the prediction.
        reason: Why there is no result.
    """

    scan: BidsScan | str
    status: Status
    result: Result | None = None
    reason: str | None = None

    @property
    def name(self) -> str:
        """`sub-01_ses-1_run-2`."""
        return self.scan if isinstance(self.scan, str) else self.scan.name

    @property
    def subject(self) -> str:
        """`sub-01`."""
        return self.name.split("_")[0]

    @property
    def session(self) -> str:
        """`ses-1`; empty without."""
        return "" if isinstance(self.scan, str) else self.scan.session

    @property
    def source(self) -> str:
        """The FLAIR's path in the dataset; empty without."""
        return "" if isinstance(self.scan, str) else next(iter(self.scan.sources.values()))

    @property
    def volume_ml(self) -> float | None:
        """Volume of the tumour; None without a prediction."""
        return self.result.volume_ml if self.result else None

    @property
    def is_fault(self) -> bool:
        """Whether a prediction is missing that should be there."""
        return self.status in ("failed", "not predicted")


def left_out(one: Exclusion) -> BidsOutcome:
    """Outcome of an excluded scan: `left out` if there is no FLAIR, else `failed`."""
    status: Status = "left out" if one.reason == NO_FLAIR else "failed"
    return BidsOutcome(one.name, status, reason=one.reason)
