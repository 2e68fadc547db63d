"""The time of each step from a scan to the atlas, and our registration beside an ANTs affine.

    python benchmarks/registration.py SCAN... --atlas sri24/ --ants-python ants/bin/python

Both register the same two images in the same run, on one thread each: the scan's brain on its 2 mm
working grid, bias field taken out, and the atlas. ANTs may live in an environment of its own;
without `--ants-python` it is left out. The ratio is of processor seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import SimpleITK as sitk

from common import peak_gib
from plgg.api import configure
from plgg.core.environment import machine, versions
from plgg.core.volume import Affine, Volume
from plgg.data.check.usable import require_usable
from plgg.data.manifest import Case
from plgg.data.nifti.image import write_volume
from plgg.data.quality import Quality, Verdict, worst
from plgg.data.scan import scan_name
from plgg.preprocess.brain_extraction import find_brain
from plgg.preprocess.gates.registration import brain_overlap, orientation
from plgg.preprocess.gates.scan import brain_volume, field_of_view, fluid, t1_like
from plgg.preprocess.normalise import normalise_scan
from plgg.preprocess.qc_overlay import draw_case, panels_of
from plgg.preprocess.register import CHAINS, ENGINES, judge_registration
from plgg.preprocess.registration.frame import (
    AlignedScan,
    AtlasView,
    Frame,
    align,
    frame_of,
    turned,
    view_of,
)
from plgg.preprocess.registration.start import STARTS, AtlasPosition
from plgg.preprocess.setup import Route, route_for

ANTS = Path(__file__).with_name("ants_affine.py")


@dataclass
class Clock:
    """Processor and wall seconds of each step."""

    processor: dict[str, float] = field(default_factory=dict)
    wall: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time what is done inside."""
        processor, wall = time.process_time(), time.perf_counter()
        yield
        self.processor[name] = round(time.process_time() - processor, 3)
        self.wall[name] = round(time.perf_counter() - wall, 3)


def main() -> None:
    """Measure every scan and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("scans", nargs="+", type=Path, help="NIfTI files or folders of DICOM")
    parser.add_argument("--atlas", default="built-in", help="as for plgg preprocess")
    parser.add_argument("--ants-python", type=Path, help="the Python that has antspyx")
    parser.add_argument("--repeats", type=int, default=3, help="registrations of each scan")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    route = route_for(configure("paper", settings=["grid.spacing_mm=1"], atlas=options.atlas))
    atlas = view_of(route.atlas)
    registered(atlas.frame, atlas)  # Once for nothing: the engine's library is loaded then.
    found = []
    for scan in options.scans:
        found.append(measured(scan, route, options))
        print(f"{len(found)}/{len(options.scans)} {found[-1]}", file=sys.stderr, flush=True)
    whole = summary(found)
    print(json.dumps(whole, indent=2) if options.json else "\n".join(markdown(whole)))


def measured(path: Path, route: Route, options: argparse.Namespace) -> dict[str, Any]:
    """All steps of one scan, and ANTs on what was registered."""
    clock = Clock()
    with clock.step("read"):
        flair, _ = require_usable(Case("scan", "scan", path))
    with clock.step("brain"):
        brain = find_brain(flair).brain
    with clock.step("bias field"):
        frame = frame_of(flair, brain)
    atlas = view_of(route.atlas)
    with clock.step("registration"):
        matrix = registered(frame, atlas)
    with clock.step("gates"):
        aligned = align(frame, atlas, matrix)
        cut = field_of_view(brain, flair.affine)
        volume = brain_volume(float(brain.sum()) * flair.voxel_volume_ml, None)
        verdicts = (cut, volume, *seen(aligned))
    placed = AtlasPosition(brain, aligned.atlas_from_native, "greedy-affine-mass")
    with clock.step("resampling"):
        normalise_scan(flair, None, route.grid, placed)
    with clock.step("picture"):
        pictured(flair, placed, verdicts, route)
    found = {"scan": scan_name(path), "processor_s": clock.processor, "wall_s": clock.wall}
    found["dice"] = brain_overlap(aligned).value
    return found | in_turn(frame, atlas, options) if options.ants_python else found


def in_turn(frame: Frame, atlas: AtlasView, options: argparse.Namespace) -> dict[str, Any]:
    """Both registrations, taking turns; medians of their processor seconds."""
    ours, theirs = [], []
    for _ in range(options.repeats):
        clock = Clock()
        with clock.step("plgg"):
            registered(frame, atlas)
        ours.append(clock.processor["plgg"])
        theirs.append(by_ants(frame, atlas, options.ants_python))
    seconds = [found["seconds"]["processor"] for found in theirs]
    return {
        "plgg_s": round(median(ours), 3),
        "ants_s": round(median(seconds), 3),
        "ants_dice": theirs[0]["dice"],
        "ants_peak_gib": theirs[0]["peak_gib"],
        "ants_version": theirs[0]["ants"],
    }


def registered(moving: Frame, atlas: AtlasView) -> Affine:
    """The first step of the chain, without the gates: from atlas world to native world."""
    step = CHAINS["affine"][0]
    matrix = STARTS[step.start](moving, atlas)
    for model in step.models:
        matrix = ENGINES[step.engine](atlas.frame, moving, matrix, model)
    return matrix


def seen(aligned: AlignedScan) -> tuple[Verdict, ...]:
    """What is asked of what lies on the atlas."""
    return (
        orientation(aligned),
        fluid(aligned),
        t1_like(aligned, None),
        *judge_registration(aligned),
    )


def pictured(
    flair: Volume, placed: AtlasPosition, verdicts: tuple[Verdict, ...], route: Route
) -> None:
    """The picture that a store keeps of a case."""
    quality = Quality(
        status=worst(verdicts),
        verdicts=verdicts,
        attempts=(),
        stripping="none",
        atlas=route.atlas.name,
        seconds={},
    )
    with tempfile.TemporaryDirectory() as folder:
        panels = panels_of(flair, None, placed, route.atlas)
        draw_case(Path(folder) / "scan.png", panels, title="scan", quality=quality)


def by_ants(moving: Frame, atlas: AtlasView, python: Path) -> dict[str, Any]:
    """ANTs' affine of the same two images, and how the brains then overlap."""
    with tempfile.TemporaryDirectory() as folder:
        paths = [Path(folder) / name for name in ("fixed.nii.gz", "moving.nii.gz")]
        for path, frame in zip(paths, (atlas.frame, moving), strict=True):
            write_volume(path, frame.image)
        done = subprocess.run(  # noqa: S603
            [str(python), str(ANTS), *map(str, paths)],
            check=True,
            capture_output=True,
            text=True,
            env=os.environ | {"ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS": "1", "OMP_NUM_THREADS": "1"},
        )
    found = json.loads(done.stdout.strip().splitlines()[-1])
    aligned = align(moving, atlas, turned(np.array(found["matrix"], dtype=np.float64)))
    return found | {"dice": brain_overlap(aligned).value}


def summary(found: list[dict[str, Any]]) -> dict[str, Any]:
    """Medians, the ratio, and what it was measured on."""

    def middle(way: str) -> float:
        return round(median(scan[f"{way}_s"] for scan in found), 3)

    seconds = {way: middle(way) for way in ("plgg", "ants") if f"{way}_s" in found[0]}
    ratio = round(seconds["ants"] / seconds["plgg"], 2) if seconds else None
    return {
        "benchmark": "registration",
        "ratio": ratio,
        "processor_seconds": seconds,
        "scans": found,
        "peak_gib": round(peak_gib(), 2),
        "machine": machine(),
        "versions": versions(),
    }


def markdown(whole: dict[str, Any]) -> Iterator[str]:
    """The tables of docs/preprocessing.md."""
    scans = whole["scans"]
    yield f"registration: {whole['machine']}, peak {whole['peak_gib']} GiB\n"
    yield "| processor seconds | median | worst |\n|---|---|---|"
    for step in scans[0]["processor_s"]:
        seconds = [scan["processor_s"][step] for scan in scans]
        yield f"| {step} | {median(seconds):.2f} | {max(seconds):.2f} |"
    totals = [sum(scan["processor_s"].values()) for scan in scans]
    yield f"| all | {median(totals):.2f} | {max(totals):.2f} |\n"
    if whole["ratio"] is None:
        yield "ANTs was left out: name the Python that has it with --ants-python."
        return
    yield "| scan | plgg, s | ANTs, s | brain Dice, plgg | ANTs |\n|---|---|---|---|---|"
    for scan in scans:
        yield (
            f"| {scan['scan']} | {scan['plgg_s']:.2f} | {scan['ants_s']:.2f} | "
            f"{scan['dice']:.3f} | {scan['ants_dice']:.3f} |"
        )
    yield f"\nratio {whole['ratio']:.2f} (medians of processor seconds; one thread each)"


if __name__ == "__main__":
    main()
