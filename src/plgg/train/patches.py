"""Patches of a stored case: first a plan is sampled, then the patch is cut.

A `PatchPlan` holds position, mirroring, intensity changes and augmentation. The random generator is
passed in. Works on arrays; batches are made elsewhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from plgg.config import Label, PatchConfig
from plgg.data.inputs import FLAIR, Inputs
from plgg.data.labels import region
from plgg.data.store import Store
from plgg.data.store_arrays import OUTSIDE, decode
from plgg.train.augment import AugmentationParameters, apply_augmentation, sample_augmentation

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class PatchPlan:
    """Plan of one patch.

    Attributes:
        case_id: The case.
        start: First voxel in the brain box; may be negative where the box is smaller than the
            patch, which is then padded with background.
        size: Voxels of the patch.
        flips: Axes to mirror.
        scale: Factor on the z-scores.
        shift: Added to the z-scores, in σ, inside the brain.
        more: Factors and shifts of the further channels.
        channels: Sequences that are cut out, by name.
        dropped: Sequences that are blanked (channel dropout).
        offsets: Of the slice itself and its neighbours that are channels (`plgg.data.inputs`).
        lost: Offsets of neighbours that are blanked.
        change: Strong augmentation, applied before the mirroring.
    """

    case_id: str
    start: Triple
    size: Triple
    flips: tuple[int, ...] = ()
    scale: float = 1.0
    shift: float = 0.0
    change: AugmentationParameters | None = None
    more: tuple[tuple[float, float], ...] = ()
    channels: tuple[str, ...] = ("flair",)
    dropped: tuple[str, ...] = ()
    offsets: tuple[int, ...] = (0,)
    lost: tuple[int, ...] = ()


@dataclass(frozen=True, eq=False)
class Patch:
    """A patch that was cut.

    Attributes:
        image: z-scores, float32, shape (C, I, J, K), C counting neighbouring slices too.
        mask: Tumour, float32, shape (I, J, K); zeros where it is unknown.
        regions: Of each label, the whole tumour first, float32, shape (R, I, J, K); None without.
    """

    image: NDArray[np.float32]
    mask: NDArray[np.float32]
    regions: NDArray[np.float32] | None = None


def sample_plan(
    store: Store,
    case_id: str,
    settings: PatchConfig,
    rng: np.random.Generator,
    inputs: Inputs = FLAIR,
) -> PatchPlan:
    """Sample a plan: a patch uniformly in the brain box, or near a tumour voxel.

    Args:
        store: Store of the case.
        case_id: Its name.
        settings: Size, position and augmentation.
        rng: Random generator.
        inputs: Sequences and neighbouring slices that are cut out.
    """
    channels = inputs.channels
    shape = store.by_id[case_id].shape
    start = _uniform_start(shape, settings.size, rng)
    if settings.tumour_share and rng.random() < settings.tumour_share:
        start = _tumour_start(store, case_id, settings.size, rng) or start
    random = settings.augmentation
    flips = tuple(axis for axis in random.flip_axes if rng.random() < random.flip)
    scale = 1.0 + random.scale * rng.uniform(-1, 1)
    shift = random.shift * rng.uniform(-1, 1)
    change = sample_augmentation(random, rng, in_plane=settings.size[2] == 1)
    # Drawn last, so that results with one channel are those of versions without further ones.
    more = tuple(
        (1.0 + random.scale * rng.uniform(-1, 1), random.shift * rng.uniform(-1, 1))
        for _ in channels[1:]
    )
    dropped = _dropped(_present(store, case_id, channels), settings.channels_dropout, rng)
    offsets: tuple[int, ...] = (0,)
    if inputs.neighbours:
        offsets = inputs.offsets(store.placement(case_id).slice_mm)
    lost = tuple(offset for offset in offsets[1:] if rng.random() < random.neighbour_dropout)
    return PatchPlan(
        case_id,
        start,
        settings.size,
        flips,
        scale,
        shift,
        change,
        more,
        channels,
        dropped,
        offsets,
        lost,
    )


def _present(store: Store, case_id: str, channels: tuple[str, ...]) -> list[str]:
    there = store.by_id[case_id].channels or ("flair",)
    return [name for name in channels if name in there]


def _dropped(present: list[str], chance: float, rng: np.random.Generator) -> tuple[str, ...]:
    """Channels to drop, each with that probability, except one that is drawn to stay."""
    if not chance or len(present) < 2:
        return ()
    stays = present[int(rng.integers(len(present)))]
    return tuple(name for name in present if rng.random() < chance and name != stays)


def _uniform_start(shape: Triple, size: Triple, rng: np.random.Generator) -> Triple:
    i, j, k = (_start(n, side, rng) for n, side in zip(shape, size, strict=True))
    return i, j, k


def _start(n: int, side: int, rng: np.random.Generator) -> int:
    """Uniform start along an axis; a box smaller than the patch lies anywhere within the patch."""
    return int(rng.integers(min(0, n - side), max(0, n - side) + 1))


def _tumour_start(
    store: Store, case_id: str, size: Triple, rng: np.random.Generator
) -> Triple | None:
    mask = store.mask(case_id)
    if mask is None or not mask.any():
        return None
    voxels = np.flatnonzero(mask)
    voxel = np.unravel_index(int(rng.choice(voxels)), mask.shape)
    starts = []
    for centre, n, side in zip(voxel, mask.shape, size, strict=True):
        wanted = int(centre) - int(rng.integers(side // 4, side - side // 4))
        starts.append(int(np.clip(wanted, min(0, n - side), max(0, n - side))))
    return starts[0], starts[1], starts[2]


def cut_patch(store: Store, plan: PatchPlan, labels: Sequence[Label] = ()) -> Patch:
    """Cut a patch and the regions of labels, reading only the part of the store it covers."""
    codes = _codes(store, plan)
    box, place = _overlap(store.by_id[plan.case_id].shape, plan)
    mask = np.zeros((max(1, len(labels)), *plan.size), dtype=np.float32)
    known = _regions(store, plan.case_id, box, labels)
    if known is not None:
        mask[:, *place] = known
    image, brain = decode(codes), codes != OUTSIDE
    if plan.change is not None:
        n_sequences = len(plan.channels)
        image, brain, mask = apply_augmentation(image, brain, mask, plan.change, n_sequences)
    alike = [(plan.scale, plan.shift), *plan.more] * len(plan.offsets)
    for channel, (scale, shift) in enumerate(alike):
        values, inside = image[channel], brain[channel]
        values[inside] = values[inside] * np.float32(scale) + np.float32(shift)
    if plan.flips:
        image = np.flip(image, tuple(axis + 1 for axis in plan.flips))
        mask = np.flip(mask, tuple(axis + 1 for axis in plan.flips))
    regions = np.ascontiguousarray(mask)
    return Patch(np.ascontiguousarray(image), regions[0], regions if labels else None)


def _regions(
    store: Store, case_id: str, box: tuple[slice, slice, slice], labels: Sequence[Label]
) -> NDArray[np.generic] | None:
    """The regions of labels in a part of a case; without labels, the tumour is the only region."""
    if not labels:
        mask = store.mask(case_id, box)
        return None if mask is None else mask[None]
    numbers, made = store.labels(case_id, box), store.cohort.labels
    if numbers is None:
        return None
    return np.stack([region(numbers, made, made.index(label)) for label in labels])


def _codes(store: Store, plan: PatchPlan) -> NDArray[np.int8]:
    """Codes of a patch and of its neighbouring slices, read in one piece."""
    reach = max(map(abs, plan.offsets))
    i, j, k = plan.start
    wide = replace(plan, start=(i, j, k - reach), size=(*plan.size[:2], plan.size[2] + 2 * reach))
    box, place = _overlap(store.by_id[plan.case_id].shape, wide)
    codes = np.full((len(plan.channels), *wide.size), OUTSIDE, dtype=np.int8)
    codes[:, *place] = store.channels(plan.case_id, plan.channels, box)
    codes[[plan.channels.index(name) for name in plan.dropped]] = OUTSIDE
    shown = []
    for offset in plan.offsets:
        own = codes[..., reach + offset : reach + offset + plan.size[2]]
        shown.append(np.full_like(own, OUTSIDE) if offset in plan.lost else own)
    return np.concatenate(shown)


def shows_tumour(store: Store, plan: PatchPlan) -> bool:
    """Whether a patch holds tumour, before augmentation; True where the mask is unknown."""
    box, _ = _overlap(store.by_id[plan.case_id].shape, plan)
    known = store.mask(plan.case_id, box)
    return known is None or bool(known.any())


def _overlap(
    shape: Triple, plan: PatchPlan
) -> tuple[tuple[slice, slice, slice], tuple[slice, slice, slice]]:
    source, target = [], []
    for n, start, side in zip(shape, plan.start, plan.size, strict=True):
        low = min(max(start, 0), n)
        high = max(low, min(start + side, n))
        source.append(slice(low, high))
        target.append(slice(low - start, high - start))
    return (source[0], source[1], source[2]), (target[0], target[1], target[2])
