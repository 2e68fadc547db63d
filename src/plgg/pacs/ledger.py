"""`Ledger`: the persistent state of the studies, one JSON file each, which survives a crash.

WORK/studies/study-0123456789ab.json

A study is named by a hash; the files hold no patient data.
"""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from plgg.core.case_id import CaseId
from plgg.core.errors import InputError
from plgg.core.files import write_json
from plgg.core.records import read_record

log = logging.getLogger(__name__)
MOST_ATTEMPTS = 3
State = Literal["waiting", "pulled", "predicted", "done", "passed over", "failed"]


class StudyRecord(BaseModel):
    """State of one study.

    Attributes:
        key: Name of the study: a hash of its UID.
        state: `waiting` for more images; `pulled`: all are on disk; `predicted`; `done`: predicted
            and, if wanted, pushed; `passed over`: no suitable series; `failed`.
        n_images: Number of images at the last check; another number resets the record.
        content: Hash of its series and their numbers of images; another hash resets the record,
            too. Blank where it is not known.
        attempts: Number of attempts to predict it.
        reason: Why it failed or was passed over, in one line.
        n_sent: Number of its objects on the PACS.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    format: Literal["plgg-pacs-study"] = "plgg-pacs-study"
    key: CaseId
    state: State = "waiting"
    n_images: Annotated[int, Field(ge=0)] = 0
    content: str = ""
    attempts: Annotated[int, Field(ge=0)] = 0
    reason: str | None = None
    n_sent: Annotated[int, Field(ge=0)] = 0

    def is_of(self, n_images: int, content: str) -> bool:
        """Whether the record matches the present images of the study."""
        return self.n_images == n_images and self.content in ("", content)

    @property
    def settled(self) -> bool:
        """Whether processing has ended, unless more images come."""
        gave_up = self.state == "failed" and self.attempts >= MOST_ATTEMPTS
        return gave_up or self.state in ("done", "passed over")


class Ledger:
    """The records of a folder; only one process may change them.

    Args:
        folder: Folder of the JSON files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def get(self, key: str) -> StudyRecord | None:
        """The record of a study; None where there is none that can be read."""
        path = self._path(key)
        if not path.is_file():
            return None
        try:
            return read_record(
                path, StudyRecord, error=InputError, what="cannot be read", remedy="Remove it."
            )
        except InputError as error:
            log.warning("%s The study begins anew.", error)
            return None

    def put(self, record: StudyRecord) -> StudyRecord:
        """Write a record; it is on the disk when this returns."""
        write_json(self._path(record.key), record.model_dump(mode="json"))
        return record

    def all(self) -> list[StudyRecord]:
        """All records, by name."""
        names = sorted(path.stem for path in self._folder.glob("study-*.json"))
        return [record for record in map(self.get, names) if record is not None]

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}.json"
