"""Run registration and gates in a second process, while the first one runs the networks.

    with assessment_process() as assessor:
        ...                                  # imports, models, the brain
        assessor.submit(AssessmentRequest(scan, config, ...))
        ...                                  # the networks
        reply = assessor.result()

Registration holds the GIL, so a thread would not do. The process loads the built-in atlas as soon
as it has started. If it fails, or knows other gates than the calling process, it gives no reply,
and the caller assesses the scan itself.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import psutil

from plgg.core.environment import cores
from plgg.core.errors import PlggError
from plgg.core.loading import loading
from plgg.core.worker import Worker, describe_error

if TYPE_CHECKING:
    from plgg.config import Config
    from plgg.core.volume import Volume
    from plgg.preprocess.assessment import ScanAssessment
    from plgg.preprocess.brain_extraction import BrainExtraction

log = logging.getLogger(__name__)
_FREE_GIB = 3.0
# Largest scan that is sent: memory holds it twice for a moment.
_MOST_BYTES = 2**28


@dataclass(frozen=True, eq=False)
class AssessmentRequest:
    """A scan to assess, with all that the other process needs.

    Attributes:
        scan: On its native grid.
        config: Of the model: which atlas, which registration.
        sequence: The scan's sequence, such as `flair`.
        age_years: At the scan, where known.
        stripped: Its brain.
        gates: Names of all gates of the calling process, where a script may have registered some.
    """

    scan: Volume
    config: Config
    sequence: str
    age_years: float | None
    stripped: BrainExtraction
    gates: frozenset[str]


@dataclass(frozen=True, eq=False)
class AssessmentReply:
    """The reply to an `AssessmentRequest`.

    Attributes:
        assessment: The assessment, without its `frame`.
        atlas: Name of the atlas.
        seconds: Wall time of each step.
    """

    assessment: ScanAssessment
    atlas: str
    seconds: dict[str, float]


class AssessmentProcess:
    """Handle of the second process, which assesses one scan at a time."""

    def __init__(self) -> None:
        self._worker: Worker | None = Worker(_start, _reply)
        self._pending = False
        # At its exit Python would wait for a process that still runs.
        atexit.register(self.kill)

    @property
    def pid(self) -> int | None:
        """Process id; None once it was killed."""
        return self._worker.pid if self._worker else None

    def submit(self, request: AssessmentRequest) -> bool:
        """Send it a scan; False where that is not possible and the caller must assess the scan."""
        if self._pending:  # Nobody waited for what it found: it would be taken for this scan's.
            self.kill()
        if self._worker is None or request.scan.data.nbytes > _MOST_BYTES:
            return False
        try:
            self._worker.send_in_thread(0, request)
        except Exception as error:  # noqa: BLE001 - whatever a plugin's settings hold
            log.info("a scan cannot be sent: %s", describe_error(error))
            return False
        self._pending = True
        return True

    def result(self) -> AssessmentReply | None:
        """Wait for the reply; None where the process failed and the caller must assess the scan.

        Raises:
            PlggError: What assessing the scan raised.
        """
        while self._worker is not None and self._pending:
            kind, value = self._worker.receive() or ("gone", self._worker.exit_reason())
            if kind == "ready":
                continue
            self._pending = False
            if isinstance(value, AssessmentReply):
                return value
            if kind == "error" and isinstance(value, PlggError):
                raise value
            log.info("registration beside the networks failed: %s", value)
            self.kill()
        return None

    def kill(self) -> None:
        """Kill the process."""
        atexit.unregister(self.kill)
        if self._worker is not None:
            self._worker.kill()
            self._worker = None


@contextmanager
def assessment_process(*, wanted: bool = True) -> Iterator[AssessmentProcess | None]:
    """Start an `AssessmentProcess` that ends with the block; None where there is no room for it.

    There is none with one core, with little free memory, and in a worker process, whose memory is
    limited and which may not be allowed to start processes.

    Args:
        wanted: Whether there will be scans for it; False gives None.
    """
    assessor = _started() if wanted and _has_room() else None
    try:
        yield assessor
    finally:
        if assessor:
            assessor.kill()


def _has_room() -> bool:
    roomy = psutil.virtual_memory().available > _FREE_GIB * 2**30
    return roomy and cores() > 1 and multiprocessing.parent_process() is None


def _started() -> AssessmentProcess | None:
    try:
        return AssessmentProcess()
    except OSError as error:
        log.info("no process for registration: %s", error)
        return None


def _start() -> None:
    """Import the modules and load the atlas, so that the first scan need not wait for them."""
    with loading():
        from plgg.data.atlas.atlas import load_atlas
        from plgg.preprocess.assessment import assess_scan  # noqa: F401
        from plgg.preprocess.registration.frame import view_of

    view_of(load_atlas())


def assess(request: AssessmentRequest) -> AssessmentReply:
    """Assess a scan in this process.

    Raises:
        PlggError: If the scan, the atlas or a gate cannot be used.
    """
    from plgg.core.progress import Clock
    from plgg.preprocess.assessment import assess_scan
    from plgg.preprocess.setup import route_for

    route, clock = replace(route_for(request.config), sequence=request.sequence), Clock()
    found = assess_scan(request.scan, route, request.age_years, clock, stripped=request.stripped)
    return AssessmentReply(replace(found, frame=None), route.atlas.name, clock.seconds)


def _reply(_: None, request: AssessmentRequest) -> AssessmentReply | str:
    """The reply, or why there is none; the calling process then assesses the scan itself."""
    from plgg.preprocess.gates.scan import GATES

    try:
        if request.gates != set(GATES.load_all()):
            return "other gates are known there"
        return assess(request)
    except PlggError:
        raise
    except Exception as error:  # noqa: BLE001 - it comes again where the scan is judged then
        return describe_error(error)
