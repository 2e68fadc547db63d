"""nnU-Net's half of nnunet.py: its planning and preprocessing, its loader, its trainer's step.

    python nnunet_side.py prepare --spacing 2 --patch 80 96 80 --batch 2
    python nnunet_side.py train --repeats 6

Runs in the environment that has nnunetv2, which need not be the one that has plgg. nnU-Net's three
folders are named by its own variables (nnUNet_raw, nnUNet_preprocessed, nnUNet_results); the data
set is number 1. Prints one JSON object, last.
"""

import argparse
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

CONFIGURATION = "3d_fullres"
PLANS = "nnUNetPlans"
# What a loader does to a patch is drawn by chance, so that it is timed more often than a step.
LOADED = 5
_PREPROCESSED, _LOADERS = "nnUNet_preprocessed", "nnUNet_n_proc_DA"


def main() -> None:
    """Prepare, or train, and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=("prepare", "train"))
    parser.add_argument("--spacing", type=float, default=2.0)
    parser.add_argument("--patch", type=int, nargs=3, default=(80, 96, 80))
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=6)
    options = parser.parse_args()
    print(json.dumps(prepare(options) if options.part == "prepare" else train(options.repeats)))


def prepare(options: argparse.Namespace) -> dict[str, object]:
    """Plan and preprocess with one process; patch and batch are then set in the plans.

    The network stays the planned one; its poolings must divide the patch.
    """
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprints,
        plan_experiments,
        preprocess,
    )

    # Its planner takes this for a number of threads, so that it must not be 0.
    os.environ[_LOADERS] = "1"
    started = time.perf_counter()
    spacing = [options.spacing] * 3
    extract_fingerprints([1], num_processes=1, check_dataset_integrity=True)
    plan_experiments([1], overwrite_target_spacing=spacing, overwrite_plans_name=PLANS)
    path = next(Path(os.environ[_PREPROCESSED]).glob(f"Dataset001_*/{PLANS}.json"))
    plans = json.loads(path.read_text())
    chosen = plans["configurations"][CONFIGURATION]
    planned = {"patch": chosen["patch_size"], "batch": chosen["batch_size"]}
    factors = [1, 1, 1]
    for strides in chosen["architecture"]["arch_kwargs"]["strides"]:
        factors = [factor * stride for factor, stride in zip(factors, strides, strict=True)]
    if any(side % factor for side, factor in zip(options.patch, factors, strict=True)):
        sys.exit(f"the planned network pools by {factors}, which does not divide {options.patch}")
    chosen["patch_size"], chosen["batch_size"] = list(options.patch), options.batch
    path.write_text(json.dumps(plans, indent=2))
    preprocess([1], PLANS, configurations=(CONFIGURATION,), num_processes=[1])
    return {"planned": planned, "prepare_s": round(time.perf_counter() - started, 1)}


def train(repeats: int) -> dict[str, object]:
    """Seconds a patch of the loader, of the step, and of both in turn."""
    import torch
    from nnunetv2.run.run_training import get_trainer_from_args

    # The loader works in the trainer's own process, one batch after the other.
    os.environ[_LOADERS] = "0"
    trainer = get_trainer_from_args("1", CONFIGURATION, "all", device=torch.device("cpu"))
    trainer.initialize()
    loader, _ = trainer.get_dataloaders()
    trainer.network.train()
    batch = next(loader)
    n = len(batch["data"])
    return {
        "loader": timed(lambda: next(loader), LOADED * repeats, n),
        "step": timed(lambda: trainer.train_step(batch), repeats, n),
        "both": timed(lambda: trainer.train_step(next(loader)), repeats, n),
        "patch": list(batch["data"].shape[2:]),
        "batch": n,
        "precision": str(next(trainer.network.parameters()).dtype).removeprefix("torch."),
        "parameters": sum(p.numel() for p in trainer.network.parameters()),
        "forward_gflop": forward_gflop(trainer.network, batch["data"], n),
        "network": type(trainer.network).__name__,
        "loading": type(loader).__name__,
        "peak_gib": round(peak_gib(), 2),
        "version": version("nnunetv2"),
        "torch": torch.__version__,
    }


def forward_gflop(network: Callable[..., object], image: object, n_patches: int) -> float:
    """Billions of floating point operations of a forward pass of one patch, as torch counts."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    counter = FlopCounterMode(display=False)
    with torch.no_grad(), counter:
        network(image)
    return round(counter.get_total_flops() / n_patches / 1e9, 1)


def timed(step: Callable[[], object], repeats: int, n_patches: int) -> dict[str, list[float]]:
    """Wall and processor's seconds a patch of each repeat, after one that is not counted."""
    step()
    wall, processor = [], []
    for _ in range(repeats):
        started, worked = time.perf_counter(), time.process_time()
        step()
        wall.append((time.perf_counter() - started) / n_patches)
        processor.append((time.process_time() - worked) / n_patches)
    return {"wall": wall, "processor": processor}


def peak_gib() -> float:
    """Largest resident memory of this process so far; Linux' VmHWM where there is one."""
    status = Path("/proc/self/status")
    for line in status.read_text().splitlines() if status.is_file() else []:
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 2**20
    scale = 2**30 if sys.platform == "darwin" else 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale


if __name__ == "__main__":
    main()
