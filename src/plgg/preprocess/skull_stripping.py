"""Skull-stripping engines: deepbet (Fisch et al. 2024) and HD-BET 2 (Isensee et al. 2019).

deepbet, the default, runs on the CPU on purpose: a few seconds a scan, the same brain on every
machine, and any number of worker processes. HD-BET takes a GPU where there is one.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import sys
import warnings
import zipfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.core.errors import ConfigError, InputError
from plgg.core.volume import Volume
from plgg.preprocess.deepbet_network import Deepbet, UnknownNetworkError


def brain_by_deepbet(image: Volume) -> NDArray[np.float32]:
    """Share of brain in each voxel of an upright image.

    Args:
        image: Head, or bare brain, at 1 mm with axes R, A, S; 0 is darkness.

    Returns:
        Probabilities in [0, 1] of the image's shape.

    Raises:
        ConfigError: If deepbet is not installed.
        InputError: If deepbet sees no brain at all.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Deprecations inside deepbet are none of the user's.
        network = deepbet_networks()
        try:
            # A copy, as deepbet may write into what it is given.
            share = network.run_model(np.array(image.data, dtype=np.float32, order="C"))
        except (AssertionError, ValueError) as error:  # How deepbet says that nothing was found.
            raise InputError(
                "deepbet found no brain in the scan",
                remedy="Look at the scan: is it a head, and is its orientation right?",
            ) from error
    return np.asarray(share, dtype=np.float32)


@cache
def deepbet_networks() -> Any:  # noqa: ANN401 - deepbet has no types
    """Load deepbet's networks once a process; releases other than 1.0 run by their own code."""
    spec = importlib.util.find_spec("deepbet")
    if spec is None or spec.origin is None:
        raise _lacking("deepbet")
    try:
        return Deepbet(Path(spec.origin).parents[1] / "data" / "models")
    except (UnknownNetworkError, OSError, ValueError, RuntimeError):
        return packaged_deepbet()


def packaged_deepbet() -> Any:  # noqa: ANN401 - deepbet has no types
    """The inference class of the installed deepbet package."""
    try:
        with _placeholder_for("pandas"):
            from deepbet import BrainExtraction
    except ImportError as error:
        raise _lacking(error.name or "deepbet") from error
    return BrainExtraction(no_gpu=True)


def _lacking(package: str) -> ConfigError:
    return ConfigError(
        f"skull stripping needs the package {package}, which is not installed",
        remedy="Run: pip install --no-deps deepbet (its other dependencies are a desktop "
        "program's), or give a stripped scan.",
    )


@contextlib.contextmanager
def _placeholder_for(package: str) -> Iterator[None]:
    """Put an empty module in place of a missing `package`, so that imports of it succeed.

    deepbet needs pandas, 84 MB, only to write a table of volumes, which plgg does not use.
    """
    if package in sys.modules or importlib.util.find_spec(package):
        yield
        return
    sys.modules[package] = ModuleType(package)
    try:
        yield
    finally:
        del sys.modules[package]


_INSTEAD = "or let deepbet do it (stripping: deepbet)."


def brain_by_hdbet(image: Volume) -> NDArray[np.float32]:
    """Share of brain in each voxel of an upright image.

    Args:
        image: Head, or bare brain, at 1 mm with axes R, A, S; 0 is darkness.

    Returns:
        Probabilities in [0, 1] of the image's shape.

    Raises:
        ConfigError: If HD-BET is not installed or its weights cannot be had.
    """
    network = _hdbet_network()
    # nnU-Net wants a channel first, then the axes as SimpleITK stores them: z, y, x.
    data = np.ascontiguousarray(image.data.T[None], dtype=np.float32)
    spacing = {"spacing": image.spacing_mm[::-1].tolist()}
    with _quiet():
        _, shares = network.predict_single_npy_array(data, spacing, None, None, True)
    return np.ascontiguousarray(np.asarray(shares[1], dtype=np.float32).T)


@cache
def _hdbet_network() -> Any:  # noqa: ANN401 - HD-BET has no types
    """Load HD-BET's network without mirroring, once a process; download its weights if needed."""
    try:
        with _quiet():
            prediction = importlib.import_module("HD_BET.hd_bet_prediction")
            download = importlib.import_module("HD_BET.checkpoint_download")
    except ImportError as error:
        raise ConfigError(
            "stripping with hd-bet needs the package HD-BET, which is not installed",
            remedy=f'Install it (pip install "plgg[hdbet]"), {_INSTEAD}',
        ) from error
    try:
        with _quiet():
            download.maybe_download_parameters()
    except (OSError, zipfile.BadZipFile) as error:  # All errors of requests are OSErrors.
        raise ConfigError(
            f"the weights of HD-BET cannot be downloaded ({type(error).__name__})",
            remedy="Connect to the internet once, or copy the folder hd-bet_params into your home "
            f"from a computer that has it, {_INSTEAD}",
        ) from error
    torch = prediction.torch
    n_threads = torch.get_num_threads()
    with _quiet():
        device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        network = prediction.get_hdbet_predictor(use_tta=False, device=device)
    torch.set_num_threads(n_threads)  # HD-BET takes all cores otherwise.
    return network


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Suppress output and warnings: nnU-Net prints its own settings, nothing about the scan.

    Standard output is restored, even though importing HD-BET replaces it.
    """
    with (
        open(os.devnull, "w", encoding="utf-8") as nowhere,  # noqa: PTH123 - no path
        contextlib.redirect_stdout(nowhere),
        contextlib.redirect_stderr(nowhere),
        warnings.catch_warnings(),
    ):
        warnings.simplefilter("ignore")
        yield
