"""Export networks to other engines, models to share, and stores to nnU-Net."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from plgg.core import paths as typed_paths
from plgg.core.progress import Silent, Watch

if TYPE_CHECKING:
    from plgg.export.nnunet import ExportedNnunet
    from plgg.export.run import ExportOutcome
    from plgg.predict.engine import Format

SILENT = Silent()


def export(
    run: Path, fmt: Format, *, out: Path | None = None, watch: Watch = SILENT
) -> ExportOutcome:
    """Write a run's best network as ONNX, OpenVINO or a MONAI bundle, checked against PyTorch.

    Args:
        run: Folder of a training run.
        fmt: `onnx`, `openvino` or `monai-bundle`.
        out: Folder to write; by default where `predict` looks for other engines.
        watch: Told of the progress.

    Example:
        >>> exported = api.export(folder / "run", "onnx")
        >>> from plgg.predict.options import PredictOptions
        >>> options = PredictOptions(engine="onnx")
        >>> image = scan.get_fdata(), scan.affine
        >>> found = api.segment(*image, model=folder / "run", options=options)
        >>> found.mask.shape == scan.shape
        True
    """
    typed_paths.require_run(run)
    typed_paths.require_output(out)
    from plgg.export.run import export_run

    with watch.task("exporting and comparing with PyTorch"):
        return export_run(run, out, fmt)


def export_model(
    folder: Path, out: Path, *, name: str = "", about: str = "", watch: Watch = SILENT
) -> dict[str, float]:
    """Write a run or an ensemble as one folder to share, without patient data.

    Args:
        folder: The run or the ensemble.
        out: Folder to write; `predict` takes it as a model.
        name: Name of the model.
        about: Note for everyone who reads a result of it.
        watch: Told of the progress.

    Returns:
        The largest differences of its outputs in half precision from those in full precision.

    Example:
        >>> found = api.export_model(folder / "run", folder / "model", name="example")
        >>> max(found.values()) < 0.003
        True
    """
    typed_paths.require_run(folder)
    typed_paths.require_output(out)
    from plgg.export.model import export_model as write_model

    with watch.task("exporting and comparing with the whole precision"):
        return write_model(folder, out, name=name, about=about)


def export_nnunet(
    store: Path,
    out: Path,
    *,
    number: int = 500,
    name: str = "plgg",
    splits: int = 6,
    folds: int | None = None,
    seed: int = 0,
    watch: Watch = SILENT,
) -> ExportedNnunet:
    """Write a store as a data set of nnU-Net v2, with plgg's splits; see docs/nnunet.md.

    Args:
        store: A store of `preprocess`; cases whose mask is unknown, or does not annotate all
            labels, are left out and listed.
        out: Folder of data sets, nnU-Net's `nnUNet_raw`; `DatasetNNN_NAME` is made in it.
        number: NNN, 1 to 999.
        name: Letters and digits.
        splits: Repeated splits, those of `experiment` on this store.
        folds: Instead, how many folds of a cross validation.
        seed: Seed of the splits.
        watch: Told of the progress.

    Raises:
        PlggError: If the store or its splits cannot be used, or `out` holds something else.

    Example:
        >>> made = api.export_nnunet(folder / "store", folder / "nnUNet_raw", splits=1)
        >>> (made.folder / "dataset.json").is_file()
        True
    """
    typed_paths.require_store(store)
    typed_paths.require_output(out)
    from plgg.data.store import Store
    from plgg.export.nnunet import NnunetDesign
    from plgg.export.nnunet import export_nnunet as write_data_set

    design = NnunetDesign(number, name, splits, folds, seed)
    with watch.task("exporting for nnU-Net") as progress:
        return write_data_set(Store(store), out, design, progress=progress)
