"""`find`: the studies on a PACS that fit a query, with their series."""

from __future__ import annotations

from dataclasses import replace

from plgg.pacs.archive import Archive, PacsLink, open_archive
from plgg.pacs.records import Study, StudyQuery
from plgg.pacs.retry import with_retries

MOST_STUDIES = 2000
"""Most studies of one search. Descriptions are matched here, as servers match them differently."""


def find(link: PacsLink, query: StudyQuery) -> list[Study]:
    """Search studies, with their series.

    The result identifies patients: show it to the user, and never write it to disk.

    Args:
        link: The PACS.
        query: Search criteria.

    Raises:
        PlggError: If the PACS does not answer or refuses.
    """
    with open_archive(link) as archive:
        return find_in(archive, query, link)


def find_in(archive: Archive, query: StudyQuery, link: PacsLink) -> list[Study]:
    """Search studies, with their series, on an open PACS."""
    asked = replace(query, limit=MOST_STUDIES) if query.description else query
    found: list[Study] = []
    for study in with_retries(lambda: archive.studies(asked), link.retries):
        whole = with_series(archive, study, link)
        if query.describes(whole):
            found.append(whole)
        if len(found) == query.limit:
            break
    return found


def with_series(archive: Archive, study: Study, link: PacsLink) -> Study:
    """Add its series to a study."""
    series = with_retries(lambda: archive.series(study.uid), link.retries)
    return replace(study, series=tuple(series))
