"""How time and memory of a scan grow with the cohort: 50, 200, 1,000 patients, here and on Ray.

Cohorts are copies of a few phantoms at 4 mm, each with noise of its own, so that no two scans are
equal. Each goes through the real program: `plgg preprocess`, `predict` (an untrained network: its
masks do not matter here) and `evaluate`, on Ray of this machine and in local worker processes, two
workers each. Settings are cheap on purpose: what is not the scan's own work is what shows.

`cpu_ms` is the processor's time of all processes from the first scan that is there to the end, a
scan, `driver_cpu_ms` that of the driver alone; `wall_ms` is the same by the clock, which other work
on the machine stretches. Memory is the largest resident set of the driver and of a worker process.
The ratios at the end are those of the largest cohort to the smallest: 1 is flat.

`--kill N` instead interrupts a cohort of N on Ray: a worker process is killed, then what Ray itself
runs beside it, then the driver, and the command is repeated; then every case that was there when
the driver died must be there as it was, and the store must be the one that local workers make. Run:
    python benchmarks/scale.py [--patients 50 200 1000] [--ways ray local] [--kill 50] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import psutil

from plgg.config import preset, with_settings
from plgg.core.environment import machine, versions
from plgg.data.manifest import read_manifest
from plgg.model.checkpoint import save_checkpoint
from plgg.model.network import build_network
from plgg.phantom.cohort import make_cohort
from plgg.phantom.settings import CLASSES, PhantomSettings
from plgg.preprocess.setup import route_for

SETTINGS = (
    "grid.spacing_mm=8",
    "preprocess.registration=centre",
    "preprocess.stripping=none",
    "model.init_filters=8",
    "model.blocks_down=[1,1]",
    "model.blocks_up=[1]",
    "patches.size=[16,16,16]",
)
N_MADE = 8
WORKERS = {"ray": ["--workers", "ray"], "local": ["--workers", "2"]}
DONE = {
    "preprocess": ("store", "cases/[!.]*/case.json"),
    "predict": ("predictions", "[!.]*/result.json"),
    "evaluate": ("evaluation", "scores.jsonl"),
}
_LOOK_SECONDS = 0.5
NUMBERS = ("wall_s", "wall_ms", "cpu_ms", "driver_cpu_ms", "driver_mib", "worker_mib")


@dataclass
class Family:
    """A program and its processes, looked at while they run."""

    driver: psutil.Process
    cpu: dict[int, float] = field(default_factory=dict)
    driver_mib: float = 0.0
    worker_mib: float = 0.0

    def look(self) -> None:
        """Note the time and the memory of each process; of what is gone, what was last seen."""
        for process in family_of(self.driver):
            try:
                with process.oneshot():
                    spent, name = process.cpu_times(), process.cmdline()
                mib = peak_mib(process.pid)
            except (psutil.Error, OSError):
                continue
            self.cpu[process.pid] = spent.user + spent.system
            if process.pid == self.driver.pid:
                self.driver_mib = max(self.driver_mib, mib)
            elif any("spawn_main" in word for word in name):
                self.worker_mib = max(self.worker_mib, mib)

    @property
    def cpu_seconds(self) -> float:
        """Of all of them."""
        return sum(self.cpu.values())

    @property
    def driver_seconds(self) -> float:
        """Of the driver alone."""
        return self.cpu.get(self.driver.pid, 0.0)


def family_of(driver: psutil.Process) -> list[psutil.Process]:
    """The driver and all below it."""
    try:
        return [driver, *driver.children(recursive=True)]
    except psutil.Error:
        return []


def peak_mib(pid: int) -> float:
    """Largest resident set so far, as Linux keeps it."""
    for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def main() -> None:
    """Make the cohorts, run the commands, print a table or JSON."""
    options = parse()
    folder = Path(options.folder or tempfile.mkdtemp(prefix="plgg-scale-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        sizes = [options.kill] if options.kill else options.patients
        for n in sizes:
            make_copies(folder / "made", folder / f"cohort-{n}", n)
        make_run(folder / "run")
        found = interrupted(folder, options.kill) if options.kill else measured(folder, options)
    finally:
        if not options.folder:
            shutil.rmtree(folder, ignore_errors=True)
    found |= {"machine": machine(), "versions": versions()}
    print(json.dumps(found, indent=2) if options.json or options.kill else table(found))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--patients", type=int, nargs="+", default=[50, 200, 1000])
    parser.add_argument("--ways", nargs="+", choices=list(WORKERS), default=list(WORKERS))
    parser.add_argument("--commands", nargs="+", choices=list(DONE), default=list(DONE))
    parser.add_argument("--kill", type=int, metavar="N", help="interrupt a cohort of N instead")
    parser.add_argument("--folder", help="keep everything here, and use what is here already")
    options = parser.parse_args()
    options.patients.sort()
    return options


def make_copies(made: Path, out: Path, n: int) -> None:
    """A cohort of `n` patients: phantoms, each with noise of its own, and their masks."""
    if (out / "manifest.csv").is_file():
        return
    if not (made / "manifest.csv").is_file():
        make_cohort(made, PhantomSettings(n_patients=N_MADE, seed=0, spacing_mm=4.0))
    cases = read_manifest(made / "manifest.csv")
    out.mkdir(parents=True, exist_ok=True)
    rows = ["patient_id,flair,mask,marker,age_years,sex"]
    for number in range(n):
        case, name = cases[number % len(cases)], f"patient-{number:05d}"
        noisy(case.flair, out / f"{name}.nii.gz", seed=number)
        shutil.copyfile(case.mask, out / f"{name}_mask.nii.gz")
        known = f"{case.marker},{case.age_years},{case.sex}"
        rows.append(f"{name},{name}.nii.gz,{name}_mask.nii.gz,{known}")
    (out / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def noisy(source: Path, target: Path, *, seed: int) -> None:
    """A scan with other voxels and the same grid."""
    scan = nib.load(source)
    data = np.asarray(scan.dataobj)
    noise = np.random.default_rng(seed).integers(-2, 3, data.shape, dtype=np.int16)
    changed = np.where(data > 0, np.maximum(data + noise, 1), data).astype(np.int16)
    nib.save(nib.Nifti1Image(changed, scan.affine, scan.header), target)


def make_run(folder: Path) -> None:
    """A run whose network was never trained."""
    config = with_settings(preset("small"), SETTINGS)
    # As training leaves it: with the atlas of its store.
    config = config.model_copy(update={"preprocess": route_for(config).settings})
    classes = tuple(sorted(CLASSES))
    network = build_network(config.model, n_classes=len(classes), arm=config.arm, seed=0)
    weights = {f"model.{name}": value for name, value in network.state_dict().items()}
    known: dict[str, Any] = {"epoch": 1, "config": config, "classes": classes}
    save_checkpoint(folder / "checkpoints", "best", weights, metrics={}, best_dice=None, **known)


def commands(folder: Path, way: str, n: int) -> dict[str, list[str]]:
    """The three commands on a cohort; each reads what the one before has written."""
    manifest, out = folder / f"cohort-{n}" / "manifest.csv", folder / f"{way}-{n}"
    settings = [word for setting in SETTINGS for word in ("--set", setting)]
    predict = ["--model", str(folder / "run"), "--out", str(out / "predictions"), "--no-report"]
    return {
        "preprocess": ["preprocess", str(manifest), str(out / "store"), *settings, *WORKERS[way]],
        "predict": ["predict", str(out / "store"), *predict, *WORKERS[way]],
        "evaluate": [
            *("evaluate", str(out / "predictions"), str(out / "store")),
            *("--out", str(out / "evaluation"), *WORKERS[way]),
        ],
    }


def started(words: list[str]) -> subprocess.Popen[str]:
    """The program, one thread a process."""
    threads = {"OMP_NUM_THREADS": "1", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    command = [sys.executable, "-m", "plgg", *words]
    return subprocess.Popen(command, env=os.environ | threads, **quiet)  # type: ignore[call-overload, no-any-return]  # noqa: S603


def measured(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Each command on each cohort, each way."""
    rows = []
    for n in options.patients:
        for way in options.ways:
            for command, words in commands(folder, way, n).items():
                if command not in options.commands:
                    continue
                rows.append({"command": command, "way": way, "patients": n})
                rows[-1] |= run(words, folder / f"{way}-{n}", command, n)
                print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    return {"rows": rows, "ratios": ratios(rows)}


def run(words: list[str], out: Path, command: str, n: int) -> dict[str, float]:
    """One command, watched."""
    place, pattern = DONE[command]
    shutil.rmtree(out / place, ignore_errors=True)
    began = time.perf_counter()
    process = started(words)
    family = Family(psutil.Process(process.pid))
    first: tuple[float, float, float] | None = None
    while process.poll() is None:
        family.look()
        if first is None and any((out / place).glob(pattern)):
            first = time.perf_counter(), family.cpu_seconds, family.driver_seconds
        time.sleep(_LOOK_SECONDS)
    end = time.perf_counter()
    if process.returncode:
        raise SystemExit(f"plgg {command} failed: {process.stderr.read()[-2000:]}")
    from_clock, from_cpu, from_driver = first or (began, 0.0, 0.0)
    return {
        "wall_s": round(end - began, 1),
        "wall_ms": round(1000 * (end - from_clock) / n, 1),
        "cpu_ms": round(1000 * (family.cpu_seconds - from_cpu) / n, 1),
        "driver_cpu_ms": round(1000 * (family.driver_seconds - from_driver) / n, 1),
        "driver_mib": round(family.driver_mib),
        "worker_mib": round(family.worker_mib),
    }


def ratios(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Of the largest cohort to the smallest, by command and way."""
    found = []
    for command, way in dict.fromkeys((row["command"], row["way"]) for row in rows):
        mine = [row for row in rows if (row["command"], row["way"]) == (command, way)]
        small, large = mine[0], mine[-1]
        numbers = NUMBERS[1:]
        ratio = {key: round(large[key] / small[key], 2) if small[key] else None for key in numbers}
        found.append({"command": command, "way": way} | ratio)
    return found


def table(found: dict[str, Any]) -> str:
    """The rows and the ratios for people."""
    numbers = NUMBERS
    head = f"{'command':<12}{'way':<7}{'patients':>9}" + "".join(f"{n:>14}" for n in numbers)
    lines = [str(found["machine"]), head]
    for row in found["rows"]:
        cells = "".join(f"{row[name]:>14}" for name in numbers)
        lines.append(f"{row['command']:<12}{row['way']:<7}{row['patients']:>9}{cells}")
    for row in found["ratios"]:
        cells = "".join(f"{row[name] or '-':>14}" for name in numbers[1:])
        lines.append(f"{row['command']:<12}{row['way']:<7}{'ratio':>9}{'':>14}{cells}")
    return "\n".join(lines)


def interrupted(folder: Path, n: int) -> dict[str, Any]:
    """Kill a worker, a host of Ray and the driver of `plgg preprocess`; then repeat it."""
    words = commands(folder, "ray", n)["preprocess"]
    store = folder / f"ray-{n}" / "store"
    shutil.rmtree(store.parent, ignore_errors=True)
    killed: dict[str, int] = {}
    process = started(words)
    driver = psutil.Process(process.pid)
    for share, what in ((0.1, "worker"), (0.2, "host")):
        wait_for(lambda share=share: len(finished(store)) >= share * n, process)
        killed[what] = kill_one(driver, what)
    wait_for(lambda: len(finished(store)) >= 0.5 * n, process)
    driver.kill()
    process.wait()
    time.sleep(5.0)  # What was under way when the driver died has ended.
    before = finished(store)
    again = started(words)
    status, said = again.wait(), again.stderr.read()
    after = finished(store)
    local = started(commands(folder, "local", n)["preprocess"])
    local.wait()
    return {
        "patients": n,
        "killed_with_its_worker": killed,
        "stored_when_the_driver_died": len(before),
        "stored_in_the_end": len(after),
        "done_twice": sum(after.get(name) != time_ns for name, time_ns in before.items()),
        "status": status,
        "leftovers": len(list(store.rglob(".plgg-new-*"))),
        "equal_to_local": arrays(store) == arrays(folder / f"local-{n}" / "store"),
        "said": "" if status == 0 else said[-500:],
    }


def finished(store: Path) -> dict[str, int]:
    """When each case that is there was written."""
    paths = store.glob("cases/[!.]*/case.json")
    return {path.parent.name: path.stat().st_mtime_ns for path in paths}


def arrays(store: Path) -> dict[str, bytes]:
    """The stored voxels."""
    return {str(p.relative_to(store)): p.read_bytes() for p in store.glob("cases/[!.]*/*.b2nd")}


def wait_for(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    """Wait while the program runs; that it ends first is a fault."""
    while not condition():
        if process.poll() is not None:
            raise SystemExit(f"plgg ended too soon: {process.stderr.read()[-2000:]}")
        time.sleep(0.05)


def kill_one(driver: psutil.Process, what: str) -> int:
    """Kill one process that works, or one of Ray's that hands out work; gives its number."""
    for process in family_of(driver)[1:]:
        title = process.cmdline()
        works = any("spawn_main" in word for word in title)
        hosts = any(word.startswith("ray::RayHost") for word in title)
        if (works and what == "worker") or (hosts and what == "host"):
            os.kill(process.pid, signal.SIGKILL)
            return process.pid
    raise SystemExit(f"there is no {what} to kill")


if __name__ == "__main__":
    main()
