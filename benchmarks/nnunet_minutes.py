"""Trains nnU-Net v2 for as many CPU seconds as are given, and says how many iterations that was.

    plgg export nnunet store raw --id 501
    nnUNetv2_plan_and_preprocess -d 501 --verify_dataset_integrity -c 2d
    python benchmarks/nnunet_minutes.py 501 --configuration 2d --fold 0 --minutes 9 --batch 12

nnU-Net's own trainer, network, loss, augmentation and learning rate (polynomial, here over the time
that is given instead of 1000 epochs of 250 iterations), in this one process, whose CPU seconds are
counted: the clock says nothing on a busy machine. Its folders are those of its environment
variables. What it leaves, plgg predict takes as a model.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from pathlib import Path

# In this process alone, so that its CPU seconds are all there are.
_PREPROCESSED, _LOADERS = "nnUNet_preprocessed", "nnUNet_n_proc_DA"
os.environ[_LOADERS] = "0"

import torch  # noqa: E402
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer  # noqa: E402
from nnunetv2.utilities.dataset_name_id_conversion import (  # noqa: E402
    maybe_convert_to_dataset_name,
)


def trainer_of(arguments: argparse.Namespace) -> nnUNetTrainer:
    """nnU-Net's trainer; another batch has plans of another name, so that results lie apart."""
    name = maybe_convert_to_dataset_name(int(arguments.dataset))
    folder = Path(os.environ[_PREPROCESSED]) / name
    plans = json.loads((folder / "nnUNetPlans.json").read_text("utf-8"))
    plans["continue_training"] = False
    if arguments.batch is not None:
        plans["plans_name"] += f"Batch{arguments.batch}"
        plans["configurations"][arguments.configuration]["batch_size"] = arguments.batch
    dataset = json.loads((folder / "dataset.json").read_text("utf-8"))
    return nnUNetTrainer(
        plans, arguments.configuration, arguments.fold, dataset, torch.device("cpu")
    )


def train(trainer: nnUNetTrainer, seconds: float) -> dict[str, object]:
    """Iterations until the CPU seconds are spent; set-up is not counted, loading of batches is."""
    trainer.on_train_start()
    trainer.network.train()
    began, clock, losses = time.process_time(), time.time(), []
    while (spent := time.process_time() - began) < seconds:
        rate = trainer.initial_lr * (1 - spent / seconds) ** 0.9
        for group in trainer.optimizer.param_groups:
            group["lr"] = rate
        losses.append(float(trainer.train_step(next(trainer.dataloader_train))["loss"]))
        if len(losses) % 10 == 0:
            print(f"{len(losses)} iterations, {spent:.0f} s, loss {losses[-1]:.3f}", flush=True)
    spent = time.process_time() - began
    trainer.save_checkpoint(str(Path(trainer.output_folder) / "checkpoint_final.pth"))
    return {
        "iterations": len(losses),
        "batch": trainer.batch_size,
        "cpu_seconds": round(spent, 1),
        "wall_seconds": round(time.time() - clock, 1),
        "first_loss": round(losses[0], 4),
        "last_loss": round(losses[-1], 4),
        "folder": trainer.output_folder,
    }


def main() -> None:
    """Read the words of the command, train, print JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("dataset", help="number of the data set")
    parser.add_argument("--configuration", default="2d")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=9.0, help="CPU minutes")
    parser.add_argument("--batch", type=int, help="instead of what nnU-Net planned for a GPU")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    torch.manual_seed(arguments.seed)
    print(json.dumps(train(trainer_of(arguments), 60 * arguments.minutes), indent=2))


if __name__ == "__main__":
    main()
