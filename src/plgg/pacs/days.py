"""`--days` of `plgg pacs watch`: how many days back studies are taken, by default two.

>>> parse_days("2"), parse_days("all")
(2, None)
>>> from datetime import date
>>> first_day(2, date(2026, 3, 1))
datetime.date(2026, 2, 28)

The default is short, as an archive holds the studies of decades. The Study Date in the PACS is
compared with the date of this machine; a study without a date is taken with `all` only.
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
    """Whether the Study Date is within these days; servers may return other studies, too."""
    return len(study.date) == 8 and study.date >= f"{first_day(days):%Y%m%d}"


def describe_days(days: int | None) -> str:
    """Description of the date range, for messages."""
    if days is None:
        return "studies of any date"
    return f"studies from {first_day(days):%Y-%m-%d} on (--days {days})"
