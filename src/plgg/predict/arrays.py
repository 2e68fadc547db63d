"""Predict one patient from arrays in memory: images in, a mask on the same grid out.

Arrays go through the same steps as a scan from a file, from the check to the native grid, so the
mask is that of `plgg predict` on the same image. Nothing is written.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plgg.config import Config
from plgg.config.base import SEQUENCES
from plgg.core.errors import ConfigError, InputError
from plgg.core.volume import Volume
from plgg.data.check.usable import usable_scan
from plgg.data.labels import region
from plgg.data.quality import Verdict
from plgg.data.result import Result, TaskResult, labels_of
from plgg.data.scan import Scan as NativeScan
from plgg.predict.batch import Request
from plgg.predict.options import PredictOptions
from plgg.predict.preparation import InferenceInput, prepare_scans
from plgg.predict.source import Scan

Images = Mapping[str, tuple[ArrayLike, ArrayLike]]
_REMEDY = "Give an array (I, J, K) of finite real numbers and its 4×4 affine in mm, RAS+."


@dataclass(frozen=True, eq=False)
class Segmentation:
    """The prediction of one patient.

    Attributes:
        mask: Tumour, bool, on the grid of the image (of several sequences, of the reference).
        probability: Probability of tumour on that grid, float32.
        volume_ml: Volume of the mask.
        marker: Probability of each class of the marker; None where the model has no marker head.
        tasks: Results of further tasks, by name.
        verdicts: Of the gates, on the scan and its registration.
        warnings: The warnings of `result.json`.
        labels: Regions of the tumour by name, bool, on the same grid; empty for a model without.
    """

    mask: NDArray[np.bool_]
    probability: NDArray[np.float32]
    volume_ml: float
    marker: dict[str, float] | None
    tasks: dict[str, TaskResult] = field(default_factory=dict)
    verdicts: tuple[Verdict, ...] = ()
    warnings: tuple[str, ...] = ()
    labels: dict[str, NDArray[np.bool_]] = field(default_factory=dict)


def segment_arrays(
    image: ArrayLike | Images,
    affine: ArrayLike | None,
    runs: Sequence[Path],
    options: PredictOptions,
) -> Segmentation:
    """Predict one patient; see `plgg.api.segment`.

    Raises:
        ConfigError: If an option is set that applies to files only.
        InputError: If an array cannot be used, or a gate refuses the scan.
    """
    given = _volumes(image, affine)
    if options.part or options.prior or options.scan_date or options.others:
        raise ConfigError(
            "part, prior, scan_date and others are of predictions in files",
            remedy="Give several sequences as a mapping, and leave these out.",
        )
    scan = _scan(given, options)
    found, result = (
        Request((), tuple(runs), Path(), _without_pages(options))
        .predictor([scan])
        .predict_in_memory(scan)
    )
    quality = result.quality
    return Segmentation(
        mask=np.asarray(found.mask.data, dtype=np.bool_),
        probability=np.asarray(found.tumour.data, dtype=np.float32),
        volume_ml=result.volume_ml,
        marker=dict(result.marker.probabilities) if result.marker else None,
        tasks=dict(result.tasks),
        verdicts=quality.verdicts if quality else (),
        warnings=result.warnings,
        labels=_regions(found.numbers, result),
    )


def _regions(numbers: Volume | None, result: Result) -> dict[str, NDArray[np.bool_]]:
    if numbers is None:
        return {}
    labels = labels_of(result)
    return {one.name: region(numbers.data, labels, n) for n, one in enumerate(labels)}


def _without_pages(options: PredictOptions) -> PredictOptions:
    return replace(options, pages=False, pdf=False, rtstruct=False)


def _volumes(image: ArrayLike | Images, affine: ArrayLike | None) -> dict[str | None, Volume]:
    """The images by sequence; one without a name is the first sequence of the model."""
    if not isinstance(image, Mapping):
        if affine is None:
            raise InputError("the image has no affine", where="image", remedy=_REMEDY)
        return {None: _volume(image, affine, "image")}
    unknown = [name for name in image if name not in SEQUENCES]
    if affine is not None or unknown or not image:
        raise InputError(
            f"no sequence is called {unknown[0]!r}"
            if unknown
            else "the mapping must hold at least one image, each with its own affine",
            where="image",
            remedy=f"Give {{sequence: (array, affine)}}; sequences are {', '.join(SEQUENCES)}.",
        )
    found: dict[str | None, Volume] = {}
    for name, pair in image.items():
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise InputError("is no pair (array, affine)", where=name, remedy=_REMEDY)
        found[name] = _volume(pair[0], pair[1], name)
    return found


def _volume(image: ArrayLike, affine: ArrayLike, where: str) -> Volume:
    """Convert an image and its affine to float32, the precision of NIfTI, and check both."""
    try:
        array, matrix = np.asarray(image), np.asarray(affine, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise InputError("is no array of numbers", where=where, remedy=_REMEDY) from error
    if array.dtype.kind not in "biuf":
        raise InputError(f"is of {array.dtype}", where=where, remedy=_REMEDY)
    if array.ndim != 3 or 0 in array.shape:
        raise InputError(f"has shape {array.shape}", where=where, remedy=_REMEDY)
    with np.errstate(over="ignore"):
        # In the order of voxels in a file, so that sums over them are the same.
        data = np.array(array, dtype=np.float32, order="F")
    if not np.isfinite(data).all():
        raise InputError("holds NaN or infinity", where=where, remedy=_REMEDY)
    try:
        return Volume(data, matrix.astype(np.float64))
    except InputError as error:
        raise InputError(error.what, where=where, remedy=_REMEDY) from error


def _scan(given: Mapping[str | None, Volume], options: PredictOptions) -> Scan:
    def load(config: Config) -> InferenceInput:
        named = {name or config.channels[0]: volume for name, volume in given.items()}
        scans: dict[str, NativeScan] = {
            name: usable_scan(NativeScan(named[name]), name, Path(name))
            for name in config.channels
            if name in named
        }
        if not scans:
            raise InputError(
                f"holds none of the sequences that the model wants ({', '.join(config.channels)})",
                where="image",
                remedy="Give one of these.",
            )
        return prepare_scans(scans, config, age_years=options.age_years, sex=options.sex)

    def digest(_: Config) -> str:
        whole = hashlib.sha256()
        for volume in given.values():
            whole.update(volume.data.tobytes(order="F") + volume.affine.tobytes())
        return whole.hexdigest()

    name = Path("image")
    return Scan("image", None, name, "nifti", digest, load, options.age_years, options.sex)
