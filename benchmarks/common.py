"""What the benchmarks share: timing two ways in one run, each alone in a process, and the table."""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.core.environment import machine, versions


def peak_gib() -> float:
    """Largest resident memory of this process so far, in GiB."""
    scale = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


def against_first(dice: NDArray[np.float64]) -> list[str]:
    """Cells of a table for each way: mean, median, mean difference from the first, its error.

    Args:
        dice: Shape (scans, ways).
    """
    gain = dice - dice[:, :1]
    error = gain.std(axis=0, ddof=1) / np.sqrt(len(dice))
    return [
        f"{own.mean():.4f} | {np.median(own):.3f} | {more.mean():+.4f} ± {loose:.4f}"
        for own, more, loose in zip(dice.T, gain.T, error, strict=True)
    ]


def timed(step: Callable[[], object], *, repeats: int) -> list[float]:
    """Seconds of each repeat, after one that is not counted."""
    step()
    seconds = []
    for _ in range(repeats):
        started = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - started)
    return seconds


def compare(script: str, ways: dict[str, Callable[[argparse.Namespace], dict[str, Any]]]) -> None:
    """Run each way in a process of its own, in turn, and print seconds, ratio and memory.

    Args:
        script: Path of the benchmark.
        ways: The plain way first, plgg's second, others after them; each measures itself and
            returns at least `seconds` (a list).
    """
    parser = argparse.ArgumentParser(description=sys.modules["__main__"].__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--repeats", type=int, default=3, help="timed repeats of each way")
    parser.add_argument("--rounds", type=int, default=1, help="how often the ways take turns")
    parser.add_argument("--size", choices=("paper", "small"), default="paper", help="the preset")
    parser.add_argument("--way", choices=list(ways), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.way:
        found = ways[options.way](options)
        found.setdefault("peak_gib", round(peak_gib(), 2))
        print(json.dumps(found))
        return
    rounds = [{way: _alone(script, way, options) for way in ways} for _ in range(options.rounds)]
    _print(_summary(list(ways), rounds, options), as_json=options.json)


def _alone(script: str, way: str, options: argparse.Namespace) -> dict[str, Any]:
    command = [sys.executable, script, "--way", way, "--repeats", str(options.repeats)]
    command += ["--size", options.size]
    done = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def _summary(
    ways: list[str], rounds: list[dict[str, dict[str, Any]]], options: argparse.Namespace
) -> dict[str, Any]:
    plain, ours = ways[:2]
    seconds = {way: [s for r in rounds for s in r[way]["seconds"]] for way in ways}
    extras = {
        way: {k: v for k, v in rounds[-1][way].items() if k not in {"seconds", "peak_gib"}}
        for way in ways
    }
    return {
        "benchmark": Path(sys.argv[0]).stem,
        "size": options.size,
        "ratio": round(median(seconds[plain]) / median(seconds[ours]), 2),
        "seconds": {way: round(median(seconds[way]), 3) for way in ways},
        "all_seconds": {way: [round(s, 3) for s in seconds[way]] for way in ways},
        "peak_gib": {way: max(r[way]["peak_gib"] for r in rounds) for way in ways},
        "details": {way: found for way, found in extras.items() if found},
        "machine": machine(),
        "versions": versions(),
    }


def _print(found: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print(json.dumps(found, indent=2))
        return
    print(f"{found['benchmark']} ({found['size']}): {found['machine']}")
    print(f"{'way':<14}{'median s':>10}{'peak GiB':>10}")
    for way, seconds in found["seconds"].items():
        print(f"{way:<14}{seconds:>10.3f}{found['peak_gib'][way]:>10.2f}")
    for way, details in found["details"].items():
        print(f"{way}: {details}")
    print(f"ratio {found['ratio']:.2f}")
