"""A whole 240×240×155 volume on the CPU: plgg's one pass over the brain against a sliding window.

The plain way is MONAI's SlidingWindowInferer over the whole volume in float32, windows of
128×128×112 mm (the published patch), overlap 0.5, Gaussian weights. Same network and first weights,
same synthetic patient; time and memory only. Preprocessing, which both need, is left out. The
exported engines run where they are installed. `predicted_gib` is what `plgg.predict.memory` says
of a pass beforehand, `pass_gib` what it took. Run:
    python benchmarks/inference.py [--size paper|small] [--json]
"""

from __future__ import annotations

import argparse
import tempfile
from importlib.util import find_spec
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.inferers import SlidingWindowInferer

from common import compare, peak_gib, timed
from plgg.config import PRESETS, InferenceConfig
from plgg.data.nifti.image import read_volume
from plgg.data.store_arrays import decode
from plgg.export.run import export_run
from plgg.model.checkpoint import load_checkpoint, save_checkpoint
from plgg.model.network import build_network
from plgg.phantom.cohort import make_cohort
from plgg.phantom.settings import PhantomSettings
from plgg.predict.engine import Engine
from plgg.predict.engines.load import load_engine
from plgg.predict.memory import GIB, bytes_per_voxel, host_peak_bytes, padded
from plgg.predict.whole_brain import predict_box
from plgg.preprocess.grid import sri24_grid
from plgg.preprocess.normalise import NormalisedScan, normalise_scan


def _patient(options: argparse.Namespace) -> NormalisedScan:
    with tempfile.TemporaryDirectory() as folder:
        case = make_cohort(Path(folder), PhantomSettings(n_patients=1, seed=5))[0]
        grid = sri24_grid(PRESETS[options.size].grid.spacing_mm)
        return normalise_scan(read_volume(case.flair), None, grid)


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


def _run(options: argparse.Namespace, folder: Path) -> Path:
    """A run folder with the untrained network."""
    config = PRESETS[options.size]
    network = build_network(config.model, n_classes=3, arm="multitask", seed=0)
    save_checkpoint(
        folder / "checkpoints",
        "best",
        {f"model.{name}": value for name, value in network.state_dict().items()},
        epoch=0,
        config=config,
        classes=("fusion", "other", "v600e"),
        metrics={},
        best_dice=None,
    )
    return folder


def _measured(engine: Engine, options: argparse.Namespace) -> dict[str, Any]:
    """One pass over the brain box, as `plgg predict` does it."""
    codes = _patient(options).image
    i, j, k = codes.shape
    whole = padded((i, j, k), engine.divisors)
    predicted = bytes_per_voxel(engine, whole) * prod(whole)

    def step() -> None:
        predict_box(engine, codes, InferenceConfig())

    seconds = timed(step, repeats=options.repeats)
    # The kernel's own peak starts anew with the measurement that follows.
    peak = round(peak_gib(), 2)
    taken = host_peak_bytes(step)
    return {
        "seconds": seconds,
        "box": list(whole),
        "engine": engine.name,
        "predicted_gib": round(predicted / GIB, 2),
        "pass_gib": round(taken / GIB, 2),
        "peak_gib": peak,
    }


def ours(options: argparse.Namespace) -> dict[str, Any]:
    """One pass in PyTorch, channels-last, bfloat16 where the processor has it."""
    with tempfile.TemporaryDirectory() as folder:
        run = _run(options, Path(folder))
        engine = load_engine("pytorch", run, load_checkpoint(run))
    return _measured(engine, options)


def onnx(options: argparse.Namespace) -> dict[str, Any]:
    """One pass in ONNX Runtime, float32."""
    return _exported("onnx", options)


def openvino(options: argparse.Namespace) -> dict[str, Any]:
    """One pass in OpenVINO, bfloat16 where the processor has it."""
    return _exported("openvino", options)


def _exported(name: Any, options: argparse.Namespace) -> dict[str, Any]:  # noqa: ANN401
    with tempfile.TemporaryDirectory() as folder:
        run = _run(options, Path(folder))
        export_run(run, None, name)
        engine = load_engine(name, run, load_checkpoint(run))
        return _measured(engine, options)


if __name__ == "__main__":
    ways = {"plain": plain, "plgg": ours}
    if find_spec("onnxscript") and find_spec("onnxruntime"):
        ways["onnx"] = onnx
        if find_spec("openvino"):
            ways["openvino"] = openvino
    compare(__file__, ways)
