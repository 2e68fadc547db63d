"""A whole 240×240×155 volume on the CPU: plgg's one pass over the brain against a sliding window.

The plain way is MONAI's SlidingWindowInferer over the whole volume in float32, windows of
128×128×112 mm (the published patch), overlap 0.5, Gaussian weights. Same network and first weights,
same synthetic patient; time and memory only. Preprocessing, which both need, is left out. Run:
    python benchmarks/inference.py [--size paper|small] [--json]
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer

from common import compare, timed
from plgg.config import PRESETS
from plgg.infer.engine import predict_box
from plgg.io.codes import decode
from plgg.io.nifti import read_volume
from plgg.model.allocator import keep_freed_memory
from plgg.model.device import Runtime, cpu_has_bf16
from plgg.model.network import build_network
from plgg.phantom import PhantomSettings, make_cohort
from plgg.preprocess.case import Prepared, prepare
from plgg.preprocess.grid import sri24_grid


def _patient(options: argparse.Namespace) -> Prepared:
    with tempfile.TemporaryDirectory() as folder:
        case = make_cohort(Path(folder), PhantomSettings(n_patients=1, seed=5))[0]
        grid = sri24_grid(PRESETS[options.size].grid.spacing_mm)
        return prepare(read_volume(case.flair), None, grid)


def plain(options: argparse.Namespace) -> dict[str, Any]:
    """Sliding window over the whole volume, float32, default memory format."""
    config = PRESETS[options.size]
    prepared, grid = _patient(options), sri24_grid(config.grid.spacing_mm)
    whole = np.zeros(grid.shape, dtype=np.float32)
    corner = np.linalg.solve(grid.affine, np.array(prepared.placement.box_affine))[:3, 3]
    i, j, k = (round(float(c)) for c in corner)
    di, dj, dk = prepared.image.shape
    whole[i : i + di, j : j + dj, k : k + dk] = decode(prepared.image)
    network = build_network(config.model, n_classes=3, arm="multitask", seed=0).eval()
    network.to(memory_format=torch.contiguous_format)
    window = [round(n / config.grid.spacing_mm) for n in (128, 128, 112)]
    inferer = SlidingWindowInferer(window, overlap=0.5, mode="gaussian")
    image = torch.from_numpy(whole)[None, None]

    def step() -> None:
        with torch.inference_mode():
            torch.sigmoid(inferer(image, lambda x: network(x)["segmentation"]))

    return {"seconds": timed(step, repeats=options.repeats), "volume": list(grid.shape)}


def ours(options: argparse.Namespace) -> dict[str, Any]:
    """One pass over the brain box, channels-last, bfloat16 where the processor has it."""
    keep_freed_memory()
    config = PRESETS[options.size]
    prepared = _patient(options)
    network = build_network(config.model, n_classes=3, arm="multitask", seed=0).eval()
    runtime = Runtime(torch.device("cpu"), cpu_has_bf16())

    def step() -> None:
        predict_box(network, prepared.image, runtime, config.inference)

    seconds = timed(step, repeats=options.repeats)
    return {"seconds": seconds, "box": list(prepared.image.shape), "precision": runtime.name}


if __name__ == "__main__":
    compare(__file__, {"plain": plain, "plgg": ours})
