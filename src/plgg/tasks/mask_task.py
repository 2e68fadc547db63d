"""`MaskTask`: an auxiliary task whose target is computed from the mask of each patch.

It needs no column of the manifest. Patches with an unknown mask give no gradient. Its head is used
in training only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray
from torch import nn

from plgg.config import LossConfig
from plgg.tasks.base import AuxiliaryTask, BodySpec, Column, TaskRecord

COLUMN = "mask"
Spacing = tuple[float, float, float]


class MaskTask(AuxiliaryTask):
    """Base class of tasks whose target is computed from the mask of a patch.

    `reads` names the input of its head: the finest `decoded` features, for a map of the whole
    patch, or the `bottleneck`.
    """

    reads: ClassVar[Literal["decoded", "bottleneck"]] = "decoded"

    @classmethod
    def fit(cls, name: str, column: str, targets: Column, settings: LossConfig) -> Self:
        """Make the task; there is nothing to fit."""
        del column, targets
        return cls(name, TaskRecord(kind=cls.kind, column=COLUMN), settings)

    def head(self, body: BodySpec) -> nn.Module:
        """A head that gives a map of one channel."""
        return body.make_map()

    def mask_target(self, mask: NDArray[np.float32], spacing_mm: Spacing) -> NDArray[np.float32]:
        """Target of a patch.

        Args:
            mask: Tumour, 0 or 1, shape (I, J, K).
            spacing_mm: Of its voxels.
        """
        raise NotImplementedError


def scan_level_tasks(tasks: Mapping[str, AuxiliaryTask]) -> dict[str, AuxiliaryTask]:
    """The tasks that answer for each scan; mask tasks are used in training only."""
    return {name: task for name, task in tasks.items() if not isinstance(task, MaskTask)}
