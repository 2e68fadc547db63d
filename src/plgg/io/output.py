"""`output_folder`: the door to every folder that a command writes into.

    with output_folder(out, PREDICTIONS):
        ...

The folder is locked, so that no two processes write into it, and marked with `.plgg.json`, so that
a later command knows it for plgg's own. In a folder without the mark the names that plgg writes
must be free; whatever else is there stays as it is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from plgg.errors import OutputError
from plgg.io.files import write_json
from plgg.io.folders import PREDICTION, STORED_CASE, FolderKind, clear_leftovers
from plgg.io.lock import locked

MARK = ".plgg.json"
_FORMAT = "plgg-output"


@dataclass(frozen=True)
class OutputKind:
    """A kind of folder that a command writes into.

    Attributes:
        name: What it is called.
        owns: Patterns of the names that plgg writes there.
        known_by: Pattern of a file and its `format` by which a folder without the mark is known,
            since earlier versions did not write one.
        inside: Folders in it where killed processes may leave something, and the kind of folders
            that are replaced there.
    """

    name: str
    owns: tuple[str, ...]
    known_by: tuple[str, str] | None = None
    inside: tuple[tuple[str, FolderKind | None], ...] = ((".", None),)


STORE = OutputKind(
    "store",
    ("cohort.json", "cases", "qc", "qc.html"),
    ("cohort.json", "plgg-store"),
    ((".", None), ("cases", STORED_CASE), ("qc", None)),
)
RUN = OutputKind(
    "run",
    (
        "config.json",
        "split.json",
        "environment.json",
        "metrics.jsonl",
        "checkpoints",
        "calibration.json",
        "predictions",
        "evaluation",
        "model_card.md",
    ),
    ("checkpoints/last.json", "plgg-checkpoint"),
    ((".", None), ("checkpoints", None)),
)
EXPERIMENT = OutputKind(
    "experiment",
    ("experiment.json", "comparison.json", "table1.md", "table1.csv", "report.html", "split-*"),
    ("experiment.json", "plgg-experiment"),
)
TRANSFER = OutputKind(
    "transfer",
    ("transfer.md", "transfer.csv", "report.html", "home", "away", "back"),
    ("home/experiment.json", "plgg-experiment"),
)
PREDICTIONS = OutputKind(
    "predictions", ("summary.csv",), ("*/result.json", "plgg-result"), ((".", PREDICTION),)
)
EVALUATION = OutputKind(
    "evaluation",
    ("cases.csv", "subgroups.csv", "summary.json", "evaluation.html", "figures"),
    ("summary.json", "plgg-evaluation"),
    ((".", None), ("figures", None)),
)
PATIENTS = OutputKind(
    "synthetic cohort", ("manifest.csv", "images"), inside=((".", None), ("images", None))
)
MADE_IMAGES = OutputKind("images made for a manifest", ("*.nii", "*.nii.gz"))


@contextmanager
def output_folder(folder: Path, kind: OutputKind) -> Iterator[Path]:
    """Hold a folder, marked as plgg's own of this kind, for as long as it is written into.

    Args:
        folder: Made if need be. It may be of several kinds at once.
        kind: What is written there.

    Raises:
        OutputError: If a name that is to be written is taken by what plgg did not write, if
            another process writes there, or if the disk refuses.
    """
    require_free(folder, kind)
    with locked(folder):
        _mark(folder, kind)
        for name, inner in kind.inside:
            clear_leftovers(folder / name, inner)
        yield folder


def require_free(folder: Path, kind: OutputKind) -> None:
    """Check that plgg may write into a folder; it is left as it is.

    Raises:
        OutputError: As `output_folder`.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError("is a file, not a folder", where=folder, remedy="Name a folder.")
    # In this order: another process, which holds the folder, marks it before it writes.
    taken = sorted(path.name for pattern in kind.owns for path in folder.glob(pattern))
    if taken and kind.name not in _kinds(folder) and not _known(folder, kind):
        raise OutputError(
            f"holds {taken[0]!a}, which plgg did not write as part of its {kind.name}",
            where=folder,
            remedy="Choose another output folder.",
        )


def _mark(folder: Path, kind: OutputKind) -> None:
    require_free(folder, kind)
    kinds = _kinds(folder)
    if kind.name not in kinds:
        write_json(folder / MARK, {"format": _FORMAT, "version": 1, "kinds": [*kinds, kind.name]})


def _kinds(folder: Path) -> list[str]:
    record = _read(folder / MARK)
    kinds = record.get("kinds") if record.get("format") == _FORMAT else None
    return [str(kind) for kind in kinds] if isinstance(kinds, list) else []


def _known(folder: Path, kind: OutputKind) -> bool:
    if kind.known_by is None:
        return False
    pattern, wanted = kind.known_by
    return any(_read(path).get("format") == wanted for path in folder.glob(pattern))


def _read(path: Path) -> dict[str, object]:
    """A record; empty where there is none that can be read."""
    try:
        record = json.loads(path.read_bytes()) if path.is_file() else None
    except (OSError, ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}
