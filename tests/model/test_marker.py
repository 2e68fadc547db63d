"""The traits of the outlined tumour: known answers, and what must not change them."""

import pytest
import torch

from plgg.config import MarkerHeadConfig
from plgg.model.classification_head import N_TRAITS, ScalarHead, tumour_traits

SHAPE = (24, 32, 32)
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
    # In standard deviations of a uniform box, whose sides are 22, 30 and 30.
    for found, offset, side in zip(traits[:3], (5.5, 4.5, -5.5), (22, 30, 30), strict=True):
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
    head = ScalarHead(16, 3, MarkerHeadConfig(inputs=("average", "tumour")))
    bottleneck = torch.randn(1, 16, 3, 4, 4, requires_grad=True)
    head(bottleneck, image, logits).sum().backward()
    assert logits.grad is None
    assert bottleneck.grad.abs().sum() > 0


@pytest.mark.parametrize("name", ["tumour", "outlined"])
def test_asked_to_the_marker_does_pull_at_the_outline(name):
    image, logits = scan()
    logits = (logits / CERTAIN).requires_grad_()
    head = ScalarHead(16, 3, MarkerHeadConfig(inputs=(name,), teaches_outline=True)).eval()
    head(torch.randn(1, 16, 3, 4, 4), image, logits)[0, 0].backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum() > 0
    # Outside the brain there is nothing to outline.
    assert not logits.grad[image == 0].any()


def test_inputs_are_summed():
    image, logits = scan()
    bottleneck = torch.randn(2, 16, 3, 4, 4)
    image, logits = image.expand(2, -1, -1, -1, -1), logits.expand(2, -1, -1, -1, -1)
    head = ScalarHead(16, 3, MarkerHeadConfig(inputs=("average", "tumour"))).eval()
    parts = [
        head.classifiers["average"](bottleneck.mean(dim=(2, 3, 4))),
        head.classifiers["tumour"](tumour_traits(image, logits)),
    ]
    torch.testing.assert_close(head(bottleneck, image, logits), sum(parts))


CHANNELS = 6


def answers(inputs, bottleneck, image, logits, patient=None):
    torch.manual_seed(0)
    head = ScalarHead(CHANNELS, 3, MarkerHeadConfig(inputs=inputs, normalise=False)).eval()
    with torch.inference_mode():
        return head(bottleneck, image, logits, patient)


def bottleneck():
    return torch.randn(1, CHANNELS, 3, 4, 4, generator=torch.Generator().manual_seed(1))


def test_attention_begins_as_the_average():
    image, logits = scan()
    one, other = (
        answers((name,), bottleneck(), image, logits) for name in ("attention", "average")
    )
    torch.testing.assert_close(one, other)


def test_attention_learns_where_to_look():
    """Classes differ at one place alone; the attention comes to rest on it."""
    torch.manual_seed(0)
    image, logits = scan()
    head = ScalarHead(CHANNELS, 2, MarkerHeadConfig(inputs=("attention",), dropout=0.0))
    optimiser = torch.optim.Adam(head.parameters(), lr=0.02)
    truth = torch.arange(8) % 2
    features = 0.3 * torch.randn(8, CHANNELS, 3, 4, 4)
    features[:, 0, 1, 2, 3] += 2.0
    features[:, 1, 1, 2, 3] += 4.0 * truth - 2.0
    for _ in range(60):
        optimiser.zero_grad()
        found = head(features, image.expand(8, -1, -1, -1, -1), logits.expand(8, -1, -1, -1, -1))
        torch.nn.functional.cross_entropy(found, truth).backward()
        optimiser.step()
        for layer in head.modules():
            if hasattr(layer, "update_running_stats"):
                layer.update_running_stats(lambda sums: sums)
    with torch.inference_mode():
        weights = head.attention(features).flatten(2).softmax(dim=2).mean(dim=0)[0]
    assert int(weights.argmax()) == 1 * 16 + 2 * 4 + 3
    # Three times what the average gives it.
    assert float(weights.max()) > 3 / 48


def test_outlined_sees_the_features_under_the_tumour_alone():
    image, logits = scan(centre=(6, 20, 10))
    features = bottleneck()
    elsewhere, under = features.clone(), features.clone()
    elsewhere[..., 2, 0, 3] += 5.0  # Far from the ball.
    under[..., 0, 2, 1] += 5.0
    plain = answers(("outlined",), features, image, logits)
    assert (answers(("outlined",), elsewhere, image, logits) - plain).abs().max() < 0.05
    assert (answers(("outlined",), under, image, logits) - plain).abs().max() > 0.2


def test_without_tumour_outlined_is_the_average():
    image, logits = scan()
    nothing = torch.full_like(logits, -CERTAIN)
    torch.testing.assert_close(
        answers(("outlined",), bottleneck(), image, nothing),
        answers(("average",), bottleneck(), image, nothing),
    )


def test_age_and_sex_add_logits_that_no_image_changes():
    image, logits = scan()
    patient = torch.tensor([[0.7, 1.0, 0.0, 1.0]])
    inputs = ("average", "clinical")
    added = [
        answers(inputs, features, image, logits, patient) - answers(inputs, features, image, logits)
        for features in (bottleneck(), bottleneck() + 3)
    ]
    torch.testing.assert_close(added[0], added[1])
    assert added[0].abs().max() > 0
    alone = answers(("clinical",), bottleneck(), image, logits, patient)
    assert alone.abs().max() > 0
    assert not answers(("clinical",), bottleneck(), image, logits).any()
    assert (
        not answers(("average",), bottleneck(), image, logits, patient)
        .sub(answers(("average",), bottleneck(), image, logits))
        .any()
    )
