"""The computer's own memory: what is free, within a container's limit, and what a step takes.

On Linux the kernel is asked: it keeps the largest resident memory of a process and lets it be
reset. Elsewhere a thread looks every millisecond.
"""

from __future__ import annotations

import re
import threading
from pathlib import Path

import psutil

from plgg.infer.meter import Meter, Step
from plgg.model.allocator import give_back, giving_back

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
    with giving_back():
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


HOST = Meter(free=host_free_bytes, peak=host_peak_bytes, release=give_back)
