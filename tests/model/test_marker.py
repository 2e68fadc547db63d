"""The traits of the outlined tumour: known answers, and what must not change them."""

import pytest
import torch

from plgg.config import MarkerHeadConfig
from plgg.model.marker import N_TRAITS, MarkerHead, tumour_traits

SHAPE = (24, 32, 28)
CERTAIN = 30.0


def scan(centre=(6, 20, 10), radius=4.0, brightness=3.0):
    """A box of brain with a ball in it, and logits that outline the ball."""
    generator = torch.Generator().manual_seed(0)
    image = 0.1 * torch.randn(SHAPE, generator=generator) + 0.01
    grid = torch.stack(torch.meshgrid(*(torch.arange(n) for n in SHAPE), indexing="ij"))
    place = torch.tensor(centre)[:, None, None, None]
    ball = (grid - place).float().square().sum(dim=0).sqrt() <= radius
    image[ball] = brightness
    for axis, n in enumerate(SHAPE):
        image.index_fill_(axis, torch.tensor([0, n - 1]), 0.0)
    logits = torch.where(ball, CERTAIN, -CERTAIN)
    return image[None, None], logits[None, None]


def test_place_size_and_brightness_are_those_of_the_ball():
    traits = tumour_traits(*scan())[0]
    assert traits.shape == (N_TRAITS,)
    # In standard deviations of a uniform box, whose sides are 22, 30 and 26.
    for found, offset, side in zip(traits[:3], (5.5, 4.5, -3.5), (22, 30, 26), strict=True):
        assert float(found) == pytest.approx(offset / (side / 12**0.5), abs=0.05)
    assert float(traits[4]) == pytest.approx(3.0, abs=0.05)
    assert float(traits[7]) == pytest.approx(1.0, abs=0.02)
    smaller = tumour_traits(*scan(radius=2.0))[0]
    assert float(traits[3] - smaller[3]) == pytest.approx(3 * 0.30, abs=0.1)


def test_left_and_right_are_alike():
    image, logits = scan()
    mirrored = tumour_traits(image.flip(2), logits.flip(2))
    torch.testing.assert_close(mirrored, tumour_traits(image, logits), rtol=1e-4, atol=1e-4)


def test_background_around_the_brain_changes_nothing():
    image, logits = scan()
    wider = [torch.nn.functional.pad(image, [8] * 6)]
    wider.append(torch.nn.functional.pad(logits, [8] * 6, value=-CERTAIN))
    torch.testing.assert_close(
        tumour_traits(*wider), tumour_traits(image, logits), rtol=1e-3, atol=1e-3
    )


def test_no_tumour_gives_the_brain_and_nothing_infinite():
    image, logits = scan()
    traits = tumour_traits(image, torch.full_like(logits, -CERTAIN))[0]
    assert traits.isfinite().all()
    assert traits[:3].abs().max() < 0.05
    assert tumour_traits(torch.zeros_like(image), logits).isfinite().all()


def test_the_marker_does_not_pull_at_the_outline():
    image, logits = scan()
    logits.requires_grad_()
    head = MarkerHead(16, 3, MarkerHeadConfig(inputs=("average", "tumour")))
    bottleneck = torch.randn(1, 16, 3, 4, 4, requires_grad=True)
    head(bottleneck, image, logits).sum().backward()
    assert logits.grad is None
    assert bottleneck.grad.abs().sum() > 0


def test_inputs_are_summed():
    image, logits = scan()
    bottleneck = torch.randn(2, 16, 3, 4, 4)
    image, logits = image.expand(2, -1, -1, -1, -1), logits.expand(2, -1, -1, -1, -1)
    head = MarkerHead(16, 3, MarkerHeadConfig(inputs=("average", "tumour"))).eval()
    parts = [
        head.classifiers["average"](bottleneck.mean(dim=(2, 3, 4))),
        head.classifiers["tumour"](tumour_traits(image, logits)),
    ]
    torch.testing.assert_close(head(bottleneck, image, logits), sum(parts))
