"""The engine of a run by name: PyTorch, ONNX Runtime or OpenVINO."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from plgg.core.errors import ConfigError, RunError
from plgg.model.batch_norm import fold_batch_norm
from plgg.model.checkpoint import Checkpoint
from plgg.model.device import Runtime, choose_runtime, keep_freed_memory
from plgg.model.layers import channels_last
from plgg.model.network import MultitaskNet
from plgg.predict.engine import (
    FILE,
    Answer,
    Engine,
    Format,
    answer_from_arrays,
    export_folder,
    read_export,
)
from plgg.predict.engines.exported import onnx_engine, openvino_engine
from plgg.predict.memory import meter_of


def torch_engine(network: MultitaskNet, runtime: Runtime, *, alike: str = "") -> Engine:
    """An engine from a network.

    Args:
        network: In evaluation mode, on the runtime's device.
        runtime: Device and precision.
        alike: Text that is the same for networks of one architecture; empty for none.
    """

    def run(image: NDArray[np.float32]) -> Answer:
        tensor = torch.from_numpy(image)[None].to(runtime.device)
        with torch.inference_mode(), runtime.autocast():
            outputs = network(tensor.to(memory_format=torch.channels_last_3d))
        return answer_from_arrays(
            {name: values.float().cpu().numpy() for name, values in outputs.items()}
        )

    name = f"pytorch, {runtime.device.type}, {runtime.precision}"
    alike = alike and f"{name}, {alike}"
    return Engine(name, network.divisors, run, meter_of(runtime.device), network.n_channels, alike)


Builder = Callable[[Path, Checkpoint], Engine]


def load_engine(name: str, run: Path, checkpoint: Checkpoint) -> Engine:
    """The engine for the network of a run.

    Args:
        name: One of `ENGINES`.
        run: Folder of the run.
        checkpoint: Its network.

    Raises:
        ConfigError: If there is no such engine, or its package is not installed.
        RunError: If the run was not exported for it, or from another checkpoint.
    """
    if name not in ENGINES:
        raise ConfigError(
            f"no engine is called {name!r}", remedy=f"Choose one of {', '.join(ENGINES)}."
        )
    return ENGINES[name](run, checkpoint)


def _pytorch(run: Path, checkpoint: Checkpoint) -> Engine:  # noqa: ARG001 - as the others
    runtime = choose_runtime(checkpoint.meta.config.precision)
    if runtime.device.type == "cpu":
        # Saves a quarter of the time of a pass, see docs/export.md.
        keep_freed_memory()
    network = checkpoint.network().eval()
    fold_batch_norm(network)
    config = checkpoint.meta.config
    alike = f"{config.arm} {len(config.channels)} {config.model.model_dump_json()}"
    return torch_engine(channels_last(network).to(runtime.device), runtime, alike=alike)


def _onnx(run: Path, checkpoint: Checkpoint) -> Engine:
    return onnx_engine(_paired(run, checkpoint, "onnx"))


def _openvino(run: Path, checkpoint: Checkpoint) -> Engine:
    precision = checkpoint.meta.config.precision
    bf16 = None if precision == "auto" else precision == "bf16"
    return openvino_engine(_paired(run, checkpoint, "openvino"), bf16=bf16)


ENGINES: dict[str, Builder] = {"pytorch": _pytorch, "onnx": _onnx, "openvino": _openvino}


def _paired(run: Path, checkpoint: Checkpoint, kind: Format) -> Path:
    """Folder of the export, after a check that it was made from this checkpoint."""
    folder, remedy = export_folder(run, kind), f"Run: plgg export {run} --format {kind}."
    if not (folder / FILE).is_file():
        raise RunError(f"was not exported to {kind}", where=run, remedy=remedy)
    if read_export(folder, kind).checkpoint_sha256 != checkpoint.meta.sha256:
        raise RunError("was exported from another checkpoint", where=folder, remedy=remedy)
    return folder
