"""`watch`: poll a PACS for new studies, and predict those that match a rule.

A study is taken once its number of images is that of the last poll, as a study that is still being
acquired has more each time. With `once` it is taken as it is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from plgg.core.errors import OutputError, PlggError
from plgg.core.output import output_folder
from plgg.pacs.archive import Archive, PacsLink, open_archive
from plgg.pacs.choose import fetch_scan, no_suitable_series_reason, wanted_sequences
from plgg.pacs.days import RECENT_DAYS, first_day, is_recent
from plgg.pacs.errors import PacsError, UnreachableError
from plgg.pacs.find import MOST_STUDIES, with_series
from plgg.pacs.ledger import StudyRecord
from plgg.pacs.records import Instance, Study, StudyQuery, content_of, study_key
from plgg.pacs.retry import with_retries
from plgg.pacs.rule import Rule
from plgg.pacs.work import PACS_WORK, StudyWork, require_space


@dataclass
class Tally:
    """Result of a poll.

    Attributes:
        done: Studies that were predicted.
        failed: Reasons of the studies that failed, by name.
    """

    done: set[str] = field(default_factory=set)
    failed: dict[str, str] = field(default_factory=dict)

    def count(self, record: StudyRecord) -> None:
        """Add the state of a study."""
        if record.state == "done":
            self.done.add(record.key)
            self.failed.pop(record.key, None)
        elif record.state == "failed":
            self.failed[record.key] = record.reason or ""


def watch(
    link: PacsLink,
    work: StudyWork,
    rule: Rule,
    *,
    every_seconds: float = 60.0,
    days: int | None = RECENT_DAYS,
    once: bool = False,
    sleep: Callable[[float], object] = time.sleep,
) -> Tally:
    """Predict the studies of a PACS that match a rule, until it is stopped.

    Args:
        link: The PACS.
        work: Work folder, and how to predict.
        rule: Rule that the studies must match.
        every_seconds: How long to wait between two polls.
        days: Only studies of so many days, today's included; None for all of the archive.
        once: Poll once, and end.
        sleep: Waits so many seconds.

    Raises:
        PlggError: If an option is not valid, or the folder cannot be written to; with `once`, also
            if the PACS does not answer.
    """
    sequences = wanted_sequences(work.models)
    with output_folder(work.root, PACS_WORK), open_archive(link) as archive:
        work.make()
        poll = _Poll(link, work, rule, days, sequences, archive)
        while True:
            tally = poll.all(settle=not once)
            if once:
                return tally
            sleep(every_seconds)


@dataclass
class _Poll:
    """State of the polling; `away` after a poll without an answer, `known` after one with it."""

    link: PacsLink
    work: StudyWork
    rule: Rule
    days: int | None
    sequences: tuple[str, ...]
    archive: Archive
    away: bool = False
    known: bool = False

    def all(self, *, settle: bool) -> Tally:
        """Poll once; with `settle`, new and changed studies wait for the next poll."""
        tally = Tally()
        try:
            query = self._query()
            for study in with_retries(lambda: self.archive.studies(query), self.link.retries):
                self._one(study, tally, settle=settle)
            self.away, self.known = False, True
        except PacsError as error:
            # Without any answer so far, the address is wrong or the PACS refuses us.
            if not settle or not (self.known or isinstance(error, UnreachableError)):
                raise
            if not self.away:
                self.work.watch.say(f"{error} It is asked again.")
            self.away = True
        return tally

    def _query(self) -> StudyQuery:
        date = None
        if self.days is not None:
            date = f"{first_day(self.days):%Y%m%d}-"
        return StudyQuery(date=date, modality=self.rule.modality, limit=MOST_STUDIES)

    def _one(self, study: Study, tally: Tally, *, settle: bool) -> None:
        if self.days is not None and not is_recent(study, self.days):
            return
        try:
            study = with_series(self.archive, study, self.link)
            if not self.rule.fits(study):
                return
            counts = self._counts(study)
        except UnreachableError:
            raise
        except PacsError as error:
            self._unreadable(study, tally, str(error))
            return
        key, ledger = study_key(study.uid), self.work.ledger
        n_images, content, record = sum(counts.values()), content_of(counts), ledger.get(key)
        if record is None or not record.is_of(n_images, content):
            record = ledger.put(StudyRecord(key=key, n_images=n_images, content=content))
            if settle:
                return
        if not record.settled:
            tally.count(self._take(study, record))

    def _unreadable(self, study: Study, tally: Tally, reason: str) -> None:
        """Mark a study as failed for which the PACS gives no valid response; it is tried again."""
        key = study_key(study.uid)
        record = self.work.ledger.get(key) or StudyRecord(key=key)
        if not record.settled:
            tally.count(self.work.failed(record, reason))

    def _counts(self, study: Study) -> dict[str, int]:
        """Number of images of each MR series; objects that plgg sends back are of no MR series."""
        counts = {}
        for one in study.series:
            if one.modality.upper() == "MR":
                known = one.n_instances
                counts[one.uid] = (
                    len(self.archive.instances(study.uid, one.uid)) if known is None else known
                )
        return counts

    def _take(self, study: Study, record: StudyRecord) -> StudyRecord:
        """Pull, predict and send back a study; an error becomes its reason of failure."""
        try:
            if record.state in ("waiting", "failed"):
                images = self._pull(study, record.key)
                if not images:
                    return self.work.passed_over(record, no_suitable_series_reason(study))
            return self.work.finish(record)
        except (UnreachableError, OutputError):
            raise
        except PlggError as error:
            again = record.model_copy(update={"attempts": record.attempts + 1})
            return self.work.failed(again, str(error))

    def _pull(self, study: Study, key: str) -> list[Instance]:
        require_space(self.work.root)
        with self.work.watch.task(f"pulling {key}") as progress:
            return fetch_scan(
                self.link,
                self.archive,
                study,
                self.work.scan(key),
                wanted=self.sequences,
                progress=progress,
            )
