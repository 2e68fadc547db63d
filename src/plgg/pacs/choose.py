"""`choose_series`: the series of a study that plgg can predict, by plgg's own header rules.

Query results do not say enough of a series, so one image of each MR series is fetched and its
header is read. All candidate series are fetched; `plgg predict` then chooses among them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from plgg.core.errors import InputError
from plgg.core.folders import scratch_folder
from plgg.core.progress import Progress
from plgg.core.records import JsonError, read_json
from plgg.data.dicom.series import available_sequences
from plgg.data.ensemble_folder import member_runs
from plgg.data.installed_models import model_folders
from plgg.pacs.archive import Archive, PacsLink
from plgg.pacs.errors import PacsError
from plgg.pacs.objects import IMAGES, require_requested_object
from plgg.pacs.pull import ByteBudget, all_images, fetch_all
from plgg.pacs.records import Instance, Series, Study, image_name
from plgg.pacs.retry import Retries, with_retries


def choose_series(
    archive: Archive,
    study: str,
    series: Sequence[Series],
    *,
    wanted: Sequence[str],
    beside: Path,
    budget: ByteBudget,
    retries: Retries,
) -> list[Instance]:
    """The instances of all series that may be an input sequence of a model.

    Args:
        archive: The PACS.
        study: StudyInstanceUID.
        series: Series of the study.
        wanted: Input sequences of the model, such as flair.
        beside: Path beside which single images are stored while their headers are read.
        budget: Bytes that may still be fetched.
        retries: Retries where the PACS does not answer.

    Raises:
        PlggError: If the PACS does not answer, or sends unusable objects.
    """
    found: list[Instance] = []
    for one in series:
        if one.modality.upper() != "MR":
            continue
        images = with_retries(lambda: all_images(archive, study, one), retries)  # noqa: B023 - called at once
        images = [image for image in images if image.sop_class in ("", *IMAGES)]
        if images and set(wanted) & _sequences(archive, images[0], beside, budget, retries):
            found += images
    return found


def _sequences(
    archive: Archive, image: Instance, beside: Path, budget: ByteBudget, retries: Retries
) -> frozenset[str]:
    """Sequences of a series, by the headers of one image; empty if it is not a usable image."""

    def look() -> frozenset[str]:
        budget.require_some()
        with scratch_folder(beside) as folder:
            path = folder / "image.dcm"
            archive.fetch(image, path, budget.left)
            require_requested_object(path, image)
            try:
                return available_sequences(folder)
            except InputError:
                return frozenset()

    try:
        return with_retries(look, retries)
    except InputError as error:
        raise PacsError(error.what, where="the PACS", remedy=error.remedy) from None


def fetch_scan(
    link: PacsLink,
    archive: Archive,
    study: Study,
    folder: Path,
    *,
    wanted: Sequence[str],
    progress: Progress,
) -> list[Instance]:
    """Fetch the candidate series of a study into a folder; empty if it has none.

    Args:
        link: Connection to the PACS.
        archive: The PACS.
        study: Study with its series.
        folder: Folder for the images, whose file names are hashes.
        wanted: Input sequences of the model.
        progress: Told of each image.

    Raises:
        PlggError: As `choose_series`, or if the folder cannot be written to.
    """
    budget = ByteBudget(link.study_bytes)
    images = choose_series(
        archive,
        study.uid,
        study.series,
        wanted=wanted,
        beside=folder,
        budget=budget,
        retries=link.retries,
    )
    fetch_all(
        archive,
        images,
        lambda one: folder / image_name(one.uid),
        budget=budget,
        retries=link.retries,
        progress=progress,
    )
    _remove_stale_images(folder, images)
    return images


def _remove_stale_images(folder: Path, images: Sequence[Instance]) -> None:
    """Remove images of an earlier download that the PACS no longer has."""
    held = {image_name(one.uid) for one in images}
    for path in folder.glob("image-*.dcm") if images else ():
        if path.name not in held:
            path.unlink()


def no_suitable_series_reason(study: Study) -> str:
    """The reason why no series of a study was fetched."""
    n_mr = sum(one.modality.upper() == "MR" for one in study.series)
    return f"none of its {n_mr} MR series looks like the scan that is wanted"


def wanted_sequences(models: Sequence[Path]) -> tuple[str, ...]:
    """Input sequences of the models, the reference first.

    Raises:
        PlggError: If a model cannot be found.
    """
    run = member_runs(model_folders(models or None))[0]
    try:
        channels = read_json(run / "checkpoints" / "best.json")["config"]["channels"]
        return tuple(str(name) for name in channels) or ("flair",)
    except (JsonError, KeyError, TypeError):
        return ("flair",)
