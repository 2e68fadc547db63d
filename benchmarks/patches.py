"""Training patches per second, from files on disk to the updated weights: plgg against MONAI.

Both train the same network on the same patients at the same spacing and patch size. The plain way
is the one of the tutorials: a Dataset of NIfTI files, dictionary transforms, a DataLoader with two
workers, float32. plgg reads its store (made beforehand; what that takes is told apart). Seconds are
those of a patch; `waiting` is the share of the time in which the network waited for data. Run:
    python benchmarks/patches.py --size small [--repeats 24] [--rounds 2] [--json]
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from monai.data import DataLoader, Dataset
from monai.losses import DiceLoss
from monai.networks.nets import SegResNet
from monai.transforms import (
    Compose,
    CropForegroundd,
    EnsureChannelFirstd,
    LoadImaged,
    NormalizeIntensityd,
    Orientationd,
    RandFlipd,
    RandScaleIntensityd,
    RandShiftIntensityd,
    RandSpatialCropd,
    Spacingd,
    SpatialPadd,
)

from common import compare
from plgg.config import PRESETS, with_settings
from plgg.data.manifest import read_manifest
from plgg.data.split import Split
from plgg.data.store import Store
from plgg.phantom.cohort import make_cohort
from plgg.phantom.settings import PhantomSettings
from plgg.preprocess.cohort import preprocess_cohort
from plgg.train.run import Trainer

N_PATIENTS = 24
DATA = "PLGG_BENCHMARK_DATA"


def make_data(folder: Path, size: str) -> None:
    """Synthetic patients as NIfTI files, and the same in a store."""
    make_cohort(folder / "patients", PhantomSettings(n_patients=N_PATIENTS, seed=0), workers=2)
    config = with_settings(PRESETS[size], ["preprocess.registration=centre"])
    cases = read_manifest(folder / "patients" / "manifest.csv")
    preprocess_cohort(cases, folder / "store", config, workers=2)


class Waiting:
    """Iterates and adds up the time until each item comes."""

    def __init__(self, items: Iterable[Any]) -> None:
        self.items, self.seconds = items, 0.0

    def __iter__(self) -> Iterator[Any]:
        iterator = iter(self.items)
        while True:
            started = time.perf_counter()
            item = next(iterator, None)
            self.seconds += time.perf_counter() - started
            if item is None:
                return
            yield item


def plain(options: argparse.Namespace) -> dict[str, Any]:
    """MONAI's parts put together as its tutorials do."""
    config = PRESETS[options.size]
    folder = Path(os.environ[DATA])
    cases = read_manifest(folder / "patients" / "manifest.csv")
    rows = [{"image": str(case.flair), "mask": str(case.mask)} for case in cases]
    both, size = ["image", "mask"], config.patches.size
    transform = Compose(
        [
            LoadImaged(both),
            EnsureChannelFirstd(both),
            Orientationd(both, axcodes="RAS", labels=None),
            Spacingd(both, pixdim=[config.grid.spacing_mm] * 3, mode=("bilinear", "nearest")),
            CropForegroundd(both, source_key="image"),
            NormalizeIntensityd("image", nonzero=True),
            SpatialPadd(both, size),
            RandSpatialCropd(both, size, random_size=False),
            RandFlipd(both, prob=0.5, spatial_axis=0),
            RandScaleIntensityd("image", factors=0.1, prob=1.0),
            RandShiftIntensityd("image", offsets=0.1, prob=1.0),
        ]
    )
    loader = DataLoader(
        Dataset(rows, transform), batch_size=config.patches.batch, shuffle=True, num_workers=2
    )
    network = SegResNet(
        init_filters=config.model.init_filters,
        in_channels=1,
        out_channels=1,
        blocks_down=config.model.blocks_down,
        blocks_up=config.model.blocks_up,
    )
    optimiser = torch.optim.Adam(network.parameters(), lr=1e-4)
    loss = DiceLoss(sigmoid=True, squared_pred=True)

    def epoch() -> tuple[float, int]:
        batches = Waiting(loader)
        for batch in batches:
            optimiser.zero_grad()
            loss(network(batch["image"].as_tensor()), batch["mask"].as_tensor()).backward()
            optimiser.step()
        return batches.seconds, len(rows)

    return _timed(epoch, options.repeats)


def ours(options: argparse.Namespace) -> dict[str, Any]:
    """Plgg's own trainer, an epoch without validation and checkpoint."""
    folder = Path(os.environ[DATA])
    config = with_settings(PRESETS[options.size], ["arm=single"])
    store = Store(folder / "store")
    cases = tuple(case.case_id for case in store.cohort.cases)
    split = Split(train=cases, validation=(), test=(), k=0, seed=0)
    trainer = Trainer(store, folder / "run", config, split, workers=2)
    count = iter(range(1, 1000))

    def epoch() -> tuple[float, int]:
        means = trainer.train_one_epoch(next(count))
        return means.waited, len(cases)

    return _timed(epoch, options.repeats) | {"precision": trainer.runtime.name}


def _timed(epoch: Any, patches: int) -> dict[str, Any]:  # noqa: ANN401
    """Seconds a patch of epochs, until enough patches were seen; the first epoch warms up."""
    epoch()
    seconds, waited, seen = [], 0.0, 0
    while seen < patches:
        started = time.perf_counter()
        waiting, n = epoch()
        seconds.append((time.perf_counter() - started) / n)
        waited, seen = waited + waiting, seen + n
    total = sum(seconds) * (seen / len(seconds))
    return {"seconds": seconds, "waiting": round(waited / total, 4)}


if __name__ == "__main__":
    if DATA in os.environ:
        compare(__file__, {"plain": plain, "plgg": ours})
    else:
        with tempfile.TemporaryDirectory() as made:
            wanted = sys.argv[sys.argv.index("--size") + 1] if "--size" in sys.argv else "paper"
            started = time.perf_counter()
            make_data(Path(made), wanted)
            print(f"patients and store made in {time.perf_counter() - started:.0f} s")
            os.environ[DATA] = made
            compare(__file__, {"plain": plain, "plgg": ours})
