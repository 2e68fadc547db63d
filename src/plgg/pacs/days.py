"""How far back `plgg pacs watch` looks: two days unless it is told otherwise, never all unasked.

>>> parse_days("2"), parse_days("all")
(2, None)
>>> from datetime import date
>>> first_day(2, date(2026, 3, 1))
datetime.date(2026, 2, 28)

An archive holds the studies of decades. A study counts by its Study Date, as the PACS says it,
against the date of this machine; one without a date is taken with `all` alone.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from plgg.core.errors import ConfigError
from plgg.pacs.records import Study

RECENT_DAYS = 2
"""Today and yesterday."""
ALL = "all"
_MOST = 100_000


def parse_days(text: str) -> int | None:
    """A number of days, today's included; None for all.

    Raises:
        ConfigError: If the text is neither a number from 1 nor `all`.
    """
    if text.casefold() == ALL:
        return None
    if text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= _MOST:
        return int(text)
    raise ConfigError(
        f"{text[:20]!a} is no number of days from 1 to {_MOST}",
        where="--days",
        remedy="Give 2 for today and yesterday, or all for every study of the archive.",
    )


def first_day(days: int, today: date | None = None) -> date:
    """The first of so many days, of which the last is today."""
    return (today or datetime.now(UTC).astimezone().date()) - timedelta(days=days - 1)


def is_recent(study: Study, days: int) -> bool:
    """Whether a study is of these days, by its own date: servers may answer with more."""
    return len(study.date) == 8 and study.date >= f"{first_day(days):%Y%m%d}"


def describe_days(days: int | None) -> str:
    """Which studies these are, for people."""
    if days is None:
        return "studies of any date"
    return f"studies from {first_day(days):%Y-%m-%d} on (--days {days})"
