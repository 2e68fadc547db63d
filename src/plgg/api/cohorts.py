"""Cohorts: settings, synthetic patients, manifest, check, and preprocessing to a store."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plgg.config import Arm, Config, preset, with_atlas, with_settings
from plgg.core import paths as typed_paths
from plgg.core.errors import ConfigError, ManifestError
from plgg.core.jobs import Workers, require_workers
from plgg.core.progress import Silent, Watch
from plgg.core.shard import Shard

if TYPE_CHECKING:
    from plgg.data.check.report import CheckReport
    from plgg.data.layouts.build import WrittenManifest
    from plgg.data.layouts.listing import Choices
    from plgg.data.manifest import Case
    from plgg.data.store_records import Cohort
    from plgg.phantom.settings import PhantomSettings

SILENT = Silent()


def configure(
    name: str,
    *,
    arm: Arm = "multitask",
    seed: int = 0,
    settings: Sequence[str] = (),
    atlas: str | None = None,
) -> Config:
    """Make the settings from a preset, an arm, a seed, `key=value` settings and an atlas.

    Raises:
        ConfigError: If a name is unknown or a value out of range.

    Example:
        >>> config = api.configure(
        ...     "small",
        ...     settings=[
        ...         "grid.spacing_mm=8",
        ...         "preprocess.registration=centre",
        ...         "preprocess.stripping=none",
        ...         "model.init_filters=8",
        ...         "model.blocks_down=[1,1]",
        ...         "model.blocks_up=[1]",
        ...         "patches.size=[16,16,16]",
        ...         "optimiser.epochs=1",
        ...         "validate_every=1",
        ...     ],
        ... )
        >>> config.arm, config.grid.spacing_mm
        ('multitask', 8.0)
    """
    chosen = preset(name).model_copy(update={"arm": arm, "seed": seed})
    return with_atlas(with_settings(chosen, settings), atlas)


def phantom(
    out: Path, settings: PhantomSettings, *, workers: int = 1, watch: Watch = SILENT
) -> list[Case]:
    """Make a synthetic cohort: `out/manifest.csv` and its images.

    Example:
        >>> from plgg.phantom.settings import phantom_settings
        >>> settings = phantom_settings(n_patients=6, spacing_mm=4.0, seed=3)
        >>> cases = api.phantom(folder / "patients", settings)
        >>> len(cases)
        6
    """
    from plgg.phantom.cohort import make_cohort

    with watch.task("making patients") as progress:
        return make_cohort(out, settings, workers=workers, progress=progress)


def manifest(
    layout: str,
    folder: Path,
    out: Path | None = None,
    *,
    choices: Choices | None = None,
    overwrite: bool = False,
    watch: Watch = SILENT,
) -> WrittenManifest:
    """Write the manifest of scans in a common layout; the result lists what was left out.

    Args:
        layout: One of `plgg.data.layouts.build.LAYOUTS`.
        folder: The data.
        out: File to write; by default `manifest.csv` in the working folder.
        choices: Columns, tables and patterns that the user chose.
        overwrite: Whether a manifest of other content may be replaced.
        watch: Told of the progress.

    Raises:
        ConfigError: If there is no such layout.

    Example:
        >>> written = api.manifest("folder", folder / "patients" / "images", folder / "found.csv")
        >>> len(written.cases)
        6
    """
    from plgg.data.layouts.build import LAYOUTS, build_manifest
    from plgg.data.layouts.listing import Choices

    if layout not in LAYOUTS:
        raise ConfigError(
            f"no layout is called {layout!r}", remedy=f"Choose of {', '.join(LAYOUTS)}."
        )
    typed_paths.require_folder(folder, error=ManifestError)
    if choices and choices.labels:
        typed_paths.require_there([choices.labels], error=ManifestError)
    with watch.task("reading scans") as progress:
        return build_manifest(
            LAYOUTS[layout],
            folder,
            out,
            choices=choices or Choices(),
            overwrite=overwrite,
            progress=progress,
        )


def check(
    manifest: Path,
    *,
    scan_gib: float | None = None,
    config: Config | None = None,
    watch: Watch = SILENT,
) -> CheckReport:
    """Validate a cohort; the report lists what was found, errors first.

    Args:
        manifest: Manifest of the cohort.
        scan_gib: GiB that one scan or mask may unpack to; 2 if None.
        config: Settings with the labels that the masks are checked against; none by default.
        watch: Told of the progress.

    Example:
        >>> report = api.check(folder / "patients" / "manifest.csv")
        >>> report.n_patients, report.n_errors
        (6, 0)
    """
    typed_paths.require_there([manifest], error=ManifestError)
    from plgg.data.check.cohort import check_manifest

    with watch.task("checking scans") as progress:
        labels = config.labels if config else ()
        return check_manifest(manifest, progress=progress, scan_gib=scan_gib, labels=labels)


def preprocess(  # noqa: PLR0913 - as the command
    manifest: Path,
    store: Path,
    config: Config,
    *,
    workers: Workers = 1,
    memory_gib: float | None = None,
    case_minutes: float = 30.0,
    keep_going: bool = True,
    shard: Shard | None = None,
    watch: Watch = SILENT,
) -> Cohort:
    """Bring a cohort onto the atlas grid; cases that fail are listed in the result.

    Pictures of all cases are gathered in `STORE/qc.html`. Cases are done in processes of their own:
    one that takes longer than `case_minutes`, or more than its share of the memory, is stopped and
    named. Where `workers` is 0 they are done in this process, without those limits;
    `plgg.core.ray_session.RayWorkers` are placed by Ray, here or on a cluster. A `shard` is one
    part of the cases, which the task of a job array does beside others; the call without one
    completes the store.

    Example:
        >>> cohort = api.preprocess(
        ...     folder / "patients" / "manifest.csv", folder / "store", config, workers=0
        ... )
        >>> len(cohort.cases), cohort.failed
        (6, ())
    """
    from plgg.data.check.table import read_manifest_with_warnings

    typed_paths.require_there([manifest], error=ManifestError)
    require_workers(workers)
    typed_paths.require_atlas(config.preprocess.atlas)
    cases = read_manifest_with_warnings(manifest)
    from plgg.core.output import STORE, output_folder
    from plgg.preprocess.cohort import preprocess_cohort
    from plgg.report.store_qc import write_store_qc

    part = shard.name if shard else None
    with output_folder(store, STORE, inputs=[manifest], part=part):
        with watch.task("preprocessing") as progress:
            cohort = preprocess_cohort(
                cases,
                store,
                config,
                workers=workers,
                memory_gib=memory_gib,
                case_seconds=60.0 * case_minutes,
                keep_going=keep_going,
                shard=shard,
                progress=progress,
            )
        if shard is None:
            write_store_qc(store)
    return cohort
