"""An exported network, run by ONNX Runtime on the processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from plgg.infer.engines.engine import Answer, Engine
from plgg.infer.engines.record import read_export
from plgg.infer.engines.silent import import_onnxruntime
from plgg.infer.host import HOST


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
    # The arena grows by doubling and never shrinks: a measure of memory would mean nothing.
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 3
    session = runtime.InferenceSession(
        str(path / record.model), options, providers=["CPUExecutionProvider"]
    )
    names = [output.name for output in session.get_outputs()]

    def run(image: NDArray[np.float32]) -> Answer:
        values = session.run(names, {"image": image[None, None]})
        return as_answer(dict(zip(names, values, strict=True)))

    return Engine("onnx, cpu, fp32", record.divisor, run, HOST)


def as_answer(outputs: dict[str, NDArray[np.float32]]) -> Answer:
    """An answer from arrays by name, each with a first axis for the batch."""
    marker = outputs.get("marker")
    return Answer(
        segmentation=outputs["segmentation"][0, 0],
        marker=None if marker is None else marker[0].astype(np.float64),
        features=outputs["features"][0],
    )
