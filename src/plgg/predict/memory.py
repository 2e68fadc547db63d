"""One pass where it fits into memory, else the largest windows that do.

On Linux the kernel is asked: it keeps the largest resident memory of a process and lets it be
reset. Elsewhere a thread looks every millisecond.
"""

from __future__ import annotations

import logging
import re
import threading
from functools import partial
from math import prod
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import psutil
import torch

from plgg.config import InferenceConfig
from plgg.core.errors import RunError
from plgg.model.device import return_memory, returning_memory
from plgg.predict.engine import Engine, Meter, Step

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# From the kernel's documentation of /proc/PID/clear_refs.
_RESET_PEAK = "5"
_TICK_SECONDS = 0.001


def host_free_bytes() -> int:
    """Memory that this process could still take without swapping, or being killed."""
    available = int(psutil.virtual_memory().available)
    within = container_free_bytes(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    return available if within is None else min(available, within)


def container_free_bytes(mount: Path, membership: Path) -> int | None:
    """What the limits on this process' control groups leave, both versions of them.

    Args:
        mount: Where control groups are mounted.
        membership: Which of them this process is in.

    Returns:
        None where nothing limits.
    """
    left = [
        limit - used
        for folder in _groups(mount, membership)
        for limit, used in [(_limit(folder), _used(folder))]
        if limit is not None and used is not None
    ]
    return max(min(left), 0) if left else None


def _groups(mount: Path, membership: Path) -> list[Path]:
    """The process' own group and those above, up to the mount: in a container that is its own."""
    if not membership.is_file():
        return []
    found: list[Path] = []
    for line in membership.read_text(encoding="utf-8").splitlines():
        _, controllers, place = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = mount / "memory" if controllers else mount
        own = root / place.lstrip("/")
        found += [own, *(above for above in own.parents if above.is_relative_to(root))]
    return found


def _limit(folder: Path) -> int | None:
    # "max" is no limit; the older version writes a huge number instead, which limits nothing.
    return _number(folder / "memory.max", folder / "memory.limit_in_bytes")


def _used(folder: Path) -> int | None:
    """Without the files that the kernel keeps in memory only as long as nobody wants it."""
    used = _number(folder / "memory.current", folder / "memory.usage_in_bytes")
    statistics = folder / "memory.stat"
    if used is None or not statistics.is_file():
        return used
    lines = dict(line.split() for line in statistics.read_text(encoding="utf-8").splitlines())
    return used - int(lines.get("total_inactive_file", lines.get("inactive_file", 0)))


def _number(*paths: Path) -> int | None:
    for path in paths:
        text = path.read_text(encoding="utf-8").strip() if path.is_file() else ""
        if text.isdigit():
            return int(text)
    return None


def host_peak_bytes(step: Step) -> int:
    """Memory that a step takes at its peak, beyond what is resident before it."""
    with returning_memory():
        try:
            _RESET.write_text(_RESET_PEAK, encoding="ascii")
        except OSError:
            return _sampled_peak(step)
        before = _status("VmRSS")
        step()
        return max(_status("VmHWM") - before, 0)


def _status(field: str) -> int:
    found = re.search(rf"^{field}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


def _sampled_peak(step: Step) -> int:
    process, done = psutil.Process(), threading.Event()
    before = process.memory_info().rss
    seen = [before]

    def watch() -> None:
        while not done.wait(_TICK_SECONDS):
            seen.append(process.memory_info().rss)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        step()
        seen.append(process.memory_info().rss)
    finally:
        done.set()
        thread.join()
    return int(max(seen) - before)


HOST = Meter(free=host_free_bytes, peak=host_peak_bytes, release=return_memory)


def meter_of(device: torch.device) -> Meter:
    """The memory that PyTorch uses on a device."""
    if device.type == "cuda":
        return Meter(
            partial(_cuda_free, device), partial(_cuda_peak, device), torch.cuda.empty_cache
        )
    if device.type == "mps":
        return Meter(_mps_free, _mps_peak, torch.mps.empty_cache)
    return HOST


def _cuda_free(device: torch.device) -> int:
    kept = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(torch.cuda.mem_get_info(device)[0]) + int(kept)


def _cuda_peak(device: torch.device, step: Step) -> int:
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    torch.cuda.synchronize(device)
    return int(torch.cuda.max_memory_allocated(device) - before)


def _mps_free() -> int:
    return int(torch.mps.recommended_max_memory() - torch.mps.current_allocated_memory())


def _mps_peak(step: Step) -> int:
    """The driver keeps what was freed, so what it holds afterwards is the peak."""
    torch.mps.empty_cache()
    before = torch.mps.driver_allocated_memory()
    step()
    torch.mps.synchronize()
    return int(torch.mps.driver_allocated_memory() - before)


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
_alike: dict[tuple[str, Shape], float] = {}


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
    whole = padded(shape, engine.divisors)
    a_voxel = bytes_per_voxel(engine, whole)
    need = a_voxel * prod(whole)
    budget = _budget(engine, settings, need)
    if need <= budget:
        return None
    i, j, k = (_WINDOW_CELLS * divisor for divisor in engine.divisors)
    smallest = (i, j, k)
    window = largest_window(whole, budget / a_voxel, steps=engine.divisors, smallest=smallest)
    if window is None:
        raise RunError(
            f"a window of {'×'.join(map(str, smallest))} voxels needs "
            f"{a_voxel * prod(smallest) / GIB:.2g} GiB, "
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
    """Peak memory of a pass over its voxels; measured at the first call for engines that are alike.

    Args:
        engine: What will run.
        whole: Of the first box that it will run on; decides how large a box is measured.
    """
    if engine not in _known:
        probe = _probe(whole, engine.divisors)
        like = (engine.alike, probe)
        if not engine.alike or like not in _alike:
            _alike[like] = _measured(engine, probe)
        _known[engine] = _alike[like]
    return _known[engine]


def _measured(engine: Engine, probe: Shape) -> float:
    shape = (engine.n_channels, *probe)
    image = np.random.default_rng(0).standard_normal(shape, dtype=np.float32)
    # Twice: the first run of all also takes what is taken only once.
    peak = max(min(engine.meter.peak(lambda: engine(image)) for _ in range(2)), 1)
    a_voxel = LOST * peak / prod(probe)
    log.info("%s: %.0f bytes a voxel, measured on %s", engine.name, a_voxel, probe)
    return a_voxel


def padded(shape: Shape, divisors: Shape) -> Shape:
    """The shape with every side rounded up to a multiple."""
    i, j, k = (n + -n % divisor for n, divisor in zip(shape, divisors, strict=True))
    return i, j, k


def largest_window(whole: Shape, n_voxels: float, *, steps: Shape, smallest: Shape) -> Shape | None:
    """The box with as few axes shortened as can be, until no more than `n_voxels` are left.

    Left to right first, front to back next: on a trained network a slab that holds whole halves of
    the brain is nearer to one pass than a cube of the same size. Each axis down to a third, and
    only when all are there further.

    Args:
        whole: Multiples of `steps`.
        n_voxels: The most that a window may hold.
        steps: By how much each axis is shortened.
        smallest: None is made shorter than this.

    Returns:
        None where that cannot be.
    """
    window = list(whole)
    for share in (1 / 3, 0.0):
        for axis in range(3):
            floor = max(smallest[axis], share * whole[axis])
            while prod(window) > n_voxels and window[axis] - steps[axis] >= floor:
                window[axis] -= steps[axis]
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


def _probe(whole: Shape, divisors: Shape) -> Shape:
    scale = _PROBE_SHARE ** (1 / 3)
    i, j, k = (
        min(n, max(_PROBE_CELLS * divisor, round(n * scale / divisor) * divisor))
        for n, divisor in zip(whole, divisors, strict=True)
    )
    return i, j, k
