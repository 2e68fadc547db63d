"""Registration engines: greedy (Yushkevich et al.) and SimpleITK, affine, atlas to scan."""

from __future__ import annotations

import ctypes
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import SimpleITK as sitk

from plgg.core.volume import Affine, Volume
from plgg.preprocess.registration.frame import Frame, Model, as_image, turned

_DOF: dict[Model, int] = {"rigid": 6, "similarity": 7, "affine": 12}


def greedy(
    fixed: Frame, moving: Frame, start: Affine, model: Model, *, masked: bool = False
) -> Affine:
    """Register by normalised mutual information over three resolutions.

    Args:
        fixed: The atlas.
        moving: The scan.
        start: 4×4 matrix from fixed to moving world, mm. Its scale stays where the model has none.
        model: Degrees of freedom that are added to the start.
        masked: Whether to compare only within the brain of `fixed`.

    Returns:
        4×4 matrix from fixed to moving world, mm.

    Raises:
        RuntimeError: If the engine fails, or its matrix cannot be inverted.
    """
    from picsl_greedy import Greedy3D  # Its shared library is large, and few commands need it.

    # The start goes into the moving image's affine, because the engine takes no matrix in memory.
    placed = Volume(moving.image.data, np.linalg.inv(start) @ moving.image.affine)
    engine, words = Greedy3D(), io.StringIO()
    brain = fixed.image.with_data(fixed.brain.astype(np.float32))
    mask = {"mask": as_image(brain)} if masked else {}
    with _quiet():
        # Its random samples need a seed, and their order depends on the number of threads.
        engine.execute(
            f"-d 3 -a -dof {_DOF[model]} -i fixed moving {'-gm mask ' if masked else ''}-m NMI "
            "-n 100x50x20 -ia-identity -o result -seed 1 -threads 1 -V 0",
            fixed=as_image(fixed.image),
            moving=as_image(placed),
            result=None,
            **mask,
            out=words,
            err=words,
        )
    found = np.array(engine["result"], dtype=np.float64)
    if found.shape != (4, 4) or not np.isfinite(found).all() or abs(np.linalg.det(found)) < 1e-6:
        raise RuntimeError("the engine's matrix cannot be inverted")
    return np.asarray(start @ found, dtype=np.float64)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the output of the engine's C++ code off standard output, where JSON may go."""
    _flush()
    kept, nowhere = os.dup(1), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 1)
        yield
    finally:
        _flush()
        os.dup2(kept, 1)
        os.close(kept)
        os.close(nowhere)


def _flush() -> None:
    """Flush Python's buffer of standard output and, on POSIX, that of the C library.

    Otherwise the engine's buffered output would appear once standard output is restored.
    """
    sys.stdout.flush()
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)


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
