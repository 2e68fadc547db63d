"""The loss: equation 2 and the weighted cross-entropy by hand, and blindness to the unknown."""

import copy
import math

import pytest
import torch
from torch.nn import functional

from plgg.config import LossConfig
from plgg.model.network import build_network
from plgg.tasks.base import Target
from plgg.tasks.classification import Classification, class_weights, marker_loss
from plgg.tasks.kinds import marker_record
from plgg.tasks.losses import task_losses
from plgg.tasks.segmentation import Segmentation, soft_dice_loss, voxel_cross_entropy
from tiny import tiny_config

YES, NO = torch.tensor([True]), torch.tensor([False])
WEIGHTS = torch.tensor([2.0, 0.5, 1.0])


def as_patches(*rows):
    """Rows of four voxels as patches (batch, 1, 2, 2, 1)."""
    return torch.tensor(rows).reshape(len(rows), 1, 2, 2, 1)


# Patch A: p·g = 1.25, p² = 1.125, g² = 2; patch B: p·g = 0.25, p² = 1.25, g² = 1.
PROBABILITY = as_patches([0.75, 0.25, 0.5, 0.5], [0.75, 0.75, 0.25, 0.25])
TRUTH = as_patches([1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 1.0])
LOGITS = torch.logit(PROBABILITY)
LOSS_A = 1 - 2 * 1.25 / 3.125  # 0.2
LOSS_B = 1 - 2 * 0.25 / 2.25  # 0.7778
LOSS_BOTH = 1 - 2 * 1.5 / 5.375  # 0.4419


def test_equation_2_by_hand():
    both = torch.tensor([True, True])
    assert float(soft_dice_loss(LOGITS[:1], TRUTH[:1], YES)) == pytest.approx(0.2, abs=1e-5)
    per_sample = float(soft_dice_loss(LOGITS, TRUTH, both))
    assert per_sample == pytest.approx((LOSS_A + LOSS_B) / 2, abs=1e-5)
    per_batch = float(soft_dice_loss(LOGITS, TRUTH, both, over="batch"))
    assert per_batch == pytest.approx(LOSS_BOTH, abs=1e-5)


def test_epsilon_stands_in_the_denominator_alone():
    loss = soft_dice_loss(LOGITS[:1], TRUTH[:1], YES, epsilon=1.875)
    assert float(loss) == pytest.approx(1 - 2.5 / 5.0)
    # With nothing to find and nothing found it costs 1, not 0.
    nothing = soft_dice_loss(torch.full((1, 1, 2, 2, 2), -50.0), torch.zeros(1, 1, 2, 2, 2), YES)
    assert float(nothing) == 1.0


@pytest.mark.parametrize("over", ["sample", "batch"])
def test_a_perfect_answer_costs_nothing(over):
    sure = torch.where(TRUTH > 0, 40.0, -40.0)
    loss = soft_dice_loss(sure, TRUTH, torch.tensor([True, True]), over=over)
    assert float(loss) == pytest.approx(0.0, abs=1e-4)


@pytest.mark.parametrize("over", ["sample", "batch"])
def test_an_unknown_mask_takes_no_part(over):
    alone = soft_dice_loss(LOGITS[:1], TRUTH[:1], YES, over=over)
    beside = soft_dice_loss(LOGITS, TRUTH, torch.tensor([True, False]), over=over)
    assert torch.equal(alone, beside)


def test_a_patch_without_tumour_teaches_only_per_batch():
    truth = torch.cat([TRUTH[:1], torch.zeros(1, 1, 2, 2, 1)])
    both = torch.tensor([True, True])
    for over, teaches in (("sample", False), ("batch", True)):
        logits = LOGITS.clone().requires_grad_()
        soft_dice_loss(logits, truth, both, over=over).backward()
        assert bool(logits.grad[0].abs().sum() > 0)
        assert bool(logits.grad[1].abs().sum() > 0) is teaches
        if teaches:
            # Descending lowers the false tumour.
            assert (logits.grad[1] > 0).all()


def test_no_known_mask_is_zero_with_zero_gradient():
    logits = LOGITS.clone().requires_grad_()
    loss = soft_dice_loss(logits, TRUTH, torch.tensor([False, False]))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert torch.equal(logits.grad, torch.zeros_like(logits))


def test_dice_of_bf16_logits_is_summed_in_float32():
    # 4,096 voxels of 1: bf16 sums of them would be off by per cents.
    logits = torch.zeros(1, 1, 16, 16, 16, dtype=torch.bfloat16)
    loss = soft_dice_loss(logits, torch.ones(1, 1, 16, 16, 16), YES)
    assert loss.dtype == torch.float32
    assert float(loss) == pytest.approx(1 - 2 * 0.5 / 1.25, abs=1e-6)


def test_cross_entropy_by_hand():
    # The softmax of the first row is 1/8, 2/8, 5/8, that of the second 1/3 each.
    logits = torch.tensor([[0.0, math.log(2), math.log(5)], [0.0, 0.0, 0.0]])
    loss = float(marker_loss(logits, torch.tensor([2, 0]), WEIGHTS))
    assert loss == pytest.approx((1.0 * math.log(8 / 5) + 2.0 * math.log(3)) / 2)


def test_a_rare_class_alone_in_a_batch_keeps_its_weight():
    logits = torch.zeros(2, 3)
    rare = marker_loss(logits, torch.tensor([0, 0]), WEIGHTS)
    common = marker_loss(logits, torch.tensor([1, 1]), WEIGHTS)
    assert float(rare / common) == pytest.approx(4.0)


def test_an_unknown_marker_takes_no_part():
    logits = torch.randn(3, 3, generator=torch.Generator().manual_seed(0))
    known = marker_loss(logits[:2], torch.tensor([2, 0]), WEIGHTS)
    beside = marker_loss(logits, torch.tensor([2, 0, -1]), WEIGHTS)
    assert torch.equal(known, beside)


def test_class_weights_are_n_over_n_c_with_mean_one_over_samples():
    markers = [0, 0, 0, 1, -1, -1]
    weights = class_weights(markers, 3)
    # 4/3 and 4/1, divided by the two classes that occur.
    assert weights.tolist() == pytest.approx([2 / 3, 2.0, 0.0])
    assert sum(float(weights[m]) for m in markers if m >= 0) / 4 == pytest.approx(1.0)


def test_class_weights_can_be_off_or_without_a_known_marker():
    assert class_weights([0, 0, 1], 2, mode="none").tolist() == [1.0, 1.0]
    assert class_weights([-1], 2).tolist() == [1.0, 1.0]


def given(n=2):
    return {
        "mask": TRUTH[:n],
        "has_mask": torch.tensor([True, True])[:n],
        "marker": torch.tensor([2, -1])[:n],
    }


def losses_of(outputs, *, mask, has_mask, marker, settings=None, n_known=None):
    settings = settings or LossConfig()
    classification = Classification(
        "marker", marker_record(["a", "b", "c"]), settings, weights=WEIGHTS
    )
    tasks = {"segmentation": Segmentation(settings), "marker": classification}
    targets = {
        "segmentation": Target(mask, has_mask),
        "marker": Target(marker.double(), marker >= 0),
    }
    wanted = {name: task for name, task in tasks.items() if name in outputs}
    return task_losses(wanted, outputs, targets, n_known=n_known)


def test_each_task_has_its_loss():
    outputs = {"segmentation": LOGITS, "marker": torch.zeros(2, 3)}
    losses = losses_of(outputs, **given())
    assert float(losses["segmentation"]) == pytest.approx((LOSS_A + LOSS_B) / 2, abs=1e-5)
    assert float(losses["marker"]) == pytest.approx(math.log(3))
    alone = losses_of({"segmentation": LOGITS}, **given())
    assert set(alone) == {"segmentation"}


def test_coarser_outlines_count_half_as_much_each():
    generator = torch.Generator().manual_seed(2)
    mask = (torch.rand(2, 1, 4, 4, 4, generator=generator) > 0.6).float()
    outlines = [torch.randn(2, 1, n, n, n, generator=generator) for n in (4, 2, 1)]
    known = torch.tensor([True, True])
    # A coarse voxel is tumour as far as its fine ones are.
    masks = [mask, functional.avg_pool3d(mask, 2), functional.avg_pool3d(mask, 4)]
    each = [float(soft_dice_loss(*pair, known)) for pair in zip(outlines, masks, strict=True)]
    outputs = {"segmentation": outlines[0], "deep": outlines[1:]}
    found = float(Segmentation(LossConfig()).loss(outputs, Target(mask, known)))
    assert found == pytest.approx((each[0] + each[1] / 2 + each[2] / 4) / 1.75, abs=1e-6)


@pytest.mark.parametrize("voxel_weight", [0.0, 0.7])
def test_the_losses_of_pieces_add_up(voxel_weight):
    generator = torch.Generator().manual_seed(5)
    logits = torch.randn(5, 1, 4, 4, 4, generator=generator)
    marker_logits = torch.randn(5, 3, generator=generator)
    mask = (torch.rand(5, 1, 4, 4, 4, generator=generator) > 0.7).float()
    known, marker = torch.tensor([1, 1, 0, 0, 1]).bool(), torch.tensor([2, -1, 0, 1, -1])
    settings = LossConfig(voxel_weight=voxel_weight)

    def losses(part, **counts):
        return losses_of(
            {"segmentation": logits[part], "marker": marker_logits[part]},
            mask=mask[part],
            has_mask=known[part],
            marker=marker[part],
            settings=settings,
            **counts,
        )

    whole = losses(slice(None))
    parts = [slice(0, 2), slice(2, 3), slice(3, 5)]
    pieces = [losses(part, n_known={"segmentation": 3, "marker": 3}) for part in parts]
    for task, value in whole.items():
        torch.testing.assert_close(sum(piece[task] for piece in pieces), value)


# The same laws on the network's own gradients, the shared encoder's included.


@pytest.fixture(scope="module")
def network():
    config = tiny_config("model.marker.dropout=0", "model.blocks_down=[1,2,2,4]")
    return build_network(config.model, n_classes=3, arm="multitask", seed=1).train()


def gradients(network, image, **given):
    # A copy: in training the branch keeps running averages.
    network = copy.deepcopy(network)
    settings = given.pop("settings", LossConfig())
    losses = losses_of(network(image), settings=settings, **given)
    (losses["segmentation"] + settings.marker_weight * losses["marker"]).backward()
    return {
        name: torch.zeros_like(p) if p.grad is None else p.grad.clone()
        for name, p in network.named_parameters()
    }


def same(a, b, **tolerance):
    return all(torch.allclose(a[name], b[name], **tolerance) for name in a)


IMAGE = torch.randn(2, 1, 16, 16, 16, generator=torch.Generator().manual_seed(2))
BALL = torch.zeros(2, 1, 16, 16, 16)
BALL[:, :, 4:10, 5:12, 6:11] = 1.0
EXACT = {"rtol": 0.0, "atol": 0.0}


@pytest.mark.parametrize("over", ["sample", "batch"])
def test_what_stands_in_an_unknown_mask_changes_no_gradient(network, over):
    settings = LossConfig(dice_over=over)
    found = []
    for filling in (0.0, 1.0, math.nan):
        mask = BALL.clone()
        mask[1] = filling
        has_mask, marker = torch.tensor([True, False]), torch.tensor([0, 1])
        found.append(
            gradients(
                network, IMAGE, mask=mask, has_mask=has_mask, marker=marker, settings=settings
            )
        )
    assert same(found[0], found[1], **EXACT)
    assert same(found[0], found[2], **EXACT)


def test_a_patch_of_which_nothing_is_known_changes_no_gradient(network):
    # Evaluation, so that the running averages, which need no label, stay as they are.
    network = copy.deepcopy(network).eval()
    both = gradients(
        network,
        IMAGE,
        mask=BALL,
        has_mask=torch.tensor([True, False]),
        marker=torch.tensor([0, -1]),
    )
    alone = gradients(network, IMAGE[:1], mask=BALL[:1], has_mask=YES, marker=torch.tensor([0]))
    assert same(both, alone, rtol=1e-3, atol=1e-6)
    assert float(alone["heads.marker.classifiers.average.1.weight"].abs().sum()) > 0


def test_no_known_marker_leaves_the_marker_head_alone_and_the_body_to_the_outline(network):
    given = {"mask": BALL, "has_mask": torch.tensor([True, True])}
    found = gradients(network, IMAGE, marker=torch.tensor([-1, -1]), **given)
    head = {name: value for name, value in found.items() if name.startswith("heads.marker")}
    assert head
    assert all(torch.count_nonzero(value) == 0 for value in head.values())
    # The body learns exactly what it would without the branch.
    off = LossConfig(marker_weight=0.0)
    outline = gradients(network, IMAGE, marker=torch.tensor([0, 1]), settings=off, **given)
    assert same(found, outline, **EXACT)


def test_no_known_mask_leaves_the_segmentation_head_alone(network):
    found = gradients(
        network,
        IMAGE,
        mask=BALL,
        has_mask=torch.tensor([False, False]),
        marker=torch.tensor([0, 1]),
    )
    for name, value in found.items():
        if name.startswith(("heads.segmentation", "backbone.up_layers")):
            assert torch.count_nonzero(value) == 0, name
    assert float(found["backbone.convInit.conv.weight"].abs().sum()) > 0


def test_voxel_cross_entropy_by_hand_and_blind_to_unknown_masks():
    logits = torch.zeros(2, 1, 1, 1, 2, requires_grad=True)
    mask = torch.tensor([[1.0, 0.0], [1.0, 1.0]]).view(2, 1, 1, 1, 2)
    loss = voxel_cross_entropy(logits, mask, torch.tensor([True, False]))
    assert float(loss.detach()) == pytest.approx(math.log(2))
    loss.backward()
    assert logits.grad[0].flatten().tolist() == pytest.approx([-0.25, 0.25])
    assert not logits.grad[1].any()
    unknown = voxel_cross_entropy(logits, mask, torch.tensor([False, False]))
    assert float(unknown.detach()) == 0.0
