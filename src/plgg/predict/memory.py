"""Choose one pass where it fits into memory, else the largest windows that do.

Peak memory on the CPU is measured through the Linux kernel, which keeps the largest resident memory
of a process and lets it be reset. Elsewhere a thread samples it every millisecond.
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
from plgg.model.device import release_memory_on_free, return_memory
from plgg.predict.engine import Engine, Meter, Step

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# From the kernel's documentation of /proc/PID/clear_refs.
_RESET_PEAK = "5"
_TICK_SECONDS = 0.001


def host_free_bytes() -> int:
    """Memory that this process can still take without swapping or being killed."""
    available = int(psutil.virtual_memory().available)
    within = container_free_bytes(Path("/sys/fs/cgroup"), Path("/proc/self/cgroup"))
    return available if within is None else min(available, within)


def container_free_bytes(mount: Path, membership: Path) -> int | None:
    """Memory that the control groups of this process leave (cgroups v1 and v2).

    Args:
        mount: Where control groups are mounted.
        membership: The file that names those of this process.

    Returns:
        Bytes; None where there is no limit.
    """
    left = [
        limit - used
        for folder in _groups(mount, membership)
        for limit, used in [(_limit(folder), _used(folder))]
        if limit is not None and used is not None
    ]
    return max(min(left), 0) if left else None


def _groups(mount: Path, membership: Path) -> list[Path]:
    """The process' own control group and those above it, up to the mount."""
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
    """Used memory without cached files, which the kernel drops when memory is needed."""
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
    """Peak memory of a step, beyond what is resident before it."""
    with release_memory_on_free():
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
    """The meter of the memory that PyTorch uses on a device."""
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
    """Memory of the driver after the step: it keeps what was freed, so that is the peak."""
    torch.mps.empty_cache()
    before = torch.mps.driver_allocated_memory()
    step()
    torch.mps.synchronize()
    return int(torch.mps.driver_allocated_memory() - before)


log = logging.getLogger(__name__)

Shape = tuple[int, int, int]
GIB = 2**30
# Share of the free memory to use; the rest is for other processes.
_SHARE = 0.8
# Factor for fragmentation of the heap, which shows little on a small box.
LOST = 1.4
# The box that is measured: about this share of the voxels, but at least so many voxels of the
# bottleneck along each axis, because on a smaller one the constant part would dominate.
_PROBE_SHARE = 1 / 27
_PROBE_CELLS = 6
# Fewest voxels of the bottleneck along each axis of a window.
_WINDOW_CELLS = 4
_known: WeakKeyDictionary[Engine, float] = WeakKeyDictionary()
_alike: dict[tuple[str, Shape], float] = {}


def window_for(engine: Engine, shape: Shape, settings: InferenceConfig) -> Shape | None:
    """Choose the window to predict a box by; None for one pass over the whole box.

    Args:
        engine: The engine that will run.
        shape: Of the box, not yet padded.
        settings: If they set a window, it is used as it is.

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
    """Peak memory of a pass per voxel, measured once for engines with the same `alike`.

    Args:
        engine: The engine that will run.
        whole: Shape of the first box that it will run on; the measured box depends on it.
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
    # Measured twice, because the first run also makes allocations that are made only once.
    peak = max(min(engine.meter.peak(lambda: engine(image)) for _ in range(2)), 1)
    a_voxel = LOST * peak / prod(probe)
    log.info("%s: %.0f bytes a voxel, measured on %s", engine.name, a_voxel, probe)
    return a_voxel


def padded(shape: Shape, divisors: Shape) -> Shape:
    """The shape with every side rounded up to a multiple."""
    i, j, k = (n + -n % divisor for n, divisor in zip(shape, divisors, strict=True))
    return i, j, k


def largest_window(whole: Shape, n_voxels: float, *, steps: Shape, smallest: Shape) -> Shape | None:
    """Shorten as few axes of a box as possible, until it holds at most `n_voxels`.

    The left-right axis is shortened first, then front-back, each to a third, and further only when
    all three are at a third: on a trained network a slab gives results nearer to those of one pass
    than a cube of the same size.

    Args:
        whole: Shape of the box, multiples of `steps`.
        n_voxels: Largest number of voxels of a window.
        steps: Voxels by which each axis is shortened at a time.
        smallest: Smallest length of each axis.

    Returns:
        The window; None where even the smallest one is too large.
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
        # Memory that earlier passes left may suffice.
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
