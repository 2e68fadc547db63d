"""Commands on cohorts: manifest, phantom, check, preprocess."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from plgg.cli import options, show
from plgg.cli.show import Bars
from plgg.core.shard import Shard

if TYPE_CHECKING:
    from plgg.data.layouts.build import WrittenManifest


commands: typer.Typer = typer.Typer()


@commands.command()
def manifest(
    layout: Annotated[str, typer.Argument(help="bids, brats, brats-peds, kaggle-lgg or folder.")],
    folder: Annotated[Path, typer.Argument(help="The data. Nothing in it is changed.")],
    out: Annotated[
        Path | None,
        typer.Option(
            help="The manifest; images that must be made go beside it, into OUT_files. "
            "By default manifest.csv in the working folder, if that is not within the data."
        ),
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="CSV or TSV: patient_id and marker, age_years, sex, site.")
    ] = None,
    marker_column: Annotated[
        str | None, typer.Option(help="Column that is the marker, of --labels or the layout's own.")
    ] = None,
    flair: Annotated[str | None, typer.Option(help="folder: pattern of FLAIRs, '*_t2f*'.")] = None,
    mask: Annotated[str | None, typer.Option(help="folder, bids: pattern of the masks.")] = None,
    keep_labels: Annotated[
        bool,
        typer.Option(
            "--keep-labels",
            help="brats, brats-peds: name the masks as they are, for tasks.segmentation.labels, "
            "rather than make one of the whole tumour.",
        ),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace a manifest that says something else.")
    ] = False,
) -> None:
    """Write the manifest of a cohort in a layout that you have.

    What cannot be used is named, and the status is then 1; the others are in the manifest.

    Example: plgg manifest bids study --out study.csv
    """
    from plgg import api
    from plgg.data.layouts.listing import Choices

    choices = Choices(marker_column, labels, flair, mask, keep_labels)
    written = api.manifest(layout, folder, out, choices=choices, overwrite=overwrite, watch=Bars())
    _show(written)
    raise typer.Exit(1 if written.left_out else 0)


def _show(written: WrittenManifest) -> None:
    """Notes and what was left out on standard error, the numbers on standard output."""
    for note in written.notes:
        show.line(f"note: {note}", err=True)
    show.failures([(left.name, left.reason) for left in written.left_out])
    show.line(f"{written.summary()}: {written.manifest}")


@commands.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="Folder for manifest.csv and the images.")],
    patients: Annotated[int, typer.Option(help="How many patients.")] = 24,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    missing_masks: Annotated[float, typer.Option(help="Share of scans without a mask.")] = 0.0,
    missing_markers: Annotated[float, typer.Option(help="Share without a marker.")] = 0.0,
    second_scans: Annotated[float, typer.Option(help="Share with a follow-up scan.")] = 0.0,
    spacing_mm: Annotated[float, typer.Option(help="Size of the scanner's voxels, in mm.")] = 1.0,
    slice_thickness_mm: Annotated[float | None, typer.Option(help="Thick slices, in mm.")] = None,
    population: Annotated[str, typer.Option(help="child or adult.")] = "child",
    link: Annotated[
        float, typer.Option(help="How far the marker shows in the image: 0 not at all, 1 fully.")
    ] = 1.0,
    halos: Annotated[
        float,
        typer.Option(
            help="Share of tumours with a bright halo, which the mask holds or not as the marker "
            "says: who knows the marker outlines better."
        ),
    ] = 0.0,
    halo_width: Annotated[
        float, typer.Option(help="Middle width of the halos, in radii of the tumour.")
    ] = 0.45,
    elsewhere: Annotated[
        float,
        typer.Option(
            help="Share of patients whose marker shows in dark spots of deep grey matter, away "
            "from the tumour, and not in the tumour itself."
        ),
    ] = 0.0,
    spot_width: Annotated[
        float, typer.Option(help="How wide those spots are, relative to what is usual.")
    ] = 1.0,
    contrast: Annotated[
        float, typer.Option(help="How bright tumours are, relative to what is usual.")
    ] = 1.0,
    label_cysts: Annotated[
        bool,
        typer.Option("--label-cysts", help="Masks hold 2 in cysts, 1 in the rest of a tumour."),
    ] = False,
    sequences: Annotated[
        str, typer.Option(help="Of each scan: flair, and t1, t1c, t2 if wanted, by commas.")
    ] = "flair",
    workers: options.Workers = options.DEFAULT_WORKERS,
) -> None:
    """Make a synthetic cohort with known truth, on the SRI24 grid, offline.

    Example: plgg phantom patients --patients 24 --seed 1
    """
    from plgg import api
    from plgg.phantom.settings import phantom_settings

    settings = phantom_settings(
        n_patients=patients,
        seed=seed,
        missing_masks=missing_masks,
        missing_markers=missing_markers,
        second_scans=second_scans,
        spacing_mm=spacing_mm,
        slice_thickness_mm=slice_thickness_mm,
        population=population,
        link=link,
        halos=halos,
        halo_width=halo_width,
        elsewhere=elsewhere,
        spot_width=spot_width,
        contrast=contrast,
        label_cysts=label_cysts,
        sequences=tuple(name.strip() for name in sequences.split(",")),
    )
    cases = api.phantom(out, settings, workers=workers, watch=Bars())
    show.line(f"{len(cases)} scans: {out / 'manifest.csv'}")


@commands.command()
def check(
    manifest: Annotated[Path, typer.Argument(help="manifest.csv")],
    scan_gib: options.ScanGib = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="tasks.segmentation.labels: the labels that masks are held against "
            "(docs/tasks.md).",
        ),
    ] = None,
    as_json: options.Json = False,
) -> None:
    """Validate a cohort before anything is spent on it. Status 1 if there are errors.

    Example: plgg check patients/manifest.csv
    """
    from plgg import api

    config = api.configure("small", settings=settings or ())
    report = api.check(manifest, scan_gib=scan_gib, config=config, watch=Bars(quiet=as_json))
    if as_json:
        typer.echo(json.dumps(report.as_json(), indent=2))
    else:
        show.check_report(report)
    raise typer.Exit(1 if report.n_errors else 0)


@commands.command()
def preprocess(
    manifest: Annotated[Path, typer.Argument(help="manifest.csv: NIfTI or DICOM, skull or not.")],
    store: Annotated[Path, typer.Argument(help="Folder of the store to write.")],
    preset: options.Preset = "small",
    settings: options.Set = None,
    atlas: options.Atlas = None,
    workers: options.WorkersOrRay = str(options.DEFAULT_WORKERS),
    ray_address: options.RayAddress = None,
    shard: options.ShardOf = None,
    memory: Annotated[
        float | None,
        options.number(
            help="GiB for all workers; fewer are used if it does not hold them, and a case that "
            "takes more than a worker's share is stopped.",
            min=0.001,
            max=2**20,
        ),
    ] = None,
    scan_gib: options.ScanGib = None,
    case_minutes: options.CaseMinutes = 30.0,
    keep_going: Annotated[
        bool,
        typer.Option(
            "--keep-going/--stop-at-failure",
            help="Go on after a case that failed, or end there and complete no store.",
        ),
    ] = True,
) -> None:
    """Bring a cohort onto the SRI24 grid, ready for training. Repeat it to add or mend cases.

    Raw heads are skull-stripped, every scan is registered to the atlas, and quality checks judge
    both. Look at STORE/qc.html: a picture and the verdicts of every case. A case that fails is
    named, pictured and left out of the store; status 0 means that none did. A flagged one is
    included.

    Example: plgg preprocess patients/manifest.csv store --preset small --atlas sri24
    Example: plgg preprocess patients/manifest.csv store --workers ray --ray-address auto
    """
    from plgg import api

    chosen = options.with_scan_gib(settings, scan_gib)
    config = api.configure(preset, settings=chosen, atlas=atlas)
    cohort = api.preprocess(
        manifest,
        store,
        config,
        workers=options.workers_of(workers, ray_address),
        memory_gib=memory,
        case_minutes=case_minutes,
        keep_going=keep_going,
        shard=Shard.parse(shard) if shard is not None else None,
        watch=Bars(),
    )
    show.failures([(case.case_id, case.reason) for case in cohort.failed])
    doubtful = sum(case.status == "doubtful" for case in cohort.cases)
    doubts = f", {doubtful} of them doubtful: look at them" if doubtful else ""
    page = f"{store} ({store / 'qc.html'})" if shard is None else f"{store}, part {shard}"
    show.line(f"{len(cohort.cases)} scans stored{doubts}: {page}")
    warned = cohort.warned()
    if warned:
        show.line(f"{warned}: see {store / 'qc.html'} or plgg check {manifest}")
    raise typer.Exit(1 if cohort.failed else 0)
