"""The run folder: the files of a training run, and functions to read and write them.

RUN/config.json, split.json, environment.json
RUN/metrics.jsonl            one line an epoch
RUN/checkpoints/             see plgg.model.checkpoint
RUN/predictions/PART/, RUN/evaluation/PART/
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, NonNegativeFloat, NonNegativeInt

from plgg.config import Config, config_from_record
from plgg.core.case_id import CaseId
from plgg.core.environment import machine, versions
from plgg.core.errors import RunError
from plgg.core.files import convert_write_errors, make_folder, write_json, write_text
from plgg.core.records import JsonError, as_record, parse_json, read_json, read_record, read_text

Record = dict[str, Any]
_COPY_AGAIN = "Copy the run again, or train again."


class SplitRecord(BaseModel):
    """The contents of `split.json`: the cases of each part; further keys are allowed."""

    model_config = ConfigDict(frozen=True, extra="allow")

    train: tuple[CaseId, ...]
    validation: tuple[CaseId, ...]
    test: tuple[CaseId, ...]


class Epoch(BaseModel):
    """Required keys of each line of `metrics.jsonl`; further keys are allowed."""

    model_config = ConfigDict(frozen=True, extra="allow")

    epoch: NonNegativeInt
    seconds: NonNegativeFloat = 0.0
    validation: dict[str, Any] | None = None


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
    # Settings of `execution` do not change the results, so they may differ.
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
        raw = read_json(path)
    except JsonError as fault:
        if fault.is_missing:
            raise RunError(
                "is not a run (no config.json)", where=run, remedy="Make one: plgg train."
            ) from fault
        raise RunError(
            f"holds no settings ({fault.fault})", where=path, remedy=_COPY_AGAIN
        ) from fault
    return config_from_record(raw, where=str(path))


def read_split(run: Path) -> Record:
    """The contents of `split.json`.

    Raises:
        RunError: If it is missing or no split.
    """
    record = read_record(
        run / "split.json",
        SplitRecord,
        error=RunError,
        what="cannot be read as a split",
        remedy=_COPY_AGAIN,
        absent=RunError("holds no readable split.json", where=run, remedy="Train again."),
    )
    return record.model_dump(mode="json")


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
    """Number of the split that a run was trained on; None if it is not recorded."""
    if not (run / "split.json").is_file():
        return None
    number = read_split(run).get("k")
    return number if isinstance(number, int) else None


def read_environment(run: Path) -> Record:
    """Versions, machine and store of a run; empty if they are missing or unreadable."""
    try:
        found = read_json(run / "environment.json")
    except JsonError:
        return {}
    return found if isinstance(found, dict) else {}


def is_run(folder: Path) -> bool:
    """Whether a folder is a run, complete or not."""
    return (folder / "config.json").is_file() and (folder / "checkpoints").is_dir()


def append_metrics(run: Path, record: Record) -> None:
    """Add one epoch to `metrics.jsonl`.

    Raises:
        OutputError: If the disk refuses, for example because it is full.
    """
    path = run / "metrics.jsonl"
    remedy = "Check free space; the same command resumes from the last epoch."
    with convert_write_errors(path, remedy=remedy), path.open("a", encoding="utf-8") as handle:
        handle.write(json.dumps(record, allow_nan=False) + "\n")


def read_metrics(run: Path) -> list[Record]:
    """Read the epochs so far; an incomplete last line, as after a kill, is skipped.

    Raises:
        RunError: If another line is no epoch.
    """
    path = run / "metrics.jsonl"
    try:
        *lines, cut = read_text(path).split("\n")
    except JsonError as fault:
        if fault.is_missing:
            return []
        raise RunError(f"cannot be read ({fault.fault})", where=path, remedy=_COPY_AGAIN) from fault
    records = [_epoch(line, number, path) for number, line in enumerate(lines, start=1)]
    try:
        return [*records, _epoch(cut, len(lines) + 1, path)] if cut else records
    except RunError:
        return records


def _epoch(line: str, number: int, path: Path) -> Record:
    try:
        record: Record = parse_json(line)
        as_record(record, Epoch)
        return record
    except JsonError as fault:
        raise RunError(
            f"line {number} is no epoch ({fault.fault})",
            where=path,
            remedy="Copy the run again, or delete that line.",
        ) from fault


def keep_metrics_until(run: Path, epoch: int) -> None:
    """Drop the epochs after `epoch`: they were not saved and will be run again."""
    kept = [record for record in read_metrics(run) if record["epoch"] <= epoch]
    write_text(run / "metrics.jsonl", "".join(json.dumps(record) + "\n" for record in kept))
