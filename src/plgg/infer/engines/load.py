"""The engine of a run by name, and whether what was exported is the run's own network."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from plgg.errors import ConfigError, RunError
from plgg.infer.engines.engine import Engine
from plgg.infer.engines.onnx import onnx_engine
from plgg.infer.engines.openvino import openvino_engine
from plgg.infer.engines.pytorch import torch_engine
from plgg.infer.engines.record import FILE, Format, export_folder, read_export
from plgg.model.allocator import keep_freed_memory
from plgg.model.checkpoint import Checkpoint
from plgg.model.device import choose_runtime

Builder = Callable[[Path, Checkpoint], Engine]


def load_engine(name: str, run: Path, checkpoint: Checkpoint) -> Engine:
    """What runs a run's network.

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
        # A quarter of the time of a pass, see docs/export.md.
        keep_freed_memory()
    return torch_engine(checkpoint.network().to(runtime.device).eval(), runtime)


def _onnx(run: Path, checkpoint: Checkpoint) -> Engine:
    return onnx_engine(_paired(run, checkpoint, "onnx"))


def _openvino(run: Path, checkpoint: Checkpoint) -> Engine:
    precision = checkpoint.meta.config.precision
    bf16 = None if precision == "auto" else precision == "bf16"
    return openvino_engine(_paired(run, checkpoint, "openvino"), bf16=bf16)


ENGINES: dict[str, Builder] = {"pytorch": _pytorch, "onnx": _onnx, "openvino": _openvino}


def _paired(run: Path, checkpoint: Checkpoint, kind: Format) -> Path:
    """The folder of an export of this very checkpoint."""
    folder, remedy = export_folder(run, kind), f"Run: plgg export {run} --format {kind}."
    if not (folder / FILE).is_file():
        raise RunError(f"was not exported to {kind}", where=run, remedy=remedy)
    if read_export(folder, kind).checkpoint_sha256 != checkpoint.meta.sha256:
        raise RunError("was exported from another checkpoint", where=folder, remedy=remedy)
    return folder
