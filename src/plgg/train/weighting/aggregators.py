"""Aggregators of torchjd as factors on the tasks' gradients. torchjd is an optional package."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import torch
from jaxtyping import Float
from torch import Tensor

from plgg.errors import ConfigError
from plgg.train.weighting.joined import Factors, Gramian


def aggregator(name: str) -> Factors:
    """An aggregator of `AGGREGATORS`, told the inner products alone.

    Raises:
        ConfigError: If torchjd, or what it needs for this one, is not installed.
    """
    make, scale = AGGREGATORS[name]
    try:
        weigh = make(import_module("torchjd.aggregation"))
    except ImportError as error:
        raise ConfigError(
            f"loss.weighting={name} needs the package torchjd",
            remedy='pip install "plgg[weighting]".',
        ) from error

    def factors(products: Gramian) -> Float[Tensor, " tasks"]:
        # PCGrad draws the order of the tasks, which of two changes nothing: leave no trace of it.
        with torch.random.fork_rng(devices=[]):
            return scale * weigh(products)

    return factors


def _upgrad(torchjd: ModuleType) -> Callable[[Gramian], Tensor]:
    projector = import_module("torchjd.linalg").QuadprogProjector
    # The default, 1e-4 of the squared norms, would drown a gradient that is a hundredth of the
    # other; in float64 the solver is stable with far less.
    found: Callable[[Gramian], Tensor] = torchjd.UPGradWeighting(projector=projector(reg_eps=1e-12))
    return found


AGGREGATORS: dict[str, tuple[Callable[[ModuleType], Callable[[Gramian], Tensor]], float]] = {
    # Those that average are doubled, for two tasks, so that they can be told from the plain sum.
    "upgrad": (_upgrad, 2.0),
    "pcgrad": (lambda torchjd: torchjd.PCGradWeighting(), 1.0),
    "mgda": (lambda torchjd: torchjd.MGDAWeighting(), 2.0),
    "imtlg": (lambda torchjd: torchjd.IMTLGWeighting(), 2.0),
    "alignedmtl": (lambda torchjd: torchjd.AlignedMTLWeighting(), 2.0),
}
