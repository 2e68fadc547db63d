"""Export a run's network: write it aside, compare it with PyTorch, move it into place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from plgg.core.environment import versions
from plgg.core.errors import ConfigError, RunError
from plgg.core.files import sha256, write_json
from plgg.core.folders import EXPORT, replace_folder, require_replaceable
from plgg.export.bundle import load_bundle, write_bundle
from plgg.export.tracing import Outputs, Traceable, write_onnx
from plgg.model.checkpoint import Checkpoint, load_checkpoint
from plgg.predict.engine import FILE, ExportRecord, Format, export_folder
from plgg.predict.engines.exported import import_onnxruntime, import_openvino, require_onnx
from plgg.tasks.base import AuxiliaryTask
from plgg.tasks.mask_task import scan_level_tasks

Run = Callable[..., Outputs]


@dataclass(frozen=True)
class ExportedNetwork:
    """A network in another format.

    Attributes:
        model: The file to be opened, relative to the folder.
        run: Runs the exported network on an image (c, i, j, k), for the comparison.
    """

    model: str
    run: Run


Writer = Callable[[Checkpoint, Traceable, Path], ExportedNetwork]


def _onnx(checkpoint: Checkpoint, network: Traceable, folder: Path) -> ExportedNetwork:
    require_onnx()
    runtime = import_onnxruntime()
    path = folder / "model.onnx"
    write_onnx(network, path, plane=_plane(checkpoint))
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def run(image: object) -> Outputs:
        values = session.run(network.names, {"image": image[None]})  # type: ignore[index]
        return dict(zip(network.names, values, strict=True))

    return ExportedNetwork(path.name, run)


def _plane(checkpoint: Checkpoint) -> tuple[int, int] | None:
    """Size of the slices of a slice-wise network, else None."""
    config = checkpoint.meta.config
    return config.patches.size[:2] if config.model.sliced else None


def _openvino(checkpoint: Checkpoint, network: Traceable, folder: Path) -> ExportedNetwork:
    """Export by way of ONNX: OpenVINO's own converter sends usage data, reading ONNX does not."""
    require_onnx()
    openvino = import_openvino()
    core, path, between = openvino.Core(), folder / "model.xml", folder / "model.onnx"
    write_onnx(network, between, plane=_plane(checkpoint))
    openvino.save_model(core.read_model(str(between)), str(path), compress_to_fp16=False)
    between.unlink()
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = core.compile_model(str(path), "CPU", exact)

    def run(image: object) -> Outputs:
        values = compiled({"image": image[None]})  # type: ignore[index]
        return {name: values[name] for name in network.names}

    return ExportedNetwork(path.name, run)


def _bundle(checkpoint: Checkpoint, network: Traceable, folder: Path) -> ExportedNetwork:
    config = checkpoint.meta.config
    if config.n_inputs > 1:
        slices = " and neighbouring slices" if config.model.neighbours else ""
        raise ConfigError(
            f"a MONAI bundle reads one image, and the network sees {', '.join(config.channels)}"
            f"{slices}",
            remedy="Export it as onnx or openvino.",
        )
    if config.n_outlines > 1:
        raise ConfigError(
            f"a MONAI bundle gives one outline, and the network has {config.n_outlines} labels",
            remedy="Export it as onnx or openvino.",
        )
    write_bundle(checkpoint, network.network, folder)
    return ExportedNetwork("configs/inference.json", Traceable(load_bundle(folder)).answer)


FORMATS: dict[Format, Writer] = {"onnx": _onnx, "openvino": _openvino, "monai-bundle": _bundle}


# Sizes that are compared, in voxels of the bottleneck.
_CELLS = ((4, 5, 6), (8, 6, 5))
# Largest difference: of probabilities, of features relative to the largest one, and of other tasks
# as `comparable` scales them. bfloat16 alone changes probabilities by 0.01.
TOLERANCE = 0.003


@dataclass(frozen=True)
class ExportOutcome:
    """Result of an export.

    Attributes:
        path: Its folder.
        record: Record that is written beside it.
    """

    path: Path
    record: ExportRecord

    @property
    def largest_difference(self) -> dict[str, float]:
        """From PyTorch: `tumour`, `marker`, `features`, as `ExportRecord` says."""
        return self.record.largest_difference


def export_run(run: Path, out: Path | None, fmt: Format) -> ExportOutcome:
    """Write a run's best network in another format.

    Args:
        run: Folder of a training run.
        out: Folder to write; by default where `plgg predict --engine` looks.
        fmt: `onnx`, `openvino` or `monai-bundle`.

    Raises:
        CheckpointError: If the run has no checkpoint that can be used.
        ConfigError: If there is no such format, or its packages are not installed.
        OutputError: If the folder holds something else, or cannot be written.
        RunError: If the exported network differs from PyTorch; nothing is left then.
    """
    if fmt not in FORMATS:
        raise ConfigError(
            f"no format is called {fmt!r}",
            remedy=f"Choose one of {', '.join(FORMATS)}, plgg-model.",
        )
    folder = export_folder(run, fmt) if out is None else out
    require_replaceable(folder, EXPORT, inputs=[run])
    checkpoint = load_checkpoint(run, "best")
    if checkpoint.meta.config.model.marker_planes:
        raise ConfigError(
            "an oracle, which must be told the true marker, is not exported",
            where=run,
            remedy="Export a run of another arm.",
        )
    network = Traceable(checkpoint.network())
    with replace_folder(folder, EXPORT, inputs=[run]) as aside:
        record = _write(checkpoint, network, aside, fmt)
        write_json(aside / FILE, record.model_dump(mode="json"))
    return ExportOutcome(folder, record)


def _write(checkpoint: Checkpoint, network: Traceable, aside: Path, fmt: Format) -> ExportRecord:
    written = FORMATS[fmt](checkpoint, network, aside)
    i, j, k = network.network.divisors
    boxes = [(a * i, b * j, c * k) for a, b, c in _CELLS]
    plane = _plane(checkpoint)
    if plane is not None:
        i, j = plane
        boxes = [(i, j, c * k) for _, _, c in _CELLS]
    n_channels = network.network.n_channels
    images = [np.stack([synthetic_image(box)] * n_channels) for box in boxes]
    largest = largest_difference(
        [network.answer(image) for image in images],
        [written.run(image) for image in images],
        scan_level_tasks(checkpoint.meta.restored_tasks()),
    )
    require_near(largest, fmt)
    files = sorted(path for path in aside.rglob("*") if path.is_file())
    return ExportRecord(
        kind=fmt,
        model=written.model,
        files={path.relative_to(aside).as_posix(): sha256(path) for path in files},
        checkpoint_sha256=checkpoint.meta.sha256,
        config=checkpoint.meta.config,
        classes=checkpoint.meta.classes,
        tasks=checkpoint.meta.auxiliary,
        divisor=i if i == j == k else (i, j, k),
        largest_difference=largest,
        boxes=tuple(boxes),
        versions=versions(),
    )


def synthetic_image(box: tuple[int, int, int]) -> NDArray[np.float32]:
    """A synthetic image: z-scores of a noisy ball with a bright ball in it, 0 around it."""
    steps = [np.linspace(-1, 1, n, dtype=np.float32) for n in box]
    points = np.stack(np.meshgrid(*steps, indexing="ij"))
    noise = np.random.default_rng(0).standard_normal(box, dtype=np.float32)
    bright = np.square(points - 0.3).sum(axis=0) < 0.09
    inside = np.square(points).sum(axis=0) < 0.9
    return np.asarray((noise + 3 * bright) * inside, dtype=np.float32)


def largest_difference(
    expected: list[Outputs],
    found: list[Outputs],
    tasks: Mapping[str, AuxiliaryTask] | None = None,
) -> dict[str, float]:
    """The largest difference between two lists of outputs, in the units of `TOLERANCE`."""
    pairs = [
        (_comparable(one, one, tasks or {}), _comparable(other, one, tasks or {}))
        for one, other in zip(expected, found, strict=True)
    ]
    return {
        name: max(float(np.abs(one[name] - other[name]).max()) for one, other in pairs)
        for name in pairs[0][0]
    }


def _comparable(
    outputs: Outputs, reference: Outputs, tasks: Mapping[str, AuxiliaryTask]
) -> dict[str, NDArray[np.float64]]:
    """Probabilities, and features as shares of the largest of the reference."""
    largest = float(np.abs(reference["features"]).max()) or 1.0
    found = {
        "tumour": expit(outputs["segmentation"].astype(np.float64)),
        "features": outputs["features"].astype(np.float64) / largest,
    }
    for name, task in tasks.items():
        found[name] = task.comparable(outputs[name][0].astype(np.float64))
    return found


def require_near(largest: Mapping[str, float], fmt: str, *, tolerance: float = TOLERANCE) -> None:
    """Check that differences are within the tolerance.

    Raises:
        RunError: If one is larger, or not a number.
    """
    far = {name: value for name, value in largest.items() if not value <= tolerance}
    if far:
        worst = max(far, key=lambda name: far[name])
        raise RunError(
            f"the network in {fmt} differs from PyTorch by {far[worst]:.3g} in {worst}; "
            f"{tolerance:g} is allowed",
            remedy="Use the pytorch engine; other versions of the packages may do better.",
        )
