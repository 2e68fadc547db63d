"""The group level: one table and one page of all scans, none dropped; timelines of sessions."""

from __future__ import annotations

from pathlib import Path

from plgg.bids.courses import Course, courses_of, write_pages
from plgg.bids.dataset import BidsDataset, read_dataset
from plgg.bids.description import DERIVATIVES
from plgg.bids.outcome import BidsOutcome, left_out
from plgg.bids.recorded import outcome_of_record, recorded_outcome
from plgg.bids.request import WORK, BidsRequest
from plgg.bids.response_table import write_responses
from plgg.bids.table import write_table
from plgg.core.errors import InputError
from plgg.core.files import write_text
from plgg.core.output import output_folder
from plgg.report.bids_group import GroupRow, TimelineRow, group_page

TABLE = "desc-plgg_measurements"
RESPONSES = "desc-plgg_responses"
PAGE = "group.html"


def summarise_group(request: BidsRequest, dataset: BidsDataset) -> list[BidsOutcome]:
    """Write the tables and the page of the scans that are asked for, and timelines of sessions.

    Args:
        request: Names the output folder.
        dataset: Present scans of the dataset.

    Returns:
        An outcome for each scan: also of those that failed, that are not predicted yet, and that
        were predicted but are no longer in the dataset.

    Raises:
        InputError: If nothing was predicted.
        OutputError: If the folder is not one of derivatives by plgg, or cannot be written to.
    """
    if not (request.out / WORK).is_dir():
        raise InputError(
            "holds no predictions", where=request.out, remedy="Run the participant level first."
        )
    outcomes = [recorded_outcome(request, scan) for scan in dataset.scans]
    outcomes += [left_out(one) for one in dataset.left_out]
    if not (request.participants or request.sessions):
        outcomes += _outcomes_of_removed_scans(request, {outcome.name for outcome in outcomes})
    outcomes.sort(key=lambda outcome: outcome.name)
    with output_folder(request.out, DERIVATIVES):
        courses = write_timelines(request)
        write_table(request.out / f"{TABLE}.tsv", outcomes)
        write_responses(request.out / f"{RESPONSES}.tsv", courses)
        rows = [_row(request.out, outcome) for outcome in outcomes]
        write_text(request.out / PAGE, group_page(rows, [*map(_timeline_row, courses)]))
    return outcomes


def write_timelines(request: BidsRequest) -> list[Course]:
    """The timelines of the participants that are asked for, of all their sessions, and their pages.

    Raises:
        InputError: If the dataset cannot be read.
    """
    whole = read_dataset(request.root, participants=request.participants)
    return write_pages(request, courses_of(request, whole))


def _timeline_row(course: Course) -> TimelineRow:
    return TimelineRow(course.subject, course.timeline, course.reason, course.page)


def _outcomes_of_removed_scans(request: BidsRequest, met: set[str]) -> list[BidsOutcome]:
    """Scans that were predicted, and are no longer in the dataset."""
    found = []
    for path in sorted((request.out / WORK).glob("sub-*/sub-*.json")):
        if path.stem not in met:
            outcome = outcome_of_record(request, path.stem, path)
            gone = "no longer in the dataset"
            reason = f"{gone}; {outcome.reason}" if outcome.reason else gone
            found.append(BidsOutcome(path.stem, outcome.status, outcome.result, reason))
    return found


def _row(out: Path, outcome: BidsOutcome) -> GroupRow:
    page = f"reports/{outcome.name}.html"
    there = (out / page).is_file()
    return GroupRow(
        outcome.name, outcome.status, outcome.result, outcome.reason, page if there else None
    )
