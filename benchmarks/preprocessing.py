"""Bring real scans to the atlas and back, and measure it: a table, and a row a scan.

    python benchmarks/preprocessing.py tcga-lgg/manifest.csv --atlas sri24/ --csv rows.csv
    python benchmarks/preprocessing.py raw-flair/*.nii.gz dicom/series/ --atlas sri24/

DATA are manifests and scans (NIfTI files, folders of DICOM). Every scan goes through the users'
door and on to the grid of 1 mm; its mask, and balls painted in its brain, go there and back.
Seconds are processor seconds, which other jobs on the machine prolong less than wall seconds.
"""

from __future__ import annotations

import argparse
import csv
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from types import SimpleNamespace
from typing import Any

import numpy as np
import SimpleITK as sitk

import plgg.preprocess.pipeline as route_module
from common import peak_gib
from landmarks import balls_gap, carried_back, points_gap
from plgg.api import configure
from plgg.config import Config
from plgg.core.environment import machine, versions
from plgg.core.errors import PlggError
from plgg.core.files import write_json
from plgg.core.volume import Volume, corner_distance_mm
from plgg.data.check.usable import require_usable
from plgg.data.manifest import Case, read_manifest
from plgg.data.nifti.image import read_volume, write_volume
from plgg.data.quality import Quality
from plgg.data.scan import scan_name
from plgg.metrics.overlap import hard_dice
from plgg.preprocess.normalise import restore
from plgg.preprocess.pipeline import PreprocessedScan, RejectedScanError, preprocess_scan
from plgg.preprocess.registration.frame import view_of
from plgg.preprocess.setup import Route, route_for

# What the table shows of a scan that was kept, and which end of it is the bad one.
WORST: dict[str, Callable[[list[float]], float]] = {
    "overlap": min,
    "mask_dice": min,
    "brain_dice": min,
    "tumour_outside_brain": max,
    "balls_voxels": max,
    "points_voxels": max,
    "file_affine_mm": max,
}


@dataclass
class Row:
    """One scan; None where something was not measured."""

    case: str
    outcome: str = "refused"
    said: str = ""
    spacing_mm: str = ""
    stripping: str = ""
    method: str = ""
    attempts: int = 0
    mended: bool = False
    overlap: float | None = None
    mask_dice: float | None = None
    brain_dice: float | None = None
    tumour_outside_brain: float | None = None
    affine_same: bool | None = None
    file_affine_mm: float | None = None
    points_voxels: float | None = None
    balls_voxels: float | None = None
    balls: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    seconds: dict[str, float] = field(default_factory=dict)
    gates: dict[str, float] = field(default_factory=dict)
    tried: list[dict[str, Any]] = field(default_factory=list)


def main() -> int:
    """Print the tables; the rows go to the files that were asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("data", nargs="+", type=Path, help="manifests and scans")
    parser.add_argument("--atlas", default="built-in", help="as for plgg preprocess")
    parser.add_argument("--stripping", default="auto", help="auto, none, deepbet or hd-bet")
    parser.add_argument("--name", help="what the data are called in the table")
    parser.add_argument("--json", type=Path, help="write everything as one JSON object")
    parser.add_argument("--csv", type=Path, help="write one line a scan")
    options = parser.parse_args()
    settings = ["grid.spacing_mm=1", f"preprocess.stripping={options.stripping}"]
    route = ready(configure("paper", settings=settings, atlas=options.atlas))
    options.name = options.name or options.data[0].resolve().parent.name
    cases = [case for path in options.data for case in cases_of(path)]
    rows: list[Row] = []
    for case in cases:
        rows.append(measured(case, route))
        print(f"{len(rows)}/{len(cases)} {brief(rows[-1])}", file=sys.stderr, flush=True)
        kept_so_far(rows, options)
    print("\n".join(markdown(options.name, rows)))
    return 0


def kept_so_far(rows: list[Row], options: argparse.Namespace) -> None:
    """Write the files anew, so that a run that is ended leaves what it measured."""
    if options.csv:
        write_csv(options.csv, rows)
    if options.json:
        write_json(options.json, as_json(rows, options))


def ready(config: Config) -> Route:
    """The route, with all loaded that is loaded once; its steps are timed by processor time."""
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    # The route writes wall seconds into a case's record; beside other jobs those say little.
    vars(route_module)["time"] = SimpleNamespace(perf_counter=time.process_time)
    route = route_for(config)
    view_of(route.atlas)
    return route


def cases_of(path: Path) -> list[Case]:
    """The rows of a manifest, or one scan."""
    if path.suffix == ".csv":
        return read_manifest(path)
    return [Case(scan_name(path), scan_name(path), path)]


def measured(case: Case, route: Route) -> Row:
    """One scan to the atlas and back."""
    row = Row(case.case_id)
    wall, cpu = time.perf_counter(), time.process_time()
    try:
        flair, mask = require_usable(case)
        row.seconds["read"] = round(time.process_time() - cpu, 3)
        row.spacing_mm = "×".join(f"{n:.2f}" for n in flair.spacing_mm)
        preprocessed = preprocess_scan(flair, mask, route, age_years=case.age_years)
    except RejectedScanError as error:
        row.said = str(error)
        judged(row, error.quality, error.placed.method if error.placed else "")
    except PlggError as error:
        row.said = str(error).replace(str(case.flair), case.flair.name)
    else:
        judged(row, preprocessed.quality, preprocessed.placed.method)
    row.wall_s = round(time.perf_counter() - wall, 2)
    row.cpu_s = round(time.process_time() - cpu, 2)
    if row.outcome != "refused":
        returned(row, flair, mask, preprocessed)
    return row


def judged(row: Row, quality: Quality, method: str) -> None:
    """What the gates said."""
    row.outcome = "refused" if quality.status == "failed" else quality.status
    row.stripping, row.method, row.attempts = quality.stripping, method, len(quality.attempts)
    row.mended = any(a.accepted and not a.reason for a in quality.attempts[1:])
    row.tried = [attempt.model_dump() for attempt in quality.attempts]
    row.seconds |= quality.seconds
    row.gates = {v.gate: v.value for v in quality.verdicts if v.value is not None}
    row.overlap = row.gates.get("brain-overlap")
    doubts = [v.message for v in quality.verdicts if v.status == "doubtful"]
    row.said = row.said or "; ".join(doubts)


def returned(row: Row, flair: Volume, mask: Volume | None, preprocessed: PreprocessedScan) -> None:
    """The restore law: masks, affine and landmarks."""
    prepared, brain = preprocessed.prepared, preprocessed.placed.brain
    blank = np.zeros(prepared.image.shape, np.uint8)
    back = restore(blank if prepared.mask is None else prepared.mask, prepared.placement)
    row.affine_same = bool(np.array_equal(back.affine, flair.affine))
    row.file_affine_mm = written_gap_mm(back, flair)
    row.points_voxels = points_gap(brain, prepared.placement)
    row.balls, row.balls_voxels = balls_gap(flair, brain, prepared.placement)
    if mask is None:  # The brain stands in for the mask that is not there.
        row.brain_dice = round(
            hard_dice(carried_back(flair.with_data(brain), prepared.placement), brain), 4
        )
        return
    tumour = mask.data > 0
    row.mask_dice = round(hard_dice(back.data >= 0.5, tumour), 4)
    row.tumour_outside_brain = round(float(tumour[~brain].sum() / max(tumour.sum(), 1)), 5)


def written_gap_mm(back: Volume, flair: Volume) -> float:
    """How far the corners of the written file lie from those of the scan, in mm."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "back.nii.gz"
        write_volume(path, back.with_data((back.data >= 0.5).astype(np.uint8)))
        return corner_distance_mm(read_volume(path), flair)


def markdown(name: str, rows: list[Row]) -> Iterator[str]:
    """The tables of docs/preprocessing.md."""
    kept = [row for row in rows if row.outcome != "refused"]
    count = {what: sum(r.outcome == what for r in rows) for what in ("good", "doubtful", "refused")}
    yield "| data | scans | good | doubtful | refused | retried | mended | s, median | s, worst |"
    yield "|---|---|---|---|---|---|---|---|---|"
    cpu = ends([row.cpu_s for row in kept], (median, max))
    yield f"| {name} | {len(rows)} | {' | '.join(map(str, count.values()))} | " + (
        f"{sum(row.attempts > 1 for row in rows)} | {sum(row.mended for row in rows)} | {cpu} |"
    )
    yield "\n| of those kept | median | worst |\n|---|---|---|"
    for what, worst in WORST.items():
        found = [getattr(row, what) for row in kept if getattr(row, what) is not None]
        yield f"| {what.replace('_', ' ')} (n = {len(found)}) | {ends(found, (median, worst))} |"
    same = sum(row.affine_same is True for row in kept)
    yield f"| affine of the restored volume equals the scan's | {same} of {len(kept)} | |"
    yield "\n| processor seconds | median | worst |\n|---|---|---|"
    for step in dict.fromkeys(step for row in kept for step in row.seconds):
        found = [row.seconds[step] for row in kept if step in row.seconds]
        yield f"| {step} | {ends(found, (median, max))} |"
    yield f"| wall, all steps | {ends([row.wall_s for row in kept], (median, max))} |"
    yield "\n| gate, of those kept | lowest | median | highest |\n|---|---|---|---|"
    for gate in dict.fromkeys(gate for row in kept for gate in row.gates):
        found = [row.gates[gate] for row in kept if gate in row.gates]
        yield f"| {gate} | {ends(found, (min, median, max))} |"
    yield "\n| taken | scans |\n|---|---|"
    for method in sorted({f"{row.method} at try {accepted(row)}" for row in kept}):
        n = sum(f"{row.method} at try {accepted(row)}" == method for row in kept)
        yield f"| {method} | {n} |"
    yield "\n| not good | what was said |\n|---|---|"
    yield from (f"| {r.case} ({r.outcome}) | {r.said.replace('|', '/')} |" for r in rows if r.said)


def accepted(row: Row) -> str:
    """Which of the attempts was taken, of how many."""
    taken = [index for index, attempt in enumerate(row.tried, 1) if attempt["accepted"]]
    return f"{taken[0] if taken else 0} of {len(row.tried)}"


def ends(found: list[float], summaries: tuple[Callable[[list[float]], float], ...]) -> str:
    """Cells of a row; dashes for nothing."""
    return " | ".join(shown(summary(found)) if found else "–" for summary in summaries)


def shown(value: float) -> str:
    """A number as short as it can be read."""
    return (
        f"{value:.2g}"
        if 0 < abs(value) < 1e-3
        else f"{round(value, 4 if abs(value) < 10 else 1):g}"
    )


def brief(row: Row) -> str:
    """One line of progress."""
    return (
        f"{row.case} {row.outcome} cpu {row.cpu_s:.1f} wall {row.wall_s:.1f} overlap {row.overlap} "
        f"dice {row.mask_dice} balls {row.balls_voxels} {row.method}/{row.attempts} {row.said}"
    )


def write_csv(path: Path, rows: list[Row]) -> None:
    """One line a scan; steps and gates as columns."""
    flat = [
        {k: v for k, v in asdict(row).items() if k not in {"seconds", "gates", "tried"}}
        | {f"{k}_s": v for k, v in row.seconds.items()}
        | row.gates
        for row in rows
    ]
    columns = list(dict.fromkeys(name for line in flat for name in line))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(flat)


def as_json(rows: list[Row], options: argparse.Namespace) -> dict[str, Any]:
    """Everything, with what it was measured on."""
    return {
        "benchmark": "preprocessing",
        "data": options.name,
        "stripping": options.stripping,
        "rows": [asdict(row) for row in rows],
        "peak_gib": round(peak_gib(), 2),
        "machine": machine(),
        "versions": versions(),
    }


if __name__ == "__main__":
    sys.exit(main())
