"""Tasks that are read off the mask: known distances, known losses, nothing taught where unknown."""

import numpy as np
import pytest
import torch
from scipy.ndimage import distance_transform_edt
from torch import tensor
from torch.nn import functional

from plgg.config import LossConfig, preset, with_settings
from plgg.core.errors import ConfigError
from plgg.data.inputs import Inputs
from plgg.model.network import build_network
from plgg.tasks.base import Target
from plgg.tasks.kinds import fit_tasks, restore_tasks
from plgg.tasks.losses import task_losses
from plgg.tasks.mask_task import scan_level_tasks
from plgg.tasks.segmentation import Segmentation
from plgg.tasks.signed_distance import REACH_MM, signed_distance
from plgg.train.batches import EpochBatches, Share
from tiny import SMALL_SHAPE, SPACING_MM, hand_split, tiny_config, tiny_store

BOTH = "tasks={segmentation: segmentation, distance: signed_distance, slices: tumour_slice}"


def both(store=None, *settings):
    config = tiny_config(BOTH, *settings)
    if store is None:
        names = {"distance": "signed_distance", "slices": "tumour_slice"}
        records = {name: {"kind": kind, "column": "mask"} for name, kind in names.items()}
        from plgg.tasks.base import TaskRecord

        found = {name: TaskRecord(**record) for name, record in records.items()}
        return config, restore_tasks(found, LossConfig())
    return config, fit_tasks(config, store, sorted(store.by_id))


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.8, 1.1, 5.0), (3.0, 1.0, 1.5)])
def test_distance_to_a_ball_on_voxels_of_any_shape_in_mm(spacing):
    shape, radius = [round(72 / step) for step in spacing], 19.0
    grid = np.indices(shape) + 0.5
    centre = np.array([35.0, 37.0, 36.5])
    points = grid * np.reshape(spacing, (3, 1, 1, 1)) - centre.reshape(3, 1, 1, 1)
    true = np.clip((np.linalg.norm(points, axis=0) - radius) / REACH_MM, -1, 1)
    found = signed_distance(true < 0, spacing)
    assert found.dtype == np.float32
    # From centre to centre: at most the diagonal of a voxel from the surface between them.
    assert np.abs(found - true).max() * REACH_MM <= np.linalg.norm(spacing)
    assert np.abs(found - true).mean() * REACH_MM <= 0.5 * np.linalg.norm(spacing)
    assert ((found < 0) == (true < 0)).all()
    assert (found == 1).any()
    assert (found == -1).any()


def test_distance_along_each_axis_is_that_of_its_own_spacing():
    mask = np.zeros((9, 9, 9))
    mask[4, 4, 4] = 1
    found = signed_distance(mask, (1.0, 2.0, 3.0)) * REACH_MM
    assert found[6, 4, 4] == pytest.approx(2)
    assert found[4, 6, 4] == pytest.approx(4)
    assert found[4, 4, 6] == pytest.approx(6)
    assert found[5, 5, 5] == pytest.approx(14**0.5)
    assert found[4, 4, 4] == pytest.approx(-1)
    assert found[4, 4, 0] == pytest.approx(REACH_MM)


@pytest.mark.parametrize("seed", range(4))
def test_only_what_is_in_reach_is_computed_and_that_exactly(seed):
    rng = np.random.default_rng(seed)
    spacing = tuple(rng.uniform(0.5, 4.0, 3))
    mask = np.zeros((40, 30, 20), dtype=bool)
    corner = rng.integers(0, 14, 3)
    mask[tuple(slice(c, c + 6) for c in corner)] = rng.random((6, 6, 6)) < 0.6
    whole = distance_transform_edt(~mask, sampling=spacing) - distance_transform_edt(
        mask, sampling=spacing
    )
    assert np.allclose(signed_distance(mask, spacing), np.clip(whole / REACH_MM, -1, 1), atol=1e-6)


def test_masks_without_an_outline_are_far_outside_or_deep_inside():
    assert (signed_distance(np.zeros((3, 4, 5)), (1, 1, 1)) == 1).all()
    assert (signed_distance(np.ones((3, 4, 5)), (1, 1, 1)) == -1).all()


def test_near_and_far_voxels_count_half_each():
    _, tasks = both()
    value = tensor([1.0, 1.0, 1.0, 0.2]).view(1, 1, 4, 1, 1)
    output = tensor([0.0, 1.0, 1.0, 0.7]).view(1, 1, 4, 1, 1)
    outputs, known = {"distance": output}, tensor([True])
    expected = 0.5 * (1 / 3 + 0.25)
    assert tasks["distance"].loss(outputs, Target(value, known)).item() == pytest.approx(expected)
    # Without tumour there is nothing near, and the mean of all counts.
    far = Target(torch.ones_like(value), known)
    assert tasks["distance"].loss(outputs, far).item() == pytest.approx((1 + 0.09) / 4)


def test_a_slab_shows_tumour_if_one_of_its_slices_does():
    _, tasks = both()
    mask = np.zeros((4, 4, 8), dtype=np.float32)
    mask[1, 2, 5] = 1
    shown = tasks["slices"].mask_target(mask, (1, 1, 1))
    assert shown.tolist() == [0, 0, 0, 0, 0, 1, 0, 0]
    logits = tensor([[0.3, -1.0]])
    target = Target(torch.from_numpy(shown)[None], tensor([True]))
    expected = functional.binary_cross_entropy_with_logits(logits, tensor([[0.0, 1.0]]))
    assert tasks["slices"].loss({"slices": logits}, target).item() == pytest.approx(expected.item())


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    folder = tmp_path_factory.mktemp("mask tasks")
    return tiny_store(folder, n=6, shape=SMALL_SHAPE, no_mask=("P01", "P04"))


def batches_of(store, *settings, share=None):
    config, tasks = both(store, "patches.size=[24,24,24]", "patches.batch=6", *settings)
    made = EpochBatches(
        store,
        sorted(store.by_id),
        config.patches,
        seed=3,
        workers=1,
        share=share,
        tasks=tasks,
        inputs=Inputs.of(config),
    )
    return config, tasks, next(iter(made.epoch(1)))


def test_targets_are_those_of_the_mask_as_it_was_cut_turned_and_mirrored(store):
    _, _, (batch,) = batches_of(store, "patches.augmentation.warp=1")
    distance, slices = batch.targets["distance"], batch.targets["slices"]
    assert distance.known.tolist() == slices.known.tolist() == batch.has_mask.tolist()
    assert sorted(batch.has_mask.tolist()) == [False, False, True, True, True, True]
    assert batch.n_known["distance"] == batch.n_known["slices"] == 4
    inside = batch.mask > 0.5
    assert ((distance.value < 0) == inside)[batch.has_mask].all()
    assert (slices.value.bool() == inside[:, 0].flatten(1, 2).any(dim=1))[batch.has_mask].all()
    beside = distance.value[batch.has_mask].abs().min() * REACH_MM
    assert beside == pytest.approx(SPACING_MM)


def test_unknown_masks_change_no_gradient(store):
    config, tasks, (batch,) = batches_of(store)
    network = build_network(config.model, n_classes=3, arm="multitask", seed=0, tasks=tasks)
    losses = {}
    for name in ("as it is", "nonsense"):
        targets = dict(batch.targets)
        if name == "nonsense":
            for task in tasks:
                value = targets[task].value.clone()
                value[~batch.has_mask] = 0.123
                targets[task] = Target(value, targets[task].known)
        network.zero_grad()
        network.seed_dropout(batch.seeds)
        found = task_losses(tasks, network(batch.image), targets, n_known=batch.n_known)
        sum(found.values()).backward()
        losses[name] = [p.grad.clone() for p in network.parameters() if p.grad is not None]
    assert all(map(torch.equal, losses["as it is"], losses["nonsense"]))
    unknown = {
        name: Target(batch.targets[name].value, torch.zeros(6, dtype=torch.bool)) for name in tasks
    }
    none = task_losses(tasks, network(batch.image), unknown)
    assert all(loss.item() == 0.0 and loss.requires_grad for loss in none.values())


def test_losses_of_pieces_add_up(store):
    config, tasks, (whole,) = batches_of(store)
    _, _, pieces = batches_of(store, share=Share(pieces=3))
    network = build_network(config.model, n_classes=3, arm="multitask", seed=0, tasks=tasks)
    every = {"segmentation": Segmentation(config.loss), **tasks}

    def losses_of(batch):
        return task_losses(every, network(batch.image), batch.targets, n_known=batch.n_known)

    once, parts = losses_of(whole), [losses_of(piece) for piece in pieces]
    for name, loss in once.items():
        summed = sum(part[name].item() for part in parts)
        assert summed == pytest.approx(loss.item(), rel=1e-4)


SLICED = ("model.backbone=efficientnet_lite0", "patches.size=[32,32,1]", "model.neighbours=1")


@pytest.mark.parametrize("body", [(), ("model.stem=2", "patches.size=[32,32,32]"), SLICED])
def test_heads_work_in_training_alone_and_leave_the_outline_as_it_is(body):
    config, tasks = both(None, *body)
    shape = (2, config.n_inputs, 32, 32, 2 if config.model.sliced else 32)
    image = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    dense = build_network(config.model, n_classes=3, arm="multitask", seed=0, tasks=tasks)
    single = build_network(config.model, n_classes=3, arm="single", seed=0)
    for name, value in single.state_dict().items():
        assert torch.equal(value, dense.state_dict()[name])
    outline, distance = (dense.heads[name].state_dict() for name in ("segmentation", "distance"))
    assert any(not torch.equal(outline[name], distance[name]) for name in outline)
    outputs = dense.train()(image)
    assert outputs["distance"].shape == outputs["segmentation"].shape
    # A slice by itself, or eight (with a stem sixteen) together.
    assert outputs["slices"].shape == (2, shape[-1] // config.model.divisors[2])
    with torch.inference_mode():
        seen, alone = dense.eval()(image), single.eval()(image)
    assert set(seen) == {"segmentation", "features"}
    # Batch moments of the encoder have seen one batch more.
    if not config.model.sliced:
        assert torch.equal(seen["segmentation"], alone["segmentation"])


def test_they_move_the_encoder_even_where_the_marker_may_not(store):
    config, tasks, (batch,) = batches_of(store, "model.marker.teaches_encoder=false")
    network = build_network(config.model, n_classes=3, arm="multitask", seed=0, tasks=tasks)
    for name in tasks:
        network.zero_grad()
        task_losses(tasks, network(batch.image), batch.targets)[name].backward()
        grads = [p.grad for p in network.encoder_parameters() if p.grad is not None]
        assert sum(float(grad.abs().sum()) for grad in grads) > 0


def test_they_need_no_column_and_refuse_one(store):
    config, tasks = both(store)
    assert list(tasks) == ["distance", "slices"]
    assert scan_level_tasks(tasks) == {}
    named = with_settings(config, ["tasks.distance.column=grade"])
    with pytest.raises(ConfigError, match="learns from masks"):
        fit_tasks(named, store, sorted(store.by_id))


def test_the_sliced_preset_may_learn_them():
    assert with_settings(preset("best"), [BOTH]).auxiliary.keys() == {"distance", "slices"}


def test_a_trained_run_has_their_losses_and_answers_without_them(store, tmp_path):
    from plgg.model.checkpoint import load_checkpoint
    from plgg.predict.member import load_member
    from plgg.train.run import train

    config, _ = both(store, "patches.size=[16,16,16]", "optimiser.epochs=1")
    split = hand_split(store)
    train(store, tmp_path / "run", config, split)
    line = (tmp_path / "run" / "metrics.jsonl").read_text(encoding="utf-8")
    assert '"distance"' in line
    assert '"slices"' in line
    member = load_member(tmp_path / "run")
    assert member.tasks == {}
    assert list(load_checkpoint(tmp_path / "run").meta.auxiliary) == ["distance", "slices"]
    answer = member.engine(np.zeros((1, 24, 32, 24), np.float32))
    assert answer.tasks == {}
    assert answer.segmentation.shape == (24, 32, 24)
