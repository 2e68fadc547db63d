"""`pull`: download a study or a series from a PACS to a folder, and check each object.

DIR/SERIES_UID/SOP_INSTANCE_UID.dcm

Existing files are not fetched again, so that the same command resumes an interrupted download.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from plgg.core.errors import ConfigError, OutputError, PlggError
from plgg.core.files import atomic_write, make_folder
from plgg.core.folders import clear_leftovers
from plgg.core.output import OutputKind, output_folder
from plgg.core.progress import Progress, Silent, Watch
from plgg.pacs.archive import Archive, PacsLink, open_archive
from plgg.pacs.errors import PacsError
from plgg.pacs.objects import FETCHED, require_requested_object
from plgg.pacs.records import Instance, Series, require_uid, study_not_found
from plgg.pacs.retry import Retries, with_retries

PULLED = OutputKind("images pulled from a PACS", ("[0-2].[0-9]*",))
SILENT = Silent()


@dataclass(frozen=True)
class PullOutcome:
    """Result of a download.

    Attributes:
        folder: Where the images are.
        n_new: Number of objects that were fetched.
        n_kept: Number of objects that were there already.
        n_passed_over: Number of objects of kinds that C-GET does not fetch.
    """

    folder: Path
    n_new: int
    n_kept: int
    n_passed_over: int


class ByteBudget:
    """Bytes that may still be fetched, counted by file sizes, not by what a server says.

    Args:
        most: Bytes in all.
    """

    def __init__(self, most: int) -> None:
        self.left = most

    def spend(self, path: Path) -> None:
        """Count a file that was fetched."""
        self.left -= path.stat().st_size

    def require_some(self) -> None:
        """Check that the budget is not used up.

        Raises:
            PacsError: If it is.
        """
        if self.left <= 0:
            raise PacsError(
                "is larger than one study may be",
                where="the study",
                remedy="Name one series, or allow more: --study-gib.",
            )


def pull(
    link: PacsLink,
    study: str | None,
    out: Path,
    *,
    series: str | None = None,
    watch: Watch = SILENT,
) -> PullOutcome:
    """Fetch a study, or one series of it.

    Args:
        link: The PACS.
        study: Its UID; may be left out where a series is named.
        out: Folder, made if need be.
        series: UID of a single series to fetch; None for all.
        watch: Told of the progress.

    Raises:
        PlggError: If a UID is not valid, the PACS does not answer or refuses, sends other objects
            than requested or too many bytes, or the folder cannot be written to.
    """
    study, series = _required(study, series)
    with open_archive(link) as archive, output_folder(out, PULLED):
        named = with_retries(lambda: _study(archive, study, series), link.retries)
        wanted = with_retries(lambda: instances_of(archive, named, series), link.retries)
        known = [one for one in wanted if _may_be_fetched(archive, one)]
        with watch.task("pulling") as progress:
            n_new = fetch_all(
                archive,
                known,
                lambda one: out / one.series / f"{one.uid}.dcm",
                budget=ByteBudget(link.study_bytes),
                retries=link.retries,
                progress=progress,
            )
    return PullOutcome(out, n_new, len(known) - n_new, len(wanted) - len(known))


def _required(study: str | None, series: str | None) -> tuple[str | None, str | None]:
    if study is None and series is None:
        raise ConfigError(
            "neither a study nor a series is named", remedy="Give STUDY_UID or --series UID."
        )
    return (
        study and require_uid(study, where="STUDY_UID"),
        series and require_uid(series, where="--series"),
    )


def _study(archive: Archive, study: str | None, series: str | None) -> str:
    found = study or (series and archive.study_of(series))
    if not found:
        raise study_not_found(str(archive.address))
    return found


def instances_of(archive: Archive, study: str, series: str | None = None) -> list[Instance]:
    """The instances of a study, or of one series.

    Raises:
        PacsError: If there are none.
    """
    named = [one for one in archive.series(study) if series in (None, one.uid)]
    if series and not named:  # Servers may not list a series that they give on request.
        named = [Series(series)]
    found = [one for name in named for one in all_images(archive, study, name)]
    if not found:
        raise study_not_found(str(archive.address))
    return found


def all_images(archive: Archive, study: str, series: Series) -> list[Instance]:
    """The instances of a series, checked against the number that the PACS counts.

    Raises:
        PacsError: If it lists fewer: an incomplete scan would be taken for a complete one.
    """
    found = archive.instances(study, series.uid)
    if len(found) < (series.n_instances or 0):
        raise PacsError(
            f"lists {len(found)} of the {series.n_instances} objects that it counts in a series",
            where=str(archive.address),
            remedy="Is a limit of its results too low? Try again later, too.",
        )
    return found


def _may_be_fetched(archive: Archive, instance: Instance) -> bool:
    """Whether an instance can be fetched; C-GET is limited to the SOP classes that it proposes."""
    return archive.address.kind == "web" or instance.sop_class in ("", *FETCHED)


def fetch_all(
    archive: Archive,
    instances: Sequence[Instance],
    place: Callable[[Instance], Path],
    *,
    budget: ByteBudget,
    retries: Retries,
    progress: Progress | None = None,
) -> int:
    """Fetch instances to the paths that `place` gives; returns how many were new.

    Raises:
        PlggError: As `pull`.
    """
    n_new = 0
    for folder in {place(one).parent for one in instances}:
        clear_leftovers(make_folder(folder))
    for done, instance in enumerate(instances, 1):
        path = place(instance)
        if path.is_file() or path.is_symlink():
            _require_same(path, instance)
        else:
            with_retries(lambda: _fetch(archive, instance, path, budget), retries)  # noqa: B023 - called at once
            n_new += 1
        budget.spend(path)
        if progress:
            progress(done, len(instances))
    return n_new


def _fetch(archive: Archive, instance: Instance, path: Path, budget: ByteBudget) -> None:
    budget.require_some()
    with atomic_write(path) as aside:
        archive.fetch(instance, aside, budget.left)
        require_requested_object(aside, instance)


def _require_same(path: Path, instance: Instance) -> None:
    """Check that an existing file is the object of its name.

    Raises:
        OutputError: If it is not.
    """
    try:
        require_requested_object(path, instance)
    except PlggError:
        raise OutputError(
            "holds a file that is not the object of its name",
            where=path.parent,
            remedy="Move it away, or choose another folder.",
        ) from None
