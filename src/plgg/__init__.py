"""plgg: outline a pediatric low-grade glioma on one FLAIR MRI and name its genetic marker.

`plgg.segment(image, affine, model=run)` takes an array and gives a mask; `plgg.api` has the rest.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "segment"]


def __getattr__(name: str) -> Any:  # noqa: ANN401
    """Import `segment` when it is asked for: `import plgg` alone loads nothing."""
    if name == "segment":
        return import_module("plgg.api").segment
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
