"""`WorkFolder`: paths and records of a reading room, its newest masks and its current model.

WORK/cases/CASE/                  the prediction folder of `plgg predict`, never altered
WORK/cases/CASE/edits/0001/       mask.nii.gz, edit.json
WORK/uploads/CASE/                the uploaded scan, upload.json
WORK/views/CASE/                  images for the page, made from the two; may be deleted
WORK/rounds/001/                  round.json, manifest.csv, run/, comparison.json
WORK/jobs/ID.json                 the queue
WORK/studies/CASE/                images of a study on the PACS, while they are downloaded
WORK/audit.jsonl                  who did what, when

    work = WorkFolder(Path("work"), models=(run,))
    for case_id in work.corrected():
        train_on(work.scan(case_id), work.mask(case_id))

`case_folder` and its like check names of cases, which come from clients (`plgg.core.case_id`). The
record is frozen and can be pickled for worker processes.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from plgg.core.case_id import case_id_fault
from plgg.core.errors import InputError
from plgg.core.files import make_folder
from plgg.core.paths import join_inside
from plgg.core.prediction_files import MASK, RESULT
from plgg.core.records import read_record
from plgg.data.result import Result, read_result
from plgg.pacs.archive import PacsLink
from plgg.predict.options import PredictOptions
from plgg.serve.errors import not_found
from plgg.serve.records import EditRecord, RoundRecord, UploadRecord

AnyRecord = TypeVar("AnyRecord", EditRecord, UploadRecord, RoundRecord)
_FOLDERS = ("cases", "uploads", "views", "rounds", "jobs", "studies")

_AS_PREDICT = PredictOptions()


@dataclass(frozen=True)
class WorkFolder:
    """A reading room on disk.

    Attributes:
        root: The folder.
        models: Runs or ensembles to use while no round was accepted.
        store: Store with the training patients of the model; None where it is not available.
        options: How scans are predicted.
        pacs: PACS to fetch studies from; None for none.
        push: Whether cases may be sent there.
    """

    root: Path
    models: tuple[Path, ...]
    store: Path | None = None
    options: PredictOptions = _AS_PREDICT
    pacs: PacsLink | None = None
    push: bool = False

    @property
    def cases(self) -> Path:
        """The folder of predictions."""
        return self.root / "cases"

    @property
    def uploads(self) -> Path:
        """The folder of uploaded scans."""
        return self.root / "uploads"

    @property
    def views(self) -> Path:
        """The folder of images for the page."""
        return self.root / "views"

    @property
    def rounds(self) -> Path:
        """The folder of rounds of learning."""
        return self.root / "rounds"

    @property
    def jobs(self) -> Path:
        """The folder of the queue."""
        return self.root / "jobs"

    @property
    def studies(self) -> Path:
        """The folder of studies that are being fetched."""
        return self.root / "studies"

    def make(self) -> None:
        """Make the folders.

        Raises:
            OutputError: If one cannot be made.
        """
        for name in _FOLDERS:
            make_folder(self.root / name)

    def case_folder(self, case_id: str) -> Path:
        """The prediction folder of a case, which need not be there yet.

        Raises:
            RequestError: 404, if the name cannot be that of a case.
        """
        return _below(self.cases, case_id)

    def upload_folder(self, case_id: str) -> Path:
        """The folder of a case's scan; raises as `case_folder`."""
        return _below(self.uploads, case_id)

    def view_folder(self, case_id: str) -> Path:
        """The folder of a case's images for the page; raises as `case_folder`."""
        return _below(self.views, case_id)

    def case_ids(self) -> list[str]:
        """All cases, uploaded or predicted, by name."""
        names = {path.parent.name for path in self.uploads.glob("*/upload.json")}
        names |= {path.parent.name for path in self.cases.glob(f"*/{RESULT}")}
        return sorted(name for name in names if case_id_fault(name) is None)

    def has_case(self, case_id: str) -> bool:
        """Whether a case was uploaded or predicted."""
        upload = self.upload_folder(case_id) / "upload.json"
        return upload.is_file() or (self.case_folder(case_id) / RESULT).is_file()

    def require_case(self, case_id: str) -> None:
        """Check that a case exists.

        Raises:
            RequestError: 404, if it does not.
        """
        if not self.has_case(case_id):
            raise not_found("there is no such case", case_id)

    def result(self, case_id: str) -> Result | None:
        """The result of a case; None if there is none yet.

        Raises:
            InputError: If the record cannot be read.
        """
        path = self.case_folder(case_id) / RESULT
        return read_result(path) if path.is_file() else None

    def upload(self, case_id: str) -> UploadRecord | None:
        """The record of an upload; None for a prediction that was copied into `cases`."""
        path = self.upload_folder(case_id) / "upload.json"
        return _record(path, UploadRecord) if path.is_file() else None

    def scan(self, case_id: str) -> Path:
        """Path of the scan: a NIfTI file, a zip or a folder of DICOM.

        Raises:
            RequestError: 404, if it is not at hand.
        """
        upload = self.upload(case_id)
        if upload is not None:
            return self.upload_folder(case_id) / upload.scan
        result = self.result(case_id)
        if result is None or not Path(result.input.path).exists():
            raise not_found("the scan is not at hand", case_id)
        return Path(result.input.path)

    def edits_folder(self, case_id: str) -> Path:
        """The folder of a case's edits, which need not be there yet.

        Raises:
            InputError: If it is a link to another place.
        """
        return join_inside(self.case_folder(case_id), "edits")

    def edit_folders(self, case_id: str) -> list[Path]:
        """The folders of a case's edits, oldest first."""
        found = self.edits_folder(case_id).glob("[0-9]" * 4)
        return sorted(path for path in found if (path / "edit.json").is_file())

    def edits(self, case_id: str) -> list[EditRecord]:
        """The edits of a case, oldest first."""
        return [read_edit(folder) for folder in self.edit_folders(case_id)]

    def newest_folder(self, case_id: str) -> Path:
        """The folder of the newest mask and its objects: of an edit, or the prediction's."""
        folders = self.edit_folders(case_id)
        return folders[-1] if folders else self.case_folder(case_id)

    def mask(self, case_id: str, edit: int | None = None) -> Path:
        """The file of a mask: the newest one, or that of an edit; 0 is the model's own.

        Raises:
            RequestError: 404, if there is none.
        """
        folders = self.edit_folders(case_id)
        number = edit if edit is not None else int(folders[-1].name) if folders else 0
        case = self.case_folder(case_id)
        path = self.edits_folder(case_id) / f"{number:04d}" / MASK if number else case / MASK
        if not path.is_file():
            raise not_found("there is no such mask", case_id)
        return path

    def mask_sha256(self, case_id: str) -> str:
        """SHA-256 of the newest mask's file: the case's ETag.

        Raises:
            RequestError: 404, if nothing was predicted yet.
        """
        folders = self.edit_folders(case_id)
        if folders:
            return read_edit(folders[-1]).mask_sha256
        result = self.result(case_id)
        if result is None:
            raise not_found("nothing was predicted yet", case_id)
        return result.files[MASK]

    def corrected(self) -> list[str]:
        """Cases with an edit, in the order of their first one."""
        first = {}
        for case_id in self.case_ids():
            folders = self.edit_folders(case_id)
            if folders and self.result(case_id) is not None:
                first[case_id] = read_edit(folders[0]).when
        return sorted(first, key=lambda case_id: (first[case_id], case_id))

    def round_folder(self, number: int) -> Path:
        """The folder of a round, which need not be there yet."""
        return self.rounds / f"{number:03d}"

    def round_numbers(self) -> list[int]:
        """Numbers of all rounds, oldest first."""
        found = self.rounds.glob("[0-9][0-9][0-9]/round.json")
        return sorted(int(path.parent.name) for path in found)

    def round_record(self, number: int) -> RoundRecord:
        """The request of a round.

        Raises:
            RequestError: 404, if there is none of that number.
        """
        path = self.round_folder(number) / "round.json"
        if not path.is_file():
            raise not_found("there is no such round", str(number))
        return _record(path, RoundRecord)

    def comparison(self, number: int) -> dict[str, object] | None:
        """Contents of `comparison.json` of a round; None if it has not ended."""
        try:
            found = json.loads((self.round_folder(number) / "comparison.json").read_bytes())
        except (OSError, ValueError):
            return None
        return found if isinstance(found, dict) else None

    def accepted_rounds(self) -> Iterator[int]:
        """Rounds whose model was accepted, oldest first."""
        for number in self.round_numbers():
            found = self.comparison(number)
            if found and found.get("accepted") is True and self._run(number).is_dir():
                yield number

    def _run(self, number: int) -> Path:
        return self.round_folder(number) / "run"

    def current_round(self) -> int | None:
        """The newest accepted round; None while there is none."""
        return max(self.accepted_rounds(), default=None)

    def current_models(self) -> tuple[Path, ...]:
        """The models for new predictions: of the newest accepted round, else the initial ones."""
        number = self.current_round()
        return self.models if number is None else (self._run(number),)

    def current_model(self) -> Path:
        """The first of the models for new predictions."""
        return self.current_models()[0]

    def short(self, message: str) -> str:
        """A message with paths relative to the work folder."""
        for root in (self.root.resolve(), self.root):
            message = message.replace(f"{root}/", "")
        return message


def read_edit(folder: Path) -> EditRecord:
    """The record of an edit.

    Raises:
        InputError: If it cannot be read.
    """
    return _record(folder / "edit.json", EditRecord)


def _record(path: Path, kind: type[AnyRecord]) -> AnyRecord:
    return read_record(
        path,
        kind,
        error=InputError,
        what="cannot be read",
        remedy="Restore it from a copy, or remove its folder.",
    )


def _below(root: Path, case_id: str) -> Path:
    if case_id_fault(case_id):
        raise not_found("there is no such case")
    return join_inside(root, case_id)
