"""Training patches per second of plgg's loader and step against nnU-Net's own, in one run.

nnU-Net v2 gets the same phantoms as NIfTI files in its raw layout, plans and preprocesses them with
one process at plgg's spacing, and trains by its nnUNetTrainer, its loader in the same process
(`nnUNet_n_proc_DA=0`). Both sides are given the same patch, 80×96×80 at 2 mm: that of the preset
`small` made divisible for nnU-Net's poolings. Batches are those of each: nnU-Net's smallest is 2.

What is compared is what each does by default, and that is not the same. nnU-Net's network is
another and larger one, in float32, that learns coarser outlines as well (deep supervision); its
loader rotates, zooms, blurs, adds noise and more, plgg's mirrors and changes the intensity. So
loader and step are told apart, with the size and the work (operations of a forward pass) of each
network, and no ratio says which learns better. Seconds are means for a patch; ratios are of the
processor's seconds, which do not count waiting for a core. Run:
    OMP_NUM_THREADS=1 python benchmarks/nnunet.py --nnunet-python NNUNET/bin/python [--json]
Without nnunetv2 it says so in one line and ends.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import fmean
from typing import Any

from nnunet_side import LOADED, forward_gflop, peak_gib, timed
from plgg.config import PRESETS, Config, with_settings
from plgg.core.environment import machine, versions
from plgg.data.manifest import Case, read_manifest
from plgg.data.split import Split
from plgg.data.store import Store
from plgg.phantom.cohort import make_cohort
from plgg.phantom.settings import PhantomSettings
from plgg.preprocess.cohort import preprocess_cohort
from plgg.train.run import Trainer

SIDE = Path(__file__).with_name("nnunet_side.py")
PATCH = (80, 96, 80)
PARTS = ("loader", "step", "both")


def main() -> None:
    """Make patients, time both sides, print a table or JSON."""
    options = parse()
    if options.store:
        print(json.dumps(ours(options.store, configured(options), options.repeats)))
        return
    if not has_nnunet(options.nnunet_python):
        print(
            f"skipped: {options.nnunet_python} has no nnunetv2. Install it in an environment of "
            "its own and name that environment's Python with --nnunet-python."
        )
        return
    with tempfile.TemporaryDirectory() as made:
        found = compared(Path(made), options)
    print(json.dumps(found, indent=2) if options.json else table(found))


def parse() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nnunet-python", default=sys.executable, help="the Python with nnunetv2")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--patients", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=6, help="timed batches of each side")
    parser.add_argument("--rounds", type=int, default=1, help="how often the sides take turns")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="settings")
    parser.add_argument("--store", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def configured(options: argparse.Namespace) -> Config:
    """The preset `small` with the common patch, without a marker, as nnU-Net knows none."""
    fixed = (f"patches.size={list(PATCH)}", "preprocess.registration=centre", "arm=single")
    return with_settings(PRESETS["small"], (*fixed, *options.settings))


def has_nnunet(python: str) -> bool:
    """Whether an interpreter finds nnunetv2."""
    look = "import importlib.util, sys; sys.exit(importlib.util.find_spec('nnunetv2') is None)"
    try:
        return subprocess.run([python, "-c", look], check=False).returncode == 0  # noqa: S603
    except OSError:
        return False


def compared(folder: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Both sides in turn, on the same patients, each in a process of its own."""
    config = configured(options)
    make_cohort(folder / "patients", PhantomSettings(n_patients=options.patients), workers=2)
    cases = read_manifest(folder / "patients" / "manifest.csv")
    preprocess_cohort(cases, folder / "store", config, workers=2)
    surroundings = raw_layout(folder / "nnunet", cases)
    repeats = ["--repeats", str(options.repeats)]
    side = [options.nnunet_python, str(SIDE)]
    size = ["--spacing", str(config.grid.spacing_mm), "--patch", *map(str, PATCH)]
    prepared = told([*side, "prepare", *size], surroundings)
    mine = [sys.executable, __file__, "--store", str(folder / "store"), *repeats]
    mine += [word for setting in options.settings for word in ("--set", setting)]
    rounds = [
        {"nnunet": told([*side, "train", *repeats], surroundings), "plgg": told(mine, os.environ)}
        for _ in range(options.rounds)
    ]
    return summary(rounds, prepared, options)


def raw_layout(folder: Path, cases: list[Case]) -> dict[str, str]:
    """nnU-Net's raw data set number 1; the environment that makes nnU-Net find it."""
    names = {f"nnUNet_{name}": folder / name for name in ("raw", "preprocessed", "results")}
    dataset = names["nnUNet_raw"] / "Dataset001_Phantoms"
    for path in (*names.values(), dataset / "imagesTr", dataset / "labelsTr"):
        path.mkdir(parents=True, exist_ok=True)
    for case in cases:
        shutil.copyfile(case.flair, dataset / "imagesTr" / f"{case.case_id}_0000.nii.gz")
        if case.mask is not None:
            shutil.copyfile(case.mask, dataset / "labelsTr" / f"{case.case_id}.nii.gz")
    record = {
        "channel_names": {"0": "FLAIR"},
        "labels": {"background": 0, "tumour": 1},
        "numTraining": len(cases),
        "file_ending": ".nii.gz",
    }
    (dataset / "dataset.json").write_text(json.dumps(record))
    paths = {name: str(path) for name, path in names.items()}
    return {**os.environ, **paths}


def told(command: list[str], surroundings: Any) -> dict[str, Any]:  # noqa: ANN401
    """The JSON object in the last line of what a command prints."""
    done = subprocess.run(  # noqa: S603
        command, check=False, capture_output=True, text=True, env=surroundings
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nfailed:\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
    found: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def ours(folder: Path, config: Config, repeats: int) -> dict[str, Any]:
    """Plgg's loader, step, and both, timed as nnU-Net's are."""
    store = Store(folder)
    split = Split(train=tuple(store.by_id), validation=(), test=(), k=0, seed=0)
    with tempfile.TemporaryDirectory() as run:
        trainer = Trainer(store, Path(run), config, split, workers=1)
        trainer.network.train()
        batches = (pieces for e in range(1, 10**6) for pieces in trainer.batches.epoch(e))
        held = next(batches)
        n = len(held[0].image)

        def step(pieces: Any) -> None:  # noqa: ANN401
            trainer.optimiser.zero_grad(set_to_none=True)
            moved = [piece.to(trainer.runtime.device) for piece in pieces]
            trainer.task_gradients.backward(moved, apart=False)
            trainer.optimiser.step()

        return {
            "loader": timed(lambda: next(batches), LOADED * repeats, n),
            "step": timed(lambda: step(held), repeats, n),
            "both": timed(lambda: step(next(batches)), repeats, n),
            "patch": list(held[0].image.shape[2:]),
            "batch": n,
            "precision": trainer.runtime.name,
            "parameters": sum(p.numel() for p in trainer.network.parameters()),
            "forward_gflop": forward_gflop(trainer.network, held[0].image, n),
            "network": type(trainer.network).__name__,
            "loading": "one thread, two batches ahead",
            "peak_gib": round(peak_gib(), 2),
        }


def summary(
    rounds: list[dict[str, dict[str, Any]]], prepared: dict[str, Any], options: argparse.Namespace
) -> dict[str, Any]:
    """Means over all rounds, for a loader's dear patches count, and nnU-Net's over plgg's."""

    def mean(side: str, part: str, clock: str) -> float:
        return fmean(seconds for found in rounds for seconds in found[side][part][clock])

    sides = {
        side: {
            **{part: round(mean(side, part, "wall"), 4) for part in PARTS},
            **{f"{part}_cpu": round(mean(side, part, "processor"), 4) for part in PARTS},
            **{key: value for key, value in rounds[0][side].items() if key not in PARTS},
            "peak_gib": max(found[side]["peak_gib"] for found in rounds),
        }
        for side in ("nnunet", "plgg")
    }
    ratios = {
        part: round(sides["nnunet"][f"{part}_cpu"] / sides["plgg"][f"{part}_cpu"], 2)
        for part in PARTS
    }
    return {
        "benchmark": "nnunet",
        "settings": options.settings,
        "ratio": ratios["both"],
        "ratios": ratios,
        **sides,
        "nnunet_preparation": prepared,
        "load": [round(value, 1) for value in os.getloadavg()],
        "machine": machine(),
        "versions": versions(),
    }


def table(found: dict[str, Any]) -> str:
    """A row a side, then what each is."""
    titles = (*(f"{part} s" for part in PARTS), *(f"{part} CPU s" for part in PARTS), "peak GiB")
    keys = (*PARTS, *(f"{part}_cpu" for part in PARTS), "peak_gib")
    lines = [
        f"nnunet: {found['machine']}; load {found['load'][0]}; seconds a patch",
        f"{'side':<8}" + "".join(f"{title:>14}" for title in titles),
    ]
    lines += [
        f"{side:<8}" + "".join(f"{found[side][key]:>14.3f}" for key in keys)
        for side in ("nnunet", "plgg")
    ]
    for side in ("nnunet", "plgg"):
        about = found[side]
        lines.append(
            f"{side}: {about['network']}, {about['parameters'] / 1e6:.1f} M parameters, "
            f"{about['forward_gflop']:.0f} GFLOP forward a patch, {about['precision']}, "
            f"patch {about['patch']}, batch {about['batch']}, loading: {about['loading']}"
        )
    lines.append(f"ratios of the processor's seconds: {found['ratios']}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
