"""Check that a store was made with the grid, channels and labels that a run needs."""

from __future__ import annotations

from collections.abc import Sequence

from plgg.config import GridConfig, Label
from plgg.core.errors import ConfigError
from plgg.data.labels import labels_text
from plgg.data.store import Store
from plgg.data.store_records import describe_grid


def require_grid(store: Store, grid: GridConfig, *, who: str = "the settings") -> None:
    """Refuse a store that was made on another grid.

    Raises:
        ConfigError: If it was.
    """
    wanted, made = describe_grid(grid.kind, grid.spacing_mm), store.cohort.voxels
    if wanted != made:
        raise ConfigError(
            f"the store has {made}, {who} want{'' if who.endswith('s') else 's'} {wanted}",
            where=store.folder,
            remedy="Choose the preset that the store was made with, or preprocess again.",
        )


def require_channels(store: Store, channels: Sequence[str]) -> None:
    """Refuse sequences that a store was not made with.

    Raises:
        ConfigError: If one is not among the store's channels.
    """
    known = store.cohort.channels
    lost = [name for name in channels if name not in known]
    if lost:
        raise ConfigError(
            f"the store holds {', '.join(known)}, and not {', '.join(lost)}",
            where=store.folder,
            remedy=f"Preprocess with --set 'channels=[{','.join(channels)}]', or choose others.",
        )


def require_labels(store: Store, labels: Sequence[Label]) -> None:
    """Refuse labels that a store was not made with; a subset of its labels is accepted.

    Raises:
        ConfigError: If the whole tumour is defined otherwise, or a label is not in the store.
    """
    made = store.cohort.labels
    if not labels or (made and labels[0] == made[0] and set(labels) <= set(made)):
        return
    raise ConfigError(
        f"the store's masks have the labels {labels_text(made)}; "
        f"the settings want {labels_text(labels)}",
        where=store.folder,
        remedy="Preprocess with the same --set tasks.segmentation.labels=…",
    )
