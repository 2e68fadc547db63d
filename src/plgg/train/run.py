"""One training run: epoch, step, validate, save; resumed where it was left.

A plain loop. It reads a store, fills a run folder, and knows nothing of evaluation or reports.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from plgg.config import Config
from plgg.dataset.batches import UNKNOWN, Batch, EpochBatches
from plgg.dataset.split import Split
from plgg.errors import ConfigError, RunError
from plgg.io.run import append_metrics, keep_metrics_until, start_run
from plgg.io.store import Store
from plgg.losses.marker import class_weights
from plgg.losses.multitask import Losses, multitask_loss
from plgg.model.allocator import keep_freed_memory
from plgg.model.checkpoint import (
    load_checkpoint,
    optimiser_tensors,
    restore_optimiser,
    save_checkpoint,
    unprefixed,
)
from plgg.model.device import Runtime, choose_runtime
from plgg.model.network import build_network
from plgg.train.schedule import learning_rate
from plgg.train.validate import Scores, validate
from plgg.watch import EpochEnd, Listener, Step

log = logging.getLogger(__name__)


def train(
    store: Store,
    run: Path,
    config: Config,
    split: Split,
    *,
    workers: int = 2,
    listener: Listener | None = None,
) -> None:
    """Train to the last epoch, resuming an interrupted run of the same settings.

    Args:
        store: The preprocessed cohort.
        run: The run folder.
        config: All settings.
        split: Who is in which part.
        workers: Threads that cut patches.
        listener: Told of every step and epoch.

    Raises:
        ConfigError: If the store does not fit the settings.
        RunError: If the folder holds another run, or the loss is no longer finite.
    """
    _check(store, config, split)
    # What the network learns from is what the store holds, however it was made.
    config = config.model_copy(update={"preprocess": store.cohort.settings})
    start_run(run, config, split.model_dump(mode="json"), store=store.folder)
    trainer = Trainer(store, run, config, split, workers=workers)
    trainer.resume()
    tell = listener or (lambda event: None)  # noqa: ARG005
    for epoch in range(trainer.epoch + 1, config.optimiser.epochs + 1):
        trainer.run_epoch(epoch, tell)


def _check(store: Store, config: Config, split: Split) -> None:
    if store.cohort.spacing_mm != config.grid.spacing_mm:
        raise ConfigError(
            f"the store has {store.cohort.spacing_mm:g} mm voxels, the settings want "
            f"{config.grid.spacing_mm:g} mm",
            where=store.folder,
            remedy="Choose the preset that the store was made with, or preprocess again.",
        )
    learnable = [store.by_id[case] for case in split.train]
    if not any(case.has_mask for case in learnable):
        raise ConfigError("no training case has a mask", where=store.folder, remedy="Add masks.")
    known = {case.marker for case in learnable if case.marker}
    if config.arm == "multitask" and len(known) < 2:
        raise ConfigError(
            "the training part has fewer than two marker classes",
            where=store.folder,
            remedy="Add markers, or train --arm single.",
        )


class Trainer:
    """The state of a run between epochs: network, optimiser, best Dice so far."""

    def __init__(
        self, store: Store, run: Path, config: Config, split: Split, *, workers: int
    ) -> None:
        self.store, self.run, self.config, self.split = store, run, config, split
        self.runtime = _runtime(config)
        if self.runtime.device.type == "cpu":
            keep_freed_memory()
        classes = store.cohort.classes
        self.network = build_network(
            config.model, n_classes=len(classes), arm=config.arm, seed=config.seed
        ).to(self.runtime.device)
        self.optimiser = torch.optim.Adam(
            self.network.parameters(),
            lr=config.optimiser.learning_rate,
            weight_decay=config.optimiser.weight_decay,
            fused=self.runtime.device.type in {"cpu", "cuda"},
        )
        self.batches = EpochBatches(
            store, split.train, config.patches, seed=config.seed, workers=workers
        )
        markers = [store.by_id[case].marker for case in split.train]
        self.weights = class_weights(
            [classes.index(marker) if marker else UNKNOWN for marker in markers],
            len(classes),
            mode=config.loss.class_weights,
        ).to(self.runtime.device)
        self.epoch = 0
        self.best_dice: float | None = None

    def resume(self) -> None:
        """Take up the last checkpoint, if there is one, and forget what came after it."""
        if not (self.run / "checkpoints" / "last.json").is_file():
            keep_metrics_until(self.run, 0)
            return
        last = load_checkpoint(self.run, "last")
        if last.meta.classes != self.store.cohort.classes:
            raise RunError(
                f"was begun with the marker classes {', '.join(last.meta.classes)}; the store has "
                f"{', '.join(self.store.cohort.classes)}",
                where=self.run,
                remedy="Choose another --run folder, or give the store that the run began with.",
            )
        self.network.load_state_dict(unprefixed(last.tensors, "model."))
        restore_optimiser(self.optimiser, last.tensors)
        self.epoch, self.best_dice = last.meta.epoch, last.meta.best_dice
        keep_metrics_until(self.run, self.epoch)
        log.info("resumed %s after epoch %d", self.run, self.epoch)

    def run_epoch(self, epoch: int, listener: Listener) -> None:
        """One epoch, counted from 1: steps, validation where it is due, checkpoints, log."""
        started = time.monotonic()
        rate = self._set_rate(epoch)
        means: dict[str, float] = {}
        for step, losses in enumerate(self._steps(epoch), start=1):
            means = {k: v + (losses[k] - v) / step for k, v in (means or losses).items()}
            listener(Step(epoch, self.config.optimiser.epochs, step, len(self.batches), means))
        if not all(bool(value.isfinite().all()) for value in self.network.state_dict().values()):
            raise self._diverged(f"the weights are not finite after epoch {epoch}")
        record: dict[str, Any] = {"epoch": epoch, "train": means, "learning_rate": rate}
        scores = self._validated(epoch)
        if scores is not None:
            record["validation"] = scores
        record["seconds"] = round(time.monotonic() - started, 3)
        append_metrics(self.run, record)
        self._save(epoch, scores)
        self.epoch = epoch
        listener(EpochEnd(record))

    def _steps(self, epoch: int) -> Iterator[dict[str, float]]:
        self.network.train()
        for step, batch in enumerate(self.batches.epoch(epoch)):
            # Dropout draws from torch's own generator: seeded for each step, and given back.
            # Of one GPU: of all is the default, which would set up each of them.
            with torch.random.fork_rng(_gpus(self.runtime)):
                torch.manual_seed(_step_seed(self.config.seed, epoch, step))
                losses = self.step(batch.to(self.runtime.device))
            values = {"loss": float(losses.total.detach())}
            values |= {name: float(term.detach()) for name, term in losses.terms.items()}
            if not math.isfinite(values["loss"]):
                raise self._diverged(
                    f"the loss is {values['loss']} in epoch {epoch}, step {step + 1}"
                )
            yield values

    def _diverged(self, what: str) -> RunError:
        return RunError(
            what,
            where=self.run,
            remedy="Repeat the command to resume from the last epoch; if it comes again, begin a "
            "new run with a lower optimiser.learning_rate or with precision=fp32.",
        )

    def step(self, batch: Batch) -> Losses:
        """Forward, loss, backward, update."""
        self.optimiser.zero_grad(set_to_none=True)
        with self.runtime.autocast():
            outputs = self.network(batch.image)
        losses = multitask_loss(
            outputs,
            mask=batch.mask,
            has_mask=batch.has_mask,
            marker=batch.marker,
            weights=self.weights,
            settings=self.config.loss,
        )
        losses.total.backward()  # type: ignore[no-untyped-call]
        if self.config.optimiser.clip_norm:
            torch.nn.utils.clip_grad_norm_(
                self.network.parameters(), self.config.optimiser.clip_norm
            )
        self.optimiser.step()
        return losses

    def _set_rate(self, epoch: int) -> float:
        rate = learning_rate(self.config.optimiser, epoch - 1)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        return rate

    def _validated(self, epoch: int) -> Scores | None:
        due = epoch % self.config.validate_every == 0
        if not due and epoch != self.config.optimiser.epochs:
            return None
        try:
            return validate(
                self.network,
                self.store,
                self.split.validation,
                runtime=self.runtime,
                settings=self.config.inference,
            )
        except FloatingPointError as error:
            raise self._diverged(f"{error} after epoch {epoch}") from error

    def _save(self, epoch: int, scores: Scores | None) -> None:
        folder = self.run / "checkpoints"
        weights = {f"model.{k}": v for k, v in self.network.state_dict().items()}
        dice = scores["dice"] if scores else None
        better = dice is not None and (self.best_dice is None or dice > self.best_dice)
        # Where no validation case has a mask there is nothing to choose by: the latest is taken.
        blind = scores is not None and dice is None
        if better:
            self.best_dice = dice
        common: dict[str, Any] = {
            "epoch": epoch,
            "config": self.config,
            "classes": self.store.cohort.classes,
            "metrics": scores or {},
            "best_dice": self.best_dice,
        }
        if better or blind:
            save_checkpoint(folder, "best", weights, **common)
        save_checkpoint(folder, "last", weights | optimiser_tensors(self.optimiser), **common)


def _runtime(config: Config) -> Runtime:
    """The chosen runtime, in float32 where bf16 is known to go wrong."""
    runtime = choose_runtime(config.precision)
    # oneDNN's bf16 weight gradient of a 3×3×3 convolution reads memory that nobody wrote where the
    # first axis has 2 voxels (seen with torch 2.13): gradients of 1e35 or NaN.
    smallest = min(config.patches.size) // config.model.divisor
    if runtime.bf16 and runtime.device.type == "cpu" and smallest < 3:
        log.warning("patches.size is too small for bf16 on a processor: training in fp32")
        return Runtime(runtime.device, bf16=False)
    return runtime


def _gpus(runtime: Runtime) -> list[torch.device]:
    return [runtime.device] if runtime.device.type == "cuda" else []


def _step_seed(seed: int, epoch: int, step: int) -> int:
    return int(np.random.SeedSequence((seed, epoch, step)).generate_state(1)[0])
