"""Run a trained nnU-Net v2 by nnunetv2's own predictor: its resampling, windows and mirroring.

Code of nnunetv2 that unpickles files or imports names from them is called only after the files were
checked (`nnunet_checkpoint`, `nnunet_plans`).
"""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from plgg.core.errors import CheckpointError, ConfigError
from plgg.data.budget import require_affordable
from plgg.data.nnunet import DATASET
from plgg.model.device import choose_runtime
from plgg.predict.engines.nnunet_checkpoint import NnunetCheckpoint
from plgg.predict.engines.nnunet_plans import Configuration, Description


@dataclass(frozen=True, eq=False)
class NnunetNetwork:
    """A loaded nnU-Net.

    Attributes:
        predictor: nnunetv2's `nnUNetPredictor`.
        configuration: Its settings, checked.
        transpose: Order of its axes, of an array (k, j, i).
        n_labels: Number of outputs: background and foreground classes, or regions.
        has_regions: Whether the outputs are regions, each with its own sigmoid.
        name: Name for results: library, configuration, device and precision.
    """

    predictor: Any
    configuration: Configuration
    transpose: tuple[int, int, int]
    n_labels: int
    has_regions: bool
    name: str

    def outlines(
        self, image: NDArray[np.generic], spacing_mm: Sequence[float], *, mirror: bool
    ) -> NDArray[np.float32]:
        """Probability of anything but background, or of each region, the whole tumour first.

        Args:
            image: Intensities, 0 outside, shape (C, I, J, K).
            spacing_mm: Of the three axes.
            mirror: Whether to average over the mirror images that training allowed.

        Returns:
            float32, shape (R, I, J, K); R is 1 without regions.

        Raises:
            InputError: If it would be resampled to more than a scan may take.
        """
        _, i, j, k = image.shape
        self._require_affordable((i, j, k), spacing_mm)
        # nnU-Net's readers give axes in reverse order.
        turned = np.ascontiguousarray(image.transpose(0, 3, 2, 1), dtype=np.float32)
        properties = {"spacing": [float(mm) for mm in spacing_mm[::-1]]}
        self.predictor.use_mirroring = mirror
        with quiet():
            found = self.predictor.predict_single_npy_array(turned, properties, None, None, True)
        said = np.asarray(found[1], dtype=np.float32)
        outlines = said if self.has_regions else 1.0 - said[:1]
        return np.ascontiguousarray(np.clip(outlines, 0.0, 1.0).transpose(0, 3, 2, 1))

    def _require_affordable(self, shape: tuple[int, int, int], spacing_mm: Sequence[float]) -> None:
        native = [(shape[2 - axis], spacing_mm[2 - axis]) for axis in self.transpose]
        target = self.configuration.spacing
        own = [None] * (3 - len(target)) + list(target)
        sides = [
            n if mm is None else max(1, math.ceil(n * step / mm))
            for (n, step), mm in zip(native, own, strict=True)
        ]
        require_affordable(sides, 4 * self.n_labels, where="nnU-Net's own grid")


def build_nnunet(description: Description, checkpoint: NnunetCheckpoint) -> NnunetNetwork:
    """Build the network of a checkpoint and nnunetv2's predictor around it.

    Raises:
        ConfigError: If nnunetv2 is not installed.
        CheckpointError: If the weights are not those of the network in the plans.
        RunError: If the plans ask for what plgg does not run.
    """
    device = choose_runtime("fp32").device
    with quiet():
        predictor_class, plans_class, build = _nnunetv2()
        plans = plans_class(description.raw_plans)
        configured, checked = _configured(plans, description, checkpoint)
        n_labels = _n_labels(plans, description)
        network = _network(build, configured, (description.n_channels, n_labels), checkpoint)
        predictor = predictor_class(
            device=device,
            perform_everything_on_device=device.type == "cuda",
            allow_tqdm=False,
        )
        predictor.manual_initialization(
            network.to(device),
            plans,
            configured,
            [network.state_dict()],
            description.raw_dataset,
            checkpoint.trainer,
            checkpoint.mirror_axes or None,
        )
    name = f"nnunetv2 {checkpoint.configuration}, {device.type}, fp32"
    return NnunetNetwork(
        predictor,
        checked,
        description.plans.transpose_forward,
        n_labels,
        description.n_regions > 0,
        name,
    )


def _configured(
    plans: Any,  # noqa: ANN401 - nnunetv2 has no types
    description: Description,
    checkpoint: NnunetCheckpoint,
) -> tuple[Any, Configuration]:
    """A configuration as nnunetv2's object, and as our checked record."""
    try:
        configured = plans.get_configuration(checkpoint.configuration)
    except (RuntimeError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise CheckpointError(
            f"was trained as {checkpoint.configuration[:60]!a}, which the plans do not know",
            where=description.results,
            remedy="Copy the folder of nnU-Net's results again.",
        ) from error
    return configured, description.require_configuration(configured.configuration)


def _n_labels(plans: Any, description: Description) -> int:  # noqa: ANN401
    """Number of output channels, as nnunetv2 counts them."""
    try:
        return int(plans.get_label_manager(description.raw_dataset).num_segmentation_heads)
    except (RuntimeError, ValueError, LookupError, TypeError, AssertionError) as error:
        raise CheckpointError(
            "has labels that nnU-Net refuses",
            where=description.results / DATASET,
            remedy="Copy the folder of nnU-Net's results again.",
        ) from error


def _network(
    build: Any,  # noqa: ANN401
    configured: Any,  # noqa: ANN401
    channels: tuple[int, int],
    checkpoint: NnunetCheckpoint,
) -> nn.Module:
    """The network with its weights; on `meta` first, so that false plans take no memory."""
    try:
        with torch.device("meta"):
            network: nn.Module = build(
                configured.network_arch_class_name,
                configured.network_arch_init_kwargs,
                configured.network_arch_init_kwargs_req_import,
                *channels,
                allow_init=False,
                deep_supervision=False,
            )
        network.load_state_dict(checkpoint.weights, assign=True)
    except (
        RuntimeError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        AssertionError,
    ) as error:
        raise CheckpointError(
            f"its weights are not those of the network in the plans (trainer {checkpoint.trainer})",
            where=checkpoint.configuration,
            remedy="plgg runs networks that nnU-Net's own trainer made of its plans.",
        ) from error
    return network.float().eval()


def _nnunetv2() -> tuple[Any, Any, Any]:
    try:
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
        from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager
    except ImportError as error:
        raise ConfigError(
            "the package nnunetv2 is not installed", remedy='pip install "plgg[nnunet]".'
        ) from error
    return nnUNetPredictor, PlansManager, get_network_from_plans


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Suppress nnunetv2's standard output and warnings."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def answering_folds(results: Path, fold: Path | None) -> list[Path]:
    """Folds to predict with: the one that is named, or all; `fold_all` only without others."""
    if fold is not None:
        return [fold]
    found = sorted(path for path in results.glob("fold_*") if path.is_dir())
    return [path for path in found if path.name != "fold_all"] or found
