"""The bias field of a scan, by N4 (Tustison et al. 2010) on a coarse image of the brain.

A field is smooth by nature, so 6 mm are enough to find it; its splines are then evaluated finely
and brought to the scan's own voxels. Two levels of splines on purpose: with four, a large tumour
passes for bias and loses most of its contrast.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray

from plgg.core.volume import Volume
from plgg.data.check.image import background_value
from plgg.preprocess.grid import Grid, resample_to_grid, resample_to_native, working_grid

COARSE_MM = 6.0
_FINE_MM = 2.0
_ITERATIONS = (50, 50)
_CONTROL_POINTS = (4, 4, 4)
_PERCENTILES = (0.5, 99.5)
_LOWEST_PERCENTILE = 0.05
# N4 takes logarithms: nothing may be darker than this share of the brightest tissue.
_DARKEST = 0.05


def correct_bias_field(image: Volume, brain: NDArray[np.bool_]) -> Volume:
    """An image divided by its bias field, float32; its background stays as it is.

    Intensities are divided relative to the value of no signal (see `darkness`), which is not 0 in a
    z-scored scan: a field multiplies intensities and not their distance from a mean.

    Args:
        image: Native scan, finite.
        brain: Its brain on the same grid, not empty.
    """
    zero = darkness(image, brain)
    data = image.data.astype(np.float32)
    corrected = zero + (data - np.float32(zero)) / bias_field(image, brain).data
    kept = data == background_value(image.data)
    return image.with_data(np.where(kept, data, corrected).astype(np.float32))


def darkness(image: Volume, brain: NDArray[np.bool_]) -> float:
    """The value that stands for no signal.

    0 for plain intensities; a background other than 0; or, where the background is 0 but the brain
    holds negative values, nearly the lowest of them.
    """
    background = background_value(image.data)
    lowest = float(np.percentile(image.data[brain], _LOWEST_PERCENTILE))
    return background or min(0.0, lowest)


def bias_field(image: Volume, brain: NDArray[np.bool_]) -> Volume:
    """Estimate the smooth factor by which the scanner has brightened or darkened each voxel.

    Args:
        image: Native scan, finite, in any orientation.
        brain: Its brain on the same grid, not empty.

    Returns:
        Positive factors on the image's grid, float32, with a mean of 1 in the brain; outside the
        brain never beyond their range inside it.
    """
    grid = _padded(working_grid(image, COARSE_MM))
    share = resample_to_grid(image.with_data(brain), grid).data
    inside = share >= 0.5
    data = np.where(brain, image.data - np.float32(darkness(image, brain)), 0)
    coarse = resample_to_grid(image.with_data(data), grid).data / np.maximum(share, 0.5)
    if not inside.any() or np.ptp(coarse[inside]) == 0:
        return image.with_data(np.ones(image.shape, dtype=np.float32))
    fine = working_grid(image, _FINE_MM)
    logarithm = resample_to_native(
        _log_field(_positive(coarse, inside), inside, grid, fine), fine, image
    )
    factors = np.exp(np.clip(logarithm, *_range(logarithm[brain])))
    return image.with_data((factors / factors[brain].mean(dtype=np.float64)).astype(np.float32))


def _range(values: NDArray[np.float32]) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _padded(grid: Grid) -> Grid:
    """Add one voxel on every side, so that the splines reach beyond the outermost voxel."""
    i, j, k = (n + 2 for n in grid.shape)
    affine = grid.affine.copy()
    affine[:3, 3] -= affine[:3, :3].sum(axis=1)
    return Grid((i, j, k), affine)


def _positive(data: NDArray[np.float32], inside: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Clip intensities to their percentiles and to positive values, for N4 takes logarithms."""
    low, high = (float(value) for value in np.percentile(data[inside], _PERCENTILES))
    return np.clip(data, max(low, _DARKEST * high), high)


def _log_field(
    data: NDArray[np.float32], inside: NDArray[np.bool_], grid: Grid, fine: Grid
) -> NDArray[np.float32]:
    """Fit N4's log bias field on one grid with axes R, A, S, and evaluate it on another."""
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations(list(_ITERATIONS))
    n4.SetNumberOfControlPoints(list(_CONTROL_POINTS))
    with _one_thread():
        n4.Execute(_as_itk(data, grid), _as_itk(inside.astype(np.uint8), grid))
    like = _as_itk(np.zeros(fine.shape, dtype=np.float32), fine)
    field = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(like))
    return np.ascontiguousarray(field.T, dtype=np.float32)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run N4 on one thread, because its sums depend on the number of threads."""
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    try:
        yield
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)


def _as_itk(data: NDArray[np.generic], grid: Grid) -> sitk.Image:
    """Convert an array with axes R, A, S to a SimpleITK image that keeps these coordinates."""
    image = sitk.GetImageFromArray(np.ascontiguousarray(data.T))
    image.SetSpacing(np.diag(grid.affine)[:3].tolist())
    image.SetOrigin(grid.affine[:3, 3].tolist())
    return image
