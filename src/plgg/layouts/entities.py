"""`Name`: a BIDS file name taken apart into entities and suffix. Knows nothing of folders."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from plgg.io.nifti import stem


@dataclass(frozen=True)
class Name:
    """A file and what its name says.

    Attributes:
        path: The file.
        entities: Values by entity: `sub-01_run-2_FLAIR` has `sub` 01 and `run` 2.
        suffix: Last part of the name, in lower case.
    """

    path: Path
    entities: dict[str, str]
    suffix: str

    def without(self, *left: str) -> str:
        """The entities that are not left out, as they stand in the name."""
        return "_".join(f"{k}-{v}" for k, v in self.entities.items() if k not in left)


def parse(path: Path) -> Name:
    """Take a name apart; what is neither an entity nor the suffix is passed over."""
    *parts, suffix = stem(path).split("_")
    pairs = (part.partition("-") for part in parts)
    return Name(path, {k: v for k, dash, v in pairs if dash}, suffix.casefold())
