"""A batch of scans predicted: each in a worker process, so that one scan costs only itself.

    outcomes = predict_batch(Request((Path("manifest.csv"),), (run,), out, PredictOptions()), watch)

The worker holds the models from scan to scan. A scan that hangs, eats the memory or kills the
process is named, and the others are done. A single scan is predicted in this process.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil

from plgg.core.errors import ConfigError, InputError
from plgg.core.output import PREDICTIONS, output_folder, require_free
from plgg.core.progress import Watch
from plgg.core.workers import JobOutcome, in_workers
from plgg.data.ensemble_folder import is_ensemble, member_runs, read_ensemble
from plgg.data.run_folder import read_part
from plgg.predict.ensemble import ensemble, inference_settings
from plgg.predict.member import load_member
from plgg.predict.options import PredictOptions
from plgg.predict.scan import Outcome, Predictor, guarded, predict_scans, require_free_places
from plgg.predict.source import Scan, find_scans
from plgg.predict.summary import write_summary
from plgg.report.case.page import read_model_card, write_case_report

_GIB = 2**30
SUMMARY = "summary.csv"


@dataclass(frozen=True)
class Request:
    """What is to be predicted, with what, and where to: all that a worker must know.

    Attributes:
        inputs: Stores, manifests, NIfTI files, DICOM folders or zips.
        runs: Folders of training runs or of ensembles of them; several answer together.
        out: One folder a case is made here.
        options: How.
    """

    inputs: tuple[Path, ...]
    runs: tuple[Path, ...]
    out: Path
    options: PredictOptions

    def scans(self) -> list[Scan]:
        """The scans that the inputs name.

        Raises:
            PlggError: If an input is none, or two scans have one name.
        """
        options = self.options
        only = read_part(self.runs[0], options.part) if options.part else None
        return find_scans(
            self.inputs,
            only=only,
            age_years=options.age_years,
            sex=options.sex,
            others=options.others,
        )

    def predictor(self, scans: Sequence[Scan]) -> Predictor:
        """The models, ready.

        Raises:
            PlggError: If they cannot be read, or fit neither each other nor the scans.
        """
        options = self.options
        members = [load_member(run, engine=options.engine) for run in member_runs(self.runs)]
        inference = inference_settings(members[0].config, options.settings)
        networks = ensemble(members, inference, about=_about(self.runs))
        networks.require_classes(scan.marker for scan in scans)
        card = read_model_card(self.runs[0]) if len(self.runs) == 1 else None
        page = partial(write_case_report, model_card=card, prior=options.prior)
        return Predictor(
            networks,
            atlas=options.atlas,
            prior=options.prior,
            scan_gib=options.scan_gib,
            page=page if options.pages else None,
        )


def _about(models: Sequence[Path]) -> str:
    """What is to be known of the models, each once."""
    known = [read_ensemble(model).about for model in models if is_ensemble(model)]
    return " ".join(dict.fromkeys(filter(None, known)))


def predict_batch(request: Request, watch: Watch) -> list[Outcome]:
    """Predict all scans and write `summary.csv`.

    Args:
        request: What to predict.
        watch: Told of the progress.

    Returns:
        An outcome for every scan, in their order.

    Raises:
        PlggError: If models, inputs and output folder do not fit together; nothing is written then.
    """
    scans = request.scans()
    if request.options.prior and len(scans) != 1:
        raise ConfigError(f"--prior is for one scan, not {len(scans)}", remedy="Name one scan.")
    require_free(request.out, PREDICTIONS, inputs=request.inputs)
    _require_other_names(scans)
    require_free_places(scans, request.out)
    predictor = request.predictor(scans)
    with watch.task("predicting") as progress, output_folder(request.out, PREDICTIONS):
        if len(scans) == 1:
            outcomes = predict_scans(scans, predictor, request.out, progress=progress)
        else:
            del predictor  # The worker has its own.
            outcomes = []
            for outcome in _one_by_one(request, scans):
                outcomes.append(outcome)
                failed = sum(one.result is None for one in outcomes)
                progress(len(outcomes), len(scans), failed)
        write_summary(request.out / SUMMARY, outcomes)
    return outcomes


def _require_other_names(scans: Sequence[Scan]) -> None:
    """No scan may be called as the table beside the predictions.

    Raises:
        InputError: If one is.
    """
    for scan in scans:
        if scan.case_id.lower() == SUMMARY:
            raise InputError(
                f"is called {SUMMARY}, as the table beside the predictions is",
                where=scan.path,
                remedy="Rename the file.",
            )


def _one_by_one(request: Request, scans: Sequence[Scan]) -> Iterator[Outcome]:
    names = [scan.case_id for scan in scans]
    options = request.options
    free = float(psutil.virtual_memory().available) / _GIB
    done = in_workers(
        names,
        _predict_one,
        start=partial(_ready, request),
        workers=1,
        seconds=60.0 * options.case_minutes,
        gib=options.case_gib or free,
    )
    for name, outcome in zip(names, done, strict=True):
        yield outcome.result or _stopped(name, outcome)


_Ready = tuple[Request, Predictor, dict[str, Scan]]


def _ready(request: Request) -> _Ready:
    scans = request.scans()
    return request, request.predictor(scans), {scan.case_id: scan for scan in scans}


def _predict_one(ready: _Ready, name: str) -> Outcome:
    request, predictor, scans = ready
    return guarded(scans[name], predictor, request.out)


def _stopped(name: str, outcome: JobOutcome[Outcome]) -> Outcome:
    """A scan whose process did not live to say what was wrong."""
    remedy = {
        "time": "Look at the scan, or give it longer (--case-minutes).",
        "memory": "Is the scan as large as it should be? Give more (--case-gib), or --memory.",
    }.get(outcome.failure or "", "Predict it alone, or convert it again.")
    return Outcome(name, None, f"{outcome.reason}. {remedy}")
