"""Training: reproducible, able to learn, and loud when it fails."""

import json
import math

import pytest
import torch

from plgg.core.errors import ConfigError, RunError
from plgg.core.progress import EpochEnd, Silent, Step
from plgg.data.run_folder import is_run, read_config, read_metrics, read_split
from plgg.model.checkpoint import load_checkpoint
from plgg.model.device import choose_runtime, cpu_has_bf16
from plgg.model.network import build_network
from plgg.train.optimisation import learning_rate
from plgg.train.run import train
from plgg.train.validate import validate
from tiny import SMALL_SHAPE, hand_split, tiny_config, tiny_store

PATCH = "patches.size=[16,16,16]"
SPLIT = {"validation": ("P00", "P01"), "test": ()}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("store"), n=6, shape=SMALL_SHAPE)


def numbers(run):
    return [
        {k: v for k, v in record.items() if k not in {"seconds", "waited"}}
        for record in read_metrics(run)
    ]


def trained(store, run, *settings, split=None, workers=2):
    """Train two epochs and read the numbers."""
    config = tiny_config(PATCH, "optimiser.epochs=2", *settings)
    train(store, run, config, split or hand_split(store, **SPLIT), workers=workers)
    return numbers(run)


BF16 = pytest.param(
    "bf16", marks=pytest.mark.skipif(not cpu_has_bf16(), reason="this processor emulates bf16")
)


@pytest.mark.parametrize("precision", ["fp32", BF16])
def test_the_same_seed_gives_the_same_numbers(store, tmp_path, precision):
    wanted = (f"precision={precision}", "model.dropout=0.2", "patches.tumour_share=0.5")
    wanted += ("patches.size=[24,24,24]",)
    one = trained(store, tmp_path / "one", *wanted)
    torch.manual_seed(12345)
    two = trained(store, tmp_path / "two", *wanted, workers=5)
    assert one == two
    assert len(one) == 2
    assert one != trained(store, tmp_path / "three", *wanted, "seed=1")
    shas = [load_checkpoint(tmp_path / name, "last").meta.sha256 for name in ("one", "two")]
    assert shas[0] == shas[1]


def test_small_patches_are_not_trained_in_bf16_on_a_processor(store, tmp_path, caplog):
    """There oneDNN's gradients come from memory that nobody wrote."""
    found = trained(store, tmp_path / "a", "precision=bf16", "patches.size=[16,24,24]")
    if choose_runtime("bf16").device.type != "cpu":
        pytest.skip("a fault of processors only")
    assert "too small for bf16" in caplog.text
    assert found == trained(store, tmp_path / "b", "precision=fp32", "patches.size=[16,24,24]")


def test_training_leaves_the_global_generator_alone(store, tmp_path):
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    trained(store, tmp_path, "model.dropout=0.2")
    assert torch.equal(torch.rand(2), expected)


def test_what_a_run_leaves_behind(store, tmp_path):
    split = hand_split(store, **SPLIT)
    config = tiny_config(PATCH, "validate_every=2")
    events = []
    train(store, tmp_path, config, split, listener=events.append)
    assert is_run(tmp_path)
    assert read_config(tmp_path) == config
    assert read_split(tmp_path) == split.model_dump(mode="json")
    assert set(json.loads((tmp_path / "environment.json").read_text())) >= {"versions", "machine"}
    records = read_metrics(tmp_path)
    assert [record["epoch"] for record in records] == [1, 2, 3]
    # Every second epoch is validated, and the last one always.
    assert ["validation" in record for record in records] == [False, True, True]
    for record in records:
        train_terms = record["train"]
        total = train_terms["segmentation"] + 0.3 * train_terms["marker"]
        assert train_terms["loss"] == pytest.approx(total, rel=1e-5)
    scores = records[-1]["validation"]
    assert set(scores) >= {"dice", "soft_dice", "marker_auc", "marker_loss", "marker_collapsed"}
    assert_told(events, records)


def assert_told(events, records):
    steps = [(event.epoch, event.step) for event in events if isinstance(event, Step)]
    assert steps == [(epoch, step) for epoch in (1, 2, 3) for step in (1, 2)]
    assert {(e.epochs, e.steps) for e in events if isinstance(e, Step)} == {(3, 2)}
    assert [e.record for e in events if isinstance(e, EpochEnd)] == records
    last = [event for event in events if isinstance(event, Step)][-1]
    assert last.losses == records[-1]["train"]


def test_the_single_arm_knows_no_marker(store, tmp_path):
    records = trained(store, tmp_path, "arm=single")
    assert set(records[-1]["train"]) == {"loss", "segmentation"}
    assert records[-1]["validation"]["marker_auc"] is None
    assert "marker" not in load_checkpoint(tmp_path, "best").network().heads


def test_best_is_the_epoch_of_the_best_validation_dice(store, tmp_path):
    records = trained(store, tmp_path, "optimiser.epochs=5", "optimiser.learning_rate=0.01")
    dice = [record["validation"]["dice"] for record in records]
    best = load_checkpoint(tmp_path, "best").meta
    assert best.best_dice == max(dice)
    assert best.epoch == 1 + dice.index(max(dice))
    assert best.metrics["dice"] == best.best_dice
    assert load_checkpoint(tmp_path, "last").meta.best_dice == max(dice)


def test_without_a_mask_to_choose_by_the_last_epoch_is_the_best(tmp_path):
    blind = tiny_store(tmp_path / "store", n=6, shape=SMALL_SHAPE, no_mask=("P00", "P01"))
    records = trained(blind, tmp_path / "run")
    assert records[-1]["validation"]["dice"] is None
    assert load_checkpoint(tmp_path / "run", "best").meta.epoch == 2


def test_unknown_labels_can_be_trained_on(tmp_path):
    """Batches without a known mask, without a known marker, and without either."""
    patchy = tiny_store(
        tmp_path / "store", n=8, shape=SMALL_SHAPE, no_mask=("P02", "P03"), no_marker=("P03", "P04")
    )
    records = trained(patchy, tmp_path / "run", "patches.batch=1", "patches.per_case=2")
    assert all(math.isfinite(value) for value in records[-1]["train"].values())


BY_HEART = (
    "patches.size=[24,32,24]",
    "patches.per_case=5",
    "optimiser.epochs=10",
    "optimiser.learning_rate=0.01",
    "validate_every=10",
    "patches.augmentation.flip=0",
)


def learned(folder, *settings, n):
    """Validation scores on the very patients that were learned."""
    store = tiny_store(folder / "store", n=n, shape=SMALL_SHAPE)
    everyone = tuple(store.by_id)
    split = hand_split(store, validation=everyone, test=(), train=everyone)
    train(store, folder / "run", tiny_config(*BY_HEART, *settings), split)
    return read_metrics(folder / "run")[-1]["validation"]


def test_one_patient_can_be_learned_by_heart(tmp_path):
    assert learned(tmp_path, "arm=single", "patches.batch=1", n=1)["dice"] > 0.95


def test_both_tasks_are_learned_together(tmp_path):
    """Brightness tells the class, so the branch must find it while the outline is learned."""
    scores = learned(tmp_path, "patches.batch=3", "loss.marker_weight=1", n=3)
    assert scores["dice"] > 0.8
    assert scores["marker_auc"] == 1.0
    assert scores["marker_loss"] < math.log(3)
    assert scores["marker_collapsed"] is False


def test_a_loss_that_is_not_finite_names_the_epoch(store, tmp_path):
    with pytest.raises(RunError, match=r"epoch 1, step 2.*learning_rate"):
        trained(store, tmp_path, "optimiser.learning_rate=1e30")
    assert not (tmp_path / "checkpoints" / "last.json").exists()


@pytest.mark.parametrize("validate_every", [1, 9])
def test_weights_that_are_not_finite_are_never_saved(store, tmp_path, validate_every):
    """One step an epoch: its loss is finite, and what it leaves behind is not."""
    wanted = (f"validate_every={validate_every}", "optimiser.learning_rate=1e38")
    with pytest.raises(RunError, match=r"epoch \d.*learning_rate") as caught:
        trained(store, tmp_path, *wanted, "patches.batch=4", "optimiser.epochs=9")
    assert "\n" not in str(caught.value)
    if (tmp_path / "checkpoints" / "last.json").is_file():
        tensors = load_checkpoint(tmp_path, "last").tensors
        assert all(torch.isfinite(value).all() for value in tensors.values())


def test_a_store_that_does_not_fit_is_refused(store, tmp_path):
    split = hand_split(store, **SPLIT)
    with pytest.raises(ConfigError, match="4 mm voxels, the settings want 2 mm"):
        train(store, tmp_path / "run", tiny_config("grid.spacing_mm=2"), split)
    assert not (tmp_path / "run").exists()


def test_nothing_to_learn_from_is_refused(tmp_path):
    names = tuple(f"P{i:02d}" for i in range(6))
    blind = tiny_store(tmp_path / "blind", n=6, shape=SMALL_SHAPE, no_mask=names)
    with pytest.raises(ConfigError, match="no training case has a mask"):
        trained(blind, tmp_path / "run")
    alike = tiny_store(tmp_path / "alike", n=6, shape=SMALL_SHAPE, classes=("only",))
    with pytest.raises(ConfigError, match=r"fewer than two marker classes.*--arm single"):
        trained(alike, tmp_path / "run")
    assert len(trained(alike, tmp_path / "run", "arm=single")) == 2


# Validation.


def validated(store, cases, *, spoil=None):
    config = tiny_config()
    network = build_network(config.model, n_classes=3, arm=config.arm, seed=0)
    if spoil:
        with torch.no_grad():
            for classifier in network.heads["marker"].classifiers.values():
                spoil(classifier[-1])
    runtime = choose_runtime("fp32")
    return validate(network, store, cases, runtime=runtime, settings=config.inference)


def test_a_constant_answer_is_called_a_collapse(store, caplog):
    scores = validated(store, list(store.by_id), spoil=lambda last: last.weight.zero_())
    assert scores["marker_collapsed"] is True
    assert scores["marker_auc"] == 0.5
    assert "collapsed" in caplog.text
    caplog.clear()
    scores = validated(store, list(store.by_id), spoil=lambda last: last.weight.mul_(20))
    assert scores["marker_collapsed"] is False
    assert caplog.text == ""


def test_one_patient_is_no_collapse(store):
    assert validated(store, ["P00"])["marker_collapsed"] is False


def test_what_is_unknown_is_not_scored(tmp_path):
    store = tiny_store(tmp_path, n=3, shape=SMALL_SHAPE, no_mask=("P00",), no_marker=("P01",))
    blind = validated(store, ["P00"])
    assert (blind["dice"], blind["soft_dice"]) == (None, None)
    assert blind["marker_loss"] > 0
    nameless = validated(store, ["P01"])
    assert (nameless["marker_auc"], nameless["marker_loss"]) == (None, None)
    assert 0 <= nameless["soft_dice"] <= 1
    # The other labels are not touched by what is missing.
    assert validated(store, ["P00", "P02"])["dice"] == validated(store, ["P02"])["dice"]
    assert validated(store, [])["dice"] is None


def test_marker_loss_is_the_mean_negative_log_likelihood(store):
    even = validated(store, list(store.by_id), spoil=lambda x: (x.weight.zero_(), x.bias.zero_()))
    assert even["marker_loss"] == pytest.approx(math.log(3))


# The learning rate.


def rates(*settings):
    optimiser = tiny_config("optimiser.learning_rate=1", *settings).optimiser
    return [learning_rate(optimiser, epoch) for epoch in range(optimiser.epochs)]


def test_schedules_by_hand():
    four = ("optimiser.epochs=4", "optimiser.warmup_epochs=0")
    poly = [1.0, 0.75**0.9, 0.5**0.9, 0.25**0.9]
    assert rates(*four, "optimiser.schedule=poly") == pytest.approx(poly)
    root = math.sqrt(0.5)
    cosine = [1.0, (1 + root) / 2, 0.5, (1 - root) / 2]
    assert rates(*four, "optimiser.schedule=cosine") == pytest.approx(cosine)
    assert rates(*four, "optimiser.schedule=constant") == [1.0] * 4


def test_warm_up_rises_to_the_schedule_and_no_epoch_is_idle():
    wanted = ("optimiser.epochs=6", "optimiser.schedule=constant", "optimiser.warmup_epochs=3")
    assert rates(*wanted) == pytest.approx([0.25, 0.5, 0.75, 1, 1, 1])
    for schedule in ("poly", "cosine", "constant"):
        found = rates("optimiser.epochs=5", f"optimiser.schedule={schedule}")
        assert all(0 < rate <= 1 for rate in found)


def test_the_rate_in_the_log_is_the_schedule(store, tmp_path):
    wanted = ("optimiser.schedule=cosine", "optimiser.warmup_epochs=1")
    records = trained(store, tmp_path, *wanted)
    optimiser = tiny_config("optimiser.epochs=2", *wanted).optimiser
    expected = [learning_rate(optimiser, epoch) for epoch in (0, 1)]
    assert [record["learning_rate"] for record in records] == expected


def test_a_silent_watch_says_nothing(capsys):
    watch = Silent()
    with watch.task("x") as progress, watch.training("y") as listener:
        progress(1, 2)
        listener(EpochEnd({}))
        watch.say("z")
    assert capsys.readouterr() == ("", "")
