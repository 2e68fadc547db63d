"""The BIDS App, and timelines of several results of one patient."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plgg.core import paths as typed_paths
from plgg.core.errors import ConfigError
from plgg.core.patient import require_past
from plgg.core.progress import Silent, Watch
from plgg.data.installed_models import model_folders
from plgg.predict.options import PredictOptions

if TYPE_CHECKING:
    from datetime import date

    from plgg.bids.outcome import BidsOutcome
    from plgg.data.result import Timeline

SILENT = Silent()
DEFAULT_OPTIONS = PredictOptions()
LEVELS = ("participant", "group")


def bids(  # noqa: PLR0913 - the options of a BIDS App
    bids_dir: Path,
    out: Path,
    level: str = "participant",
    *,
    participants: Sequence[str] = (),
    sessions: Sequence[str] = (),
    model: Path | Sequence[Path] | None = None,
    validate: bool = True,
    options: PredictOptions = DEFAULT_OPTIONS,
    watch: Watch = SILENT,
) -> list[BidsOutcome]:
    """Predict the FLAIRs of a BIDS dataset into a BIDS derivative dataset, or tabulate them.

    Args:
        bids_dir: The dataset; its raw data are never written to.
        out: The derivative dataset: beside it, or in its `derivatives`.
        level: `participant` predicts, `group` makes the table and the page of all scans.
        participants: Labels, with or without `sub-`; all if empty.
        sessions: Labels, with or without `ses-`; all if empty.
        model: As `predict` takes it; the group level needs none.
        validate: Whether the BIDS validator looks at the dataset first, where it is installed.
        options: How to predict.
        watch: Told of the progress.

    Returns:
        An outcome for each scan, also of those that failed, and for each participant without one.

    Raises:
        PlggError: If dataset, models and output folder do not fit together.

    Example:
        >>> import json, shutil
        >>> study = folder / "study"
        >>> (study / "sub-01" / "anat").mkdir(parents=True)
        >>> said = {"Name": "One head", "BIDSVersion": "1.10.0"}
        >>> _ = (study / "dataset_description.json").write_text(json.dumps(said))
        >>> target = study / "sub-01" / "anat" / "sub-01_FLAIR.nii.gz"
        >>> _ = shutil.copy(cases[0].flair, target)
        >>> (one,) = api.bids(study, folder / "derived", model=folder / "run", validate=False)
        >>> one.name, one.status
        ('sub-01', 'done')
        >>> (one,) = api.bids(study, folder / "derived", "group")
        >>> (folder / "derived" / "desc-plgg_measurements.tsv").is_file()
        True
    """
    if options.part or options.prior or options.scan_date or options.others:
        raise ConfigError(
            "part, prior, scan_date and others are of scans that are named by themselves",
            remedy="Leave them out: the dataset says which sequences a scan has.",
        )
    if level not in LEVELS:
        raise ConfigError(f"no level is called {level!r}", remedy=f"Choose {' or '.join(LEVELS)}.")
    typed_paths.require_folder(bids_dir)
    typed_paths.require_output(out)
    runs = model_folders(model) if level == "participant" else []
    for run in runs:
        typed_paths.require_run(run)
    typed_paths.require_atlas(options.atlas)
    from plgg.bids.request import BidsRequest
    from plgg.bids.run import run_level

    request = BidsRequest(bids_dir, out, tuple(runs), tuple(participants), tuple(sessions), options)
    return run_level(
        request,
        "group" if level == "group" else "participant",
        validate=validate,
        watch=watch,
    )


def timeline(
    results: Sequence[Path], out: Path | None = None, *, dates: Sequence[date] = ()
) -> Timeline:
    """Compare the results of one patient over time, with response categories after RAPNO.

    Args:
        results: Folders of one case each, as `predict` leaves them; two at least.
        out: Page to write; None for no page.
        dates: Dates of the scans, in the order of the results; by default those in the results.

    Returns:
        The scans in their order, each compared with the first and the smallest.

    Raises:
        InputError: If they are not of one patient, as far as that is known, or not in order.
        OutputError: If something that plgg did not write is in the place of the page.

    Example:
        >>> _ = api.predict([cases[1].flair], model=folder / "run", out=folder / "later")
        >>> told = [next(folder.glob(f"{out}/*/result.json")) for out in ("predictions", "later")]
        >>> found = api.timeline([path.parent for path in told], folder / "timeline.html")
        >>> found.points[0].response
        'baseline'
    """
    if len(results) < 2:
        raise ConfigError("a timeline wants two results or more", remedy="Name several.")
    if dates and len(dates) != len(results):
        raise ConfigError(
            f"{len(dates)} dates for {len(results)} results",
            remedy="Give --date once for each result, in their order.",
        )
    for day in dates:
        require_past(day)
    typed_paths.require_priors(results)
    from plgg.measure.timeline import read_timeline_scans
    from plgg.measure.timeline import timeline as timeline_of

    moments = read_timeline_scans(results, dates)
    found = timeline_of(moments)
    if out is not None:
        from plgg.report.timeline import write_timeline

        write_timeline(out, found, [moment.result.note for moment in moments])
    return found
