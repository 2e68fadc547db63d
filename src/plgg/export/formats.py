"""What writes each format into a folder: `name -> writer`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plgg.export.bundle import load_bundle, write_bundle
from plgg.export.tracing import Outputs, Traceable, write_onnx
from plgg.infer.engines.record import Format
from plgg.infer.engines.silent import import_onnxruntime, import_openvino, require_onnx
from plgg.model.checkpoint import Checkpoint

Run = Callable[..., Outputs]


@dataclass(frozen=True)
class Written:
    """A network in another format.

    Attributes:
        model: The file to be opened, relative to the folder.
        run: Runs what was written on an image (i, j, k), to be compared.
    """

    model: str
    run: Run


Writer = Callable[[Checkpoint, Traceable, Path], Written]


def _onnx(checkpoint: Checkpoint, network: Traceable, folder: Path) -> Written:  # noqa: ARG001
    require_onnx()
    runtime = import_onnxruntime()
    path = folder / "model.onnx"
    write_onnx(network, path)
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(image: object) -> Outputs:
        values = session.run(network.names, {"image": image[None, None]})  # type: ignore[index]
        return dict(zip(network.names, values, strict=True))

    return Written(path.name, run)


def _openvino(checkpoint: Checkpoint, network: Traceable, folder: Path) -> Written:  # noqa: ARG001
    """By way of ONNX, which OpenVINO reads itself: its own converter reports what it is given."""
    require_onnx()
    openvino = import_openvino()
    core, path, between = openvino.Core(), folder / "model.xml", folder / "model.onnx"
    write_onnx(network, between)
    openvino.save_model(core.read_model(str(between)), str(path), compress_to_fp16=False)
    between.unlink()
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(str(path), "CPU", exact)

    def run(image: object) -> Outputs:
        values = compiled({"image": image[None, None]})  # type: ignore[index]
        return {name: values[name] for name in network.names}

    return Written(path.name, run)


def _bundle(checkpoint: Checkpoint, network: Traceable, folder: Path) -> Written:
    write_bundle(checkpoint, network.network, folder)
    return Written("configs/inference.json", Traceable(load_bundle(folder)).answer)


FORMATS: dict[Format, Writer] = {"onnx": _onnx, "openvino": _openvino, "monai-bundle": _bundle}
