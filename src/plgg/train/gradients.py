"""Gradients of one training step: micro-batches, processes, task weights; means over an epoch.

Fills `.grad` of the network's parameters; the optimiser is called elsewhere.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import combinations
from typing import TypeVar

import torch
from jaxtyping import Float
from torch import Tensor

from plgg.model.device import Runtime
from plgg.model.network import MultitaskNet
from plgg.tasks.base import Task
from plgg.tasks.losses import task_losses, total_loss
from plgg.tasks.weighting.base import Weighting
from plgg.tasks.weighting.gradient_cap import GradientCap
from plgg.train.batches import Batch
from plgg.train.distributed import ProcessGroup


@dataclass(frozen=True)
class StepResult:
    """Losses and gradient norms of one training step, over the whole batch.

    Attributes:
        losses: `loss`, the weighted total, and the loss of each task.
        gradients: Norm of each task's unweighted gradient on the encoder, and their `cosine`, with
            more than two tasks `cosine_ONE_OTHER`; None where they were not computed separately.
    """

    losses: dict[str, float]
    gradients: dict[str, float] | None

    @property
    def tasks(self) -> dict[str, float]:
        """Losses without the total."""
        return {name: value for name, value in self.losses.items() if name != "loss"}


class TaskGradients:
    """Gradients of a network's losses.

    Args:
        network: The network to train.
        group: The processes that share a batch.
        runtime: Device and precision.
        tasks: Of the network, the segmentation first.
        weighting: Weighting of the tasks.
        cap: Cap on the gradients of some tasks on the encoder.
    """

    def __init__(
        self,
        network: MultitaskNet,
        *,
        group: ProcessGroup,
        runtime: Runtime,
        tasks: Mapping[str, Task],
        weighting: Weighting,
        cap: GradientCap | None = None,
    ) -> None:
        self.network, self.group, self.runtime = network, group, runtime
        self.tasks, self.weighting, self.cap = dict(tasks), weighting, cap
        self.forward = group.join(network)
        self.parameters = [p for p in network.parameters() if p.requires_grad]
        encoder = {id(p) for p in network.encoder_parameters()}
        shared = [torch.full((p.numel(),), id(p) in encoder) for p in self.parameters]
        self._shared = torch.cat(shared).to(runtime.device)

    def backward(self, pieces: Sequence[Batch], *, apart: bool = False) -> StepResult:
        """Compute the gradient of a batch.

        Args:
            pieces: This process' pieces of it.
            apart: Compute the tasks' gradients separately, to measure them; the sum is the same.
        """
        weights = self.weighting.weights()
        if len(weights) > 1 and (apart or self.weighting.separate or self.cap):
            losses, gradients = self._backward_per_task(pieces, weights)
        else:
            losses, gradients = self._backward_total(pieces, weights), None
        self.network.update_running_stats(self.group.sum)
        values = dict(zip(weights, self.group.sum(losses).tolist(), strict=True))
        total = sum(weights[task] * value for task, value in values.items())
        return StepResult({"loss": total, **values}, gradients)

    def _backward_total(self, pieces: Sequence[Batch], weights: dict[str, float]) -> Tensor:
        """One backward pass of the weighted sum."""
        sums = torch.zeros(len(weights), device=self.runtime.device)
        for number, piece in enumerate(pieces, start=1):
            last = number == len(pieces)
            with nullcontext() if last else self.group.no_sync(self.forward):
                losses = self._losses(piece)
                total = total_loss(losses, weights)
                # The processes' gradients are averaged, but the batch's loss is their sum.
                (total * self.group.size).backward()  # type: ignore[no-untyped-call]
            sums += torch.stack([losses[task].detach() for task in weights])
        return sums

    def _backward_per_task(
        self, pieces: Sequence[Batch], weights: dict[str, float]
    ) -> tuple[Tensor, dict[str, float]]:
        """One backward pass for each task."""
        sums = torch.zeros(len(weights), device=self.runtime.device)
        rows = torch.zeros(len(weights), len(self._shared), device=self.runtime.device)
        for piece in pieces:
            with self.group.no_sync(self.forward):
                losses = self._losses(piece)
            for row, task in enumerate(weights):
                again = row + 1 < len(weights)
                rows[row] += self._gradient(losses[task], again=again)
            sums += torch.stack([losses[task].detach() for task in weights])
        rows = self.group.sum(rows)
        weighted = rows * torch.tensor(list(weights.values()), device=rows.device)[:, None]
        found, shared = weighted.sum(dim=0), weighted[:, self._shared]
        shared = self.cap.apply(shared, list(weights)) if self.cap else shared
        found[self._shared] = self.weighting.combine(shared)
        self._set(found)
        return sums, _gradient_norms(rows[:, self._shared], list(weights))

    def _gradient(self, loss: Tensor, *, again: bool) -> Float[Tensor, " n"]:
        found = torch.autograd.grad(loss, self.parameters, retain_graph=again, allow_unused=True)
        flat = [
            torch.zeros(p.numel(), device=p.device) if g is None else g.float().reshape(-1)
            for p, g in zip(self.parameters, found, strict=True)
        ]
        return torch.cat(flat)

    def _set(self, flat: Float[Tensor, " n"]) -> None:
        parts = torch.split(flat, [p.numel() for p in self.parameters])
        for parameter, part in zip(self.parameters, parts, strict=True):
            # In the parameter's memory layout, as a fused optimiser requires.
            parameter.grad = torch.empty_like(parameter).copy_(part.view(parameter.shape))

    def _losses(self, piece: Batch) -> dict[str, Tensor]:
        self.network.seed_dropout(piece.seeds, counted=not piece.is_padding)
        with self.runtime.autocast():
            outputs = self.forward(piece.image, piece.patient, piece.conditioning_class)
        return task_losses(self.tasks, outputs, piece.targets, n_known=piece.n_known)


def _gradient_norms(rows: Float[Tensor, "tasks n"], tasks: Sequence[str]) -> dict[str, float]:
    norms = rows.norm(dim=1)
    found = dict(zip(tasks, norms.tolist(), strict=True))
    pairs = list(combinations(range(len(tasks)), 2))
    for one, other in pairs:
        name = "cosine" if len(pairs) == 1 else f"cosine_{tasks[one]}_{tasks[other]}"
        scale = float(norms[[one, other]].prod())
        # A task without gradient on the encoder has no direction.
        found[name] = float(rows[one] @ rows[other]) / scale if scale else 0.0
    return found


_Item = TypeVar("_Item")


class RunningMeans:
    """Running means of losses and gradient norms over the steps of an epoch."""

    def __init__(self) -> None:
        self.losses: dict[str, float] = {}
        self.gradients: dict[str, float] | None = None
        self.waited = 0.0
        self._n_losses = 0
        self._n_gradients = 0

    @property
    def tasks(self) -> dict[str, float]:
        """Losses without the total."""
        return {name: value for name, value in self.losses.items() if name != "loss"}

    def add(self, found: StepResult) -> None:
        """Add one step to the means."""
        self._n_losses += 1
        self.losses = _update_means(self.losses, found.losses, self._n_losses)
        if found.gradients is not None:
            self._n_gradients += 1
            self.gradients = _update_means(self.gradients or {}, found.gradients, self._n_gradients)

    def waiting(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """Yield the items, and add the time that each was waited for to `waited`."""
        iterator = iter(items)
        while True:
            started = time.monotonic()
            try:
                item = next(iterator)
            except StopIteration:
                return
            self.waited += time.monotonic() - started
            yield item


def _update_means(means: dict[str, float], new: dict[str, float], n: int) -> dict[str, float]:
    return {key: (old := means.get(key, value)) + (value - old) / n for key, value in new.items()}
