"""Faulty scans in a cohort: each is named, pictured and kept out; the good one is stored."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from brains import phantom
from typer.testing import CliRunner

from dicom_series import truncate, write_series
from helper import blob_brain, write_csv
from plgg.cli.app import app
from plgg.core.volume import Volume
from plgg.data.atlas.template import template_brain
from plgg.data.nifti.image import write_volume
from plgg.data.store import Store

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "faults.py"


def half(folder):
    flair, _ = phantom()
    path = folder / "half.nii.gz"
    write_volume(path, Volume(flair.data[:, :, : flair.shape[2] // 2], flair.affine))
    return path


def t1(folder):
    flair, _ = phantom()
    write_volume(folder / "t1.nii.gz", template_brain(flair.shape, flair.affine))
    return folder / "t1.nii.gz"


def mask(folder):
    write_volume(folder / "mask.nii.gz", phantom()[1])
    return folder / "mask.nii.gz"


def cut_file(folder):
    write_volume(folder / "cut.nii.gz", blob_brain()[0])
    truncate(folder / "cut.nii.gz", 0.5)
    return folder / "cut.nii.gz"


def cut_series(folder):
    flair, _ = blob_brain()
    files = write_series(folder / "cut", flair.with_data(flair.data.astype(np.int16)))
    truncate(files[3], 0.6)
    return folder / "cut"


# Case -> what is wrong with it, and what is to be said.
FAULTS = {
    "half": (half, "the brain is cut off at its upper end"),
    "t1": (t1, "white matter is brighter than grey, as on a T1"),
    "mask": (mask, "as a mask would"),
    "cut-file": (cut_file, "is truncated"),
    "cut-series": (cut_series, "cut short"),
}


@pytest.fixture(scope="module")
def preprocessed(tmp_path_factory):
    """What the program printed, and the store that it left."""
    folder = tmp_path_factory.mktemp("faults")
    flair, tumour = phantom()
    write_volume(folder / "good.nii.gz", flair)
    write_volume(folder / "good_mask.nii.gz", tumour)
    faulty = [f"{name},{make(folder)}," for name, (make, _) in FAULTS.items()]
    good = f"good,{folder / 'good.nii.gz'},{folder / 'good_mask.nii.gz'}"
    manifest = write_csv(folder / "manifest.csv", "patient_id,flair,mask", good, *faulty)
    done = CliRunner().invoke(
        app, ["preprocess", str(manifest), str(folder / "store"), "--workers", "1"]
    )
    return done, folder / "store"


def test_the_program_says_that_cases_failed(preprocessed):
    done, _ = preprocessed
    assert done.exit_code == 1
    assert "1 scans stored" in done.stdout


def test_the_good_case_beside_them_is_stored(preprocessed):
    _, store = preprocessed
    (good,) = Store(store).cohort.cases
    assert (good.case_id, good.status) == ("good", "good")
    assert Store(store).mask("good").any()
    assert {path.name for path in (store / "cases").iterdir()} == {"good"}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_case_is_kept_out_with_its_reason_and_its_picture(preprocessed, name):
    done, store = preprocessed
    (failed,) = [case for case in Store(store).cohort.failed if case.case_id == name]
    assert FAULTS[name][1] in failed.reason
    assert f"plgg: {name}: " in done.stderr
    assert (store / "qc" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert f'"qc/{name}.png"' in (store / "qc.html").read_text(encoding="utf-8")


def test_what_was_judged_before_a_case_failed_is_kept(preprocessed):
    _, store = preprocessed
    found = {case.case_id: case.quality for case in Store(store).cohort.failed}
    assert {name for name, quality in found.items() if quality} == {"half", "t1"}
    assert not found["half"].attempts
    assert [attempt.accepted for attempt in found["t1"].attempts] == [True]


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_no_fault_of_the_benchmark_passes():
    done = subprocess.run([sys.executable, BENCHMARK], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
