"""The run folder: what a training run leaves behind, and what a later command reads.

    RUN/config.json, split.json, environment.json
    RUN/metrics.jsonl            one line an epoch
    RUN/checkpoints/             see plgg.model.checkpoint
    RUN/predictions/PART/, RUN/evaluation/PART/

Knows nothing of networks.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from plgg.config import Config, config_from_json
from plgg.errors import OutputError, RunError
from plgg.io.environment import machine, versions
from plgg.io.files import make_folder, read_json, write_json, write_text

Record = dict[str, Any]


def start_run(run: Path, config: Config, split: Record, *, store: Path) -> None:
    """Make a run folder, or check that the one there is the same run.

    Raises:
        RunError: If the folder holds a run of other settings or of another split.
    """
    make_folder(run / "checkpoints")
    wanted = config.model_dump(mode="json")
    if (run / "config.json").is_file():
        _refuse_other(run, wanted, split)
        return
    write_json(run / "split.json", split)
    write_json(
        run / "environment.json",
        {"versions": versions(), "machine": machine(), "store": str(store.resolve())},
    )
    write_json(run / "config.json", wanted)


def _refuse_other(run: Path, config: Record, split: Record) -> None:
    known = read_config(run).model_dump(mode="json")
    # How the same numbers are computed may change from one day to the next.
    changed = [key for key in config if config[key] != known[key] and key != "execution"]
    if read_split(run) != split:
        changed.append("split")
    if changed:
        raise RunError(
            f"holds a run of another {', '.join(changed)}",
            where=run,
            remedy="Choose another --run folder, or repeat the command that began it to resume.",
        )


def read_config(run: Path) -> Config:
    """The run's settings.

    Raises:
        RunError: If the folder is not a run.
    """
    path = run / "config.json"
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise RunError(
            "is not a run (no config.json)", where=run, remedy="Make one: plgg train."
        ) from error
    return config_from_json(text, where=str(path))


def read_split(run: Path) -> Record:
    """The contents of `split.json`."""
    try:
        record: Record = read_json(run / "split.json")
    except (OSError, ValueError) as error:
        raise RunError("holds no readable split.json", where=run, remedy="Train again.") from error
    return record


def read_part(run: Path, part: str) -> tuple[str, ...]:
    """The cases of one part of a run's split.

    Raises:
        RunError: If there is no such part.
    """
    record = read_split(run)
    if part not in {"train", "validation", "test"} or part not in record:
        raise RunError(
            f"has no part {part!r} in its split",
            where=run,
            remedy="Choose train, validation or test.",
        )
    return tuple(record[part])


def split_number(run: Path) -> int | None:
    """Which split a run was trained on; None where that is not written."""
    if not (run / "split.json").is_file():
        return None
    number = read_split(run).get("k")
    return number if isinstance(number, int) else None


def is_run(folder: Path) -> bool:
    """Whether a folder was begun as a run."""
    return (folder / "config.json").is_file() and (folder / "checkpoints").is_dir()


def append_metrics(run: Path, record: Record) -> None:
    """Add one epoch to `metrics.jsonl`.

    Raises:
        OutputError: If the disk refuses, for example because it is full.
    """
    path = run / "metrics.jsonl"
    try:
        with path.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(record, allow_nan=False) + "\n")
    except OSError as error:
        raise OutputError(
            f"could not be written ({error.strerror or error})",
            where=path,
            remedy="Check free space; the same command resumes from the last epoch.",
        ) from error


def read_metrics(run: Path) -> list[Record]:
    """The epochs so far; a line that a kill cut short is left out."""
    path = run / "metrics.jsonl"
    records: list[Record] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            records.append(json.loads(line))
        except ValueError:
            break
    return records


def keep_metrics_until(run: Path, epoch: int) -> None:
    """Drop the epochs after `epoch`: they were not saved and will be run again."""
    kept = [record for record in read_metrics(run) if record["epoch"] <= epoch]
    write_text(run / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in kept))
