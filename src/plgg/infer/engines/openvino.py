"""An exported network, run by OpenVINO on the processor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from plgg.infer.engines.engine import Answer, Engine
from plgg.infer.engines.onnx import as_answer
from plgg.infer.engines.record import read_export
from plgg.infer.engines.silent import import_openvino
from plgg.infer.host import HOST
from plgg.model.device import cpu_has_bf16


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
    names = [output.get_any_name() for output in compiled.outputs]
    outputs = [name for name in ("segmentation", "marker", "features") if name in names]

    def run(image: NDArray[np.float32]) -> Answer:
        request = compiled.create_infer_request()
        request.infer({"image": image[None, None]})
        answer = as_answer({name: request.get_tensor(name).data.copy() for name in outputs})
        del request
        # It would keep what its largest image took, and no measure of memory would mean anything.
        compiled.release_memory()
        return answer

    return Engine(f"openvino, cpu, {'bf16' if rough else 'fp32'}", record.divisor, run, HOST)
