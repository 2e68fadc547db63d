"""`output_folder`: lock and mark a folder before a command writes into it.

    with output_folder(out, PREDICTIONS):
        ...

The lock prevents two processes from writing into the folder. The mark `.plgg.json` identifies it as
plgg's own for later commands. In a folder without the mark, no file may have a name that plgg
writes; all other files stay as they are.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from plgg.core.errors import OutputError
from plgg.core.files import convert_inspection_errors, require_no_file, write_json
from plgg.core.folders import PREDICTION, STORED_CASE, FolderKind, clear_leftovers
from plgg.core.lock import locked, locked_part
from plgg.core.records import JsonError, read_json
from plgg.core.regular import open_regular

MARK = ".plgg.json"
_FORMAT = "plgg-output"
_ELSEWHERE = "Choose another output folder."


@dataclass(frozen=True)
class OutputKind:
    """A kind of folder that a command writes into.

    Attributes:
        name: Its name.
        owns: Patterns of the names that plgg writes there.
        known_by: Pattern of a file that identifies a folder without the mark, as of earlier
            versions; and its `format`, or the beginning of a table's header.
        inside: Folders in it that may contain leftovers of killed processes, and the kind of
            folders that are replaced there.
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
ENSEMBLE = OutputKind(
    "ensemble",
    ("ensemble.json", "fold-*", "predictions", "evaluation", "model_card.md"),
    ("ensemble.json", "plgg-ensemble"),
)
EXPERIMENT = OutputKind(
    "experiment",
    (
        "experiment.json",
        "about.txt",
        "comparison.json",
        "table1.md",
        "table1.csv",
        "report.html",
        "split-*",
        "seed-*",
    ),
    ("experiment.json", "plgg-experiment"),
)
TRANSFER = OutputKind(
    "transfer",
    ("transfer.md", "transfer.csv", "report.html", "home", "away", "back"),
    ("home/experiment.json", "plgg-experiment"),
)
ROUND = OutputKind(
    "round of learning",
    ("plan.json", "store", "training", "run", "comparison.json"),
    ("plan.json", "plgg-round"),
)
PREDICTIONS = OutputKind(
    "predictions",
    ("summary.csv",),
    ("summary.csv", "case_id,patient_id,status,reason,"),
    ((".", PREDICTION),),
)
EVALUATION = OutputKind(
    "evaluation",
    ("cases.csv", "subgroups.csv", "summary.json", "evaluation.html", "figures", "scores.jsonl"),
    ("summary.json", "plgg-evaluation"),
    ((".", None), ("figures", None)),
)
PATIENTS = OutputKind(
    "synthetic cohort", ("manifest.csv", "images"), inside=((".", None), ("images", None))
)
READING_ROOM = OutputKind(
    "reading room",
    ("cases", "uploads", "views", "rounds", "jobs", "studies", "audit.jsonl"),
    inside=tuple((name, None) for name in (".", "uploads", "views", "jobs", "studies")),
)
MADE_IMAGES = OutputKind("images made for a manifest", ("*.nii", "*.nii.gz"))


@contextmanager
def output_folder(
    folder: Path, kind: OutputKind, *, inputs: Iterable[Path] = (), part: str | None = None
) -> Iterator[Path]:
    """Lock a folder and mark it as an output of plgg, while the block writes into it.

    Args:
        folder: Created if necessary. It may be of several kinds at once.
        kind: Kind of the output.
        inputs: Files that are read meanwhile; none may be one that is written.
        part: Lock only this part of it, while other processes write other parts.

    Raises:
        OutputError: If a name that is to be written is taken by what plgg did not write or by an
            input, if a folder in it is a link to another place, if another process writes there,
            or if the disk refuses.
    """
    require_free(folder, kind, inputs=inputs)
    if part is not None:
        with locked_part(folder, part):
            # Temporary files of other parts are no leftovers; only a lock of the whole clears them.
            _mark(folder, kind)
            yield folder
        return
    with locked(folder):
        _mark(folder, kind)
        _clear(folder, kind)
        try:
            yield folder
        finally:
            # Again, because a worker of a killed command may still have been running at first.
            _clear(folder, kind)


def _clear(folder: Path, kind: OutputKind) -> None:
    for name, inner in kind.inside:
        clear_leftovers(folder / name, inner)


def require_free(folder: Path, kind: OutputKind, *, inputs: Iterable[Path] = ()) -> None:
    """Check that plgg may write into a folder, without changes to it.

    Raises:
        OutputError: As `output_folder`.
    """
    require_no_file(folder)
    with convert_inspection_errors(folder):
        fault = _fault(folder, kind, inputs)
    if fault:
        raise OutputError(fault[0], where=folder, remedy=fault[1])


def _fault(folder: Path, kind: OutputKind, inputs: Iterable[Path]) -> tuple[str, str] | None:
    """Why plgg may not write into a folder, and what to do; None if it may."""
    # In this order: another process, which has locked the folder, marks it before it writes.
    taken = sorted(path.name for pattern in kind.owns for path in folder.glob(pattern))
    if taken and kind.name not in _kinds(folder) and not _known(folder, kind):
        return (
            f"holds {taken[0]!a}, which plgg did not write as part of its {kind.name}",
            _ELSEWHERE,
        )
    for path in inputs:
        if path.resolve() in {(folder / name).resolve() for name in taken}:
            return (
                f"the input {path.name!a} is a file that the {kind.name} would replace",
                _ELSEWHERE,
            )
    for name, _ in kind.inside:
        if not (folder / name).resolve().is_relative_to(folder.resolve()):
            return f"the folder {name!a} in it is a link to another place", _ELSEWHERE
    return None


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
    if pattern.endswith(".csv"):
        return any(_begins(path, wanted) for path in folder.glob(pattern))
    return any(_read(path).get("format") == wanted for path in folder.glob(pattern))


def _begins(path: Path, header: str) -> bool:
    """Whether a table begins with a header; False if it cannot be read."""
    try:
        with open_regular(path) as handle:
            return handle.read(len(header.encode())) == header.encode()
    except OSError:
        return False


def _read(path: Path) -> dict[str, object]:
    """Read a JSON object; empty if it cannot be read."""
    try:
        record = read_json(path)
    except JsonError:
        return {}
    return record if isinstance(record, dict) else {}
