"""The new model of a round: calibrate it, compare its Dice with the old one's, and write it.

With the patients of the old training, the calibration is repeated. Without them, it is copied: the
encoder is the same, and the corrected patients are too few to choose a threshold.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from plgg.core.files import write_text
from plgg.core.folders import MODEL, replace_folder, scratch_folder
from plgg.core.progress import Progress, Watch
from plgg.data.calibration import (
    Calibration,
    TrainingDistribution,
    read_calibration,
    write_calibration,
)
from plgg.data.ensemble_folder import EnsembleRecord, is_ensemble, read_ensemble, write_ensemble
from plgg.data.nifti.image import read_volume
from plgg.data.store import Store
from plgg.evaluate.rounds import Part, PatientChange, RoundComparison
from plgg.experiment.corrections import Corrections
from plgg.experiment.scoring import (
    encoder_features,
    marker_models,
    predict_cases,
    predict_with_final_mask_rule,
)
from plgg.experiment.tuning import OldMember
from plgg.metrics.overlap import hard_dice
from plgg.predict.calibrate.fit import fit_calibration
from plgg.predict.engine import with_cache
from plgg.predict.ensemble import build_ensemble
from plgg.predict.marker import MarkerModels
from plgg.predict.member import Member, load_member, with_calibration
from plgg.predict.out_of_distribution import fit_familiarity
from plgg.predict.scan import Predictor
from plgg.predict.source import find_scans

_CARD = "model_card.md"
_HEADING = "## Learning from corrections"
_TOLD = " Since then it has learnt from "


@dataclass(frozen=True)
class Pair:
    """A network before the round and after it.

    Attributes:
        old: The network of the current model.
        new: Folder of the fine-tuned network.
        sha256: SHA-256 of the new weights.
    """

    old: OldMember
    new: Path
    sha256: str


def calibrate_pairs(
    pairs: Sequence[Pair], store: Store, corrections: Corrections, watch: Watch
) -> list[Member]:
    """Write the calibration of each new network.

    Returns:
        The new networks, with a cache of their answers.

    Raises:
        RunError: If a validation scan could not be predicted.
    """
    raw = [_remembering(load_member(pair.new, calibrated=False)) for pair in pairs]
    known = []
    with watch.task("looking at the corrected scans") as progress:
        for number, (pair, member) in enumerate(zip(pairs, raw, strict=True), start=1):
            known.append(_familiarity(pair, member, store, corrections))
            progress(number, len(pairs))
    common, models = _recalibrate(pairs, raw, store, known[0], watch)
    for pair, familiarity in zip(pairs, known, strict=True):
        calibration = common or read_calibration(pair.old.run)
        if calibration is not None:
            own: dict[str, Any] = {"model_sha256": pair.sha256, "familiarity": familiarity}
            if pair.new in models:
                own |= models[pair.new].fields()
            write_calibration(pair.new, calibration.model_copy(update=own))
    return [with_calibration(member) for member in raw]


def _remembering(member: Member) -> Member:
    return replace(member, engine=with_cache(member.engine))


def _familiarity(
    pair: Pair, member: Member, store: Store, corrections: Corrections
) -> TrainingDistribution | None:
    """The training distribution of a new network, including the corrected scans.

    Without the old patients, their features are taken from the old calibration, because the encoder
    is the same.
    """
    taught, unseen = list(corrections.training), list(corrections.held_out)
    if pair.old.learns == "all":
        training = encoder_features(member, store, [*pair.old.train, *taught])
        others = encoder_features(member, store, [*pair.old.validation, *unseen])
        return fit_familiarity(training, others)
    calibration = read_calibration(pair.old.run)
    if calibration is None or calibration.familiarity is None:
        return None
    before = np.array(calibration.familiarity.references)
    return fit_familiarity(
        np.vstack([before, encoder_features(member, store, taught)]),
        encoder_features(member, store, unseen),
    )


def _recalibrate(
    pairs: Sequence[Pair],
    raw: Sequence[Member],
    store: Store,
    familiarity: TrainingDistribution | None,
    watch: Watch,
) -> tuple[Calibration | None, dict[Path, MarkerModels]]:
    """Repeat the calibration on the patients of the old training; None and {} without them."""
    names = [name for pair in pairs for name in pair.old.validation]
    if any(pair.old.learns == "outline" for pair in pairs):
        return None, {}
    first = raw[0]
    with scratch_folder(first.run.parent / "calibration") as aside:
        with watch.task("predicting the old validation patients") as progress:
            done = _SharedBar(progress, len(names))
            for pair, member in zip(pairs, raw, strict=True):
                one = Predictor(build_ensemble([member]))
                predict_cases(one, store, pair.old.validation, aside / "raw", done.part())
        asked = [(m, pair.old.validation) for m, pair in zip(raw, pairs, strict=True)]
        outlined = predict_with_final_mask_rule(
            store, asked, aside / "raw", aside / "outlined", watch
        )
        training = {pair.new: pair.old.train for pair in pairs}
        models = marker_models(store, training, raw, outlined, names, watch)
        with watch.task("calibrating") as progress:
            found = fit_calibration(
                outlined,
                store.manifest_cases(names),
                {name: models[pair.new] for pair in pairs for name in pair.old.validation},
                settings=first.config.inference,
                model_sha256=pairs[0].sha256,
                classes=first.classes,
                familiarity=familiarity,
                tasks=first.tasks,
                labels=first.config.labels,
                progress=progress,
            )
    return found, models


class _SharedBar:
    """A progress bar over several jobs."""

    def __init__(self, progress: Progress, total: int) -> None:
        self.progress, self.total, self.before, self.here = progress, total, 0, 0

    def part(self) -> Progress:
        """The progress of the next job."""
        self.before += self.here
        self.here = 0

        def tell(done: int, total: int, failed: int = 0) -> None:  # noqa: ARG001
            self.here = done
            self.progress(self.before + done, self.total, failed)

        return tell


def compare_pairs(
    pairs: Sequence[Pair],
    new: Sequence[Member],
    store: Store,
    corrections: Corrections,
    watch: Watch,
) -> list[PatientChange]:
    """Dice of both models on patients that neither was trained on, on the native scans.

    Corrected ones are predicted by all networks; those of the store by the one that never saw them.

    Args:
        pairs: Each network before and after.
        new: The new networks, calibrated.
        store: Where the patients are.
        corrections: Which of them are held out.
        watch: Told of the progress.
    """
    old = [load_member(pair.old.run) for pair in pairs]
    groups: list[tuple[Part, list[Member], list[Member], Sequence[str]]] = [
        ("held-out", old, list(new), corrections.held_out)
    ]
    for pair, before, after in zip(pairs, old, new, strict=True):
        groups.append(("validation", [before], [after], pair.old.validation))
    found: list[PatientChange] = []
    with watch.task("comparing both models") as progress:
        done = _SharedBar(progress, sum(2 * len(names) for *_, names in groups))
        for part, before_members, after_members, names in groups:
            dice = [
                _dice(members, store, names, done.part())
                for members in (before_members, after_members)
            ]
            found += _changes(part, store, *dice)
    return found


def _dice(
    members: Sequence[Member], store: Store, names: Sequence[str], progress: Progress
) -> dict[str, float]:
    """Dice of each scan with a true mask."""
    truths = {name: store.truth_path(name) for name in names}
    known = {name: truth for name, truth in truths.items() if truth is not None}
    predictor = Predictor(build_ensemble(members))
    found = {}
    for scan in find_scans([store.folder], only=list(known)) if known else ():
        raw, _ = predictor.predict_in_memory(scan)
        true = read_volume(known[scan.case_id]).data > 0
        found[scan.case_id] = hard_dice(np.asarray(raw.mask.data > 0), true)
        progress(len(found), len(names))
    progress(len(names), len(names))  # Those without a true mask count as done.
    return found


def _changes(
    part: Part, store: Store, before: Mapping[str, float], after: Mapping[str, float]
) -> Iterator[PatientChange]:
    """Mean Dice of each patient before and after."""
    cases: dict[str, list[str]] = {}
    for name in before:
        cases.setdefault(store.by_id[name].patient_id, []).append(name)
    for patient, names in cases.items():
        one, other = (float(np.mean([dice[name] for name in names])) for dice in (before, after))
        yield PatientChange(
            patient_id=patient,
            part=part,
            cases=tuple(names),
            dice_before=round(one, 6),
            dice_after=round(other, 6),
            difference=round(other - one, 6),
        )


def write_tuned_model(
    models: Sequence[Path],
    out: Path,
    pairs: Sequence[Pair],
    *,
    comparison: RoundComparison,
    learnt_from: Sequence[str],
) -> None:
    """Write the new model atomically.

    Args:
        models: The current model: runs or ensembles.
        out: Folder to write.
        pairs: Its networks before and after.
        comparison: The comparison of both models.
        learnt_from: SHA-256 of the corrected training scans of this and earlier rounds.

    Raises:
        OutputError: If something else is in the folder's place.
    """
    folder = models[0]
    before = read_ensemble(folder) if is_ensemble(folder) else None
    about = before.about.partition(_TOLD)[0] if before else ""
    n = comparison.n_training
    record = EnsembleRecord(
        members=tuple(f"fold-{number}" for number in range(len(pairs))),
        folds=before.folds if before else 1,
        seed=before.seed if before else 0,
        name=(before.name if before else "") or folder.resolve().name,
        about=f"{about}{_TOLD}{n} corrected patients.".strip(),
        learnt_from=tuple(learnt_from),
    )
    with replace_folder(out, MODEL, inputs=models) as aside:
        for pair, member in zip(pairs, record.members, strict=True):
            shutil.copytree(pair.new, aside / member, ignore=shutil.ignore_patterns(".*"))
            split = pair.old.run / "split.json"
            if split.is_file():
                shutil.copyfile(split, aside / member / split.name)
        write_text(aside / _CARD, _card(folder / _CARD, comparison))
        write_ensemble(aside, record)


def _card(path: Path, comparison: RoundComparison) -> str:
    """The old model card, with a section on the round."""
    old = path.read_text(encoding="utf-8") if path.is_file() else "# Model card\n"
    lines = [
        _HEADING,
        "",
        f"The outline was learnt on from {comparison.n_training} corrected patients"
        + (
            f" and {comparison.n_rehearsed} of the old training."
            if comparison.n_rehearsed
            else ", with the encoder as it was."
        ),
        "What is said above of test and validation is of the model before that.",
        "",
        *(f"- {part.sentence}" for part in comparison.parts),
        "",
    ]
    return old.partition(_HEADING)[0].rstrip() + "\n\n" + "\n".join(lines)
