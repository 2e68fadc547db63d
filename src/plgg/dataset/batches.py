"""An epoch of batches: every case in random order, patches cut ahead of need by threads.

Epoch `e` of seed `s` is the same on every machine, however many threads cut it and wherever the
run was resumed, because each patch has a generator of its own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from plgg.config import PatchConfig
from plgg.dataset.patches import Patch, cut, sample_plan
from plgg.io.store import Store

UNKNOWN = -1
_BATCHES_AHEAD = 2


@dataclass(frozen=True, eq=False)
class Batch:
    """Patches and what is known of them.

    Attributes:
        image: z-scores.
        mask: Tumour, 0 or 1; meaningless where `has_mask` is False.
        has_mask: Whether the mask of a patch is known.
        marker: Index of the class, or -1 where unknown.
    """

    image: Float[Tensor, "batch 1 i j k"]
    mask: Float[Tensor, "batch 1 i j k"]
    has_mask: Tensor
    marker: Int[Tensor, " batch"]

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        layout = torch.channels_last_3d
        return Batch(
            self.image.to(device, non_blocking=True, memory_format=layout),
            self.mask.to(device, non_blocking=True),
            self.has_mask.to(device),
            self.marker.to(device),
        )


class EpochBatches:
    """The batches of one epoch.

    Args:
        store: Where the cases lie.
        cases: Cases of the training part.
        settings: Patch size, batch size, sampling, augmentation.
        seed: Seed of the run.
        workers: Threads that cut patches ahead.
    """

    def __init__(
        self, store: Store, cases: Sequence[str], settings: PatchConfig, *, seed: int, workers: int
    ) -> None:
        self.store = store
        self.cases = sorted(cases) * settings.per_case
        self.settings = settings
        self.seed = seed
        self.workers = workers

    def __len__(self) -> int:
        return -(-len(self.cases) // self.settings.batch)

    def epoch(self, epoch: int) -> Iterator[Batch]:
        """Yield the batches of an epoch; the last one may be smaller."""
        root = np.random.SeedSequence(self.seed, spawn_key=(epoch,))
        order_seed, *patch_seeds = root.spawn(len(self.cases) + 1)
        order = np.random.default_rng(order_seed).permutation(len(self.cases))
        size = self.settings.batch
        groups = [order[first : first + size] for first in range(0, len(order), size)]
        with ThreadPoolExecutor(self.workers) as pool:
            ahead: deque[tuple[list[str], list[Future[Patch]]]] = deque()
            for group in groups:
                futures = [pool.submit(self._patch, int(i), patch_seeds[i]) for i in group]
                ahead.append(([self.cases[i] for i in group], futures))
                if len(ahead) > _BATCHES_AHEAD:
                    yield self._batch(*ahead.popleft())
            while ahead:
                yield self._batch(*ahead.popleft())

    def _patch(self, index: int, seed: np.random.SeedSequence) -> Patch:
        rng = np.random.default_rng(seed)
        return cut(self.store, sample_plan(self.store, self.cases[index], self.settings, rng))

    def _batch(self, cases: list[str], futures: list[Future[Patch]]) -> Batch:
        patches = [future.result() for future in futures]
        records = [self.store.by_id[case] for case in cases]
        classes = {name: index for index, name in enumerate(self.store.cohort.classes)}
        return Batch(
            image=torch.from_numpy(np.stack([patch.image for patch in patches])[:, None]),
            mask=torch.from_numpy(np.stack([patch.mask for patch in patches])[:, None]),
            has_mask=torch.tensor([record.has_mask for record in records]),
            marker=torch.tensor(
                [classes[record.marker] if record.marker else UNKNOWN for record in records]
            ),
        )
