"""Build `manifest.csv` from a folder in one of the layouts, with images that must be converted.

Converted images are in a folder beside the manifest with its name (`manifest_files`). They are
written to a temporary folder and moved once the manifest is valid, so that an error changes
nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from plgg.core.errors import ConfigError, InputError, ManifestError, PlggError
from plgg.core.files import convert_inspection_errors, make_folder, temporary_name
from plgg.core.folders import scratch_folder
from plgg.core.output import MADE_IMAGES, output_folder
from plgg.core.progress import Progress
from plgg.core.regular import is_regular
from plgg.data.layouts import bids, brats, folder, kaggle_lgg
from plgg.data.layouts.labels import with_labels
from plgg.data.layouts.listing import (
    Choices,
    Exclusion,
    Layout,
    Listing,
    Scan,
    unconverted_images,
    with_safe_names,
)
from plgg.data.manifest import Case, read_manifest, read_table, write_manifest

DEFAULT_OUT = Path("manifest.csv")
LAYOUTS: dict[str, Layout] = {
    "bids": bids.LAYOUT,
    "brats": brats.LAYOUT,
    "brats-peds": brats.PEDS_LAYOUT,
    "kaggle-lgg": kaggle_lgg.LAYOUT,
    "folder": folder.LAYOUT,
}
_OTHER_FILE = "Name another file with --out."


@dataclass(frozen=True)
class WrittenManifest:
    """A manifest that was written.

    Attributes:
        manifest: Path of the manifest.
        cases: Its rows, as they are read back.
        left_out: Scans that are not in it, and why.
        notes: Notes for the user, in whole sentences.
    """

    manifest: Path
    cases: tuple[Case, ...]
    left_out: tuple[Exclusion, ...]
    notes: tuple[str, ...]

    def summary(self) -> str:
        """Counts of patients, scans, masks and markers, in one line."""
        patients = len({case.patient_id for case in self.cases})
        masks = sum(case.mask is not None for case in self.cases)
        markers = sum(case.marker is not None for case in self.cases)
        return (
            f"{patients} patients, {len(self.cases)} scans, {masks} with a mask, "
            f"{markers} with a marker, {len(self.left_out)} left out"
        )


def build_manifest(
    layout: Layout,
    folder: Path,
    out: Path | None,
    *,
    choices: Choices,
    overwrite: bool,
    progress: Progress,
) -> WrittenManifest:
    """Look for scans below `folder` and write the manifest of those that can be used.

    Args:
        layout: How the folder is laid out.
        folder: The data; nothing is written into it unless `out` lies there.
        out: The manifest; None for `manifest.csv` in the working folder.
        choices: Options of the user.
        overwrite: Whether a manifest of other content may be replaced.
        progress: Called after each scan.

    Raises:
        ManifestError: If no scan can be used, a table beside the images cannot be read, or
            another manifest is in the way.
        ConfigError: If a pattern is given that the layout does not read.
    """
    _refuse_patterns(layout, choices)
    target = _target(folder, out)
    _require_replaceable(target, choices.labels, overwrite=overwrite)
    found = with_labels(with_safe_names(layout.find(folder, choices)), choices)
    _require_scans(found, folder, layout)
    make_folder(target.parent)
    with scratch_folder(target) as stage:
        if choices.keep_labels and layout.has_labels:
            layout = replace(layout, prepare=unconverted_images)
        cases, left_out = _prepared(found, layout, stage, target, progress)
        found = Listing(found.scans, (*found.left_out, *left_out), found.notes)
        if not cases:
            _require_scans(Listing((), found.left_out), folder, layout)
        scan_ids = {scan.name: scan.scan_id for scan in found.scans}
        with _aside(target) as aside:
            write_manifest(aside, cases, scan_ids=scan_ids)
            read = read_manifest(aside)
            _refuse_other(aside, target, overwrite=overwrite)
            _move(stage, files_folder(target))
            aside.replace(target)
    return WrittenManifest(out or DEFAULT_OUT, tuple(read), found.left_out, found.notes)


def files_folder(manifest: Path) -> Path:
    """Folder of the converted images of a manifest."""
    return manifest.with_name(f"{manifest.stem}_files")


def _refuse_patterns(layout: Layout, choices: Choices) -> None:
    for option in ("flair", "mask"):
        if getattr(choices, option) is not None and option not in layout.patterns:
            raise ConfigError(
                f"--{option} is not read with this layout, whose names are fixed",
                remedy="Use the layout 'folder' to choose files by a pattern.",
            )


def _target(folder: Path, out: Path | None) -> Path:
    if not folder.is_dir():
        raise ManifestError("no such folder", where=folder, remedy="Check the path.")
    if out is None and Path.cwd().is_relative_to(folder.resolve()):
        raise ManifestError(
            f"{DEFAULT_OUT} would be written into the data",
            where=folder,
            remedy="Say with --out where it is to go.",
        )
    named = out or DEFAULT_OUT
    with convert_inspection_errors(named):
        # The real folder, since relative paths from a linked folder would be wrong.
        target = named.parent.resolve() / named.name
        is_folder = target.is_dir()
    if is_folder:
        raise ManifestError(
            "is a folder", where=target, remedy="Name a file, as in --out DIR/manifest.csv."
        )
    return target


def _require_replaceable(target: Path, labels: Path | None, *, overwrite: bool) -> None:
    """Check that only a manifest would be overwritten, and not the table of labels.

    Raises:
        ManifestError: If another file would be.
    """
    if labels is not None and labels.resolve() == target.resolve():
        raise ManifestError(
            "is the table of labels, and the manifest would take its place",
            where=target,
            remedy=_OTHER_FILE,
        )
    if target.exists() and not is_regular(target):
        raise ManifestError("is no regular file", where=target, remedy=_OTHER_FILE)
    if target.exists() and overwrite and not _is_manifest(target):
        raise ManifestError(
            "is no manifest, so that none is written over it", where=target, remedy=_OTHER_FILE
        )


def _is_manifest(path: Path) -> bool:
    try:
        read_table(path)
    except ManifestError:
        return False
    return True


def _require_scans(found: Listing, folder: Path, layout: Layout) -> None:
    if not found.scans:
        left = found.left_out
        reason = f" ({left[0].name}: {left[0].reason}; {len(left)} left out)" if left else ""
        raise ManifestError(
            f"holds no scan that can be used{reason}",
            where=folder,
            remedy=f"This layout looks for {layout.expected}.",
        )


def _prepared(
    found: Listing, layout: Layout, stage: Path, target: Path, progress: Progress
) -> tuple[list[Case], list[Exclusion]]:
    """Make the manifest's rows; converted images are in `stage`, rows name their final paths."""
    cases, left_out = [], []
    for done, scan in enumerate(found.scans, start=1):
        try:
            flair, mask = layout.prepare(scan, stage)
            _require_utf8(flair, mask, *scan.others.values())
        except PlggError as error:
            left_out.append(Exclusion(scan.name, str(error).rstrip(".")))
        else:
            final = files_folder(target)
            paths = [final / p.name if p and p.parent == stage else p for p in (flair, mask)]
            cases.append(_case(scan, paths[0] or flair, paths[1]))
        progress(done, len(found.scans))
    return cases, left_out


def _require_utf8(*paths: Path | None) -> None:
    """Refuse files that a manifest, which is UTF-8, cannot name."""
    for path in paths:
        try:
            str(path and _absolute(path)).encode()
        except UnicodeEncodeError as error:
            raise InputError(
                "its name is not UTF-8, and no manifest can hold it",
                where=path,
                remedy="Rename the file or its folder.",
            ) from error


def _case(scan: Scan, flair: Path, mask: Path | None) -> Case:
    labels = scan.labels
    return Case(
        case_id=scan.name,
        patient_id=scan.patient_id,
        flair=_absolute(flair),
        mask=mask and _absolute(mask),
        marker=labels.marker,
        site=labels.site,
        age_years=labels.age_years,
        sex=labels.sex,
        others={name: _absolute(path) for name, path in scan.others.items()},
    )


def _absolute(path: Path) -> Path:
    """The path without links to folders; a file that is a link keeps its own name."""
    return path.parent.resolve() / path.name


@contextmanager
def _aside(target: Path) -> Iterator[Path]:
    aside = temporary_name(target)
    try:
        yield aside
    finally:
        aside.unlink(missing_ok=True)


def _refuse_other(aside: Path, target: Path, *, overwrite: bool) -> None:
    if target.exists() and not overwrite and target.read_bytes() != aside.read_bytes():
        raise ManifestError(
            "is there already and says something else",
            where=target,
            remedy="Name another file with --out, or replace it with --overwrite.",
        )


def _move(stage: Path, folder: Path) -> None:
    made = sorted(stage.iterdir())
    if not made:
        return
    with output_folder(folder, MADE_IMAGES):
        for path in made:
            path.replace(folder / path.name)
