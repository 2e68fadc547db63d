"""A guided outline: as ever where nothing is told, and told its own branch's answer in the end."""

import pytest
import torch
from torch.nn import functional

from plgg.model.classification_head import Guide
from plgg.model.network import build_network
from tiny import tiny_config

GUIDED = "model.marker.guides_outline=true"


def network(*settings, arm="multitask"):
    return build_network(tiny_config(*settings).model, n_classes=3, arm=arm, seed=0)


def scan(n=2):
    return torch.randn(n, 1, 16, 16, 8, generator=torch.Generator().manual_seed(0))


def opinionated(made):
    """A guide that has learnt something."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        made.guide.layers.weight.normal_(0.0, 0.5, generator=generator)
    return made


@pytest.mark.parametrize("training", [True, False])
def test_before_training_it_changes_nothing(training):
    guided, plain = (network(*more).train(training) for more in ((GUIDED,), ()))
    with torch.no_grad():
        told = {"conditioning_class": torch.tensor([0, 2])} if training else {}
        for made in (guided, plain):
            made.seed_dropout(torch.tensor([5, 6]))
        outputs, expected = guided(scan(), **told), plain(scan())
    for name, value in expected.items():
        torch.testing.assert_close(outputs[name], value)


def test_the_single_arm_has_none():
    assert network(GUIDED, arm="single").guide is None


def told(made, *classes):
    """The outlines of a network in training that is told the classes."""
    with torch.no_grad():
        return made.train()(scan(), conditioning_class=torch.tensor(classes))


def test_a_patch_that_is_told_nothing_is_as_without_guide():
    made = opinionated(network(GUIDED))
    plain, half = told(network(GUIDED), -1, -1), told(made, -1, 1)
    torch.testing.assert_close(half["segmentation"][0], plain["segmentation"][0])
    assert (half["segmentation"][1] - plain["segmentation"][1]).abs().max() > 1e-3


def test_what_it_says_of_nothing_is_the_mean_of_what_it_says_of_each_class():
    made = opinionated(network(GUIDED))
    certain = [told(made, k, k)["segmentation"] for k in range(3)]
    torch.testing.assert_close(torch.stack(certain).mean(0), told(made, -1, -1)["segmentation"])


def test_the_branch_is_not_told_the_answer():
    made = opinionated(network(GUIDED, 'model.marker.inputs=["tumour","outlined"]'))
    answers = []
    for classes in ((-1, -1), (0, 2)):
        made.seed_dropout(torch.tensor([5, 6]))
        answers.append(told(made, *classes)["marker"])
    torch.testing.assert_close(*answers)


def test_after_training_it_is_told_what_the_branch_answers():
    made = opinionated(network(GUIDED)).eval()
    unguided = network(GUIDED).eval()
    with torch.no_grad():
        outputs, first = made(scan()), unguided(scan())
        answers = first["marker"].softmax(dim=1)
    certain = [told(made, k, k)["segmentation"] for k in range(3)]
    expected = sum(
        answers[:, k].view(-1, 1, 1, 1, 1) * outline for k, outline in enumerate(certain)
    )
    torch.testing.assert_close(outputs["marker"], first["marker"])
    torch.testing.assert_close(outputs["segmentation"], expected)
    assert (outputs["segmentation"] - first["segmentation"]).abs().max() > 1e-3


def test_age_and_sex_change_the_marker_and_not_the_outline():
    made = opinionated(network(GUIDED, 'model.marker.inputs=["average","clinical"]')).eval()
    patient = torch.tensor([[0.7, 1.0, 0.0, 1.0]]).expand(2, -1)
    with torch.no_grad():
        alone, known = made(scan()), made(scan(), patient)
    torch.testing.assert_close(alone["segmentation"], known["segmentation"])
    assert (alone["marker"] - known["marker"]).abs().max() > 1e-4


def test_the_outline_teaches_the_guide_and_not_the_answer():
    guide = Guide(3, 4, 1)
    answer = torch.rand(2, 3, requires_grad=True)
    added = guide(torch.randn(2, 4, 2, 2, 2), answer)
    assert added.shape == (2, 1, 2, 2, 2)
    (added - 1.0).square().sum().backward()
    assert answer.grad is None
    assert guide.layers.weight.grad.abs().sum() > 0


def test_blocks_of_voxels_are_guided_as_well():
    made = opinionated(network(GUIDED, "model.stem=2", "patches.size=[16,16,16]"))
    image = torch.randn(2, 1, 16, 16, 16)
    with torch.no_grad():
        plain, sure = (
            made(image, conditioning_class=torch.tensor([k, k]))["segmentation"] for k in (-1, 1)
        )
    assert sure.shape == image.shape
    assert (sure - plain).abs().max() > 1e-3


def halved(n, seed):
    """Balls in shells: the shell is tumour or not as the marker, and nothing else, tells."""
    generator = torch.Generator().manual_seed(seed)
    axes = torch.meshgrid(*[torch.arange(16.0)] * 3, indexing="ij")
    image, mask = torch.zeros(n, 1, 16, 16, 16), torch.zeros(n, 1, 16, 16, 16)
    for k in range(n):
        centre = 6.0 + 4.0 * torch.rand(3, generator=generator)
        far = sum((axis - at) ** 2 for axis, at in zip(axes, centre, strict=True)).sqrt()
        image[k, 0] = 2.0 * (far < 3) + 2.0 * (far < 5)
        mask[k, 0] = far < (5 if k % 2 else 3)
    return image, mask, torch.arange(n) % 2


def dice(outline, mask):
    seen = outline > 0
    both = (seen * mask).sum(dim=(1, 2, 3, 4))
    return (2 * both / (seen.sum(dim=(1, 2, 3, 4)) + mask.sum(dim=(1, 2, 3, 4)))).mean().item()


@pytest.mark.parametrize(("guided", "low", "high"), [(True, 0.95, 1.0), (False, 0.5, 0.8)])
def test_only_a_guided_outline_can_follow_what_only_the_marker_tells(guided, low, high):
    made = network(*([GUIDED] if guided else [])).train()
    optimiser = torch.optim.Adam(made.parameters(), lr=5e-3)
    for step in range(100):
        image, mask, told = halved(4, seed=step)
        made.seed_dropout(torch.arange(4))
        outline = made(image, conditioning_class=told)["segmentation"]
        loss = functional.binary_cross_entropy_with_logits(outline, mask)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    image, mask, told = halved(4, seed=1000)
    with torch.no_grad():
        found = dice(made(image, conditioning_class=told)["segmentation"], mask)
    assert low < found <= high
