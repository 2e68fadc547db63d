"""Batches of an epoch: the cases in random order, with patches cut in advance by threads.

Epoch `e` of seed `s` is the same on every machine, for any number of threads and after a resumed
run, because each patch has a generator of its own. A batch may be divided among several processes,
and into several pieces in each. Every piece has the counts of the whole batch, so that the losses
of all pieces add up to that of the batch.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from torch import Tensor

from plgg.config import SEGMENTATION, PatchConfig
from plgg.core.patient import patient_inputs
from plgg.data.inputs import FLAIR, Inputs, append_constant_channels, one_hot
from plgg.data.manifest import target_text
from plgg.data.store import Store
from plgg.tasks.base import AuxiliaryTask, Target
from plgg.tasks.mask_task import MaskTask, scan_level_tasks
from plgg.train.patches import Patch, PatchPlan, cut_patch, sample_plan, shows_tumour

UNKNOWN = -1
Indices = NDArray[np.int64]
_Seeds = Sequence[np.random.SeedSequence]
_BATCHES_AHEAD = 2


@dataclass(frozen=True)
class Share:
    """The part of every batch that a process trains on, and its number of pieces.

    Attributes:
        rank: Number of the process, from 0.
        processes: Number of processes that share a batch.
        pieces: Pieces that each process divides its part into.
    """

    rank: int = 0
    processes: int = 1
    pieces: int = 1


@dataclass(frozen=True, eq=False)
class Batch:
    """Patches and their targets, of a whole batch or a piece of one.

    Attributes:
        image: z-scores.
        targets: By task: values, and whether they are known; of the segmentation masks of 0 and 1,
            a channel and a column of `known` for each label where there are any.
        conditioning_class: Index of the patient's class, whatever the patch shows, or -1.
        patient: Age and sex as `plgg.core.patient` gives them.
        seeds: One for each patch, for dropout in the network.
        n_known: By task, the number of targets in the whole batch that are trained on.
        is_padding: Whether this is a filler without targets, so that all processes run each step.
    """

    image: Float[Tensor, "batch c i j k"]
    targets: dict[str, Target]
    conditioning_class: Int[Tensor, " batch"]
    patient: Float[Tensor, "batch 4"]
    seeds: Int[Tensor, " batch"]
    n_known: dict[str, int]
    is_padding: bool = False

    @property
    def mask(self) -> Float[Tensor, "batch 1 i j k"]:
        """Tumour, 0 or 1; meaningless where `has_mask` is False."""
        return self.targets[SEGMENTATION].value[:, :1]

    @property
    def has_mask(self) -> Tensor:
        """Whether the mask of a patch is known."""
        known = self.targets[SEGMENTATION].known
        return known if known.ndim == 1 else known[:, 0]

    def to(self, device: torch.device) -> Batch:
        """The same batch on a device."""
        layout = torch.channels_last_3d
        return Batch(
            self.image.to(device, non_blocking=True, memory_format=layout),
            {name: target.to(device) for name, target in self.targets.items()},
            self.conditioning_class.to(device),
            self.patient.to(device),
            self.seeds,
            self.n_known,
            self.is_padding,
        )


class EpochBatches:
    """The batches of one epoch.

    Args:
        store: Where the cases lie.
        cases: Cases of the training part.
        settings: Patch size, batch size, sampling, augmentation.
        seed: Seed of the run.
        workers: Threads that cut patches in advance.
        share: The part of each batch for this process.
        tasks: Auxiliary tasks; none by default.
        inputs: Channels of the patches.
    """

    def __init__(
        self,
        store: Store,
        cases: Sequence[str],
        settings: PatchConfig,
        *,
        seed: int,
        workers: int,
        share: Share | None = None,
        tasks: Mapping[str, AuxiliaryTask] | None = None,
        inputs: Inputs = FLAIR,
    ) -> None:
        self.store, self.inputs, self.labels = store, inputs, inputs.labels
        self.cases = _epoch_cases(store, sorted(cases), settings)
        self.settings = settings
        self.seed = seed
        self.workers = workers
        self.share = share or Share()
        self._classes = {name: index for index, name in enumerate(store.cohort.classes)}
        self.tasks = scan_level_tasks(tasks or {})
        self.of_mask = {n: t for n, t in (tasks or {}).items() if isinstance(t, MaskTask)}
        # Encoded target of each task for each case; NaN where it is unknown.
        self._values = {
            name: {
                case: task.encode(target_text(store.by_id[case], task.record.column))
                for case in set(self.cases)
            }
            for name, task in self.tasks.items()
        }

    def __len__(self) -> int:
        return -(-len(self.cases) // self.settings.batch)

    def epoch(self, epoch: int) -> Iterator[list[Batch]]:
        """Yield this process' pieces of each batch of an epoch; the last one may be smaller."""
        root = np.random.SeedSequence(self.seed, spawn_key=(epoch,))
        order_seed, *patch_seeds = root.spawn(len(self.cases) + 1)
        order = np.random.default_rng(order_seed).permutation(len(self.cases))
        if self.settings.outlined_share:
            order = _interleave(order, [self.store.by_id[self.cases[i]].has_mask for i in order])
        size = self.settings.batch
        groups = [order[first : first + size] for first in range(0, len(order), size)]
        with ThreadPoolExecutor(self.workers) as pool:
            ahead: deque[list[_Piece]] = deque()
            for group in groups:
                parts = self._parts(group, patch_seeds)
                ahead.append([self._begin(pool, part, patch_seeds) for part in parts])
                if len(ahead) > _BATCHES_AHEAD:
                    yield [piece.batch(self) for piece in ahead.popleft()]
            while ahead:
                yield [piece.batch(self) for piece in ahead.popleft()]

    def _parts(self, group: Indices, seeds: _Seeds) -> list[_Part]:
        """This process' pieces of a batch: indices of patches, and counts of the whole batch."""
        share = self.share
        n_masks = sum(self.store.by_id[self.cases[i]].has_mask for i in group)
        n_known = dict.fromkeys((SEGMENTATION, *self.of_mask), n_masks)
        if self.labels:
            n_known[SEGMENTATION] = sum(sum(self.known_labels(self.cases[i])) for i in group)
        asked = [self._is_labelled_patch(int(i), seeds[i]) for i in group]
        for name in self.tasks:
            values = [self._values[name][self.cases[i]] for i in group]
            n_known[name] = sum(
                ask and math.isfinite(v) for ask, v in zip(asked, values, strict=True)
            )
        dealt = np.array_split(group, share.processes * share.pieces)
        mine = dealt[share.rank * share.pieces : (share.rank + 1) * share.pieces]
        # Every process must run every step: one without a patch gets a filler without targets.
        return [_Part(part if part.size else group[:1], not part.size, n_known) for part in mine]

    def _begin(self, pool: ThreadPoolExecutor, part: _Part, seeds: _Seeds) -> _Piece:
        futures = [pool.submit(self._patch, int(i), seeds[i]) for i in part.indices]
        asked = [self._is_labelled_patch(int(i), seeds[i]) for i in part.indices]
        # A child of the patch's seed: cutting draws from the seed itself.
        inner = [int(seeds[i].spawn(1)[0].generate_state(1)[0]) for i in part.indices]
        return _Piece(part, futures, asked, inner)

    def _plan(self, index: int, seed: np.random.SeedSequence) -> PatchPlan:
        rng = np.random.default_rng(seed)
        return sample_plan(self.store, self.cases[index], self.settings, rng, self.inputs)

    def _patch(self, index: int, seed: np.random.SeedSequence) -> _PatchTargets:
        patch = cut_patch(self.store, self._plan(index, seed), self.labels)
        if not self.of_mask:
            return _PatchTargets(patch)
        spacing_mm = self.store.placement(self.cases[index]).spacing_mm
        named = self.of_mask.items()
        return _PatchTargets(
            patch, {n: task.mask_target(patch.mask, spacing_mm) for n, task in named}
        )

    def _is_labelled_patch(self, index: int, seed: np.random.SeedSequence) -> bool:
        """Whether column tasks are trained on a patch: always, or only if it shows tumour."""
        if not self.tasks or self.settings.marker_from == "all":
            return True
        return shows_tumour(self.store, self._plan(index, seed))

    def known_labels(self, case_id: str) -> list[bool]:
        """For each label, whether the mask of a case annotates it."""
        case = self.store.by_id[case_id]
        return [case.has_mask and label.name in case.labels for label in self.labels]

    def masks(self, patches: Sequence[Patch], cases: Sequence[str], *, known: bool) -> Target:
        """Segmentation targets of patches, all of them unknown unless `known`."""
        if self.labels:
            told = torch.tensor([self.known_labels(case) for case in cases])
            regions = np.stack([patch.regions for patch in patches if patch.regions is not None])
            return Target(torch.from_numpy(regions), told & known)
        there = [known and self.store.by_id[case].has_mask for case in cases]
        return Target(
            torch.from_numpy(np.stack([patch.mask for patch in patches])[:, None]),
            torch.tensor(there),
        )

    def values(self, name: str, cases: Sequence[str], known: Sequence[bool]) -> Target:
        """Targets of a task, unknown where `known` is False."""
        values = torch.tensor([self._values[name][case] for case in cases], dtype=torch.float64)
        there = torch.isfinite(values) & torch.tensor(known)
        return Target(torch.where(there, values, 0.0), there)

    def marker_index(self, case_id: str) -> int:
        """Index of a case's marker class, -1 where it is unknown."""
        marker = self.store.by_id[case_id].marker
        return self._classes[marker] if marker else UNKNOWN

    def image(self, case_id: str, patch: Patch) -> NDArray[np.float32]:
        """Image of a patch, with planes of the true marker if they are an input."""
        if not self.inputs.marker_planes:
            return patch.image
        marker = self.store.by_id[case_id].marker
        return append_constant_channels(patch.image, one_hot(marker, tuple(self._classes)))

    def patient(self, case_id: str) -> NDArray[np.float32]:
        """Encoded age and sex of a case's patient, shape (4,)."""
        case = self.store.by_id[case_id]
        return patient_inputs(case.age_years, case.sex)


def _epoch_cases(store: Store, cases: Sequence[str], settings: PatchConfig) -> list[str]:
    """The case of each patch of an epoch: all equally often, cases with masks more if asked for."""
    crops = [*cases] * settings.per_case
    outlined = [case for case in crops if store.by_id[case].has_mask]
    share = settings.outlined_share
    wanted = math.ceil(share / (1.0 - share) * (len(crops) - len(outlined)))
    more = itertools.islice(itertools.cycle(outlined), max(wanted - len(outlined), 0))
    return [*crops, *more]


def _interleave(order: Indices, outlined: Sequence[bool]) -> Indices:
    """Interleave cases with and without mask, so that each batch has a similar share of both."""
    kinds = np.asarray(outlined)
    place = np.empty(len(order))
    for kind in (True, False):
        n = int((kinds == kind).sum())
        place[kinds == kind] = (np.arange(n) + 0.5) / max(n, 1)
    return order[np.argsort(place, kind="stable")]


@dataclass(frozen=True, eq=False)
class _PatchTargets:
    """A patch, and targets of tasks that are computed from its mask."""

    patch: Patch
    of_mask: dict[str, NDArray[np.float32]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Part:
    """Indices of the patches of a piece; `is_padding` marks a filler without targets."""

    indices: Indices
    is_padding: bool
    n_known: dict[str, int]


@dataclass(frozen=True, eq=False)
class _Piece:
    """A piece whose patches are being cut by threads."""

    part: _Part
    futures: list[Future[_PatchTargets]]
    asked: list[bool]
    seeds: list[int]

    def batch(self, batches: EpochBatches) -> Batch:
        """Wait for the patches."""
        found = [future.result() for future in self.futures]
        patches = [one.patch for one in found]
        cases = [batches.cases[index] for index in self.part.indices]
        known = not self.part.is_padding
        conditioning_class = [batches.marker_index(case) for case in cases]
        masks = batches.masks(patches, cases, known=known)
        there = masks.known if masks.known.ndim == 1 else masks.known[:, 0]
        values = {n: np.stack([one.of_mask[n] for one in found]) for n in batches.of_mask}
        of_mask = {n: Target(torch.from_numpy(v), there) for n, v in values.items()}
        asked = [known and asked for asked in self.asked]
        others = {name: batches.values(name, cases, asked) for name in batches.tasks}
        return Batch(
            image=torch.from_numpy(
                np.stack([batches.image(c, p) for c, p in zip(cases, patches, strict=True)])
            ),
            targets={SEGMENTATION: masks, **of_mask, **others},
            conditioning_class=torch.tensor(conditioning_class),
            patient=torch.from_numpy(np.stack([batches.patient(c) for c in cases])),
            seeds=torch.tensor(self.seeds),
            n_known=self.part.n_known,
            is_padding=self.part.is_padding,
        )
