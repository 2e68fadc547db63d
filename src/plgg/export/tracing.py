"""The network as exporters want it: one image in, arrays out in a fixed order, any size.

Float32 in the default memory format: the nearest to exact that PyTorch has.
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
        network: Turned to evaluation and to the default memory format; on the processor.
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
        """The same by name, from and to arrays."""
        with torch.inference_mode():
            return {
                name: value.numpy()
                for name, value in zip(self.names, self(torch.from_numpy(image)[None]), strict=True)
            }


def write_onnx(network: Traceable, path: Path, *, plane: tuple[int, int] | None = None) -> None:
    """Write a network as ONNX, its sides any multiples of the divisors.

    Slices of one size, whose number alone varies, are exported as such where `plane` is given.

    What the exporter notes of the source code that it walked through is left out: it names the
    folders of whoever runs it.
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
    """Without what PyTorch's exporter says of itself and of packages that nobody needs."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
