"""One raw head from command to page: where the time goes, and against another version of plgg.

    python benchmarks/raw_head.py SCAN [--threads 2] [--repeats 3] [--against OLD/src] [--json]

Each repeat is a process of its own, as `plgg predict SCAN --out OUT` is, with the installed model;
with `--against` the two versions take turns, so that a busy machine is unfair to neither. Seconds
of the processor and of the wall, medians over the repeats: by stage, with the share of each, and
the ratio of the other version to this one. What the process beside it does (registration, gates)
counts in the whole command alone; how long it is waited for is a stage.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

try:
    from plgg.core.loading import loading
except ImportError:  # An older version looks for garbage while it loads.
    loading = nullcontext

# Of the processor, of the wall.
Spent = tuple[float, float]
WHOLE = "whole command"
OWN = Path(__file__).resolve().parents[1] / "src"


def main() -> None:
    """Measure in turn and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scan", type=Path)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--against", type=Path, help="folder src of another version")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--once", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(once(options.scan, options.once)))
        if loading is not nullcontext:
            gc.freeze()  # As the command does.
        return
    versions = {"this": OWN} | ({"other": options.against} if options.against else {})
    runs: dict[str, list[dict[str, Spent]]] = {name: [] for name in versions}
    for _ in range(options.repeats):
        for name, source in versions.items():
            runs[name].append(alone(source, options.scan, options.threads))
    found = summary(runs)
    found |= {"threads": options.threads, "repeats": options.repeats, "machine": _machine()}
    print(json.dumps(found, indent=2) if options.json else table(found))


def alone(source: Path, scan: Path, threads: int) -> dict[str, Spent]:
    """One run of one version in a process of its own."""
    numbers = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    # Its own models, too: an older version cannot read newer ones.
    paths = [source, *sorted(source.parent.glob("models/*/src"))]
    environment = {**os.environ, **numbers, "PYTHONPATH": os.pathsep.join(map(str, paths))}
    environment["ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS"] = str(threads)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, __file__, str(scan), "--once", str(Path(folder) / "out")]
        before, began = os.times(), time.perf_counter()
        done = subprocess.run(  # noqa: S603 - this file
            command, check=True, capture_output=True, text=True, env=environment
        )
        wall, after = time.perf_counter() - began, os.times()
    cpu = sum(after[2:4]) - sum(before[2:4])
    stages: dict[str, Spent] = json.loads(done.stdout.strip().splitlines()[-1])
    return {**stages, WHOLE: (cpu, wall)}


def once(scan: Path, out: Path) -> dict[str, Spent]:
    """What `plgg predict` does, by stages; the steps within are those of its own clock.

    A version whose rooms have other names is timed as a whole.
    """
    with ExitStack() as stack:
        return _once(scan, out, stack)


def _once(scan: Path, out: Path, stack: ExitStack) -> dict[str, Spent]:
    spent: dict[str, Spent] = {}
    try:
        with timed(spent, "imports"), loading():
            beside = stack.enter_context(assessor(spent))
            from plgg.core.progress import Clock
            from plgg.data.installed_models import model_folders
            from plgg.predict.batch import Request
            from plgg.predict.options import PredictOptions
            from plgg.predict.scan import predict_scans
    except ImportError:
        as_command(scan, out)
        return {}

    @contextmanager
    def step(clock: Clock, name: str) -> Iterator[None]:
        with timed(spent, name):
            yield
        clock.seconds[name] = round(spent[name][1], 3)

    Clock.step = step  # type: ignore[method-assign]
    with timed(spent, "models"), loading():
        request = Request((scan,), tuple(model_folders(None)), out, PredictOptions())
        scans = request.scans()
        predictor = request.predictor(scans)
        predictor.assessor = beside
    with timed(spent, "scan"):
        (outcome,) = predict_scans(scans, predictor, out)
    if outcome.result is None:
        sys.exit(f"not predicted: {outcome.reason}")
    return parts(spent)


@contextmanager
def assessor(spent: dict[str, Spent]) -> Iterator[Any]:
    """The process that registers beside the networks, and how long it is waited for."""
    try:
        from plgg.preprocess.assessment_process import AssessmentProcess, assessment_process
    except ImportError:  # An older version has none.
        yield None
        return
    answer = AssessmentProcess.result

    def timed_answer(self: AssessmentProcess) -> Any:  # noqa: ANN401 - whatever it gives
        with timed(spent, WAITING):
            return answer(self)

    AssessmentProcess.result = timed_answer  # type: ignore[method-assign]
    with assessment_process() as beside:
        yield beside


def as_command(scan: Path, out: Path) -> None:
    """`plgg predict SCAN --out OUT` in this process."""
    from plgg.cli.main import main

    sys.argv = ["plgg", "predict", str(scan), "--out", str(out)]
    try:
        main()
    except SystemExit as left:
        if left.code:
            raise


@contextmanager
def timed(spent: dict[str, Spent], name: str) -> Iterator[None]:
    """Add what a stage takes to what it took before."""
    cpu, wall = time.process_time(), time.perf_counter()
    try:
        yield
    finally:
        known = spent.get(name, (0.0, 0.0))
        now = time.process_time() - cpu, time.perf_counter() - wall
        spent[name] = (known[0] + now[0], known[1] + now[1])


WAITING = "waiting for its place"
INSIDE = (
    *(WAITING, "brain", "bias field", "registration", "gates"),
    *("co-registration", "resampling"),
)


def parts(spent: dict[str, Spent]) -> dict[str, Spent]:
    """Stages that do not overlap: what a stage holds beside the steps that are timed within it."""
    prepared, scan = spent.pop("read and prepare"), spent.pop("scan")
    inside = [spent[name] for name in INSIDE if name in spent]
    rest = (spent[name] for name in ("network", "back to the native grid", "measures"))
    spent["reading, atlas"] = _less(prepared, inside)
    spent["files, page"] = _less(scan, [prepared, *rest])
    return spent


def _less(whole: Spent, taken: list[Spent]) -> Spent:
    cpu, wall = (whole[n] - sum(one[n] for one in taken) for n in (0, 1))
    return max(cpu, 0.0), max(wall, 0.0)


def summary(runs: dict[str, list[dict[str, Spent]]]) -> dict[str, Any]:
    """Medians of each stage, its share of the processor's time, and ratios to the other version."""
    middle = {
        name: {
            stage: [round(median(run[stage][n] for run in found), 3) for n in (0, 1)]
            for stage in found[0]
        }
        for name, found in runs.items()
    }
    for stages in middle.values():
        known = sum(cpu for stage, (cpu, _) in stages.items() if stage != WHOLE)
        stages["rest"] = [round(max(stages[WHOLE][0] - known, 0.0), 3), 0.0]
    found: dict[str, Any] = {"seconds": middle}
    whole = middle["this"][WHOLE][0]
    found["shares"] = {k: round(v[0] / whole, 3) for k, v in middle["this"].items()}
    if "other" in middle:
        found["ratios"] = {
            stage: round(middle["other"][stage][0] / cpu, 2)
            for stage, (cpu, _) in middle["this"].items()
            if cpu > 0 and stage in middle["other"]
        }
        found["ratio_wall"] = round(middle["other"][WHOLE][1] / middle["this"][WHOLE][1], 2)
    return found


def table(found: dict[str, Any]) -> str:
    """Rows of stages."""
    ratios = found.get("ratios", {})
    lines = [f"one raw head, {found['threads']} threads, {found['machine']}"]
    lines.append(f"{'':<26}{'CPU s':>8}{'wall s':>8}{'share':>8}{'other/this':>12}")
    for stage, (cpu, wall) in found["seconds"]["this"].items():
        ratio = f"{ratios[stage]:.2f}" if stage in ratios else ""
        lines.append(f"{stage:<26}{cpu:>8.2f}{wall:>8.2f}{found['shares'][stage]:>8.1%}{ratio:>12}")
    if "ratio_wall" in found:
        lines.append(f"whole command, seconds of the wall, other/this: {found['ratio_wall']:.2f}")
    return "\n".join(lines)


def _machine() -> Any:  # noqa: ANN401 - JSON is any
    from plgg.core.environment import machine

    return machine()


if __name__ == "__main__":
    main()
