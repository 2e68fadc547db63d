"""Versions, processor and system, as provenance of a result. No names of people or hosts."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version

import psutil

import plgg

PACKAGES = (
    "torch",
    "monai",
    "numpy",
    "scipy",
    "scikit-learn",
    "SimpleITK",
    "picsl-greedy",
    "deepbet",
    "pydicom",
    "highdicom",
    "nibabel",
    "nilearn",
    "blosc2",
    "safetensors",
    "onnxruntime",
    "openvino",
    "pydantic",
)


def versions() -> dict[str, str]:
    """Versions of plgg, Python and the packages that numbers depend on."""
    found = {"plgg": plgg.__version__, "python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "absent"
    return found


def machine() -> dict[str, str | int | float]:
    """Processor and memory of this machine."""
    return {
        "system": platform.system(),
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
    }


def cores() -> int:
    """Cores of the processor that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    return platform.processor() or platform.machine()
