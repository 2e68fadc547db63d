"""Timelines of a dataset: the sessions of one participant in their order, a scan each.

A participant with two predicted sessions or more gets a page, reports/sub-01_timeline.html. Of a
session with several FLAIRs one is taken: of the acquisition that most sessions have, the first by
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
        sessions: Their labels by the name of the scan that was taken, in the timeline's order.
        timeline: What they say; None where they cannot be held against each other.
        reason: Why not.
        notes: Results' notes, what everyone who reads them must know.
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
    """The timelines of all participants of whom two sessions or more are predicted.

    Args:
        request: Says where the predictions are.
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
    moments = [_moment(request, scan, scans[scan.name][1], notes) for scan in taken]
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
    """Which scan an error is about, without a path of this machine."""
    return f"{Path(str(error.where)).name}: " if error.where else f"{request.root.name}: "


def _moment(request: BidsRequest, scan: BidsScan, result: Result, notes: list[str]) -> TimelineScan:
    folder = request.work(scan.subject) / scan.name
    return TimelineScan(result, folder, acquisition_date(request.root, scan, notes))


def _without(outcomes: Iterable[BidsOutcome], taken: Sequence[BidsScan]) -> list[str]:
    """Sessions of which there is no prediction."""
    there = {scan.session for scan in taken}
    lost = sorted({one.session for one in outcomes} - there)
    return [f"without {', '.join(lost)}, which could not be predicted"] if lost else []


def _one_a_session(scans: Sequence[BidsScan], order: Order, notes: list[str]) -> list[BidsScan]:
    """A scan of each session, in the order of the sessions."""
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
    """What a name says but for participant, session and run."""
    return "_".join(
        part for part in scan.name.split("_") if part.split("-")[0] not in ("sub", "ses", "run")
    )


def write_pages(request: BidsRequest, courses: Iterable[Course]) -> list[Course]:
    """Write the page of each timeline; one that cannot be written is told instead.

    The participant's folder is held meanwhile: whoever holds it already writes the page, too.
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
