"""The kaggle_3m tree of Buda et al. (2019): tif slices a patient, and `data.csv`.

The pictures carry no geometry. They show the patient's right at the left and the front at the
top, so columns run to the Left and rows to the Posterior.
"""

from __future__ import annotations

import re
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from plgg.core.errors import InputError, ManifestError
from plgg.core.regular import open_regular, require_readable
from plgg.core.volume import Volume
from plgg.data.budget import require_affordable
from plgg.data.foreign import convert_reader_errors
from plgg.data.layouts.labels import Row, by_patient, columns, key, labels_of, read_table
from plgg.data.layouts.listing import (
    Choices,
    Exclusion,
    Labels,
    Layout,
    Listing,
    Scan,
    folders_below,
    listed,
    visible,
)
from plgg.data.nifti.image import write_volume

IN_PLANE_MM = 0.9375
"""240 mm over 256 pixels, the usual field of view."""
STACK_MM = 150.0
"""Height that the slices of one head are taken to cover."""
_SLICE = re.compile(r".*_(\d+)(_mask)?\.tiff?", re.IGNORECASE)


@dataclass(frozen=True)
class Slices:
    """Pictures of one scan by slice number, in rising order."""

    images: Mapping[int, Path]
    masks: Mapping[int, Path]

    def problem(self) -> str | None:
        """Why the slices are not a complete scan; None if they are."""
        if not self.images:
            return "has no slices (*_1.tif)"
        expected = range(min(self.images), max(self.images) + 1)
        gaps = [number for number in expected if number not in self.images]
        if gaps:
            return f"lacks slice {listed(gaps)}"
        unlike = sorted(set(self.images) ^ set(self.masks)) if self.masks else []
        return (
            f"has a slice without its mask, or a mask alone: {listed(unlike)}" if unlike else None
        )


def list_slices(folder: Path) -> Slices:
    """Slices in a folder, by the number at the end of their names."""
    images: dict[int, Path] = {}
    masks: dict[int, Path] = {}
    for path in visible(folder):
        match = _SLICE.fullmatch(path.name)
        if match:
            (masks if match.group(2) else images)[int(match.group(1))] = path
    return Slices(dict(sorted(images.items())), dict(sorted(masks.items())))


def read_stack(slices: Mapping[int, Path], *, channel: int | None = None) -> Volume:
    """One channel of numbered slices as a volume of shape (columns, rows, slices), uint8.

    Args:
        slices: Pictures by number, in rising order.
        channel: Which channel, from 0; None for masks, which may be grey.

    Raises:
        InputError: If a slice cannot be read, is not 8-bit, or differs in size from the first.
    """
    planes: list[NDArray[Any]] = []
    for path in slices.values():
        planes.append(_plane(path, channel))
        if planes[-1].shape != planes[0].shape:
            raise InputError(
                "differs in size from the first slice", where=path, remedy="Copy it again."
            )
        require_affordable((*planes[0].shape, len(planes)), 1, where=path)
    return Volume(np.stack(planes, axis=-1), stack_affine(planes[0].shape, len(planes)))


def stack_affine(shape: tuple[int, ...], n_slices: int) -> NDArray[np.float64]:
    """Affine of a stack of slices of (columns, rows), about the middle of the field of view."""
    thickness = round(STACK_MM / n_slices, 2)
    affine = np.diag((-IN_PLANE_MM, -IN_PLANE_MM, thickness, 1.0))
    affine[:3, 3] = (shape[0] / 2 * IN_PLANE_MM, shape[1] / 2 * IN_PLANE_MM, -STACK_MM / 2)
    return affine


def _plane(path: Path, channel: int | None) -> NDArray[Any]:
    """One channel of a picture, shape (columns, rows); the first of a mask, which may be grey."""
    require_readable(path)
    with convert_reader_errors(lambda: _unreadable(path)), warnings.catch_warnings():
        # Pillow warns of damaged tags; where one matters, it raises an error as well.
        warnings.simplefilter("ignore")
        with open_regular(path) as file, Image.open(file) as picture:
            require_affordable((*picture.size, len(picture.getbands())), 1, where=path)
            pixels = np.asarray(picture)
    if channel is None and pixels.ndim == 2:
        pixels = (pixels * np.uint8(255) if pixels.dtype == np.bool_ else pixels)[..., np.newaxis]
    wanted = channel or 0
    if pixels.ndim != 3 or pixels.shape[2] <= wanted or pixels.dtype != np.uint8:
        raise InputError(
            f"is no 8-bit picture with {wanted + 1} channels (shape {pixels.shape})",
            where=path,
            remedy="A slice holds three sequences: before contrast, FLAIR, after contrast.",
        )
    return pixels[..., wanted].T


def _unreadable(path: Path) -> InputError:
    return InputError("cannot be read as a picture", where=path, remedy="Copy it again.")


_FOLDER = re.compile(r"(TCGA_([A-Z0-9]{2})_[A-Z0-9]{4})_(\d{8})", re.IGNORECASE)
FLAIR = 1
"""Channel of a slice: before contrast, FLAIR, after contrast."""
# The table encodes categories by numbers, in alphabetical order.
_SEXES = {"1": "F", "2": "M", "1.0": "F", "2.0": "M"}
_ASSUMED = (
    f"The source records no spacing: {IN_PLANE_MM} mm in plane and {STACK_MM:g} mm / number of "
    "slices are assumed; let registration scale. The images are whole heads."
)


def find(root: Path, choices: Choices) -> Listing:
    """Find the scans, one in each patient folder."""
    # The download holds a second copy of the whole tree beside the first.
    top = root / "kaggle_3m" if (root / "kaggle_3m").is_dir() else root
    folders = [p for p in (top, *folders_below(top)) if _FOLDER.fullmatch(p.name)]
    rows, notes = _table(top, choices)
    copies = Counter(folder.name for folder in folders)
    patients = Counter(_parts(name)[0] for name in copies)
    scans, left_out = [], []
    for folder in folders:
        patient, site, date = _parts(folder.name)
        slices = list_slices(folder)
        problem = slices.problem() if copies[folder.name] == 1 else "is there twice; keep one"
        if problem:
            left_out.append(Exclusion(folder.name, problem))
            continue
        labels = _labels(rows.get(key(patient), {}), choices).filled_from(Labels(site=site))
        scan_id = date if patients[patient] > 1 else ""
        scans.append(Scan(patient, folder, folder if slices.masks else None, scan_id, labels))
    missing = [row["patient"] for name, row in rows.items() if name not in map(key, patients)]
    notes += [f"In data.csv, but without a folder: {listed(missing)}."] if missing else []
    return Listing(
        tuple(scans), tuple(dict.fromkeys(left_out)), (*notes, *([_ASSUMED] * bool(scans)))
    )


def _parts(name: str) -> tuple[str, str, str]:
    """Patient, site and date of a folder's name."""
    match = _FOLDER.fullmatch(name)
    patient, site, date = match.groups() if match else (name, "", "")
    return patient, site, date


def _table(top: Path, choices: Choices) -> tuple[dict[str, Row], list[str]]:
    """Rows of data.csv by patient, and notes on its columns."""
    path, wanted = top / "data.csv", choices.marker_column
    table = read_table(path) if path.is_file() else []
    if table and "patient" not in columns(table):
        raise ManifestError("lacks the column Patient", where=path, remedy="Download it again.")
    if wanted and wanted.casefold() not in columns(table) and choices.labels is None:
        raise ManifestError(
            f"has no column {wanted!r} (it has: {', '.join(columns(table)) or 'none'})",
            where=path,
            remedy="Give another --marker-column, or a table with --labels.",
        )
    clusters = [name for name in columns(table) if name.endswith("cluster")]
    offer = f"No marker is read; data.csv has {listed(clusters, most=9)} for --marker-column."
    return by_patient(table, "patient", path), [offer] if clusters and not wanted else []


def _labels(row: Row, choices: Choices) -> Labels:
    sex = row.get("gender", "")
    return labels_of(
        {**row, "gender": _SEXES.get(sex, sex)},
        choices.marker_column,
        where=f"data.csv, {row.get('patient', '')}",
    )


def prepare(scan: Scan, folder: Path) -> tuple[Path, Path | None]:
    """Write the FLAIR, and the mask where there is one, as NIfTI."""
    slices = list_slices(scan.flair)
    flair = folder / f"{scan.name}_flair.nii.gz"
    mask = folder / f"{scan.name}_mask.nii.gz"
    write_volume(flair, read_stack(slices.images, channel=FLAIR))
    if scan.mask is None:
        return flair, None
    tumour = read_stack(slices.masks)
    write_volume(mask, tumour.with_data(tumour.data > 127))
    return flair, mask


LAYOUT = Layout(find, prepare, "kaggle_3m/TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_1.tif")
