"""GroupNorm whose backward pass is fast on a CPU in channels-last bfloat16.

PyTorch's own backward kernel takes several times longer on channels-last bfloat16 than on
contiguous arrays; here it is given contiguous copies. The numbers are the same kernel's. See
`benchmarks/training_step.py`.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

_Gradients = tuple[Tensor, Tensor, Tensor, None, None]


class _GroupNormFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401 - torch's context has no type
        image: Tensor,
        weight: Tensor,
        bias: Tensor,
        groups: int,
        epsilon: float,
    ) -> Tensor:
        n, channels = image.shape[:2]
        out, mean, rstd = torch.native_group_norm(
            image, weight, bias, n, channels, image[0, 0].numel(), groups, epsilon
        )
        ctx.save_for_backward(image, weight, mean, rstd)
        ctx.groups = groups
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> _Gradients:  # noqa: ANN401
        image, weight, mean, rstd = ctx.saved_tensors
        n, channels = image.shape[:2]
        size = image[0, 0].numel()
        d_image, d_weight, d_bias = torch.ops.aten.native_group_norm_backward(
            gradient.contiguous(),
            image.contiguous(),
            mean,
            rstd,
            weight,
            n,
            channels,
            size,
            ctx.groups,
            [True, True, True],
        )
        return d_image.to(memory_format=torch.channels_last_3d), d_weight, d_bias, None, None


class GroupNorm(nn.GroupNorm):
    """`torch.nn.GroupNorm` for images (batch, channels, i, j, k); same parameters and names."""

    def forward(self, image: Tensor) -> Tensor:
        """Normalise each group of channels of each sample."""
        # Also where the image needs no gradient: torch's own kernel then crashes on this layout.
        slow = image.device.type == "cpu" and torch.is_grad_enabled()
        if not (slow and image.is_contiguous(memory_format=torch.channels_last_3d)):
            return super().forward(image)
        out: Tensor = _GroupNormFunction.apply(  # type: ignore[no-untyped-call]
            image, self.weight, self.bias, self.num_groups, self.eps
        )
        return out


def with_fast_norm(network: nn.Module) -> nn.Module:
    """The same network with every GroupNorm replaced; weights and their names stay."""
    for name, child in network.named_children():
        if type(child) is nn.GroupNorm:
            fast = GroupNorm(child.num_groups, child.num_channels, child.eps)
            fast.load_state_dict(child.state_dict())
            setattr(network, name, fast)
        else:
            with_fast_norm(child)
    return network
