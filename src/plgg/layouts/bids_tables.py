"""`participants.tsv` and `sub-*_sessions.tsv` of a BIDS dataset. Knows nothing of images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from plgg.errors import ManifestError
from plgg.layouts.found import Choices, Labels, listed
from plgg.layouts.tables import Row, by_patient, columns, key, labels_of, marker_columns, read_table


@dataclass(frozen=True)
class Participants:
    """Rows of participants.tsv by `key`, and which column is the marker."""

    rows: Mapping[str, Row]
    marker_column: str | None
    notes: tuple[str, ...]

    def labels(self, subject: Path, session: str | None) -> Labels:
        """What the tables say; the age of a session goes before that of the participant."""
        labels = labels_of(
            self.rows.get(key(subject.name), {}),
            self.marker_column,
            where=f"participants.tsv, {subject.name}",
        )
        path = subject / f"{subject.name}_sessions.tsv"
        if session is None or not path.is_file():
            return labels
        sessions = {r.get("session_id", "").removeprefix("ses-"): r for r in read_table(path)}
        age = labels_of(sessions.get(session, {}), None, where=str(path)).age_years
        return labels if age is None else replace(labels, age_years=age)

    def without(self, subjects: Iterable[str]) -> list[str]:
        """A note on participants that have no folder."""
        seen = {key(subject) for subject in subjects}
        missing = [row["participant_id"] for k, row in self.rows.items() if k not in seen]
        return [f"In participants.tsv, but without a folder: {listed(missing)}."] if missing else []


def read_participants(root: Path, choices: Choices) -> Participants:
    """The table of participants; none is no fault.

    Raises:
        ManifestError: If it cannot be read, or lacks a column that is needed or asked for.
    """
    path = root / "participants.tsv"
    table = read_table(path) if path.is_file() else []
    if table and "participant_id" not in columns(table):
        raise ManifestError("lacks the column participant_id", where=path, remedy="Add it.")
    wanted = choices.marker_column
    if wanted and wanted.casefold() not in columns(table) and choices.labels is None:
        raise ManifestError(
            f"has no column {wanted!r} (it has: {', '.join(columns(table)) or 'none'})",
            where=path,
            remedy="Give another --marker-column, or a table with --labels.",
        )
    candidates = marker_columns(table)
    column = wanted or next(iter(candidates), None)
    notes = (
        [f"The marker is the column {column!r} of participants.tsv."]
        if column in columns(table)
        else []
    )
    if not wanted and len(candidates) > 1:
        notes.append(f"Other columns that may be the marker: {listed(candidates[1:])}.")
    return Participants(by_patient(table, "participant_id", path), column, tuple(notes))
