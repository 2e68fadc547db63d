"""What became of a scan: predicted, failed, left out, or not predicted yet."""

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
        scan: The scan; of what cannot be one, its name: `sub-03`.
        status: What became of it.
        result: What was said of it.
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
        """Of the tumour; None where nothing was predicted."""
        return self.result.volume_ml if self.result else None

    @property
    def is_fault(self) -> bool:
        """Whether something is to be done about it."""
        return self.status in ("failed", "not predicted")


def left_out(one: Exclusion) -> BidsOutcome:
    """A participant without a FLAIR is left out; a scan that cannot be told from another failed."""
    status: Status = "left out" if one.reason == NO_FLAIR else "failed"
    return BidsOutcome(one.name, status, reason=one.reason)
