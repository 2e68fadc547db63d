"""Timelines of participants: their sessions in order, with one scan per session.

A participant with two or more predicted sessions gets a page, reports/sub-01_timeline.html. Of
several FLAIRs in a session one is used: of the acquisition that most sessions have, the first by
name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from plgg.bids.acquisition_dates import Order, acquisition_date, session_order
from plgg.bids.dataset import BidsDataset, BidsScan
from plgg.bids.outcome import BidsOutcome
from plgg.bids.recorded import recorded_outcome
from plgg.bids.request import BidsRequest
from plgg.core.errors import PlggError
from plgg.core.output import PREDICTIONS, output_folder
from plgg.data.result import Result, Timeline
from plgg.measure.timeline import TimelineScan, timeline
from plgg.report.timeline import write_timeline


@dataclass(frozen=True)
class Course:
    """The sessions of one participant over time.

    Attributes:
        subject: `sub-01`.
        sessions: Session labels by name of the scan, in the order of the timeline.
        timeline: The timeline; None where the sessions cannot be compared.
        reason: Why there is no timeline.
        notes: Notes of the results for everyone who reads them.
    """

    subject: str
    sessions: dict[str, str] = field(default_factory=dict)
    timeline: Timeline | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def page(self) -> str:
        """Path of its page in the derivative dataset."""
        return f"reports/{self.subject}_timeline.html"


def courses_of(request: BidsRequest, dataset: BidsDataset) -> list[Course]:
    """Make the timelines of all participants with two or more predicted sessions.

    Args:
        request: Names the folder of the predictions.
        dataset: With all sessions of the participants.
    """
    by_subject: dict[str, list[BidsOutcome]] = {}
    for scan in dataset.scans:
        if scan.session:
            by_subject.setdefault(scan.subject, []).append(recorded_outcome(request, scan))
    found = [_course(request, subject, all_) for subject, all_ in sorted(by_subject.items())]
    return [course for course in found if course is not None]


def _course(request: BidsRequest, subject: str, outcomes: Sequence[BidsOutcome]) -> Course | None:
    done = [(one.scan, one.result) for one in outcomes if one.status == "done" and one.result]
    scans = {scan.name: (scan, result) for scan, result in done if not isinstance(scan, str)}
    notes: list[str] = []
    order = session_order(request.root, subject, notes)
    taken = _one_a_session([scan for scan, _ in scans.values()], order, notes)
    if len(taken) < 2:
        return None
    notes += _without(outcomes, taken)
    moments = [_timeline_scan(request, scan, scans[scan.name][1], notes) for scan in taken]
    try:
        found = timeline(moments)
    except PlggError as error:
        return Course(subject, reason=f"{_of(error, request)}{error.what}")
    sessions = {scan.name: scan.session for scan in taken}
    points = tuple(point.model_copy(update={"prior": None}) for point in found.points)
    told = found.model_copy(update={"points": points, "warnings": (*found.warnings, *notes)})
    about = tuple(moment.result.note for moment in moments)
    return Course(subject, {p.name: sessions[p.name] for p in points}, told, notes=about)


def _of(error: PlggError, request: BidsRequest) -> str:
    """Prefix of an error that names its scan, without a path of this machine."""
    return f"{Path(str(error.where)).name}: " if error.where else f"{request.root.name}: "


def _timeline_scan(
    request: BidsRequest, scan: BidsScan, result: Result, notes: list[str]
) -> TimelineScan:
    folder = request.work(scan.subject) / scan.name
    return TimelineScan(result, folder, acquisition_date(request.root, scan, notes))


def _without(outcomes: Iterable[BidsOutcome], taken: Sequence[BidsScan]) -> list[str]:
    """A note on the sessions without a prediction, if there are any."""
    there = {scan.session for scan in taken}
    lost = sorted({one.session for one in outcomes} - there)
    return [f"without {', '.join(lost)}, which could not be predicted"] if lost else []


def _one_a_session(scans: Sequence[BidsScan], order: Order, notes: list[str]) -> list[BidsScan]:
    """Choose one scan per session, in the order of the sessions."""
    common = Counter(of for _, of in {(scan.session, _acquisition(scan)) for scan in scans})
    best: dict[str, BidsScan] = {}
    for scan in sorted(scans, key=lambda one: (-common[_acquisition(one)], one.name)):
        best.setdefault(scan.session, scan)
    for session, scan in sorted(best.items()):
        n = sum(one.session == session for one in scans)
        if n > 1:
            notes.append(f"{session} has {n} FLAIR scans, of which {scan.name} was taken")
    return [best[session] for session in sorted(best, key=order)]


def _acquisition(scan: BidsScan) -> str:
    """Entities in the name of a scan, without participant, session and run."""
    return "_".join(
        part for part in scan.name.split("_") if part.split("-")[0] not in ("sub", "ses", "run")
    )


def write_pages(request: BidsRequest, courses: Iterable[Course]) -> list[Course]:
    """Write the page of each timeline; if that fails, the course holds the reason instead.

    The participant's folder is locked meanwhile; another process that holds the lock writes the
    page, too.
    """
    return [_written(request, course) for course in courses]


def _written(request: BidsRequest, course: Course) -> Course:
    if course.timeline is None:
        return course
    try:
        with output_folder(request.work(course.subject), PREDICTIONS):
            path = request.out / course.page
            path.parent.mkdir(exist_ok=True)
            write_timeline(path, course.timeline, course.notes)
    except PlggError as error:
        return Course(course.subject, reason=f"its page {error.what}")
    return course
