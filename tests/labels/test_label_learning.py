"""The loss of several regions, the network's outputs, and patches: laws, and no training yet."""

import numpy as np
import pytest
import torch
from labelled import LABELS, SETTING, labelled_config, labelled_store

from plgg.config import LossConfig, preset, with_settings
from plgg.core.errors import ConfigError
from plgg.data.inputs import Inputs
from plgg.data.labels import region
from plgg.model.network import build_network
from plgg.predict.engine import answer_from_arrays
from plgg.tasks.base import Target
from plgg.tasks.kinds import fit_tasks
from plgg.tasks.segmentation import Segmentation
from plgg.train.augment import AugmentationParameters, Warp
from plgg.train.batches import EpochBatches, Share
from plgg.train.patches import PatchPlan, cut_patch
from plgg.train.run import train
from tiny import SMALL_SHAPE, hand_split, tiny_store

SHAPE = (3, 2, 8, 8, 8)


def target(known):
    generator = torch.Generator().manual_seed(0)
    whole = (torch.rand(SHAPE[:1] + SHAPE[2:], generator=generator) < 0.4).float()
    inner = whole * (torch.rand(SHAPE[:1] + SHAPE[2:], generator=generator) < 0.5)
    return Target(torch.stack([whole, inner], dim=1), torch.tensor(known))


def loss_of(logits, truth, n_known=None, **settings):
    task = Segmentation(LossConfig(**settings))
    return task.loss({"segmentation": logits}, truth, n_known=n_known)


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(SHAPE, generator=generator, requires_grad=True)


@pytest.mark.parametrize("over", ["sample", "batch"])
def test_the_loss_is_the_mean_over_regions(logits, over):
    truth = target([[True, True]] * 3)
    found = loss_of(logits, truth, voxel_weight=1.0, dice_over=over)
    apart = [
        loss_of(
            logits[:, [n]],
            Target(truth.value[:, [n]], truth.known[:, n]),
            voxel_weight=1.0,
            dice_over=over,
        )
        for n in range(2)
    ]
    assert torch.allclose(found, sum(apart) / 2)


def test_a_region_that_a_mask_does_not_tell_gives_no_gradient(logits):
    loss_of(logits, target([[True, True], [True, False], [False, False]])).backward()
    moved = logits.grad.abs().sum(dim=(2, 3, 4)) > 0
    assert moved.tolist() == [[True, True], [True, False], [False, False]]


def test_nothing_known_costs_nothing(logits):
    loss = loss_of(logits, target([[False, False]] * 3))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert not logits.grad.any()


def test_the_losses_of_pieces_add_up(logits):
    truth = target([[True, True], [True, False], [True, True]])
    whole = loss_of(logits, truth)
    n_known = int(truth.known.sum())
    pieces = [
        loss_of(logits[part], Target(truth.value[part], truth.known[part]), n_known=n_known)
        for part in (slice(0, 1), slice(1, 3))
    ]
    assert torch.allclose(whole, sum(pieces))


def test_a_region_that_is_not_there_is_learnt_to_be_absent(logits):
    """Soft Dice alone gives it no gradient at all."""
    truth = target([[True, True]] * 3)
    truth.value[:, 1] = 0.0
    loss_of(logits, truth).backward()
    assert (logits.grad[:, 1] > 0).all()


@pytest.mark.parametrize(
    "settings",
    [
        ("model.deep_supervision=2",),
        ("model.stem=2",),
        ("model.marker.guides_outline=true",),
        ("tasks.segmentation.labels={tumour: [1, 2, 3], core: [2, 3], cyst: 3}",),
    ],
)
def test_every_region_has_an_output(settings):
    config = labelled_config("patches.size=[32,32,32]", *settings)
    network = build_network(
        config.model, n_classes=3, arm="multitask", seed=0, n_outlines=config.n_outlines
    )
    image = torch.randn(1, 1, 32, 32, 32)
    outputs = network.train()(image, None, torch.tensor([1]))
    assert outputs["segmentation"].shape == (1, config.n_outlines, 32, 32, 32)
    assert all(out.shape[1] == config.n_outlines for out in outputs.get("deep", ()))
    assert outputs["marker"].shape == (1, 3)
    with torch.inference_mode():
        found = network.eval()(image)
    answer = answer_from_arrays({name: value.numpy() for name, value in found.items()})
    assert np.array_equal(answer.outlines, found["segmentation"][0].numpy())
    assert answer.segmentation.shape == (32, 32, 32)


def test_slices_have_an_output_for_every_region():
    config = with_settings(preset("best"), [SETTING])
    network = build_network(config.model, n_classes=3, arm="multitask", seed=0, n_outlines=2)
    with torch.inference_mode():
        outputs = network.eval()(torch.randn(1, 3, 64, 64, 2))
    assert outputs["segmentation"].shape == (1, 2, 64, 64, 2)


def test_a_map_of_another_task_has_one_channel(tmp_path):
    store = tiny_store(tmp_path, n=3, shape=SMALL_SHAPE)
    config = labelled_config(
        "tasks={segmentation: {kind: segmentation, labels: {tumour: [1, 2], cyst: 2}}, "
        "signed_distance: signed_distance}"
    )
    tasks = fit_tasks(config, store, ["P00"])
    network = build_network(
        config.model, n_classes=3, arm="multitask", seed=0, tasks=tasks, n_outlines=2
    )
    outputs = network.train()(torch.randn(1, 1, 32, 32, 32))
    assert outputs["segmentation"].shape[1] == 2
    assert outputs["signed_distance"].shape == (1, 1, 32, 32, 32)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("labelled")
    return labelled_store(folder, n=4, whole_alone=("P02",), without_cyst=("P03",))


@pytest.mark.parametrize("flips", [(), (0,), (1, 2)])
def test_regions_are_cut_as_their_image(store, flips):
    """The cyst is dark and the tumour bright, wherever the patch lies and however it is turned."""
    warp = Warp((10.0, -20.0, 5.0), (1.1, 0.9, 1.0), (0.02, 0.0, -0.01), elastic_seed=3)
    plan = PatchPlan(
        "P00", (-2, 3, 1), (24, 24, 24), flips, change=AugmentationParameters(warp=warp)
    )
    patch = cut_patch(store, plan, LABELS)
    whole, cyst = patch.regions > 0
    assert cyst.any()
    assert not (cyst & ~whole).any()
    assert np.array_equal(patch.mask, patch.regions[0])
    assert np.array_equal(cut_patch(store, plan).mask, patch.mask)
    image = patch.image[0]
    assert image[whole & ~cyst].mean() > image[~whole].mean() + 1
    assert image[cyst].mean() < image[~whole].mean() - 1


def test_a_batch_says_what_is_known(store):
    config = labelled_config("patches.batch=4", "patches.per_case=1")
    batches = EpochBatches(
        store, store.by_id, config.patches, seed=0, workers=1, inputs=Inputs.of(config)
    )
    ((batch,),) = list(batches.epoch(1))
    known = batch.targets["segmentation"].known
    assert known[:, 0].all()
    assert int(known[:, 1].sum()) == 3
    assert batch.n_known["segmentation"] == 7
    assert batch.has_mask.all()
    assert batch.mask.shape[1] == 1
    dealt = EpochBatches(
        store,
        store.by_id,
        config.patches,
        seed=0,
        workers=1,
        inputs=Inputs.of(config),
        share=Share(pieces=2),
    )
    (pieces,) = list(dealt.epoch(1))
    assert [piece.n_known["segmentation"] for piece in pieces] == [7, 7]
    assert sum(int(p.targets["segmentation"].known.sum()) for p in pieces) == 7


def test_a_store_must_have_the_labels(store, tmp_path):
    split = hand_split(store, validation=("P03",), test=())
    other = labelled_config("tasks.segmentation.labels={tumour: [1, 2, 3], cyst: 2}")
    with pytest.raises(ConfigError, match="the store's masks have the labels tumour: \\[1, 2\\]"):
        train(store, tmp_path / "a", other, split)
    plain = tiny_store(tmp_path / "plain", n=4, shape=SMALL_SHAPE)
    with pytest.raises(ConfigError, match="have the labels none"):
        train(plain, tmp_path / "b", labelled_config(), split)


def test_a_label_that_no_training_mask_tells_is_refused(tmp_path):
    store = labelled_store(tmp_path / "store", n=3, whole_alone=("P00", "P01"))
    split = hand_split(store, validation=("P02",), test=())
    with pytest.raises(ConfigError, match="tells the label cyst"):
        train(store, tmp_path / "run", labelled_config(), split)


def test_the_store_gives_regions_and_the_whole(store):
    numbers = store.labels("P00")
    assert np.array_equal(store.mask("P00"), region(numbers, LABELS, 0))
    assert numbers.max() == 2
    assert store.labels("P03").max() == 1
