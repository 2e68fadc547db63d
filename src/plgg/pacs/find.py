"""`find`: the studies on a PACS that fit a query, with their series."""

from __future__ import annotations

from dataclasses import replace

from plgg.pacs.archive import Archive, PacsLink, open_archive
from plgg.pacs.records import Study, StudyQuery
from plgg.pacs.retry import with_retries

MOST_STUDIES = 2000
"""That are looked through for a description, which servers do not match alike."""


def find(link: PacsLink, query: StudyQuery) -> list[Study]:
    """The studies that fit.

    What is found identifies patients: show it to who asked, and write it nowhere.

    Args:
        link: The PACS.
        query: What is wanted.

    Raises:
        PlggError: If the PACS does not answer or refuses.
    """
    with open_archive(link) as archive:
        return find_in(archive, query, link)


def find_in(archive: Archive, query: StudyQuery, link: PacsLink) -> list[Study]:
    """The studies that fit on a PACS that is open."""
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
    """A study with its series."""
    series = with_retries(lambda: archive.series(study.uid), link.retries)
    return replace(study, series=tuple(series))
