"""The fast GroupNorm is torch's in value and gradient, whatever the layout and type."""

import pytest
import torch
from monai.networks.nets import SegResNet
from torch import nn

from plgg.model.layers import GroupNorm, with_fast_norm

LAST = torch.channels_last_3d


def pair(groups=4, channels=16):
    torch.manual_seed(0)
    plain, fast = nn.GroupNorm(groups, channels), GroupNorm(groups, channels)
    with torch.no_grad():
        plain.weight.uniform_(0.5, 1.5)
        plain.bias.uniform_(-1, 1)
    fast.load_state_dict(plain.state_dict())
    return plain, fast


def run(norm, image, upstream, *, autocast=False):
    norm.zero_grad()
    leaf = image.clone(memory_format=torch.preserve_format).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        out = norm(leaf)
    out.backward(upstream.to(out.dtype))
    return out.detach(), leaf.grad, norm.weight.grad, norm.bias.grad


def draw(*, dtype, layout, shape=(2, 16, 6, 7, 5)):
    generator = torch.Generator().manual_seed(1)
    image = 3 + 2 * torch.randn(shape, generator=generator)
    upstream = torch.randn(shape, generator=generator)
    return [x.to(dtype).contiguous(memory_format=layout) for x in (image, upstream)]


@pytest.mark.parametrize("layout", [LAST, torch.contiguous_format])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)])
def test_equals_torch(layout, dtype, tolerance):
    plain, fast = pair()
    image, upstream = draw(dtype=dtype, layout=layout)
    autocast = dtype == torch.bfloat16
    expected = run(plain, image, upstream, autocast=autocast)
    found = run(fast, image, upstream, autocast=autocast)
    for a, b in zip(expected, found, strict=True):
        assert a.dtype == b.dtype
        torch.testing.assert_close(b, a, rtol=tolerance, atol=tolerance)
    assert found[0].is_contiguous(memory_format=layout)


def test_bf16_gradient_is_as_near_to_float64_as_torchs_own():
    plain, fast = pair()
    image, upstream = draw(dtype=torch.bfloat16, layout=LAST)
    truth = run(plain.double(), image.double(), upstream.double())[1]
    plain = plain.float()
    own = (run(plain, image, upstream, autocast=True)[1].double() - truth).abs().max()
    ours = (run(fast, image, upstream, autocast=True)[1].double() - truth).abs().max()
    assert ours <= 1.5 * own + 1e-6


def test_gradient_is_right_by_finite_differences():
    _, fast = pair(groups=2, channels=4)
    fast = fast.double()
    image = torch.randn(1, 4, 2, 3, 2, dtype=torch.float64, generator=torch.manual_seed(3))
    image = image.contiguous(memory_format=LAST).requires_grad_()
    assert image.is_contiguous(memory_format=LAST)
    assert torch.autograd.gradcheck(fast, (image,))


@pytest.mark.parametrize("shape", [(1, 16, 1, 1, 1), (3, 16, 1, 4, 4), (1, 16, 2, 2, 2)])
def test_thin_images(shape):
    plain, fast = pair(groups=4)
    image, upstream = draw(dtype=torch.float32, layout=LAST, shape=shape)
    for a, b in zip(run(plain, image, upstream), run(fast, image, upstream), strict=True):
        torch.testing.assert_close(b, a, rtol=1e-4, atol=1e-4)


def test_without_a_gradient_it_is_torchs_own():
    plain, fast = pair()
    image, _ = draw(dtype=torch.float32, layout=LAST)
    with torch.inference_mode():
        assert torch.equal(plain(image), fast(image))
    # Frozen input, trained weights: the fallback still trains them.
    fast(image).sum().backward()
    assert fast.weight.grad is not None


def test_a_body_keeps_its_names_and_weights():
    settings = {"spatial_dims": 3, "init_filters": 8, "in_channels": 1, "out_channels": 1}
    torch.manual_seed(5)
    plain = SegResNet(**settings)
    torch.manual_seed(5)
    fast = with_fast_norm(SegResNet(**settings))
    expected, found = plain.state_dict(), fast.state_dict()
    assert list(expected) == list(found)
    assert all(torch.equal(expected[name], found[name]) for name in expected)
    kinds = {type(m) for m in fast.modules() if isinstance(m, nn.GroupNorm)}
    assert kinds == {GroupNorm}
    fast.load_state_dict(expected)


def test_a_whole_body_has_torchs_gradients():
    settings = {"spatial_dims": 3, "init_filters": 8, "in_channels": 1, "out_channels": 1}
    image = torch.randn(1, 1, 16, 16, 8, generator=torch.manual_seed(6)).to(memory_format=LAST)
    found = []
    for change in (lambda network: network, with_fast_norm):
        torch.manual_seed(5)
        network = change(SegResNet(**settings)).to(memory_format=LAST)
        network(image).square().mean().backward()
        found.append([p.grad for p in network.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-5)
