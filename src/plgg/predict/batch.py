"""Predict a batch of scans in worker processes, so that a scan that fails does so alone.

    outcomes = predict_batch(Request((Path("manifest.csv"),), (run,), out, PredictOptions()), watch)

A worker loads the models once for all its scans. A scan that hangs, takes too much memory or
crashes its process is reported, and the others go on. A single scan is predicted in this process,
unless Ray is asked for.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil

from plgg.core.errors import ConfigError, InputError
from plgg.core.jobs import Workers, run_jobs
from plgg.core.loading import loading
from plgg.core.output import PREDICTIONS, output_folder, require_free
from plgg.core.progress import Watch
from plgg.core.ray_session import RayWorkers
from plgg.core.shard import Shard
from plgg.core.volume import Volume
from plgg.core.workers import JobOutcome
from plgg.data.ensemble_folder import is_ensemble, member_runs, read_ensemble
from plgg.data.nnunet import part_of_fold, results_folder
from plgg.data.run_folder import read_part
from plgg.predict.ensemble import build_ensemble, inference_settings
from plgg.predict.member import Member, load_member
from plgg.predict.options import PredictOptions
from plgg.predict.scan import Outcome, Predictor, predict_scans, require_free_places, try_predict
from plgg.predict.source import Scan, find_scans
from plgg.predict.summary import write_summary
from plgg.preprocess.assessment_process import AssessmentProcess
from plgg.report.case.page import read_model_card, write_case_report

_GIB = 2**30
# Memory that a process takes at most: networks, one scan, the atlas.
PROCESS_GIB = 2.5
SUMMARY = "summary.csv"


@dataclass(frozen=True)
class Request:
    """A prediction job: inputs, models, output folder and options.

    Attributes:
        inputs: Stores, manifests, NIfTI files, DICOM folders or zips.
        runs: Folders of training runs or of ensembles of them; several form one ensemble.
        out: Output folder, which gets one folder a case.
        options: Options of the prediction.
        workers: Processes that share the scans, here or on Ray.
        shard: Do only this part of the scans, while other processes do the others.
    """

    inputs: tuple[Path, ...]
    runs: tuple[Path, ...]
    out: Path
    options: PredictOptions
    workers: Workers = 1
    shard: Shard | None = None

    def scans(self) -> list[Scan]:
        """The scans that the inputs name.

        Raises:
            PlggError: If an input is no scan, or two scans have one name.
        """
        options = self.options
        only = _part(self.runs[0], options.part) if options.part else None
        return find_scans(
            self.inputs,
            only=only,
            age_years=options.age_years,
            sex=options.sex,
            others=options.others,
        )

    def predictor(self, scans: Sequence[Scan]) -> Predictor:
        """Load the models.

        Raises:
            PlggError: If they cannot be read, or fit neither each other nor the scans.
        """
        options = self.options
        members = [
            member
            for run in member_runs(self.runs)
            for member in _members(run, engine=options.engine)
        ]
        inference = inference_settings(members[0].config, options.settings)
        networks = build_ensemble(members, inference, about=_about(self.runs, members))
        networks.require_classes(scan.marker for scan in scans)
        card = read_model_card(self.runs[0]) if len(self.runs) == 1 else None
        page = partial(write_case_report, model_card=card, prior=_only(options.priors))
        return Predictor(
            networks,
            atlas=options.atlas,
            prior=options.priors,
            scan_date=options.scan_date,
            scan_gib=options.scan_gib,
            page=page if options.pages else None,
            document=_document if options.pdf else None,
            structures=options.rtstruct,
        )


def _document(folder: Path, scan: Volume) -> Path:
    """Draw the report as PDF; imported only here, because Matplotlib takes a while to load."""
    from plgg.report.case.pdf import write_case_pdf

    return write_case_pdf(folder, scan)


def _only(priors: Sequence[Path]) -> Path | None:
    """The earlier prediction, if there is exactly one."""
    return priors[0] if len(priors) == 1 else None


def _members(run: Path, *, engine: str) -> list[Member]:
    """The networks of a folder: a run has one, trained results of nnU-Net one a fold."""
    if results_folder(run) is None:
        return [load_member(run, engine=engine)]
    from plgg.predict.nnunet_member import load_nnunet_members

    return load_nnunet_members(run, engine=engine)


def _part(run: Path, part: str) -> tuple[str, ...]:
    """The cases of one part of the split that a run, or a fold of nnU-Net, was trained on."""
    return read_part(run, part) if results_folder(run) is None else part_of_fold(run, part)


def _about(models: Sequence[Path], members: Sequence[Member]) -> str:
    """Notes of the models for readers of a result, without duplicates."""
    known = [read_ensemble(model).about for model in models if is_ensemble(model)]
    known += [member.about for member in members]
    return " ".join(dict.fromkeys(filter(None, known)))


def predict_batch(
    request: Request, watch: Watch, assessor: AssessmentProcess | None = None
) -> list[Outcome]:
    """Predict all scans and write `summary.csv`.

    Args:
        request: What to predict.
        watch: Shows the progress.
        assessor: Process that registers a single scan while this process runs the networks.

    Returns:
        An outcome for every scan, in order; with a shard, for its own scans, and `summary.csv` is
        left to the next call without one.

    Raises:
        PlggError: If models, inputs and output folder do not fit together; nothing is written then.
    """
    scans, options = request.scans(), request.options
    for option, given in (("--prior", options.prior), ("--date", options.scan_date)):
        if given and len(scans) != 1:
            raise ConfigError(
                f"{option} is for one scan, not {len(scans)}", remedy="Name one scan."
            )
    require_free(request.out, PREDICTIONS, inputs=request.inputs)
    _require_unreserved_names(scans)
    require_free_places(scans, request.out)
    with loading():
        predictor = request.predictor(scans)
    predictor.assessor = assessor
    _require_used_sequences(options.others, predictor)
    shard = request.shard
    scans = shard.of_items(scans) if shard else scans
    part = shard.name if shard else None
    with (
        watch.task("predicting") as progress,
        output_folder(request.out, PREDICTIONS, part=part),
    ):
        if len(scans) == 1 and isinstance(request.workers, int):
            outcomes = predict_scans(scans, predictor, request.out, part=part, progress=progress)
        else:
            del predictor  # The workers have their own.
            outcomes = []
            failed = 0
            # Closed, so that no worker goes on when this is interrupted.
            with closing(_in_processes(request, scans)) as coming:
                for outcome in coming:
                    outcomes.append(outcome)
                    failed += outcome.result is None
                    progress(len(outcomes), len(scans), failed)
        if shard is None:
            write_summary(request.out / SUMMARY, outcomes)
    return outcomes


def _require_used_sequences(others: Mapping[str, Path], predictor: Predictor) -> None:
    """Check that the models use every sequence that is given.

    Raises:
        ConfigError: If the models do not see one.
    """
    wanted = predictor.networks.config.channels
    for name, path in others.items():
        if name not in wanted:
            raise ConfigError(
                f"is given as --{name}, and the model sees {', '.join(wanted)} alone",
                where=path,
                remedy="Leave it out, or name a model that sees it.",
            )


def _require_unreserved_names(scans: Sequence[Scan]) -> None:
    """Check that no case has the name of the summary table.

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


def _in_processes(request: Request, scans: Sequence[Scan]) -> Generator[Outcome, None, None]:
    names = [scan.case_id for scan in scans]
    options = request.options
    workers, gib = _limits(request.workers, options.case_gib)
    done = run_jobs(
        names,
        _predict_one,
        start=partial(_load_worker_state, request),
        workers=workers,
        out=request.out,
        inputs=[*request.inputs, *request.runs],
        seconds=60.0 * options.case_minutes,
        gib=gib,
    )
    for name, outcome in zip(names, done, strict=True):
        yield outcome.result or _killed_outcome(name, outcome)


def _limits(workers: Workers, case_gib: float | None) -> tuple[Workers, float | None]:
    """The workers and the memory limit of each: as given, or an equal share of what is free."""
    if isinstance(workers, RayWorkers):
        # A worker takes a GPU where there are any, and asks its node for the memory.
        return replace(workers, gpus=None, gib=case_gib or PROCESS_GIB), case_gib
    free = float(psutil.virtual_memory().available) / _GIB
    return workers, case_gib or free / workers


_WorkerState = tuple[Request, Predictor, dict[str, Scan]]


def _load_worker_state(request: Request) -> _WorkerState:
    scans = request.scans()
    return request, request.predictor(scans), {scan.case_id: scan for scan in scans}


def _predict_one(ready: _WorkerState, name: str) -> Outcome:
    request, predictor, scans = ready
    return try_predict(scans[name], predictor, request.out)


def _killed_outcome(name: str, outcome: JobOutcome[Outcome]) -> Outcome:
    """Outcome of a scan whose worker process was killed or stopped at a limit."""
    remedy = {
        "time": "Look at the scan, or give it longer (--case-minutes).",
        "memory": "Is the scan as large as it should be? Give more (--case-gib), or --memory.",
    }.get(outcome.failure or "", "Predict it alone, or convert it again.")
    return Outcome(name, None, f"{outcome.reason}. {remedy}")
