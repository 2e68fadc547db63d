"""The kaggle_3m tree of Buda et al. (2019): one folder of tif slices a patient, and `data.csv`.

    kaggle_3m/TCGA_CS_4941_19960909/TCGA_CS_4941_19960909_1.tif and _1_mask.tif

Knows nothing of how slices become a volume: that is `slices`.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

from plgg.errors import ManifestError
from plgg.io.nifti import write_volume
from plgg.layouts.found import Choices, Found, Labels, Layout, LeftOut, Scan, listed
from plgg.layouts.slices import IN_PLANE_MM, STACK_MM, list_slices, read_stack
from plgg.layouts.tables import Row, by_patient, columns, key, labels_of, read_table
from plgg.layouts.walk import folders_below

_FOLDER = re.compile(r"(TCGA_([A-Z0-9]{2})_[A-Z0-9]{4})_(\d{8})", re.IGNORECASE)
FLAIR = 1
"""Channel of a slice: before contrast, FLAIR, after contrast."""
# The table codes words in alphabetical order.
_SEXES = {"1": "F", "2": "M", "1.0": "F", "2.0": "M"}
_ASSUMED = (
    f"The source records no spacing: {IN_PLANE_MM} mm in plane and {STACK_MM:g} mm / number of "
    "slices are assumed; let registration scale. The images are whole heads."
)


def find(root: Path, choices: Choices) -> Found:
    """Patients' folders below a folder."""
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
            left_out.append(LeftOut(folder.name, problem))
            continue
        labels = _labels(rows.get(key(patient), {}), choices).filled_from(Labels(site=site))
        scan_id = date if patients[patient] > 1 else ""
        scans.append(Scan(patient, folder, folder if slices.masks else None, scan_id, labels))
    missing = [row["patient"] for name, row in rows.items() if name not in map(key, patients)]
    notes += [f"In data.csv, but without a folder: {listed(missing)}."] if missing else []
    return Found(
        tuple(scans), tuple(dict.fromkeys(left_out)), (*notes, *([_ASSUMED] * bool(scans)))
    )


def _parts(name: str) -> tuple[str, str, str]:
    """Patient, site and date of a folder's name."""
    match = _FOLDER.fullmatch(name)
    patient, site, date = match.groups() if match else (name, "", "")
    return patient, site, date


def _table(top: Path, choices: Choices) -> tuple[dict[str, Row], list[str]]:
    """Rows of data.csv by patient, and what to say of its columns."""
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
