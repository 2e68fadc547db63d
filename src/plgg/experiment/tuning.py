"""Fine-tuning one network of a model on corrected scans: few steps, a small rate.

Where the patients of the old training are at hand, the whole network learns, from them and from the
corrected ones alike, and is calibrated anew.

Where they are not, the encoder stays as it is, its moments included, and only the outline is
learnt. So whatever else is read from the encoder (marker, further tasks, whether a scan is
familiar) answers as before, and its calibration still holds. The new weights then go halfway from
the old ones (Wortsman et al. 2022, WiSE-FT): a few patients teach much that is true of them alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from torch import Tensor

from plgg.config import MARKER, Config, InitConfig, with_settings
from plgg.core.errors import ConfigError
from plgg.core.files import make_folder
from plgg.core.progress import Watch
from plgg.data.run_folder import read_split
from plgg.data.split import Split
from plgg.data.store import Store
from plgg.model.checkpoint import (
    Checkpoint,
    load_checkpoint,
    read_meta,
    save_checkpoint,
    unprefixed,
)
from plgg.train.run import train

EPOCHS = 4
CROPS = 16
"""Patches of each corrected scan in an epoch."""
_BATCHES = (4, 24)
_ENCODER = 64
_RATE_SHARE = 0.1
_HALFWAY = 0.5
_TUNING = (
    f"optimiser.epochs={EPOCHS}",
    f"validate_every={EPOCHS}",
    "optimiser.schedule=cosine",
    "optimiser.warmup_epochs=0",
    "optimiser.ema=0.9",
)
# Settings that a round may change; all others belong to the model.
_ALLOWED = ("optimiser.", "patches.", "loss.", "execution.", "seed=", "precision=")


Learns = Literal["all", "outline"]


@dataclass(frozen=True)
class OldMember:
    """A network of the current model.

    Attributes:
        run: Its folder, which is only read.
        config: Its settings.
        classes: Marker classes.
        sha256: SHA-256 of its weights.
        train: Scans of the store that it was trained on; none where no store is given.
        validation: Scans of the store in its validation part.
    """

    run: Path
    config: Config
    classes: tuple[str, ...]
    sha256: str
    train: tuple[str, ...] = ()
    validation: tuple[str, ...] = ()

    @property
    def learns(self) -> Learns:
        """What is trained: `all` with old training and validation patients, else `outline`."""
        return "all" if self.train and self.validation else "outline"


def read_old_member(run: Path, store: Store | None) -> OldMember:
    """Read a network, with its training and validation scans.

    Without a split, as in an installed model, all scans of the store count as training scans.

    Raises:
        ConfigError: If it cannot be fine-tuned, or the store lacks one of its scans.
    """
    meta = read_meta(run)
    known = OldMember(run, meta.config, meta.classes, meta.sha256)
    if store is None or not (run / "split.json").is_file():
        guided = meta.config.model.marker.guides_outline and MARKER in meta.auxiliary
        if guided:
            raise ConfigError(
                "its marker guides its outline, so the outline cannot be learnt alone",
                where=run,
                remedy="Give the store that it was trained on.",
            )
        return known if store is None else replace(known, train=tuple(store.by_id))
    split = read_split(run)
    train_cases, validation = tuple(split["train"]), tuple(split["validation"])
    lost = [name for name in (*train_cases, *validation) if name not in store.by_id]
    if lost:
        raise ConfigError(
            f"the store lacks {lost[0]!r}, which the model was trained on",
            where=store.folder,
            remedy="Give the store that the model was trained on.",
        )
    return replace(known, train=train_cases, validation=validation)


def require_settings(old: OldMember, settings: Sequence[str]) -> None:
    """Check the settings of a round.

    Raises:
        ConfigError: If one is unknown or out of range, or belongs to the model.
    """
    for setting in settings:
        if not setting.strip().startswith(_ALLOWED):
            raise ConfigError(
                f"{setting!r} cannot be set in a round: a model is what it is",
                remedy=f"Settings of a round begin with {', '.join(_ALLOWED)}.",
            )
    with_settings(old.config, settings)


def tuning_config(
    old: OldMember,
    store: Store,
    names: Sequence[str],
    *,
    n_corrected: int,
    settings: Sequence[str],
) -> Config:
    """Settings of the fine-tuning: the network's own, with a small rate and few steps.

    Args:
        old: The network.
        store: What it learns from.
        names: The scans of an epoch, with repetitions.
        n_corrected: Number of corrected scans.
        settings: `key=value`, which take precedence.
    """
    own, learns = old.config, old.learns
    few, many = (n * own.patches.batch for n in _BATCHES)
    wanted = min(max(CROPS * n_corrected, few), many)
    per_case = max(1, round(wanted / len(names)))
    frozen = _ENCODER if learns == "outline" else 0
    init = InitConfig(run=str(old.run.resolve()), sha256=old.sha256, frozen_stages=frozen)
    arm = own.arm if learns == "all" else "single"
    rate = _RATE_SHARE * own.optimiser.learning_rate
    more = (f"optimiser.learning_rate={rate!r}", f"patches.per_case={per_case}")
    base = own.model_copy(update={"arm": arm, "init": init})
    tuned = with_settings(base, (*_TUNING, *more, *settings))
    return tuned.model_copy(update={"preprocess": store.cohort.settings})


def oversampled(old: Sequence[str], corrected: Sequence[str]) -> tuple[str, ...]:
    """The scans of an epoch: corrected ones so often that they are about half of it.

    >>> oversampled(["a", "b", "c", "d"], ["x", "y"])
    ('a', 'b', 'c', 'd', 'x', 'y', 'x', 'y')
    """
    rehearsed = [name for name in old if name not in corrected]
    times = max(1, round(len(rehearsed) / len(corrected)))
    return (*rehearsed, *(list(corrected) * times))


def tune(
    old: OldMember,
    store: Store,
    corrected: Sequence[str],
    run: Path,
    *,
    settings: Sequence[str],
    watch: Watch,
    label: str,
) -> None:
    """Fine-tune a network, or resume that.

    Args:
        old: The network.
        store: Of the corrected scans and those of the old training.
        corrected: Scans to learn from.
        run: Folder of the training.
        settings: `key=value` of the fine-tuning.
        watch: Told of the progress.
        label: What to call it.

    Raises:
        ConfigError: If a setting does not fit.
        RunError: If the loss is no longer finite.
    """
    names = oversampled([name for name in old.train if name in store.by_id], list(corrected))
    config = tuning_config(old, store, names, n_corrected=len(corrected), settings=settings)
    # Nothing is chosen by validation patients: the rate falls to 0, and the last weights are used.
    split = Split(train=names, validation=(), test=(), k=0, seed=config.seed)
    with watch.training(label) as listener:
        train(store, run, config, split, listener=listener)


def save_tuned(old: OldMember, run: Path, folder: Path) -> str:
    """Write the checkpoint of a fine-tuned network: the old one, with the trained weights replaced.

    Args:
        old: The old network.
        run: Folder of the training.
        folder: The member's folder in the new model.

    Returns:
        SHA-256 of the new weights.
    """
    before, tuned = load_checkpoint(old.run), load_checkpoint(run)
    meta = before.meta
    whole = old.learns == "all"
    make_folder(folder / "checkpoints")
    save_checkpoint(
        folder / "checkpoints",
        "best",
        tuned.tensors if whole else _interpolate_weights(before, tuned),
        epoch=meta.epoch,
        config=meta.config,
        classes=meta.classes,
        metrics=meta.metrics,
        best_dice=meta.best_dice,
        # A task's record holds the scale of its head's output.
        tasks=tuned.meta.tasks if whole else meta.tasks,
    )
    return read_meta(folder).sha256


def _interpolate_weights(before: Checkpoint, tuned: Checkpoint) -> dict[str, Tensor]:
    """The old weights, those of the outline moved halfway to the tuned ones."""
    heads = tuple(f"heads.{name}." for name in before.meta.auxiliary)
    learnt = unprefixed(tuned.tensors, "model.")
    found = {}
    for name, value in unprefixed(before.tensors, "model.").items():
        same = name.startswith(heads) or not value.is_floating_point()
        moved = value if same else value.float().lerp(learnt[name].float(), _HALFWAY)
        found[f"model.{name}"] = moved
    return found
