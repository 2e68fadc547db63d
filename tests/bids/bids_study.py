"""`write_bids`: a BIDS dataset of phantoms that the BIDS validator accepts."""

import json
import shutil
import subprocess

import pytest

from helper import blob_brain, write_nifti
from plgg.bids.validator import validator

SIDECAR = {"Modality": "MR", "MagneticFieldStrength": 3, "EchoTime": 0.09, "RepetitionTime": 8}


def write_bids(root, scans, *, ages=()):
    """Write a dataset.

    `scans` are pairs of a path such as `sub-01/ses-1/anat/sub-01_ses-1_FLAIR.nii.gz` and an
    affine; `ages` are pairs of a participant and an age.
    """
    said = {
        "Name": "Phantoms",
        "BIDSVersion": "1.10.0",
        "DatasetType": "raw",
        "License": "CC0",
        "Authors": ["A. Maker", "B. Maker"],
    }
    root.mkdir(parents=True)
    (root / "dataset_description.json").write_text(json.dumps(said))
    (root / "README").write_text("Ellipsoids with a ball in them, made by a test. " * 4)
    for seed, (path, affine) in enumerate(scans):
        flair = blob_brain(affine=affine, seed=seed)[0]
        written = write_nifti(root / path, flair.data, flair.affine)
        written.with_name(written.name.replace(".nii.gz", ".json")).write_text(json.dumps(SIDECAR))
    subjects = sorted({path.split("/")[0] for path, _ in scans})
    rows = [f"{subject}\t{dict(ages).get(subject, 'n/a')}" for subject in subjects]
    (root / "participants.tsv").write_text("\n".join(["participant_id\tage", *rows]) + "\n")
    meaning = {"age": {"Description": "Age at the scan", "Units": "years"}}
    (root / "participants.json").write_text(json.dumps(meaning))
    return root


def issues_of(root, *, severity="error", leave=()):
    """What the BIDS validator finds, `CODE[:KEY] /path`; skipped where it is not installed."""
    program = validator()
    if program is None:
        pytest.skip("bids-validator-deno is not installed")
    done = subprocess.run(
        [program, str(root), "--format", "json"], capture_output=True, text=True, check=False
    )
    issues = json.loads(done.stdout)["issues"]["issues"]
    return sorted(
        f"{one['code']}:{one.get('subCode', '')} {one.get('location', '')}"
        for one in issues
        if one["severity"] == severity and one["code"] not in leave
    )


def copy_of(folder, target):
    return shutil.copytree(folder, target)
