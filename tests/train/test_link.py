"""The harness can tell a multitask gain from none: it is there where the marker tells something."""

import numpy as np
import pytest
from linked import linked_store

from plgg.data.split import Split
from plgg.metrics.classification import macro_auc
from plgg.metrics.overlap import hard_dice
from plgg.predict.member import load_member
from plgg.predict.whole_brain import predict_box
from plgg.train.run import train
from tiny import tiny_config

N_KNOWN, N_OUTLINED, N_UNSEEN = 60, 8, 30
SETTINGS = (
    "patches.size=[24,24,24]",
    "patches.batch=4",
    "patches.outlined_share=0.5",
    "model.blocks_down=[1,1,2]",
    "model.blocks_up=[1,1]",
    'model.marker.inputs=["average"]',
    "model.marker.guides_outline=true",
    "loss.voxel_weight=1",
    "loss.gradients_every=0",
    "optimiser.learning_rate=0.004",
    "optimiser.ema=0.95",
    "optimiser.epochs=20",
    "validate_every=1000",
)


def unseen_scores(folder, arm, *, link):
    """Dice of patients that an arm has not seen, and the AUC of their markers."""
    known = linked_store(folder / "known", N_KNOWN, link=link, outlined=N_OUTLINED)
    unseen = linked_store(folder / "unseen", N_UNSEEN, link=link, outlined=N_UNSEEN, first=1000)
    config = tiny_config(*SETTINGS).model_copy(update={"arm": arm})
    everyone = Split(train=tuple(known.by_id), validation=(), test=(), k=0, seed=0)
    train(known, folder / arm, config, everyone)
    member = load_member(folder / arm, calibrated=False)
    answers = [
        predict_box(member.engine, unseen.image(case), config.inference, tasks=member.tasks)
        for case in unseen.by_id
    ]
    masks = [unseen.mask(case) > 0 for case in unseen.by_id]
    dice = [hard_dice(a.tumour >= 0.5, mask) for a, mask in zip(answers, masks, strict=True)]
    if arm == "single":
        return np.array(dice), None
    truth = [unseen.cohort.classes.index(case.marker) for case in unseen.cohort.cases]
    return np.array(dice), macro_auc(np.array(truth), np.array([a.marker for a in answers]))


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_gain_is_there_with_the_link_and_gone_without(tmp_path):
    # Markers are nothing to the single task, so that it is the same in both cohorts.
    single, _ = unseen_scores(tmp_path / "single", "single", link=True)
    gains, aucs = {}, {}
    for link in (True, False):
        dice, aucs[link] = unseen_scores(tmp_path / str(link), "multitask", link=link)
        gains[link] = dice - single
    error = gains[True].std(ddof=1) / np.sqrt(N_UNSEEN)
    assert aucs[True] > 0.9 > aucs[False]
    assert gains[True].mean() > max(0.03, 2.0 * error)
    assert gains[False].mean() < 0.02
