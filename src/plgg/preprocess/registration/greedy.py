"""The engine greedy (Yushkevich et al.), which the BraTS pipelines use: affine, NMI, 3 levels."""

from __future__ import annotations

import ctypes
import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from plgg.preprocess.registration.frame import Frame
from plgg.preprocess.registration.images import Model, as_image
from plgg.volume import Affine, Volume

_DOF: dict[Model, int] = {"rigid": 6, "similarity": 7, "affine": 12}


def greedy(fixed: Frame, moving: Frame, start: Affine, model: Model) -> Affine:
    """Register by normalised mutual information over three resolutions.

    Args:
        fixed: The atlas.
        moving: The scan.
        start: 4×4 matrix from fixed to moving world, mm. Its scale stays where the model has none.
        model: Degrees of freedom that are added to the start.

    Returns:
        4×4 matrix from fixed to moving world, mm.

    Raises:
        RuntimeError: If the engine gives up, or answers with what is no map.
    """
    from picsl_greedy import Greedy3D  # Its shared library is large, and few commands need it.

    # The start goes into the moving image's header: the engine takes no matrix from memory.
    placed = Volume(moving.image.data, np.linalg.inv(start) @ moving.image.affine)
    engine, words = Greedy3D(), io.StringIO()
    with _quiet():
        # Its random samples need a seed, and their order depends on the number of threads.
        engine.execute(
            f"-d 3 -a -dof {_DOF[model]} -i fixed moving -m NMI -n 100x50x20 -ia-identity "
            "-o result -seed 1 -threads 1 -V 0",
            fixed=as_image(fixed.image),
            moving=as_image(placed),
            result=None,
            out=words,
            err=words,
        )
    found = np.array(engine["result"], dtype=np.float64)
    if found.shape != (4, 4) or not np.isfinite(found).all() or abs(np.linalg.det(found)) < 1e-6:
        raise RuntimeError("the engine's matrix cannot be inverted")
    return np.asarray(start @ found, dtype=np.float64)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what the engine prints from below Python off standard output, where JSON may go."""
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
    """Empty Python's buffer of standard output, and where it can be reached that of the C library.

    What the engine prints waits there, and would else come out once the output is restored.
    """
    sys.stdout.flush()
    if os.name == "posix":
        ctypes.CDLL(None).fflush(None)
