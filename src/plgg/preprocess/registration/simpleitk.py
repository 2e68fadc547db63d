"""The second engine: SimpleITK's registration by Mattes' mutual information.

Slower and less exact than greedy, and independent of it, which is what a fallback is for.
"""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from plgg.preprocess.registration.frame import Frame
from plgg.preprocess.registration.images import Model, as_image, turned
from plgg.volume import Affine, Volume

_BINS = 32
_SAMPLED = 0.2


def simpleitk(fixed: Frame, moving: Frame, start: Affine, model: Model) -> Affine:
    """Register by Mattes' mutual information over three resolutions, sampled with a fixed seed.

    Args:
        fixed: The atlas.
        moving: The scan.
        start: 4×4 matrix from fixed to moving world, mm.
        model: Degrees of freedom that are added to the start.

    Returns:
        4×4 matrix from fixed to moving world, mm.

    Raises:
        RuntimeError: If the images stop overlapping.
    """
    placed = Volume(moving.image.data, np.linalg.inv(start) @ moving.image.affine)
    transform = _transform(model, fixed)
    method = sitk.ImageRegistrationMethod()
    method.SetMetricAsMattesMutualInformation(_BINS)
    method.SetMetricSamplingStrategy(method.RANDOM)
    method.SetMetricSamplingPercentage(_SAMPLED, seed=1)
    method.SetInterpolator(sitk.sitkLinear)
    method.SetOptimizerAsRegularStepGradientDescent(
        learningRate=1.0, minStep=1e-3, numberOfIterations=200, relaxationFactor=0.6
    )
    method.SetOptimizerScalesFromPhysicalShift()
    method.SetShrinkFactorsPerLevel([4, 2, 1])
    method.SetSmoothingSigmasPerLevel([4.0, 2.0, 0.0])
    method.SmoothingSigmasAreSpecifiedInPhysicalUnitsOn()
    method.SetInitialTransform(transform, inPlace=True)
    method.Execute(as_image(fixed.image), as_image(placed))
    return np.asarray(start @ turned(_matrix(transform)), dtype=np.float64)


def _transform(model: Model, fixed: Frame) -> sitk.Transform:
    transform = {
        "rigid": sitk.Euler3DTransform,
        "similarity": sitk.Similarity3DTransform,
        "affine": lambda: sitk.AffineTransform(3),
    }[model]()
    x, y, z = fixed.centre_mm
    transform.SetCenter([-x, -y, z])
    return transform


def _matrix(transform: sitk.Transform) -> Affine:
    """4×4 matrix of a transform with a centre: p ↦ A(p - c) + c + t."""
    linear = np.array(transform.GetMatrix()).reshape(3, 3)
    centre, shift = np.array(transform.GetCenter()), np.array(transform.GetTranslation())
    matrix = np.eye(4)
    matrix[:3, :3] = linear
    matrix[:3, 3] = centre + shift - linear @ centre
    return matrix
