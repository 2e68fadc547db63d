"""`BidsRequest`: input, output and options of a run of the BIDS App."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from plgg.core.errors import OutputError
from plgg.predict.options import PredictOptions

# BIDS Apps keep their internal files in `sourcedata`, which validators skip.
WORK = "sourcedata/plgg"


@dataclass(frozen=True)
class BidsRequest:
    """Input, output and options of a run; worker processes get it, too.

    Attributes:
        root: The BIDS dataset; nothing is written there but below its `derivatives`.
        out: The derivative dataset.
        runs: Folders of models.
        participants: Labels; all if empty.
        sessions: Labels; all if empty.
        options: How to predict.
    """

    root: Path
    out: Path
    runs: tuple[Path, ...] = ()
    participants: tuple[str, ...] = ()
    sessions: tuple[str, ...] = ()
    options: PredictOptions = field(default_factory=PredictOptions)

    def work(self, subject: str) -> Path:
        """Folder of the predictions of a participant."""
        return self.out / WORK / subject


def require_apart(root: Path, out: Path) -> None:
    """Check that no derivative is written among the raw data.

    Args:
        root: The BIDS dataset.
        out: Folder to write: beside it, or in its `derivatives`; it may hold the dataset in its
            `sourcedata`.

    Raises:
        OutputError: If a raw file could be in the way.
    """
    raw, made = root.resolve(), out.resolve()
    derivatives = raw / "derivatives"
    is_within = made.is_relative_to(raw)
    if is_within and (made == derivatives or not made.is_relative_to(derivatives)):
        raise OutputError(
            "lies within the BIDS dataset, whose raw data stay as they are",
            where=out,
            remedy="Name a folder beside the dataset, or one in its derivatives.",
        )
    if raw.is_relative_to(made) and not raw.is_relative_to(made / "sourcedata"):
        raise OutputError(
            "holds the BIDS dataset", where=out, remedy="Name a folder beside the dataset."
        )
    if raw.is_relative_to(made / WORK):
        raise OutputError(
            f"the BIDS dataset lies in its {WORK}, where plgg keeps its own",
            where=out,
            remedy="Move the dataset, or choose another output folder.",
        )
