"""Run folders as training leaves them, their networks untrained, with or without calibration."""

from plgg.data.calibration import (
    Calibration,
    MarkerRule,
    MaskRule,
    TrainingDistribution,
    VolumeRule,
    write_calibration,
)
from plgg.model.checkpoint import load_checkpoint, save_checkpoint
from plgg.model.network import build_network
from tiny import tiny_config

CLASSES = ("fusion", "other", "v600e")
# What a network answers does not matter where these are used, and how long it takes does.
SHALLOW = ("model.blocks_down=[1,1]", "model.blocks_up=[1]", "patches.size=[16,16,16]")


def make_run(folder, *settings, seed=0, classes=CLASSES):
    """A run folder with a best checkpoint."""
    config = tiny_config(*settings)
    network = build_network(
        config.model,
        n_classes=len(classes),
        arm=config.arm,
        seed=seed,
        n_sequences=len(config.channels),
        n_outlines=config.n_outlines,
    )
    save_checkpoint(
        folder / "checkpoints",
        "best",
        {f"model.{name}": value for name, value in network.state_dict().items()},
        epoch=7,
        config=config,
        classes=classes,
        metrics={},
        best_dice=None,
    )
    return folder


def marker_rule(*, temperature=1.0, answer_from=0.0):
    return MarkerRule(
        temperature=temperature,
        target_risk=0.2,
        answer_from=answer_from,
        coverage=1.0,
        risk=0.1,
        ece_before=0.2,
        ece_after=0.1,
        nll_before=1.0,
        nll_after=0.9,
        bins_before=(),
        bins_after=(),
        curve=(),
        n=10,
    )


def calibrate(
    run, *, threshold=0.5, smallest_ml=0.0, log_ratio=None, marker=None, references=None, far=None
):
    """Give a run a calibration made by hand."""
    familiarity = references and TrainingDistribution(
        references=references, doubtful_above=far / 2, failed_above=far
    )
    write_calibration(
        run,
        Calibration(
            model_sha256=load_checkpoint(run, "best").meta.sha256,
            mask=MaskRule(
                threshold=threshold, smallest_ml=smallest_ml, dice=0.8, plain_dice=0.7, n=10
            ),
            volume=log_ratio and VolumeRule(log_ratio=log_ratio, level=0.9, n=10),
            marker=marker,
            clinical=None,
            familiarity=familiarity or None,
        ),
    )
    return run
