"""Warnings are repeated by the commands that go on in spite of them; one bad case is one line."""

import os
import re

import nibabel as nib
import numpy as np

from helper import ODD_AFFINES, SHAPE, write_case, write_csv, write_nifti
from program import one_line, plgg

TOY = (
    "--set", "grid.spacing_mm=8", "--set", "preprocess.registration=centre",
    "--set", "preprocess.stripping=none", "--workers", "1",
)  # fmt: skip


def cohort(folder, *names):
    for seed, name in enumerate(names):
        write_case(folder, name, affine=ODD_AFFINES["ras"], seed=seed)
    rows = (f"{name},{name}_flair.nii.gz,{name}_mask.nii.gz,A" for name in names)
    return write_csv(folder / "m.csv", "patient_id,flair,mask,marker", *rows)


def test_preprocessing_says_how_many_warnings_there_are_and_where(tmp_path):
    manifest = cohort(tmp_path, "P1", "P2")
    two = (np.indices(SHAPE)[0] % 2 + 1).astype(np.uint8)
    mask = nib.load(tmp_path / "P1_mask.nii.gz")
    write_nifti(tmp_path / "P1_mask.nii.gz", np.asarray(mask.dataobj) * two, mask.affine)
    done = plgg("preprocess", manifest, tmp_path / "store", *TOY)
    line = f"1 warning in 1 case: see {tmp_path / 'store' / 'qc.html'} or plgg check {manifest}"
    assert line in done.out
    assert "the mask holds the labels 1, 2" in (tmp_path / "store" / "qc.html").read_text()


def test_a_column_that_is_not_read_is_told_by_every_command_that_reads_the_manifest(tmp_path):
    manifest = cohort(tmp_path, "P1", "P2")
    manifest.write_text(manifest.read_text().replace("marker", "genotype", 1))
    done = plgg("preprocess", manifest, tmp_path / "store", *TOY)
    told = r"the column 'genotype' is\s+not read; is 'marker' meant\?\s+Rename"
    assert re.search(told.replace(" ", r"\s+"), done.err)
    predictions = tmp_path / "predictions"
    mask = nib.load(tmp_path / "P1_mask.nii.gz")
    write_nifti(predictions / "P1.nii.gz", np.asarray(mask.dataobj), mask.affine)
    done = plgg("evaluate", predictions, manifest, "--partial")
    assert re.search(told.replace(" ", r"\s+"), done.err)


def test_evaluation_names_a_truth_that_is_none_and_scores_the_others(tmp_path):
    manifest = cohort(tmp_path, "P1", "P2")
    predictions = tmp_path / "predictions"
    for name in ("P1", "P2"):
        mask = nib.load(tmp_path / f"{name}_mask.nii.gz")
        write_nifti(predictions / f"{name}.nii.gz", np.asarray(mask.dataobj), mask.affine)
    flair = nib.load(tmp_path / "P2_flair.nii.gz")
    write_nifti(tmp_path / "P2_mask.nii.gz", np.asarray(flair.dataobj), flair.affine)
    done = plgg("evaluate", predictions, manifest, "--partial", status=1)
    said = one_line(done)
    assert said.startswith("plgg: P2: ")
    assert "P2_mask.nii.gz: the mask holds" in said
    record = plgg("evaluate", predictions, manifest, "--json", status=1).json()
    assert (record["n_cases"], [one["case_id"] for one in record["failed"]]) == (1, ["P2"])
    assert record["segmentation"]["dice"]["mean"] == 1


def test_names_that_are_no_utf8_and_a_plain_locale_end_no_check(tmp_path, monkeypatch):
    folder = tmp_path / os.fsdecode(b"b\xff\xe9d")
    folder.mkdir()
    manifest = cohort(folder, "P1")
    with manifest.open("a", encoding="utf-8") as handle:
        handle.write("P2,ünk.nii.gz,,Ä×\n")
    for name, value in {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}.items():
        monkeypatch.setenv(name, value)
    done = plgg("check", manifest, status=1, fresh=True)
    assert "1 errors" in done.out
    record = plgg("check", manifest, "--json", status=1, fresh=True).json()
    assert [one["code"] for one in record["findings"] if one["severity"] == "error"] == [
        "missing-file"
    ]
