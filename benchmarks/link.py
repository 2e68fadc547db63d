"""Can the harness tell a multitask gain from none? Synthetic patients, whose truth is known.

Two cohorts that differ in one thing: in the first the marker decides what shows in the image and
what belongs to the tumour (`--link 1`), in the second it does not (`--link 0`). Outlines are scarce
and markers are known of all, so that what the marker teaches can show in the outline. Both arms
learn the same splits, in the same batches, half of each with outlines, and are tested on the same
unseen patients, all of whom have outlines. The joint arm's outline is told the marker: the true one
in training, its own branch's answer in the test.

    OMP_NUM_THREADS=1 python benchmarks/link.py --out link --jobs 2
"""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from plgg.cli.show import Bars
from plgg.config import Config, preset, with_settings
from plgg.core.files import make_folder
from plgg.core.progress import Silent, Watch
from plgg.data.experiment_folder import ExperimentRecord, arm_folder, write_experiment
from plgg.data.split import Split, make_split
from plgg.data.store import Store, is_store
from plgg.evaluate.compare.experiment import compare_experiment
from plgg.experiment.demo import make_patients, make_store
from plgg.experiment.scoring import score_parts
from plgg.phantom.settings import PhantomSettings
from plgg.report.comparison import as_markdown
from plgg.train.run import train

ARMS = ("single", "multitask")
# Wide halos belong to the tumour or not as the marker says, and it shows far from the tumour alone:
# few outlines teach what a halo means, but not how to know whose it is.
COHORT = {"halos": 1.0, "halo_width": 0.85, "elsewhere": 1.0, "contrast": 3.0}
SETTINGS = (
    "grid.spacing_mm=4",
    "preprocess.registration=centre",
    "patches.size=[48,48,48]",
    "patches.batch=4",
    "patches.outlined_share=0.5",
    "patches.augmentation.warp=0.8",
    "patches.augmentation.gamma=0.3",
    "patches.augmentation.bias=0.3",
    "patches.augmentation.noise=0.3",
    "model.stem=2",
    "model.init_filters=16",
    # Its deepest voxels are 64 mm wide: in an average over them, spots are not yet drowned.
    "model.blocks_down=[1,1,2,2]",
    "model.blocks_up=[1,1,1]",
    'model.marker.inputs=["average"]',
    "model.marker.guides_outline=true",
    "loss.voxel_weight=1",
    "optimiser.learning_rate=0.001",
    "optimiser.ema=0.98",
    "loss.gradients_every=0",
    # A handful of outlined patients can choose neither an epoch nor a threshold.
    "validate_every=1000",
    "inference.threshold=0.5",
    "inference.smallest_ml=0",
)


def main() -> None:
    """Make, train, test, compare; finished pieces in the folder are kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder; finished pieces are kept")
    parser.add_argument("--links", type=float, nargs="+", default=[1.0, 0.0], metavar="LINK")
    parser.add_argument("--patients", type=int, default=220, help="to learn from")
    parser.add_argument("--unseen", type=int, default=60, help="to be tested on")
    parser.add_argument("--missing-masks", type=float, default=0.85, help="share without outline")
    parser.add_argument("--splits", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=36)
    parser.add_argument("--jobs", type=int, default=1, help="training runs side by side")
    parser.add_argument("--set", dest="settings", action="append", default=[], help="key=value")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    options = parser.parse_args()
    found = {f"link {link:g}": _cohort(link, options) for link in options.links}
    if options.json:
        print(json.dumps(found))


def _cohort(link: float, options: argparse.Namespace) -> dict[str, Any]:
    """Both arms on one cohort; its table."""
    chosen = (*SETTINGS, f"optimiser.epochs={options.epochs}", *options.settings)
    config = with_settings(preset("small"), chosen)
    out = options.out / f"link-{link:g}"
    known = PhantomSettings(
        n_patients=options.patients,
        seed=1,
        link=link,
        missing_masks=options.missing_masks,
        **COHORT,
    )
    unseen = PhantomSettings(n_patients=options.unseen, seed=1_000_001, link=link, **COHORT)
    watch = Bars(quiet=options.json)
    stores = [
        _store(out, name, cohort, config, watch)
        for name, cohort in (("known", known), ("unseen", unseen))
    ]
    _train(out / "experiment", stores[0], stores[1], config, options)
    comparison = compare_experiment(out / "experiment")
    (contrast,) = comparison.on("test")
    if not options.json:
        sys.stdout.write(f"\n## link {link:g}\n\n{as_markdown(comparison)}\n")
    return {
        "dice": {arm: comparison.of(arm, "test").dice.values for arm in ARMS},
        "marker_auc": comparison.of("multitask", "test").marker_auc.values,
        "difference": contrast.difference,
        "interval": [contrast.interval.low, contrast.interval.high],
        "adjusted_p": contrast.adjusted_p,
    }


def _store(out: Path, name: str, cohort: PhantomSettings, config: Config, watch: Watch) -> Store:
    """A cohort, preprocessed; one of that size that is there is kept, also without its images."""
    folder = out / f"{name}-store"
    if is_store(folder) and len(Store(folder).cohort.cases) == cohort.n_patients:
        return Store(folder)
    return make_store(make_patients(out / name, cohort, watch), folder, config, watch)


def _train(
    out: Path, known: Store, unseen: Store, config: Config, options: argparse.Namespace
) -> None:
    """Fill an experiment's folder whose test patients are the unseen ones."""
    make_folder(out)
    write_experiment(
        out,
        ExperimentRecord(
            store=str(unseen.folder.resolve()),
            preset=config.preset,
            config=config.model_dump(mode="json", exclude={"arm"}),
            arms=ARMS,
            n_splits=options.splits,
            seed=config.seed,
        ),
    )
    wanted = [(k, arm) for k in range(options.splits) for arm in ARMS]
    with (
        Bars(quiet=options.json).task(f"{len(wanted)} runs") as progress,
        ProcessPoolExecutor(options.jobs, mp_context=get_context("spawn")) as pool,
    ):
        runs = [pool.submit(_run, out, known, unseen, config, k, arm) for k, arm in wanted]
        for n_done, run in enumerate(as_completed(runs), start=1):
            run.result()
            progress(n_done, len(wanted))


def _run(out: Path, known: Store, unseen: Store, config: Config, k: int, arm: str) -> None:
    """Train one arm on one split, and test it on the unseen patients."""
    run, watch = arm_folder(out, k, arm), Silent()
    split = make_split(known.cohort.cases, k=k, seed=config.seed)
    train(known, run, config.model_copy(update={"arm": arm, "seed": config.seed + k}), split)
    everyone = Split(train=(), validation=(), test=tuple(unseen.by_id), k=0, seed=config.seed)
    score_parts(unseen, run, everyone, run, watch, label=run.name, parts=("test",))


if __name__ == "__main__":
    main()
