"""One training run: epochs, steps, validation, checkpoints; resumed after an interruption.

It reads a store and writes a run folder. Evaluation and reports are done elsewhere.
"""

from __future__ import annotations

import itertools
import logging
import math
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import torch

from plgg.config import SEGMENTATION, Config
from plgg.core.errors import ConfigError, RunError
from plgg.core.output import RUN, output_folder
from plgg.core.progress import EpochEnd, Listener, Step
from plgg.data.inputs import Inputs
from plgg.data.run_folder import append_metrics, keep_metrics_until, start_run
from plgg.data.split import Split
from plgg.data.store import Store
from plgg.data.store_fit import require_channels, require_grid, require_labels
from plgg.model.batch_norm import has_moments, refresh_moments
from plgg.model.checkpoint import Meta, load_checkpoint, remove_replaced, save_checkpoint
from plgg.model.device import Runtime, choose_runtime, keep_freed_memory
from plgg.model.network import MultitaskNet, build_network
from plgg.tasks.base import AuxiliaryTask
from plgg.tasks.kinds import fit_tasks
from plgg.tasks.mask_task import scan_level_tasks
from plgg.tasks.segmentation import Segmentation
from plgg.tasks.weighting.build import make_weighting
from plgg.tasks.weighting.gradient_cap import GradientCap
from plgg.train.batches import EpochBatches
from plgg.train.distributed import ProcessGroup
from plgg.train.gradients import RunningMeans, StepResult, TaskGradients
from plgg.train.initial import initial_weights, with_initial_hash
from plgg.train.interpolation import InterpolatedAverage
from plgg.train.optimisation import Average, learning_rate, make_optimiser, set_rate
from plgg.train.out_of_memory import explain_out_of_memory, require_memory
from plgg.train.state import State
from plgg.train.unseen import require_unseen
from plgg.train.validate import Scores, validate

# Batches to re-estimate batch normalisation with; fewer give a much lower validation Dice.
_MOMENT_BATCHES = 16
log = logging.getLogger(__name__)


def train(
    store: Store,
    run: Path,
    config: Config,
    split: Split,
    *,
    workers: int = 2,
    group: ProcessGroup | None = None,
    listener: Listener | None = None,
) -> None:
    """Train to the last epoch, resuming an interrupted run of the same settings.

    Args:
        store: The preprocessed cohort.
        run: The run folder.
        config: All settings.
        split: The cases of each part.
        workers: Threads that cut patches.
        group: The processes that train together; by default this one alone.
        listener: Called at every step and epoch.

    Raises:
        ConfigError: If the store does not fit the settings.
        RunError: If the folder holds another run, or the loss is no longer finite.
        OutputError: If another process trains this run, or something else is in its place.
    """
    group = group or ProcessGroup()
    # Before a folder is made, because the initial weights may be damaged.
    config = with_initial_hash(config)
    tasks = _check(store, config, split, group)
    device = group.device(choose_runtime(config.precision).device)
    require_memory(config, len(store.cohort.classes), device, tasks=tasks)
    with output_folder(run, RUN) if group.is_main else nullcontext():
        _train(store, run, config, split, workers=workers, group=group, listener=listener)


def _train(
    store: Store,
    run: Path,
    config: Config,
    split: Split,
    *,
    workers: int,
    group: ProcessGroup,
    listener: Listener | None,
) -> None:
    # The run records the preprocessing of the store, which its network is trained on.
    config = config.model_copy(update={"preprocess": store.cohort.settings})
    if group.is_main:
        start_run(run, config, split.model_dump(mode="json"), store=store.folder)
    group.wait()
    trainer = Trainer(store, run, config, split, workers=workers, group=group)
    trainer.resume()
    tell = listener if listener and group.is_main else (lambda event: None)  # noqa: ARG005
    for epoch in range(trainer.epoch + 1, config.optimiser.epochs + 1):
        trainer.run_epoch(epoch, tell)


def _check(
    store: Store, config: Config, split: Split, group: ProcessGroup
) -> dict[str, AuxiliaryTask]:
    require_grid(store, config.grid)
    require_channels(store, config.channels)
    require_labels(store, config.labels)
    _require_annotated_labels(store, config, split)
    if config.init.run is not None:
        doubt = require_unseen(store, Path(config.init.run), split)
        if doubt and group.is_main:
            log.warning("%s", doubt)
    learnable = [store.by_id[case] for case in split.train]
    if not any(case.has_mask for case in learnable):
        raise ConfigError("no training case has a mask", where=store.folder, remedy="Add masks.")
    tasks = fit_tasks(config, store, split.train)
    # Raises for a package that is not installed, before a folder is made.
    make_weighting(config.loss, config.task_weights)
    if config.loss.dice_over == "batch" and group.size > 1:
        raise ConfigError(
            "loss.dice_over=batch needs each batch in one process",
            remedy="Train on one device, or set loss.dice_over=sample.",
        )
    return tasks


def _require_annotated_labels(store: Store, config: Config, split: Split) -> None:
    """Refuse a label that no training mask annotates."""
    told = {name for case in split.train for name in store.by_id[case].labels}
    for label in config.labels:
        if label.name not in told:
            raise ConfigError(
                f"no training case has a mask that tells the label {label.name}",
                where=store.folder,
                remedy="Leave it out of tasks.segmentation.labels, or add masks that tell it.",
            )


class Trainer:
    """The state of a run between epochs: network, optimiser, weighting, best Dice so far."""

    def __init__(
        self,
        store: Store,
        run: Path,
        config: Config,
        split: Split,
        *,
        workers: int,
        group: ProcessGroup | None = None,
    ) -> None:
        self.store, self.run, self.config, self.split = store, run, config, split
        self.group = group or ProcessGroup()
        self.runtime = _runtime(config, self.group)
        if self.runtime.device.type == "cpu":
            keep_freed_memory()
        self.tasks = fit_tasks(config, store, split.train)
        self.batches = EpochBatches(
            store,
            split.train,
            config.patches,
            seed=config.seed,
            workers=workers,
            share=self.group.share(config.execution.accumulate),
            tasks=self.tasks,
            inputs=Inputs.of(config),
        )
        network = build_network(
            config.model,
            n_classes=len(store.cohort.classes),
            arm=config.arm,
            seed=config.seed,
            tasks=self.tasks,
            n_sequences=len(config.channels),
            n_outlines=config.n_outlines,
        )
        initial_weights(network, config.init, self.tasks)
        self.network = network.to(self.runtime.device)
        self.network.freeze(config.init.frozen_stages)
        self.network.checkpointing = config.execution.checkpointing
        self.average = Average(self.network, config.optimiser.ema)
        self.kept = InterpolatedAverage(self.average, config.init.interpolate)
        self.optimiser = make_optimiser(self.network, config.optimiser, self.runtime.device)
        self.weighting = make_weighting(config.loss, config.task_weights)
        self.task_gradients = TaskGradients(
            self.network,
            group=self.group,
            runtime=self.runtime,
            tasks={SEGMENTATION: Segmentation(config.loss), **self.tasks},
            weighting=self.weighting,
            cap=_gradient_cap(config, self.tasks),
        )
        self.state = State(self.network, self.optimiser, self.average, self.weighting, self.kept)
        self.epoch = 0
        self.best_dice: float | None = None

    def resume(self) -> None:
        """Restore the last checkpoint, if there is one, and remove later lines of the metrics."""
        if (self.run / "checkpoints" / "last.json").is_file():
            last = load_checkpoint(self.run, "last")
            if last.meta.classes != self.store.cohort.classes:
                raise RunError(
                    f"was begun with the marker classes {', '.join(last.meta.classes)}; the store "
                    f"has {', '.join(self.store.cohort.classes)}",
                    where=self.run,
                    remedy="Choose another --run folder, or give the store that the run began "
                    "with.",
                )
            self._require_same_tasks(last.meta)
            self.state.restore(last.tensors)
            self.epoch, self.best_dice = last.meta.epoch, last.meta.best_dice
            log.info("resumed %s after epoch %d", self.run, self.epoch)
        if self.group.is_main:
            remove_replaced(self.run)
            keep_metrics_until(self.run, self.epoch)

    def _require_same_tasks(self, meta: Meta) -> None:
        for name, record in meta.auxiliary.items():
            if name in self.tasks and self.tasks[name].record != record:
                raise RunError(
                    f"was begun with other targets of the task {name}",
                    where=self.run,
                    remedy="Choose another --run folder, or give the store that the run began "
                    "with.",
                )

    def run_epoch(self, epoch: int, listener: Listener) -> None:
        """Run one epoch, counted from 1: steps, validation where due, metrics, checkpoints."""
        started = time.monotonic()
        rate = self._set_rate(epoch)
        means = self.train_one_epoch(epoch, listener)
        if not all(bool(value.isfinite().all()) for value in self.network.state_dict().values()):
            raise self._diverged(f"the weights are not finite after epoch {epoch}")
        record: dict[str, Any] = {"epoch": epoch, "train": means.losses, "learning_rate": rate}
        if len(self.weighting.weights()) > 1:
            record["weights"] = self.weighting.weights()
            if means.gradients is not None:
                record["gradients"] = means.gradients
        self.weighting.after_epoch(means.tasks)
        scores = self._validated(epoch)
        if scores is not None:
            record["validation"] = scores
        record["seconds"] = round(time.monotonic() - started, 3)
        record["waited"] = round(means.waited, 3)
        self.epoch = epoch
        if self.group.is_main:
            append_metrics(self.run, record)
            self._save(epoch, scores)
        self.group.wait()
        listener(EpochEnd(record))

    def train_one_epoch(self, epoch: int, listener: Listener | None = None) -> RunningMeans:
        """Run the training steps of one epoch, without validation and checkpoints."""
        means = RunningMeans()
        for step, found in enumerate(self._steps(epoch, means), start=1):
            means.add(found)
            if listener:
                told = means.losses
                listener(Step(epoch, self.config.optimiser.epochs, step, len(self.batches), told))
        return means

    def _steps(self, epoch: int, means: RunningMeans) -> Iterator[StepResult]:
        self.network.train()
        every = self.config.loss.gradients_every
        batches = means.waiting(self.batches.epoch(epoch))
        for step, pieces in enumerate(batches):
            # Counted over all epochs, so that gradients are measured in short ones, too.
            count = (epoch - 1) * len(self.batches) + step
            apart = every > 0 and count % every == 0
            self.optimiser.zero_grad(set_to_none=True)
            with explain_out_of_memory(self.run, self.config):
                found = self.task_gradients.backward(
                    [piece.to(self.runtime.device) for piece in pieces], apart=apart
                )
            if not math.isfinite(found.losses["loss"]):
                raise self._diverged(
                    f"the loss is {found.losses['loss']} in epoch {epoch}, step {step + 1}"
                )
            if self.config.optimiser.clip_norm:
                torch.nn.utils.clip_grad_norm_(
                    self.network.parameters(), self.config.optimiser.clip_norm
                )
            self.optimiser.step()
            self.average.update()
            self.weighting.after_step(found.tasks, found.gradients)
            yield found

    def _diverged(self, what: str) -> RunError:
        return RunError(
            what,
            where=self.run,
            remedy="Repeat the command to resume from the last epoch; if it comes again, begin a "
            "new run with a lower optimiser.learning_rate or with precision=fp32.",
        )

    def _set_rate(self, epoch: int) -> float:
        rate = learning_rate(self.config.optimiser, epoch - 1)
        set_rate(self.optimiser, rate)
        return rate

    def _validated(self, epoch: int) -> Scores | None:
        due = epoch % self.config.validate_every == 0
        if not due and epoch != self.config.optimiser.epochs:
            return None
        try:
            return validate(
                self.evaluation_network(),
                self.store,
                self.split.validation,
                runtime=self.runtime,
                settings=self.config.inference,
                group=self.group,
                tasks=scan_level_tasks(self.tasks),
                inputs=Inputs.of(self.config),
            )
        except FloatingPointError as error:
            raise self._diverged(f"{error} after epoch {epoch}") from error

    def evaluation_network(self) -> MultitaskNet:
        """The network to validate and save: averaged weights, interpolated with the initial ones.

        Moments of batch normalisation are re-estimated for them, always on the same batches.
        """
        network = self.kept.mix()
        if has_moments(network):
            batches = itertools.islice(self.batches.epoch(0), _MOMENT_BATCHES)
            images = (one.to(self.runtime.device).image for pieces in batches for one in pieces)
            with self.runtime.autocast():
                refresh_moments(network, images)
        return network

    def _save(self, epoch: int, scores: Scores | None) -> None:
        folder = self.run / "checkpoints"
        dice = scores["dice"] if scores else None
        better = dice is not None and (self.best_dice is None or dice > self.best_dice)
        # Without a validation mask there is no Dice to choose by, so the latest network is kept.
        blind = scores is not None and dice is None
        if better:
            self.best_dice = dice
        common: dict[str, Any] = {
            "epoch": epoch,
            "config": self.config,
            "classes": self.store.cohort.classes,
            "tasks": {name: task.record for name, task in self.tasks.items()},
            "metrics": scores or {},
            "best_dice": self.best_dice,
        }
        if better or blind:
            save_checkpoint(folder, "best", self.state.best(), **common)
        save_checkpoint(folder, "last", self.state.last(), **common)


def _gradient_cap(config: Config, tasks: dict[str, AuxiliaryTask]) -> GradientCap | None:
    """The gradient cap, on tasks with a column as target; mask tasks are not capped."""
    share = config.model.marker.gradient_cap
    return None if share is None else GradientCap(share, frozenset(scan_level_tasks(tasks)))


def _runtime(config: Config, group: ProcessGroup) -> Runtime:
    """The chosen runtime, in float32 where bf16 is known to go wrong."""
    chosen = choose_runtime(config.precision)
    device = group.device(chosen.device)
    # oneDNN's bf16 weight gradient of a 3×3×3 convolution reads memory that nobody wrote where the
    # first axis has 2 voxels (seen with torch 2.13): gradients of 1e35 or NaN.
    smallest = min(config.patches.size) // config.model.divisor
    volumes = not config.model.sliced
    if volumes and chosen.bf16 and device.type == "cpu" and smallest < 3:
        log.warning("patches.size is too small for bf16 on a processor: training in fp32")
        return Runtime(device, bf16=False)
    return Runtime(device, bf16=chosen.bf16)
