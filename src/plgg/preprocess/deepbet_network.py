"""A faster implementation of deepbet (Fisch et al. 2024), with its weights and its results.

A first network finds the brain at low resolution; a second one, of the same architecture, segments
it in the box around that. Both are LinkNet3d: convolutions with instance normalisation and ReLU,
four residual encoder stages, and four decoder stages with additive skip connections. This version
is faster because features are channels-last, operations are in place, fewer voxels are normalised,
and of the two classes, whose probabilities add up to 1, only the brain is computed.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_EPSILON = 1e-5
_N_WEIGHTS = 38


class UnknownNetworkError(ValueError):
    """The weights are not those of deepbet 1.0, which this file implements."""


_COARSE, _FINE = (128, 128, 128), (256, 256, 256)
_TAILS = (0.005, 0.995)
_MARGIN = 0.1
_LEAST_SHARE = 0.02
# Both networks were trained with ImageNet's mean and standard deviation of grey.
_MEAN, _SPREAD = 0.449, 0.226


class Deepbet:
    """The two networks of deepbet, run one after the other.

    Args:
        folder: Folder of deepbet's weights.

    Raises:
        UnknownNetworkError: If they are those of another release.
        ValueError: If they are not there.
    """

    def __init__(self, folder: Path) -> None:
        torch = import_module("torch")
        self._torch = torch
        self._find, self._outline = (
            LinkNet(torch, torch.jit.load(str(folder / name), map_location="cpu").state_dict())
            for name in ("bbox_model.pt", "model.pt")
        )

    def run_model(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Probability of brain in each voxel.

        Args:
            image: Axes R, A, S, shape (I, J, K).

        Raises:
            ValueError: If no brain is found.
        """
        whole = self._torch.nan_to_num(self._torch.from_numpy(image))
        small = self._resized(whole, _COARSE)
        tails = np.quantile(small.numpy(), _TAILS)
        box = self._box(self._find(self._normalised(whole, _COARSE, tails)), image.shape)
        found = self._outline(self._normalised(whole[box], _FINE, tails))[0, 1]
        share = np.zeros(image.shape, dtype=np.float32)
        share[box] = self._resized(found, share[box].shape).numpy()
        return share

    def _resized(self, image: Any, shape: tuple[int, ...]) -> Any:  # noqa: ANN401
        resize = self._torch.nn.functional.interpolate
        return resize(image[None, None], shape, mode="nearest-exact")[0, 0]

    def _normalised(self, image: Any, shape: tuple[int, ...], tails: NDArray[Any]) -> Any:  # noqa: ANN401
        """Clip an image to its tails, normalise it and resample it to a grid: (1, 1, i, j, k).

        Mean and standard deviation are those on the new grid. Where the image has fewer voxels
        they are computed on it, each voxel weighted by how often resampling repeats it.
        """
        if image.numel() > np.prod(shape):
            image = self._resized(image, shape)
        low, high = (float(tail) for tail in tails)
        level = ((image - low) / (high - low)).clamp_(0, 1)
        n = float(np.prod(shape))
        times = [self._times(*sides) for sides in zip(image.shape, shape, strict=True)]
        mean = self._sum(level, times) / n
        spread = (self._sum((level - mean).square_(), times) / (n - 1)) ** 0.5
        return self._resized(level.sub_(mean).mul_(_SPREAD / spread).add_(_MEAN), shape)[None, None]

    def _times(self, n: int, wanted: int) -> Any:  # noqa: ANN401
        """How often each of n voxels is repeated when an axis is resampled to `wanted` voxels."""
        torch = self._torch
        places = torch.arange(n, dtype=torch.float32)[None, None]
        chosen = torch.nn.functional.interpolate(places, wanted, mode="nearest-exact")[0, 0]
        return torch.bincount(chosen.long(), minlength=n).float()

    def _sum(self, image: Any, times: list[Any]) -> float:  # noqa: ANN401
        return float(((image @ times[2]) @ times[1]).double() @ times[0].double())

    def _box(self, brain: Any, shape: tuple[int, ...]) -> tuple[slice, ...]:  # noqa: ANN401
        """Box of the largest component, widened by a tenth of its side at each end."""
        labels, n_pieces = ndimage.label(brain[0, 1].numpy() > 0.5, np.ones((3, 3, 3)))
        if n_pieces == 0:
            raise ValueError("no brain was found")
        piece = labels == 1 + int(np.argmax(np.bincount(labels.ravel())[1:]))
        sides = []
        for axis, n in enumerate(shape):
            others = tuple({0, 1, 2} - {axis})
            hits = np.flatnonzero(piece.mean(axis=others) > _LEAST_SHARE)
            if not hits.size:
                raise ValueError("too little brain was found")
            scale = n / piece.shape[axis]
            centre = np.round(scale * (hits[-1] + 1 + hits[0]) / 2)
            size = np.round((1 + 2 * _MARGIN) * scale * (hits[-1] + 1 - hits[0]))
            sides.append(slice(max(0, int(centre - size / 2)), min(n, int(centre + size / 2))))
        return tuple(sides)


class LinkNet:
    """Replacement for deepbet's network: (1, 1, i, j, k) to (1, 2, i, j, k).

    Args:
        torch: The module, which preprocessing imports for skull stripping only.
        weights: State dict with deepbet's names of the layers.

    Raises:
        UnknownNetworkError: If they are those of another network.
    """

    def __init__(self, torch: ModuleType, weights: Mapping[str, Any]) -> None:
        if len(weights) != _N_WEIGHTS or "up3.tp_conv.0.weight" not in weights:
            raise UnknownNetworkError("not the LinkNet3d of deepbet 1.0")
        self._torch, self._layers = torch, torch.nn.functional
        last = torch.channels_last_3d
        self._weights = {
            name: value.detach().contiguous(memory_format=last) if value.ndim == 5 else value
            for name, value in weights.items()
        }
        # Transposed convolution of 8 features to 2 classes of 2×2×2 voxels: brain − background.
        both, bias = weights["tp_conv2.weight"].detach(), weights["tp_conv2.bias"].detach()
        self._places = (both[:, 1] - both[:, 0]).reshape(8, 8).T.reshape(8, 8, 1, 1, 1).contiguous()
        self._bias = float(bias[1] - bias[0])

    def __call__(self, image: Any) -> Any:  # noqa: ANN401 - torch has no types here
        """Probability of brain, repeated for both classes as deepbet's shape has two."""
        with self._torch.inference_mode():
            brain = self._brain(image)
            return brain.expand(1, 2, *brain.shape[2:])

    def _brain(self, image: Any) -> Any:  # noqa: ANN401
        layers = self._layers
        fine = self._pooled(self._conv(image, "init.0", stride=2, padding=3))
        levels = [self._stage(fine, "down0", 1)]
        for number in (1, 2, 3):
            levels.append(self._stage(levels[-1], f"down{number}", 2))
        x = levels.pop()
        for number in (0, 1, 2):
            x = self._up(x, f"up{number}", 2).add_(levels.pop())
        x = self._up(x, "up3", 1).add_(fine)
        x = self._rectified(self._transposed(x, "tp_conv1.0", 2))
        x = self._rectified(self._conv(x, "conv.0", padding=1))
        return self._spread(layers.conv3d(x, self._places)).add_(self._bias).sigmoid_()

    def _pooled(self, x: Any) -> Any:  # noqa: ANN401
        """Instance normalisation, ReLU and max pooling of 3×3×3, computed with the pooling first.

        The result is the same, because normalisation and ReLU keep the order of values. Only an
        eighth of the voxels is normalised, with mean and variance of all.
        """
        variance, mean = self._torch.var_mean(x, dim=(2, 3, 4), correction=0)
        pooled = self._layers.max_pool3d(x, 3, 2, 1)
        normal = self._layers.batch_norm(pooled, mean[0], variance[0], eps=_EPSILON)
        return normal.contiguous(memory_format=self._torch.channels_last_3d).relu_()

    def _spread(self, places: Any) -> Any:  # noqa: ANN401
        """Pixel shuffle of (1, 8, i, j, k) to (1, 1, 2i, 2j, 2k)."""
        i, j, k = places.shape[2:]
        blocks = places.reshape(2, 2, 2, i, j, k)
        return blocks.permute(3, 0, 4, 1, 5, 2).reshape(1, 1, 2 * i, 2 * j, 2 * k)

    def _stage(self, x: Any, name: str, stride: int) -> Any:  # noqa: ANN401
        return self._block(self._block(x, f"{name}.block1", stride), f"{name}.block2", 1)

    def _block(self, x: Any, name: str, stride: int) -> Any:  # noqa: ANN401
        """Residual block; where the sides or the channels change, the skip is a convolution."""
        skip = x
        if f"{name}.downsample.0.weight" in self._weights:
            skip = self._normal(self._conv(x, f"{name}.downsample.0", stride=stride))
        y = self._rectified(self._conv(x, f"{name}.double_conv.0", stride=stride, padding=1))
        y = self._normal(self._conv(y, f"{name}.double_conv.3", padding=1))
        return y.add_(skip).relu_()

    def _up(self, x: Any, name: str, stride: int) -> Any:  # noqa: ANN401
        x = self._rectified(self._conv(x, f"{name}.conv1.0"))
        x = self._rectified(self._transposed(x, f"{name}.tp_conv.0", stride))
        return self._rectified(self._conv(x, f"{name}.conv2.0"))

    def _conv(self, x: Any, name: str, *, stride: int = 1, padding: int = 0) -> Any:  # noqa: ANN401
        weight, bias = self._weights[f"{name}.weight"], self._weights.get(f"{name}.bias")
        return self._layers.conv3d(x, weight, bias, stride=stride, padding=padding)

    def _transposed(self, x: Any, name: str, stride: int) -> Any:  # noqa: ANN401
        weight, bias = self._weights[f"{name}.weight"], self._weights.get(f"{name}.bias")
        more = stride - 1
        return self._layers.conv_transpose3d(
            x, weight, bias, stride=stride, padding=1, output_padding=more
        )

    def _normal(self, x: Any) -> Any:  # noqa: ANN401
        """Instance normalisation, which for a batch of one image is batch normalisation."""
        return self._layers.batch_norm(x, None, None, training=True, eps=_EPSILON)

    def _rectified(self, x: Any) -> Any:  # noqa: ANN401
        return self._normal(x).relu_()
