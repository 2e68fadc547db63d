"""Labels of the mask as a discrete segmentation of BIDS: its sidecar and its look-up table.

    index  name        color    within
    0      background  #000000  n/a
    1      tumour      #ff3df0  n/a
    2      cyst        #35d6ff  tumour

A voxel holds the innermost of its labels, so a region is its index and the indices of the labels
within it. BIDS has no term for that, so the column `within` holds it.
"""

from __future__ import annotations

from typing import Any

from plgg.bids.dataset import BidsScan
from plgg.bids.sidecar import software_record, sources
from plgg.config.labels import parents
from plgg.data.result import Result, labels_of
from plgg.report.parts import PREDICTION, REGIONS

_COLUMNS = ("index", "name", "color", "within")
_ABSENT = "n/a"
_INNERMOST = (
    "A voxel holds the index of the innermost label that it is of; a region is its own index and "
    "those of all that lie within it."
)


def has_labels(result: Result) -> bool:
    """Whether a mask has regions within the tumour."""
    return len(result.labels) > 1


def lookup_table(result: Result) -> str:
    """The look-up table of `dseg.nii.gz`, tab-separated: a row for each index that may occur."""
    rows = [("0", "background", "#000000", _ABSENT)]
    around = parents(labels_of(result))
    colours = (PREDICTION, *REGIONS)
    for label, parent, colour in zip(result.labels, around, colours, strict=False):
        within = _ABSENT if parent < 0 else result.labels[parent].name
        rows.append((str(label.number), label.name, colour, within))
    return "".join("\t".join(row) + "\n" for row in (_COLUMNS, *rows))


def labels_sidecar(scan: BidsScan, result: Result) -> dict[str, Any]:
    """Sidecar of the discrete segmentation: its sources, and the regions with their volumes."""
    return {
        "Description": f"Labels of the tumour's mask by plgg. {_INNERMOST} {result.note}",
        "Manual": False,
        **sources(scan, result),
        "within": {
            "Description": "Of the look-up table: the smallest label that this one lies within."
        },
        "plgg": software_record(result)
        | {"labels": [label.model_dump(mode="json") for label in result.labels]},
    }
