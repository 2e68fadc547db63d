"""`ScoreCache`: scores of cases that an evaluation has made so far, so that it can be taken up.

    kept = ScoreCache(out / KEPT)
    if kept.get(key) is None:
        kept.add(key, score_case(case, prediction))

One line a case is appended as it is done. A line belongs to the files that it was made from, by
their paths, sizes and times; one that is cut off, as a kill leaves it, or altered is passed over.
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
from plgg.core.files import disk_writes
from plgg.core.records import JsonError, as_record, parse_json, read_text, sealed, unsealed
from plgg.data.manifest import Case
from plgg.evaluate.case import ScoredCase
from plgg.evaluate.predictions import Prediction
from plgg.evaluate.records import CaseScores
from plgg.metrics.further import METRICS

log = logging.getLogger(__name__)
KEPT = "scores.jsonl"
# A link in the place of the file leads elsewhere.
_APPEND = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    key: str
    scores: CaseScores
    warnings: tuple[str, ...] = ()


class ScoreCache:
    """Scores by key, in memory and in a file that only grows.

    Args:
        path: Of the file; what it holds already is read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._found = _read(path)

    def get(self, key: str) -> ScoredCase | None:
        """What was kept; None where nothing was."""
        return self._found.get(key)

    def add(self, key: str, scored: ScoredCase) -> None:
        """Keep a case's scores.

        Raises:
            OutputError: If the disk refuses.
        """
        line = _Line(key=key, scores=scored.scores, warnings=scored.warnings)
        text = json.dumps(sealed(line.model_dump(mode="json")), allow_nan=False)
        with (
            disk_writes(self._path),
            os.fdopen(os.open(self._path, _APPEND, 0o666), "a", encoding="utf-8") as handle,
        ):
            # In front, too: what is before may have been cut off.
            handle.write(f"\n{text}\n")

    def forget(self) -> None:
        """Remove the file: the evaluation is whole."""
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


def key_of(case: Case, prediction: Prediction) -> str:
    """Hash of all that a case's scores follow from: row, files, metrics, version."""
    beside = case.mask and case.mask.with_name("case.json")
    said = (prediction.mask, prediction.probability, prediction.result, prediction.labels)
    stored = case.stored_labels.path if case.stored_labels else None
    files = (case.mask, beside, *said, stored)
    told = {
        "version": __version__,
        "metrics": sorted(METRICS.whole()),
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
