"""Wrap a network for export: one image as input, a tuple of outputs, any size.

Float32 in the default memory format, which is the most exact that PyTorch has.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from plgg.model.network import MultitaskNet

Outputs = dict[str, NDArray[np.float32]]


class Traceable(nn.Module):
    """A network whose outputs are a tuple in the order of `names`.

    Args:
        network: Network on the CPU; set to evaluation mode and the default memory format.
    """

    def __init__(self, network: MultitaskNet) -> None:
        super().__init__()
        network.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
        self.network = network
        self.names = ["segmentation", "features", *network.auxiliary]
        self.eval()

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        """Logits and features of z-scores of shape (1, c, i, j, k)."""
        outputs = self.network(image)
        return tuple(outputs[name] for name in self.names)

    def answer(self, image: NDArray[np.float32]) -> Outputs:
        """Outputs by name, from and to NumPy arrays."""
        with torch.inference_mode():
            return {
                name: value.numpy()
                for name, value in zip(self.names, self(torch.from_numpy(image)[None]), strict=True)
            }


def write_onnx(network: Traceable, path: Path, *, plane: tuple[int, int] | None = None) -> None:
    """Write a network as ONNX, with dynamic sizes in multiples of the divisors.

    With `plane`, slices have this size, and only their number is dynamic.

    Notes of the exporter on the source code are removed, as they name folders of this machine.
    """
    import onnx

    divisors = network.network.divisors
    sides = {
        axis + 2: torch.export.Dim(name, min=1) * divisor if divisor > 1 else torch.export.Dim(name)
        for axis, (name, divisor) in enumerate(zip("ijk", divisors, strict=True))
    }
    shape = [divisor * n for divisor, n in zip(divisors, (2, 3, 4), strict=True)]
    if plane is not None:
        sides, shape[:2] = {4: sides[4]}, plane
    example = torch.zeros(1, network.network.n_channels, *shape)
    with _quiet(), torch.no_grad():
        torch.onnx.export(
            network,
            (example,),
            path,
            dynamo=True,
            external_data=False,
            verbose=False,
            input_names=["image"],
            output_names=network.names,
            dynamic_shapes={"image": sides},
        )
    model = onnx.load(path)
    _strip(model)
    onnx.save(model, path)


def _strip(model: object) -> None:
    """Remove the exporter's notes from every message of the model, however deep."""
    for field, value in model.ListFields():  # type: ignore[attr-defined]
        if field.name in {"metadata_props", "doc_string"}:
            model.ClearField(field.name)  # type: ignore[attr-defined]
        elif field.message_type is not None:
            for child in value if hasattr(value, "__len__") else [value]:
                _strip(child)


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress warnings and log messages of PyTorch's exporter."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
