"""Predict tumour masks and genetic markers of scans, with trained or installed models."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from plgg.core import paths as typed_paths
from plgg.core.errors import ConfigError
from plgg.core.jobs import Workers, require_workers
from plgg.core.loading import loading
from plgg.core.patient import male, require_past
from plgg.core.progress import Silent, Watch
from plgg.core.shard import Shard
from plgg.data.installed_models import model_folders
from plgg.predict.options import PredictOptions
from plgg.preprocess.assessment_process import assessment_process

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from plgg.data.installed_models import InstalledModel
    from plgg.predict.arrays import Images, Segmentation
    from plgg.predict.scan import Outcome

SILENT = Silent()
DEFAULT_OPTIONS = PredictOptions()


def predict(
    inputs: Sequence[Path],
    *,
    out: Path,
    model: Path | Sequence[Path] | None = None,
    options: PredictOptions = DEFAULT_OPTIONS,
    workers: Workers = 1,
    shard: Shard | None = None,
    watch: Watch = SILENT,
) -> list[Outcome]:
    """Predict scans with the best models of runs into `out`, one folder a case, and a summary.

    Args:
        inputs: Stores, manifests, NIfTI files, DICOM folders or zips; the skull may be on.
        out: Folder to write.
        model: Folder of a training run or of an ensemble, several of them, a folder of trained
            nnU-Net v2 results, or the name of an installed model; by default the one that is
            installed.
        options: How to predict.
        workers: Processes that share the scans; `plgg.core.ray_session.RayWorkers` are placed by
            Ray, here or on a cluster.
        shard: One part of the scans, which the task of a job array does beside others; the call
            without one writes the summary.
        watch: Told of the progress.

    Returns:
        An outcome for every scan; those that failed say why.

    Raises:
        PlggError: If the models or the inputs do not fit together.

    Example:
        >>> (outcome,) = api.predict(
        ...     [cases[0].flair], model=folder / "run", out=folder / "predictions"
        ... )
        >>> sorted(outcome.result.marker.probabilities)
        ['BRAF_V600E', 'BRAF_fusion', 'other']
    """
    runs = model_folders(model)
    _require_prediction_inputs(inputs, runs, options)
    typed_paths.require_output(out)
    require_workers(workers)
    # It starts while this process imports torch, which takes as long.
    with assessment_process(
        wanted=_is_first_prediction() and _is_one_scan(inputs, workers)
    ) as assessor:
        with loading():
            from plgg.predict.batch import Request, predict_batch

        request = Request(tuple(inputs), tuple(runs), out, options, workers, shard)
        return predict_batch(request, watch, assessor)


def _is_first_prediction() -> bool:
    """Whether this process has not predicted yet; afterwards the atlas is in memory."""
    return "torch" not in sys.modules


def _is_one_scan(inputs: Sequence[Path], workers: Workers) -> bool:
    """Whether the inputs are one scan, which is then predicted in this process."""
    from plgg.data.store import is_store

    if len(inputs) != 1 or workers != 1:
        return False
    return inputs[0].suffix.lower() != ".csv" and not is_store(inputs[0])


def segment(
    image: ArrayLike | Images,
    affine: ArrayLike | None = None,
    *,
    model: Path | Sequence[Path] | None = None,
    options: PredictOptions = DEFAULT_OPTIONS,
) -> Segmentation:
    """Outline the tumour of one patient whose images are in memory; nothing is written.

    Preprocessing, gates and mask are those of `predict`.

    Args:
        image: Array of shape (I, J, K), skull on or off, of the sequence that the model wants
            first; or `{sequence: (array, affine)}`.
        affine: 4×4, from voxel indices to mm, RAS+, as NIfTI and nibabel have it.
        model: As `predict` takes it.
        options: Only `age_years`, `sex`, `atlas`, `engine`, `settings` and `scan_gib` are used.

    Returns:
        The mask and the probability on the grid of the image, volume, marker, tasks, verdicts.

    Raises:
        InputError: If an array cannot be used, or a gate refuses the scan.
        PlggError: If the models do not fit together.

    Example:
        >>> import nibabel as nib
        >>> scan = nib.load(cases[0].flair)
        >>> found = api.segment(scan.get_fdata(), scan.affine, model=folder / "run")
        >>> found.mask.shape == scan.shape
        True
        >>> found.volume_ml == outcome.result.volume_ml
        True
    """
    runs = model_folders(model)
    _require_prediction_inputs((), runs, options)
    from plgg.predict.arrays import segment_arrays

    return segment_arrays(image, affine, runs, options)


def write_correction(
    prediction: Path,
    mask: Path,
    *,
    out: Path,
    number: int,
    scan: Path | None = None,
    reader: str | None = None,
) -> list[Path]:
    """Write a corrected mask as DICOM, for the study that the scan came from.

    `segmentation.dcm` is a new SEG of the type SEMIAUTOMATIC that refers to the model's, and
    `measurements.dcm` an SR of the corrected volume and diameters. Nothing else is changed.

    Args:
        prediction: Folder of one case, as `predict` leaves it.
        mask: The corrected mask, NIfTI on the grid of the prediction's.
        out: Folder to write into; it must hold neither file yet.
        number: Number of the correction, from 1; the new objects' UIDs are derived from it and the
            mask.
        scan: The DICOM that was predicted, if it is no longer where it was.
        reader: Name of who corrected it, only if it is to stand in the SEG.

    Returns:
        The files; none where the scan was not DICOM, or its headers could carry no SEG.

    Raises:
        InputError: If the mask does not lie on the prediction's grid, or the scan is gone.
        OutputError: If a file is there already, or the disk refuses.

    Example:
        >>> case = folder / "predictions" / outcome.case_id  # of a scan that was NIfTI
        >>> api.write_correction(case, case / "mask.nii.gz", out=folder / "edit", number=1)
        []
    """
    typed_paths.require_prior(prediction)
    typed_paths.require_there([mask, *([scan] if scan else [])])
    typed_paths.require_output(out)
    from plgg.data.dicom.origin import Correction
    from plgg.predict.corrected import write_corrected

    return write_corrected(prediction, mask, out, Correction(number, reader), scan)


def models() -> list[InstalledModel]:
    """The models that are installed; `predict` and `segment` take them by name.

    Example:
        >>> isinstance(api.models(), list)
        True
    """
    from plgg.data.installed_models import installed_models

    return installed_models()


def _require_prediction_inputs(
    inputs: Sequence[Path], runs: Sequence[Path], options: PredictOptions
) -> None:
    """Check the paths and the patient data that a prediction is given."""
    typed_paths.require_there([*inputs, *options.others.values()])
    if options.sex and math.isnan(male(options.sex)):
        raise ConfigError(f"no sex is called {options.sex!r}", remedy="Give --sex F or --sex M.")
    require_past(options.scan_date)
    for run in runs:
        typed_paths.require_model(run)
    typed_paths.require_priors(options.priors)
    typed_paths.require_atlas(options.atlas)
