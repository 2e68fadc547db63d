"""ONNX Runtime and OpenVINO without their telemetry, or one line on what to install.

Both report their use over the network by default: ONNX Runtime from 1.29 at its first session, and
OpenVINO at its very import. Nothing about a patient's scan or a hospital's machine goes out from
here, so both are told not to before they are imported.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import Any

from plgg.errors import ConfigError

_REPORTER = "openvino_telemetry"


def import_onnxruntime() -> Any:  # noqa: ANN401 - a module without types
    """The module `onnxruntime`, silent.

    Raises:
        ConfigError: If it is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    found = _imported("onnxruntime", extra="onnx")
    # Older versions on Windows know this call instead of the variable.
    found.disable_telemetry_events()
    return found


def import_openvino() -> Any:  # noqa: ANN401
    """The module `openvino`, silent.

    Raises:
        ConfigError: If it is not installed.
    """
    if "openvino" in sys.modules:
        return sys.modules["openvino"]
    with _absent(_REPORTER):
        return _imported("openvino", extra="openvino")


def require_onnx() -> None:
    """Check that PyTorch can write ONNX here.

    Raises:
        ConfigError: If one of the packages for it is not installed.
    """
    os.environ["ORT_DISABLE_TELEMETRY"] = "1"
    for name in ("onnx", "onnxscript"):
        _imported(name, extra="onnx")


@contextmanager
def _absent(name: str) -> Iterator[None]:
    """Make a module look as if it were not installed: OpenVINO then does without it."""
    known = sys.modules.get(name)
    # None is how Python is told to refuse an import.
    sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[name]
        if known is not None:
            sys.modules[name] = known


def _imported(name: str, *, extra: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise ConfigError(
            f"the package {name} is not installed", remedy=f'pip install "plgg[{extra}]".'
        ) from error
