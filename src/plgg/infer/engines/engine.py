"""What an engine is: a function from one image to one network's answer, and what it says of itself.

PyTorch, ONNX Runtime and OpenVINO all come in this form. Knows nothing of boxes, windows or files.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plgg.infer.meter import Meter


@dataclass(frozen=True, eq=False)
class Answer:
    """What a network says of one image.

    Attributes:
        segmentation: Logits of tumour, float32, shape of the image.
        marker: Logits of the classes, float64, shape (classes,); None without that head.
        features: Pooled bottleneck, float32, shape (channels,).
    """

    segmentation: NDArray[np.float32]
    marker: NDArray[np.float64] | None
    features: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Engine:
    """A network that is ready to run.

    Attributes:
        name: For results: what runs it, where, in which precision.
        divisor: Every side of an image must be a multiple of this.
        run: Takes z-scores, contiguous float32, shape (i, j, k).
        meter: The memory that it runs in.
    """

    name: str
    divisor: int
    run: Callable[[NDArray[np.float32]], Answer]
    meter: Meter

    def __call__(self, image: NDArray[np.float32]) -> Answer:
        """Run the network on z-scores of shape (i, j, k)."""
        return self.run(np.ascontiguousarray(image, dtype=np.float32))
