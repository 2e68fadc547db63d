"""The network as it was trained, run by PyTorch on any device."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from plgg.infer.accelerator import meter_of
from plgg.infer.engines.engine import Answer, Engine
from plgg.model.device import Runtime
from plgg.model.network import MultitaskNet


def torch_engine(network: MultitaskNet, runtime: Runtime) -> Engine:
    """An engine from a network.

    Args:
        network: In evaluation mode, on the runtime's device.
        runtime: Device and precision.
    """

    def run(image: NDArray[np.float32]) -> Answer:
        tensor = torch.from_numpy(image)[None, None].to(runtime.device)
        with torch.inference_mode(), runtime.autocast():
            outputs = network(tensor.to(memory_format=torch.channels_last_3d))
        marker = outputs.get("marker")
        return Answer(
            segmentation=outputs["segmentation"][0, 0].float().cpu().numpy(),
            marker=None if marker is None else marker[0].cpu().double().numpy(),
            features=outputs["features"][0].cpu().numpy(),
        )

    name = f"pytorch, {runtime.device.type}, {runtime.precision}"
    return Engine(name, network.divisor, run, meter_of(runtime.device))
