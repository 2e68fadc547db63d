"""One pass where it fits into memory, else the largest windows that do: measured, not guessed.

A small box is run through the engine that will be used, on the machine that it will be used on, and
its peak scaled up by the number of voxels. What every pass takes whatever its size is scaled with
it, so that the estimate errs upwards (docs/export.md). Knows nothing of networks.
"""

from __future__ import annotations

import logging
from math import prod
from weakref import WeakKeyDictionary

import numpy as np

from plgg.config import InferenceConfig
from plgg.errors import RunError
from plgg.infer.engines.engine import Engine

log = logging.getLogger(__name__)

Shape = tuple[int, int, int]
GIB = 2**30
# Of what is free; the rest is for what else goes on meanwhile.
_SHARE = 0.8
# What the C library loses between blocks of unlike sizes, of which a small box shows little.
LOST = 1.4
# The box that is measured: about this share of the voxels, but at least so many voxels of the
# bottleneck along each axis, for what is taken whatever the size would drown the rest.
_PROBE_SHARE = 1 / 27
_PROBE_CELLS = 6
# A window holds at least so many of them along each axis: in less there is nothing to see.
_WINDOW_CELLS = 4
_known: WeakKeyDictionary[Engine, float] = WeakKeyDictionary()


def window_for(engine: Engine, shape: Shape, settings: InferenceConfig) -> Shape | None:
    """The window to predict a box by; None is one pass over all of it.

    Args:
        engine: What will run.
        shape: Of the box, any numbers.
        settings: A window that is set is taken as it is.

    Raises:
        RunError: If not even a small window fits into memory.
    """
    if settings.window is not None:
        return settings.window
    whole = padded(shape, engine.divisor)
    a_voxel = bytes_per_voxel(engine, whole)
    need = a_voxel * prod(whole)
    budget = _budget(engine, settings, need)
    if need <= budget:
        return None
    smallest = _WINDOW_CELLS * engine.divisor
    window = largest_window(whole, budget / a_voxel, step=engine.divisor, smallest=smallest)
    if window is None:
        raise RunError(
            f"a window of {smallest} voxels a side needs {a_voxel * smallest**3 / GIB:.2g} GiB, "
            f"and {budget / GIB:.2g} GiB may be used",
            where=engine.name,
            remedy="Close other programs, or raise inference.memory_gib.",
        )
    log.warning(
        "one pass over %s voxels needs %.2g GiB and %.2g GiB may be used: windows of %s instead",
        *("×".join(map(str, whole)), need / GIB, budget / GIB, "×".join(map(str, window))),
    )
    return window


def bytes_per_voxel(engine: Engine, whole: Shape) -> float:
    """Peak memory of a pass over its voxels; measured at the first call for an engine.

    Args:
        engine: What will run.
        whole: Of the first box that it will run on; decides how large a box is measured.
    """
    if engine not in _known:
        probe = _probe(whole, engine.divisor)
        image = np.random.default_rng(0).standard_normal(probe, dtype=np.float32)
        # Twice: the first run of all also takes what is taken only once.
        peak = max(min(engine.meter.peak(lambda: engine(image)) for _ in range(2)), 1)
        _known[engine] = LOST * peak / prod(probe)
        log.info("%s: %.0f bytes a voxel, measured on %s", engine.name, _known[engine], probe)
    return _known[engine]


def padded(shape: Shape, divisor: int) -> Shape:
    """The shape with every side rounded up to a multiple."""
    i, j, k = (n + -n % divisor for n in shape)
    return i, j, k


def largest_window(whole: Shape, n_voxels: float, *, step: int, smallest: int) -> Shape | None:
    """The box with as few axes shortened as can be, until no more than `n_voxels` are left.

    Left to right first, front to back next: on a trained network a slab that holds whole halves of
    the brain is nearer to one pass than a cube of the same size. Each axis down to a third, and
    only when all are there further.

    Args:
        whole: Multiples of `step`.
        n_voxels: The most that a window may hold.
        step: By how much an axis is shortened.
        smallest: No axis is made shorter than this.

    Returns:
        None where that cannot be.
    """
    window = list(whole)
    for share in (1 / 3, 0.0):
        for axis in range(3):
            floor = max(smallest, share * whole[axis])
            while prod(window) > n_voxels and window[axis] - step >= floor:
                window[axis] -= step
    i, j, k = window
    return (i, j, k) if prod(window) <= n_voxels else None


def _budget(engine: Engine, settings: InferenceConfig, need: float) -> float:
    if settings.memory_gib is not None:
        return settings.memory_gib * GIB
    budget = _SHARE * engine.meter.free()
    if need > budget:
        # What earlier passes have left may do.
        engine.meter.release()
        budget = _SHARE * engine.meter.free()
    return budget


def _probe(whole: Shape, divisor: int) -> Shape:
    scale = _PROBE_SHARE ** (1 / 3)
    fewest = _PROBE_CELLS * divisor
    i, j, k = (min(n, max(fewest, round(n * scale / divisor) * divisor)) for n in whole)
    return i, j, k
