"""Label maps: each voxel has the number of its innermost region, 0 outside the tumour.

Region 1 is the whole tumour; the others follow in the order of the settings (`plgg.config.labels`).
Regions are nested or disjoint, so one map encodes all of them: a region is the voxels with its own
number or with that of a region within it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plgg.config.labels import Label, parents, within
from plgg.core.errors import InputError
from plgg.core.tables import column_key
from plgg.core.volume import Volume
from plgg.data.manifest import Case, HasColumns
from plgg.data.nifti.image import read_volume

COLUMN = "mask_labels"
"""Column of the manifest: labels that a mask annotates, where these are not all labels."""
Numbers = NDArray[np.uint8]


def known_labels(case: HasColumns, labels: Sequence[Label]) -> tuple[str, ...]:
    """Names of the labels that the mask of a case annotates: the column `mask_labels`, or all.

    The whole tumour is always among them.

    Raises:
        InputError: If the column names another.

    >>> from plgg.data.manifest import Case
    >>> labels = [Label(name="tumour", values=(1, 3)), Label(name="cyst", values=(3,))]
    >>> known_labels(Case("a", "a", None, columns={"mask_labels": "tumour"}), labels)
    ('tumour',)
    """
    said = next((text for name, text in case.columns.items() if column_key(name) == COLUMN), None)
    names = [label.name for label in labels]
    if said is None:
        return tuple(names)
    wanted = said.replace(",", " ").replace(";", " ").split()
    unknown = [name for name in wanted if name not in names]
    if unknown:
        raise InputError(
            f"the column {COLUMN} names the label {unknown[0][:40]!a}, and there are "
            f"{', '.join(names)}",
            remedy="Name the labels that its mask tells, or leave the cell blank for all.",
        )
    return tuple(name for name in names if name in wanted or name == names[0])


def to_label_map(values: NDArray[Any], labels: Sequence[Label], known: Sequence[str]) -> Numbers:
    """Convert the values of a mask to a label map; regions that are not annotated are left out.

    If a mask annotates the whole tumour only, all its values above 0 are tumour.

    Args:
        values: Integer values of any real type, any shape.
        labels: Regions.
        known: Names of the labels that the mask annotates.

    Raises:
        InputError: If it holds values, and none of them is the tumour's.
    """
    whole = labels[0]
    if len(labels) > 1 and tuple(known) == (whole.name,):
        return (values > 0).astype(np.uint8)
    masks = [np.isin(values, _label_values(labels, place, known)) for place in range(len(labels))]
    if not masks[0].any() and (values > 0).any():
        raise InputError(
            f"the mask holds {_listed(values)}, and none of these is a value of the label "
            f"{whole.name} ({', '.join(map(str, whole.values))})",
            remedy=f"Name the values in tasks.segmentation.labels, or write {whole.name} into the "
            f"manifest's column {COLUMN} if the mask tells the whole tumour alone.",
        )
    return merge_masks(masks, labels)


def _label_values(labels: Sequence[Label], place: int, known: Sequence[str]) -> list[int]:
    """Values of a label; for an unknown label, the values of known labels within it."""
    told = [labels[n] for n in within(labels, place) if labels[n].name in known]
    return [value for label in told for value in label.values]


def _listed(values: NDArray[Any]) -> str:
    found = np.unique(values[values > 0])[:10]
    return ", ".join(f"{value:g}" for value in found)


def merge_masks(masks: Sequence[NDArray[np.bool_]], labels: Sequence[Label]) -> Numbers:
    """Merge overlapping masks into one label map: clip each to its parent; later ones overwrite.

    Args:
        masks: Boolean mask of each label, of one shape; the first is not clipped.
        labels: Labels of the masks.
    """
    numbers = np.asarray(masks[0], dtype=np.uint8)
    for place, (mask, parent) in enumerate(zip(masks, parents(labels), strict=True)):
        if place:
            numbers[mask & region(numbers, labels, parent)] = place + 1
    return numbers


def true_regions(case: Case, labels: Sequence[Label], mask: Volume) -> dict[str, Volume]:
    """Boolean masks of the known true regions of a case, by name.

    Args:
        case: From a store with labels, or from a manifest whose masks hold the labels' values.
        labels: Labels to return.
        mask: Its true mask with integer values. In a store, it is the whole tumour alone, on the
            grid of the label map.

    Raises:
        InputError: If the mask holds values, and none of them is the tumour's.
    """
    stored = case.stored_labels
    if stored is not None:
        made, known, numbers = stored.labels, stored.known, read_volume(stored.path).data
        if numbers.shape != mask.shape:
            raise InputError(
                "does not lie on its mask", where=stored.path, remedy="Preprocess again."
            )
    else:
        made, known = tuple(labels), known_labels(case, labels)
        numbers = to_label_map(mask.data, labels, known)
    return {
        label.name: mask.with_data(region(numbers, made, made.index(label)))
        for label in labels
        if label.name in known and label in made
    }


def region(numbers: NDArray[Any], labels: Sequence[Label], place: int) -> NDArray[np.bool_]:
    """Mask of a region, which includes the regions within it.

    Args:
        numbers: A label map, any shape.
        labels: Labels of the map.
        place: Index of the region among them.
    """
    return np.isin(numbers, [n + 1 for n in within(labels, place)])


def required_values(case: HasColumns, labels: Sequence[Label]) -> tuple[Label, ...]:
    """Labels to check the values of a mask against; none where any value above 0 is tumour."""
    whole_alone = bool(labels) and len(labels) > 1 and len(known_labels(case, labels)) == 1
    return () if whole_alone else tuple(labels)


def unnamed_values(values: NDArray[Any], labels: Sequence[Label]) -> list[float]:
    """Values above 0 of a mask that no label has."""
    found = np.unique(values[values > 0])
    return [float(value) for value in found if value not in labels[0].values]


def labels_text(labels: Sequence[Label]) -> str:
    """Format labels as in the settings."""
    return ", ".join(f"{one.name}: [{', '.join(map(str, one.values))}]" for one in labels) or "none"
