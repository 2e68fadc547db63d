"""Score a trained run: calibrate it on its validation patients, then predict and evaluate.

    RUN/calibration.json, predictions/PART/, evaluation/PART/, model_card.md

Every finished piece is kept.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plgg.config import MARKER
from plgg.core.errors import RunError
from plgg.core.folders import scratch_folder
from plgg.core.output import RUN, output_folder
from plgg.core.prediction_files import RESULT
from plgg.core.progress import Progress, Watch
from plgg.data.calibration import (
    Calibration,
    TrainingDistribution,
    read_calibration,
    write_calibration,
)
from plgg.data.result import read_result
from plgg.data.split import Split
from plgg.data.store import Store
from plgg.evaluate.cohort import evaluate_predictions
from plgg.evaluate.evaluation import Evaluation
from plgg.measure.outline import DEFAULT_THRESHOLD
from plgg.measure.radiomics import Features
from plgg.model.checkpoint import read_meta
from plgg.predict.calibrate.clinical import fit_clinical_of
from plgg.predict.calibrate.fit import choose_mask_rule, fit_calibration
from plgg.predict.calibrate.radiomics import fit_forest_of, stored_features
from plgg.predict.engine import with_cache
from plgg.predict.ensemble import build_ensemble
from plgg.predict.marker import MarkerModels
from plgg.predict.member import Member, load_member, with_calibration
from plgg.predict.out_of_distribution import fit_familiarity
from plgg.predict.scan import Predictor, predict_scans
from plgg.predict.source import find_scans
from plgg.predict.whole_brain import predict_box
from plgg.report.evaluation import write_evaluation_page
from plgg.report.model_card import write_model_card
from plgg.tasks.kinds import find_scorer

PARTS = ("validation", "test")
# Training scans that describe the distribution of a cohort; more would only take time.
_MOST_REFERENCES = 200


def score_run(
    store: Store, run: Path, split: Split, watch: Watch, *, label: str, parts: Sequence[str] = PARTS
) -> None:
    """Calibrate a run, predict and evaluate parts of its own split, and write its model card.

    Raises:
        RunError: If a case could not be predicted.
        OutputError: If another process writes into the run.
    """
    with output_folder(run, RUN):
        member = calibrate_run(store, run, split, watch, label=label)
        _score_parts(store, member, split, run, watch, label=label, parts=parts)
        write_model_card(run)


def score_parts(
    store: Store,
    model: Path,
    split: Split,
    out: Path,
    watch: Watch,
    *,
    label: str,
    parts: Sequence[str] = PARTS,
) -> None:
    """Predict and evaluate parts of any split of any store with a calibrated run, unchanged.

    Args:
        store: The store of the patients.
        model: The run; it need not have been trained on this store.
        split: Which patients are in which part.
        out: Where `predictions/PART` and `evaluation/PART` are written.
        watch: Told of the progress.
        label: What to call it.
        parts: `validation`, `test`.

    Raises:
        RunError: If a case could not be predicted, or its prediction not be scored.
        InputError: If the scans were prepared in another way than the model's.
    """
    _score_parts(store, load_member(model), split, out, watch, label=label, parts=parts)


def _score_parts(
    store: Store,
    member: Member,
    split: Split,
    out: Path,
    watch: Watch,
    *,
    label: str,
    parts: Sequence[str],
) -> None:
    predictor = Predictor(build_ensemble([member]))
    for part in parts:
        names = split.part(part)
        predictions = out / "predictions" / part
        with watch.task(f"{label}: predicting {part}") as progress:
            predict_cases(predictor, store, names, predictions, progress)
        with watch.task(f"{label}: evaluating {part}") as progress:
            evaluate_cases(store, names, predictions, out / "evaluation" / part, progress)


def evaluate_cases(
    store: Store, names: Sequence[str], predictions: Path, out: Path, progress: Progress
) -> Evaluation:
    """Evaluate predictions of cases of a store, and draw their page.

    Raises:
        RunError: If a case could not be scored.
    """
    found = evaluate_predictions(
        predictions,
        store.manifest_cases(names),
        out=out,
        seed=0,
        scorer_of=find_scorer,
        progress=progress,
    )
    _require_all_scored(found, predictions)
    write_evaluation_page(out)
    return found


def _require_all_scored(found: Evaluation, predictions: Path) -> None:
    failed = found.summary.failed
    if failed:
        raise RunError(
            f"{len(failed)} of {len(found.rows) + len(failed)} cases could not be scored, the "
            f"first, {failed[0].case_id}: {failed[0].reason.rstrip('.')}",
            where=predictions,
        )


def calibrate_run(store: Store, run: Path, split: Split, watch: Watch, *, label: str) -> Member:
    """Write `calibration.json` of a run's best checkpoint, unless it is there.

    Returns:
        The calibrated network, with a cache of its answers for the validation scans.

    Raises:
        RunError: If a validation case could not be predicted.
    """
    (member,) = calibrate_runs(store, {run: split}, watch, scratch=run, labels=[label])
    return member


def calibrate_runs(
    store: Store,
    splits: Mapping[Path, Split],
    watch: Watch,
    *,
    scratch: Path,
    labels: Sequence[str],
) -> list[Member]:
    """Write the calibration of each run, unless all are there.

    Mask rule, temperature and intervals are fitted to all validation patients together, each
    predicted by a run that was not trained on it. The training distribution and the marker models
    without a network are fitted for each run.

    Args:
        store: The store of the patients.
        splits: The split of each run.
        watch: Told of the progress.
        scratch: Folder for temporary files.
        labels: What to call each run.

    Returns:
        The calibrated networks, with a cache of their answers for their validation scans.

    Raises:
        RunError: If a validation case could not be predicted.
    """
    if all(is_calibrated(run) for run in splits):
        return [load_member(run) for run in splits]
    with scratch_folder(scratch / "calibration") as aside:
        raw = aside / "raw"
        seen = [
            _predict_validation(run, store, split, raw, watch, label=label)
            for (run, split), label in zip(splits.items(), labels, strict=True)
        ]
        members, known = [member for member, _ in seen], [familiar for _, familiar in seen]
        validation = [name for split in splits.values() for name in split.validation]
        asked = [(m, s.validation) for m, s in zip(members, splits.values(), strict=True)]
        outlined = predict_with_final_mask_rule(store, asked, raw, aside / "outlined", watch)
        training = {run: split.train for run, split in splits.items()}
        models = marker_models(store, training, members, outlined, validation, watch)
        with watch.task(f"{labels[-1]}: calibrating") as progress:
            common = fit_calibration(
                outlined,
                store.manifest_cases(validation),
                {name: models[run] for run, split in splits.items() for name in split.validation},
                settings=members[0].config.inference,
                model_sha256=members[0].model.sha256,
                classes=members[0].classes,
                familiarity=known[0],
                tasks=members[0].tasks,
                labels=members[0].config.labels,
                progress=progress,
            )
    write_calibration(members[0].run, common)
    for member, familiarity in zip(members[1:], known[1:], strict=True):
        own = {
            "model_sha256": member.model.sha256,
            "familiarity": familiarity,
            **models[member.run].fields(),
        }
        write_calibration(member.run, common.model_copy(update=own))
    return [with_calibration(member) for member in members]


def _predict_validation(
    run: Path, store: Store, split: Split, aside: Path, watch: Watch, *, label: str
) -> tuple[Member, TrainingDistribution | None]:
    """Predict validation patients uncalibrated; return the network and training distribution."""
    loaded = load_member(run, calibrated=False)
    raw = replace(loaded, engine=with_cache(loaded.engine))
    with watch.task(f"{label}: looking at the training cohort") as progress:
        familiarity = cohort_familiarity(loaded, raw, store, split, progress)
    with watch.task(f"{label}: predicting validation for calibration") as progress:
        predict_cases(Predictor(build_ensemble([raw])), store, split.validation, aside, progress)
    return raw, familiarity


def predict_with_final_mask_rule(
    store: Store,
    asked: Sequence[tuple[Member, Sequence[str]]],
    raw: Path,
    out: Path,
    watch: Watch,
) -> Path:
    """Predictions with the final mask rule, because the marker also depends on the mask.

    Args:
        store: The store of the patients.
        asked: Uncalibrated networks, and the validation patients that each has predicted.
        raw: Their predictions.
        out: Where the predictions are repeated, if those in `raw` used another mask rule.
        watch: Told of the progress.

    Returns:
        `raw` or `out`.
    """
    settings = asked[0][0].config.inference
    if not any(MARKER in member.tasks for member, _ in asked):
        return raw
    cases = store.manifest_cases([name for _, names in asked for name in names])
    with watch.task("choosing where masks are cut") as progress:
        rule = choose_mask_rule(raw, cases, settings, progress)
    was = (settings.threshold or DEFAULT_THRESHOLD, settings.smallest_ml or 0.0)
    if (rule.threshold, rule.smallest_ml) == was:
        return raw
    for number, (member, names) in enumerate(asked, start=1):
        cut = Calibration(model_sha256=member.model.sha256, mask=rule)
        taught = Predictor(build_ensemble([replace(member, calibration=cut)]))
        with watch.task(f"cutting them so, {number} of {len(asked)}") as progress:
            predict_cases(taught, store, names, out, progress)
    return out


def marker_models(
    store: Store,
    training: Mapping[Path, Sequence[str]],
    members: Sequence[Member],
    predictions: Path,
    outlined: Sequence[str],
    watch: Watch,
) -> dict[Path, MarkerModels]:
    """Fit the marker models without a network, on clinical data and radiomics, for each run.

    The forest on radiomics is fitted to true masks and, for patients that another run validated
    on, also to masks predicted by that run.

    Args:
        store: The store of the patients.
        training: The training part of each run.
        members: The networks.
        predictions: Folder of predictions.
        outlined: Names of the cases with a prediction there.
        watch: Told of the progress.
    """
    classes = members[0].classes
    clinical = {run: fit_clinical_of(store, names, classes) for run, names in training.items()}
    if not any(MARKER in member.tasks for member in members):
        return {run: MarkerModels(clinical[run]) for run in training}
    known = sorted({name for names in training.values() for name in names})
    true: dict[str, Features] = {}
    with watch.task("radiomics of the training cohort") as progress:
        for name in known:
            true[name] = stored_features(store, name, members[0].config.channels[0])
            progress(len(true), len(known))
    seen = {name: read_result(predictions / name / RESULT).radiomics for name in outlined}
    return {
        run: MarkerModels(clinical[run], fit_forest_of(store, true, seen, names, classes))
        for run, names in training.items()
    }


def is_calibrated(run: Path) -> bool:
    """Whether a run's best checkpoint is calibrated; an unreadable calibration does not count."""
    try:
        found: Calibration | None = read_calibration(run)
    except RunError:
        return False
    return found is not None and found.model_sha256 == read_meta(run).sha256


def cohort_familiarity(
    loaded: Member, raw: Member, store: Store, split: Split, progress: Progress
) -> TrainingDistribution | None:
    """Fit the distribution of a network's features on its training cohort.

    Args:
        loaded: The network without a cache, for the training scans, which are needed only once.
        raw: The same network, possibly with a cache, for the validation scans.
        store: The store of the scans.
        split: The split of the run.
        progress: Told after each scan.
    """
    step = -(-len(split.train) // _MOST_REFERENCES)
    training = split.train[::step]
    total = len(training) + len(split.validation)
    known = encoder_features(loaded, store, training, lambda done: progress(done, total))
    others = encoder_features(
        raw, store, split.validation, lambda done: progress(len(training) + done, total)
    )
    return fit_familiarity(known, others)


def encoder_features(
    member: Member,
    store: Store,
    names: Sequence[str],
    seen: Callable[[int], None] = lambda _: None,
) -> NDArray[np.float64]:
    """Encoder features of scans of a store, shape (scans, features).

    Args:
        member: The network.
        store: The store of the scans.
        names: Names of the cases.
        seen: Called after each scan with the number of finished ones.
    """
    rows: list[NDArray[np.float64]] = []
    inference = member.config.inference
    # The features are those of the first zoom.
    first = inference.model_copy(update={"zooms": inference.zooms[:1]})
    for name in names:
        box = predict_box(
            member.engine_for(store.by_id[name].marker),
            store.channels(name, member.config.channels),
            first,
            offsets=member.offsets(store.placement(name).slice_mm),
        )
        rows.append(box.features.astype(np.float64))
        seen(len(rows))
    return np.array(rows, dtype=np.float64)


def predict_cases(
    predictor: Predictor, store: Store, names: Sequence[str], out: Path, progress: Progress
) -> None:
    """Predict cases of a store.

    Raises:
        RunError: If one failed.
    """
    scans = find_scans([store.folder], only=names)
    outcomes = predict_scans(scans, predictor, out, progress=progress)
    failed = [outcome for outcome in outcomes if outcome.reason]
    if failed:
        raise RunError(f"{len(failed)} cases failed, the first: {failed[0].reason}", where=out)
