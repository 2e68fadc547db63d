"""`ScoreCache`: the scores of an unfinished evaluation, so that it can resume.

    kept = ScoreCache(out / KEPT)
    if kept.get(key) is None:
        kept.add(key, score_case(case, prediction))

A line is appended for each finished case. Its key is a hash that includes the paths, sizes and
times of the case's files. A line that is truncated, as after a kill, or altered is skipped.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
from dataclasses import asdict
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from plgg import __version__
from plgg.core.files import convert_write_errors
from plgg.core.records import JsonError, as_record, parse_json, read_text, sealed, unsealed
from plgg.data.manifest import Case
from plgg.evaluate.case import ScoredCase
from plgg.evaluate.predictions import Prediction
from plgg.evaluate.records import CaseScores
from plgg.metrics.further import METRICS

log = logging.getLogger(__name__)
CACHE_FILE = "scores.jsonl"
# A symbolic link is not followed, because it could lead outside the folder.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
# Nor is waited for the reader of a pipe.
_APPEND |= getattr(os, "O_NONBLOCK", 0)


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    key: str
    scores: CaseScores
    warnings: tuple[str, ...] = ()


class ScoreCache:
    """Scores by key, in memory and in an append-only file.

    Args:
        path: The file; scores that it holds already are read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found = _read(path)

    def get(self, key: str) -> ScoredCase | None:
        """The scores under a key; None if there are none."""
        return self._found.get(key)

    def add(self, key: str, scored: ScoredCase) -> None:
        """Add the scores of a case.

        Raises:
            OutputError: If the file cannot be written.
        """
        line = _Line(key=key, scores=scored.scores, warnings=scored.warnings)
        text = json.dumps(sealed(line.model_dump(mode="json")), allow_nan=False)
        with (
            convert_write_errors(self._path),
            os.fdopen(os.open(self._path, _APPEND, 0o666), "a", encoding="utf-8") as handle,
        ):
            # Also a line break in front, because the line before may be truncated.
            handle.write(f"\n{text}\n")

    def forget(self) -> None:
        """Delete the file, once the evaluation is complete."""
        self._path.unlink(missing_ok=True)


def _read(path: Path) -> dict[str, ScoredCase]:
    try:
        text = read_text(path)
    except JsonError as error:
        if not error.is_missing:
            log.warning("%s is passed over: it %s", path, error.fault)
        return {}
    lines = [_parsed(line) for line in text.splitlines() if line.strip()]
    return {line.key: ScoredCase(line.scores, line.warnings) for line in lines if line}


def _parsed(text: str) -> _Line | None:
    try:
        return as_record(unsealed(parse_json(text)), _Line)
    except ValueError:
        return None


def cache_key(case: Case, prediction: Prediction) -> str:
    """Hash of everything that determines a case's scores: row, files, metrics, version."""
    beside = case.mask and case.mask.with_name("case.json")
    said = (prediction.mask, prediction.probability, prediction.result, prediction.labels)
    stored = case.stored_labels.path if case.stored_labels else None
    files = (case.mask, beside, *said, stored)
    told = {
        "version": __version__,
        "metrics": sorted(METRICS.load_all()),
        "case": asdict(case),
        "files": [_state(path) for path in files],
    }
    return hashlib.sha256(json.dumps(told, default=str, sort_keys=True).encode()).hexdigest()


def _state(path: Path | None) -> tuple[str, int, int] | None:
    try:
        found = path.stat() if path else None
    except OSError:
        return None
    return None if found is None else (str(path), found.st_size, found.st_mtime_ns)
