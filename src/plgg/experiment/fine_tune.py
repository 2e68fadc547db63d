"""`fine_tune_model`: a round of fine-tuning on corrected masks; a worse model is not accepted.

    OUT/plan.json          the inputs of the round; a repeated call resumes it
    OUT/store/             the corrected scans, preprocessed
    OUT/training/          the unfinished networks; deleted when the round has ended
    OUT/run/               the new model, if it is accepted
    OUT/comparison.json    both models side by side; written last

The current model is only read.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

from plgg.core.errors import RunError
from plgg.core.files import write_json
from plgg.core.output import ROUND, STORE, output_folder
from plgg.core.progress import Clock, Watch
from plgg.core.records import read_record
from plgg.data.check.table import read_manifest_with_warnings
from plgg.data.ensemble_folder import is_ensemble, member_runs, read_ensemble
from plgg.data.manifest import Case
from plgg.data.scan import scan_sha256
from plgg.data.store import Store
from plgg.evaluate.rounds import (
    PatientChange,
    RoundComparison,
    compare_parts,
    read_comparison,
    verdict,
    write_comparison,
)
from plgg.experiment.corrections import (
    Corrections,
    held_out_patients,
    join_stores,
    mark_whole_tumour,
    require_fit,
    split_corrections,
)
from plgg.experiment.tuned_model import Pair, calibrate_pairs, compare_pairs, write_tuned_model
from plgg.experiment.tuning import OldMember, read_old_member, require_settings, save_tuned, tune
from plgg.preprocess.cohort import preprocess_cohort
from plgg.report.store_qc import write_store_qc

PLAN = "plan.json"
MODEL_FOLDER = "run"
log = logging.getLogger(__name__)


class RoundPlan(BaseModel):
    """The contents of `plan.json`: the inputs of a round, which a repeated call must share.

    Attributes:
        model: SHA-256 of the weights of each network of the current model.
        corrections: SHA-256 of image and mask of each corrected scan.
        held_out: The held-out patients.
        old_scans: SHA-256 of each scan of the store.
        settings: `key=value` of the fine-tuning.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["plgg-round"] = "plgg-round"
    version: Literal[1] = 1
    model: tuple[str, ...]
    corrections: dict[str, tuple[str | None, ...]]
    held_out: tuple[str, ...]
    old_scans: tuple[str, ...]
    settings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Round:
    """A fine-tuning round: its inputs, folder and clock.

    Attributes:
        models: Folders of the current model, one or several that form an ensemble.
        cases: The corrected scans, in the order of their correction.
        held_out: The held-out patients.
        out: The round's folder.
        old: The networks of the current model.
        store: The store that they were trained on; None if it is not given.
        settings: `key=value` of the fine-tuning.
        clock: Seconds of each step.
    """

    models: tuple[Path, ...]
    cases: tuple[Case, ...]
    held_out: frozenset[str]
    out: Path
    old: tuple[OldMember, ...]
    store: Store | None
    settings: tuple[str, ...]
    clock: Clock

    @property
    def training(self) -> Path:
        """Folder of the unfinished networks, deleted when the round has ended."""
        return self.out / "training"

    @property
    def learnt_before(self) -> tuple[str, ...]:
        """SHA-256 of the training scans of earlier rounds."""
        records = [read_ensemble(model) for model in self.models if is_ensemble(model)]
        return tuple(dict.fromkeys(scan for record in records for scan in record.learnt_from))

    def plan(self) -> RoundPlan:
        """The inputs that identify the round."""
        old = self.store.cohort.cases if self.store else ()
        return RoundPlan(
            model=tuple(member.sha256 for member in self.old),
            corrections={
                case.case_id: tuple(map(scan_sha256, [*case.images.values(), case.mask or Path()]))
                for case in self.cases
            },
            held_out=tuple(sorted(self.held_out)),
            old_scans=tuple(case.flair_sha256 for case in old),
            settings=self.settings,
        )


def fine_tune_model(
    models: Sequence[Path],
    manifest: Path,
    out: Path,
    *,
    store: Path | None = None,
    held_out: Sequence[str] = (),
    settings: Sequence[str] = (),
    workers: int = 1,
    watch: Watch,
) -> RoundComparison:
    """Fine-tune a model on corrected masks, or resume that; see `plgg.api.fine_tune`.

    Raises:
        InputError: If there are too few corrected patients.
        ConfigError: If store, settings or held-out scans do not fit the model.
        RunError: If the folder holds another round.
    """
    this = _round(models, manifest, out, store=store, held_out=held_out, settings=settings)
    with output_folder(out, ROUND, inputs=[manifest]):
        _begin(this)
        comparison = read_comparison(out)
        if comparison is None:
            comparison = _run(this, workers, watch)
            write_comparison(out, comparison)
        shutil.rmtree(this.training, ignore_errors=True)
    watch.say(comparison.reason)
    return comparison


def _round(
    models: Sequence[Path],
    manifest: Path,
    out: Path,
    *,
    store: Path | None,
    held_out: Sequence[str],
    settings: Sequence[str],
) -> Round:
    """Collect the inputs of a round, and run the checks that are fast."""
    cases = tuple(case for case in read_manifest_with_warnings(manifest) if case.mask is not None)
    kept = held_out_patients(cases, held_out)
    split_corrections(cases, kept, where=manifest)
    old_store = Store(store) if store else None
    old = tuple(read_old_member(run, old_store) for run in member_runs(models))
    cases = tuple(mark_whole_tumour(case, old[0].config.labels) for case in cases)
    if old_store:
        require_fit(old_store, old[0].config)
    require_settings(old[0], settings)
    return Round(tuple(models), cases, kept, out, old, old_store, tuple(settings), Clock())


def _begin(this: Round) -> None:
    """Write the plan of the round; if there is one in the folder, check that it is the same."""
    path, plan = this.out / PLAN, this.plan()
    if path.is_file():
        known = read_record(
            path,
            RoundPlan,
            error=RunError,
            what="cannot be read as a round",
            remedy="Choose another folder.",
        )
        changed = [name for name in RoundPlan.model_fields if _differs(known, plan, name)]
        if changed:
            raise RunError(
                f"holds a round of other {', '.join(changed)}",
                where=this.out,
                remedy="Choose another folder, or repeat what began it.",
            )
    write_json(path, plan.model_dump(mode="json"))


def _differs(one: RoundPlan, other: RoundPlan, name: str) -> bool:
    return bool(getattr(one, name) != getattr(other, name))


def _run(this: Round, workers: int, watch: Watch) -> RoundComparison:
    with this.clock.step("preprocessing"):
        corrected, left_out = _preprocessed(this, workers, watch)
    spoilt = _leaked_held_out(this, corrected)
    left_out |= dict.fromkeys(spoilt, "is held out, but the model has learnt from that patient")
    usable = [case for case in corrected.cohort.cases if case.case_id not in spoilt]
    corrections = split_corrections(usable, this.held_out, where=this.out, left_out=left_out)
    store = join_stores(corrected, this.store, this.training / "store", classes=this.old[0].classes)
    this = _without_corrected(this, corrected, store)
    with this.clock.step("learning"):
        pairs = _tuned(this, store, corrections, watch)
    with this.clock.step("calibrating"):
        new = calibrate_pairs(pairs, store, corrections, watch)
    with this.clock.step("comparing"):
        patients = compare_pairs(pairs, new, store, corrections, watch)
    comparison = _comparison(this, store, corrections, patients, left_out)
    if comparison.accepted:
        taught = [store.by_id[name].flair_sha256 for name in corrections.training]
        write_tuned_model(
            this.models,
            this.out / MODEL_FOLDER,
            pairs,
            comparison=comparison,
            learnt_from=tuple(dict.fromkeys([*this.learnt_before, *taught])),
        )
    return comparison


def _comparison(
    this: Round,
    store: Store,
    corrections: Corrections,
    patients: Sequence[PatientChange],
    left_out: dict[str, str],
) -> RoundComparison:
    parts = compare_parts(patients)
    accepted, reason = verdict(parts)
    return RoundComparison(
        accepted=accepted,
        reason=reason,
        n_training=_n_patients(store, corrections.training),
        n_rehearsed=_n_patients(store, {name for old in this.old for name in old.train}),
        n_validation=len(patients),
        dice_before=parts[0].dice_before,
        dice_after=parts[0].dice_after,
        difference=parts[0].difference,
        standard_error=parts[0].standard_error,
        parts=parts,
        patients=tuple(patients),
        trained_on=corrections.training,
        left_out=left_out,
        seconds=this.clock.seconds,
    )


def _n_patients(store: Store, names: Collection[str]) -> int:
    return len({store.by_id[name].patient_id for name in names})


def _preprocessed(this: Round, workers: int, watch: Watch) -> tuple[Store, dict[str, str]]:
    """Preprocess the corrected scans as for the model; also return why some of them failed."""
    folder = this.out / "store"
    with watch.task("preparing corrected scans") as progress, output_folder(folder, STORE):
        cohort = preprocess_cohort(
            this.cases, folder, this.old[0].config, workers=workers, progress=progress
        )
        write_store_qc(folder)
    for failed in cohort.failed:
        log.warning("%s cannot be learnt from: %s", failed.case_id, failed.reason)
    return Store(folder), {failed.case_id: failed.reason for failed in cohort.failed}


def _leaked_held_out(this: Round, corrected: Store) -> list[str]:
    """Held-out scans of training patients, of the model or, under another name, of this round."""
    trained = {name for old in this.old for name in old.train}
    taught = [this.store.by_id[name] for name in sorted(trained)] if this.store else []
    patients = {case.patient_id for case in taught}
    cases = corrected.cohort.cases
    held = [case for case in cases if case.patient_id in this.held_out]
    taught += [case for case in cases if case.patient_id not in this.held_out]
    scans = {*this.learnt_before, *(case.flair_sha256 for case in taught)}
    return [
        case.case_id for case in held if case.flair_sha256 in scans or case.patient_id in patients
    ]


def _without_corrected(this: Round, corrected: Store, store: Store) -> Round:
    """The round without old training and validation patients that have a corrected scan."""
    again = {case.patient_id for case in corrected.cohort.cases}

    def kept(names: Sequence[str]) -> tuple[str, ...]:
        there = [name for name in names if name in store.by_id]
        return tuple(name for name in there if store.by_id[name].patient_id not in again)

    old = tuple(
        replace(member, train=kept(member.train), validation=kept(member.validation))
        for member in this.old
    )
    return replace(this, old=old)


def _tuned(this: Round, store: Store, corrections: Corrections, watch: Watch) -> list[Pair]:
    """Fine-tune every network; results of an interrupted call are reused."""
    pairs = []
    for number, old in enumerate(this.old):
        label = f"network {number + 1} of {len(this.old)}"
        run = this.training / f"tuning-{number}"
        tune(
            old, store, corrections.training, run, settings=this.settings, watch=watch, label=label
        )
        folder = this.training / f"fold-{number}"
        pairs.append(Pair(old, folder, save_tuned(old, run, folder)))
    return pairs
