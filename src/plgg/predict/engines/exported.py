"""Exported networks on ONNX Runtime and OpenVINO, without their telemetry.

Both send usage data over the network by default: ONNX Runtime from 1.29 at its first session, and
OpenVINO at its import. plgg sends nothing about a scan or a machine, so telemetry is switched off
before they are imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from plgg.core.errors import ConfigError
from plgg.model.device import cpu_has_bf16
from plgg.predict.engine import Answer, Engine, answer_from_arrays, read_export
from plgg.predict.memory import HOST

_REPORTER = "openvino_telemetry"


def import_onnxruntime() -> Any:  # noqa: ANN401 - a module without types
    """Import `onnxruntime` without telemetry.

    Raises:
        ConfigError: If it is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    found = _imported("onnxruntime", extra="onnx")
    # Older versions on Windows need this call instead of the variable.
    found.disable_telemetry_events()
    return found


def import_openvino() -> Any:  # noqa: ANN401
    """Import `openvino` without telemetry.

    Raises:
        ConfigError: If it is not installed.
    """
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    with _absent(_REPORTER):
        return _imported("openvino", extra="openvino")


def require_onnx() -> None:
    """Check that the packages are installed with which PyTorch writes ONNX.

    Raises:
        ConfigError: If one of the packages for it is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    for name in ("onnx", "onnxscript"):
        _imported(name, extra="onnx")


@contextmanager
def _absent(name: str) -> Iterator[None]:
    """Make a module look as if it were not installed; OpenVINO then works without it."""
    known = sys.modules.get(name)
    # None in `sys.modules` makes Python refuse the import.
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        if known is not None:
            sys.modules[name] = known


def _imported(name: str, *, extra: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"the package {name} is not installed", remedy=f'pip install "plgg[{extra}]".'
        ) from error


def onnx_engine(path: Path) -> Engine:
    """An engine from the folder that `plgg export --format onnx` made.

    Raises:
        RunError: If the folder holds no such export, or it was altered.
        ConfigError: If ONNX Runtime is not installed.
    """
    record = read_export(path, "onnx")
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    # The arena grows by doubling and never shrinks, so memory could not be measured.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    session = runtime.InferenceSession(
        str(path / record.model), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]

    def run(image: NDArray[np.float32]) -> Answer:
        values = session.run(names, {"image": image[None]})
        return answer_from_arrays(dict(zip(names, values, strict=True)))

    return Engine("onnx, cpu, fp32", record.divisors, run, HOST, record.config.n_inputs)


def openvino_engine(path: Path, *, bf16: bool | None = None) -> Engine:
    """An engine from the folder that `plgg export --format openvino` made.

    Args:
        path: The folder.
        bf16: Whether to run in bfloat16; None where the processor has it.

    Raises:
        RunError: If the folder holds no such export, or it was altered.
        ConfigError: If OpenVINO is not installed.
    """
    record = read_export(path, "openvino")
    rough = cpu_has_bf16() if bf16 is None else bf16
    settings = {
        "INFERENCE_PRECISION_HINT": "bf16" if rough else "f32",
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
    }
    core = import_openvino().Core()
    compiled = core.compile_model(str(path / record.model), "CPU", settings)
    outputs = [output.get_any_name() for output in compiled.outputs]

    def run(image: NDArray[np.float32]) -> Answer:
        request = compiled.create_infer_request()
        request.infer({"image": image[None]})
        answer = answer_from_arrays(
            {name: request.get_tensor(name).data.copy() for name in outputs}
        )
        del request
        # Otherwise it keeps the memory of its largest image, and memory cannot be measured.
        compiled.release_memory()
        return answer

    return Engine(
        f"openvino, cpu, {'bf16' if rough else 'fp32'}",
        record.divisors,
        run,
        HOST,
        record.config.n_inputs,
    )
