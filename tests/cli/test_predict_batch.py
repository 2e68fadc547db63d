"""Batches through the real program: broken scans named, the rest done, nothing done twice."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import nibabel as nib
import numpy as np
import pytest

from helper import blob_brain, make_affine, write_csv, write_nifti
from plgg.core.errors import CheckpointError
from plgg.core.files import sha256
from plgg.core.lock import LOCK
from plgg.core.output import MARK
from plgg.model.checkpoint import load_checkpoint
from program import one_line, plgg
from runs import SHALLOW, make_run

AFFINE = make_affine((4.5, 4.5, 4.5))
N_SCANS = 12
BROKEN = {"S03": "truncated", "S07": "empty", "S10": "nan", "S11": "missing"}
GOOD = [f"S{i:02d}" for i in range(N_SCANS) if f"S{i:02d}" not in BROKEN]
PIECES = {
    "mask.nii.gz",
    "probability.nii.gz",
    "uncertainty.nii.gz",
    "result.json",
    "report.html",
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"), *SHALLOW, "grid.spacing_mm=8")


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("batch")
    for index in range(N_SCANS):
        flair = blob_brain((36, 40, 32), AFFINE, seed=index)[0]
        write_nifti(folder / f"S{index:02d}.nii.gz", flair.data.astype(np.float32), AFFINE)
    _break(folder)
    rows = [f"S{i:02d},S{i:02d}.nii.gz" for i in range(N_SCANS)]
    return write_csv(folder / "manifest.csv", "patient_id,flair", *rows)


def _break(folder):
    content = (folder / "S03.nii.gz").read_bytes()
    (folder / "S03.nii.gz").write_bytes(content[: len(content) // 2])
    write_nifti(folder / "S07.nii.gz", np.zeros((36, 40, 32), np.float32), AFFINE)
    (folder / "S11.nii.gz").unlink()
    data = nib.load(folder / "S10.nii.gz").get_fdata().astype(np.float32)
    data[18, 20, 16] = np.nan
    write_nifti(folder / "S10.nii.gz", data, AFFINE)


def made(out):
    """When each piece of each case was written."""
    return {
        path.relative_to(out).as_posix(): path.stat().st_mtime_ns
        for path in out.glob("*/*")
        if path.is_file()
    }


def finished(out):
    return sorted(path.parent.name for path in out.glob("S*/result.json"))


def test_eight_results_four_named_errors_and_then_nothing_is_left_to_do(run, manifest, tmp_path):
    """Killed in the middle first, then run again, then again."""
    out = tmp_path / "out"
    _kill_when(out, 3, ["predict", manifest, "--model", run, "--out", out])
    before = made(out)
    survived = finished(out)
    assert 3 <= len(survived) < len(GOOD)

    done = plgg("predict", manifest, "--model", run, "--out", out, status=1)
    errors = [line for line in done.err.splitlines() if line.startswith("plgg: ")]
    assert [line.split(":")[1].strip() for line in errors] == list(BROKEN)
    assert "Traceback" not in done.err
    assert finished(out) == GOOD
    # No partial files, nothing hidden, nothing done twice.
    visible = sorted(path.name for path in out.iterdir() if path.name not in {MARK, LOCK})
    assert visible == [*GOOD, "summary.csv"]
    for case in GOOD:
        assert {path.name for path in (out / case).iterdir()} == PIECES
    after = made(out)
    kept = [name for name in before if name.split("/")[0] in survived]
    assert all(after[name] == before[name] for name in kept)

    with (out / "summary.csv").open(newline="", encoding="utf-8") as file:
        rows = {row["case_id"]: row for row in csv.DictReader(file)}
    assert len(rows) == N_SCANS
    assert [name for name, row in rows.items() if row["status"] == "failed"] == list(BROKEN)
    assert all(rows[name]["reason"] for name in BROKEN)
    assert all(float(rows[name]["volume_ml"]) >= 0 for name in GOOD)

    plgg("predict", manifest, "--model", run, "--out", out, status=1)
    assert made(out) == after


def _kill_when(out, n, arguments):
    """Start a command and kill it, with no chance to tidy up, when `n` cases are there."""
    command = [sys.executable, "-m", "plgg", *map(str, arguments)]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while len(finished(out)) < n and process.poll() is None:
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL


def test_a_model_of_other_classes_is_refused_in_one_line(run, manifest, tmp_path):
    scan = manifest.parent / "S00.nii.gz"
    other = write_csv(tmp_path / "manifest.csv", "patient_id,flair,marker", f"P,{scan},IDHmut")
    done = plgg("predict", other, "--model", run, "--out", tmp_path / "out", status=2)
    line = one_line(done)
    assert "IDHmut" in line
    assert "fusion, other, v600e" in line
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("fault", ["tampered", "unknown version", "pickle"])
def test_a_checkpoint_that_cannot_be_trusted_is_refused(fault, manifest, tmp_path):
    run = make_run(tmp_path / "run")
    weights = next((run / "checkpoints").glob("best-*.safetensors"))
    record = run / "checkpoints" / "best.json"
    if fault == "tampered":
        weights.write_bytes(weights.read_bytes()[:-4] + b"\0\0\0\1")
    elif fault == "unknown version":
        record.write_text(record.read_text().replace('"version": 2', '"version": 99'))
    else:
        # What torch.save would leave; unpickling it would create the file.
        weights.write_bytes(b"cposix\nsystem\n(S'touch pwned'\ntR.")
        known = json.loads(record.read_text())
        record.write_text(json.dumps(known | {"sha256": sha256(weights)}))
    with pytest.raises(CheckpointError):
        load_checkpoint(run)
    scan = manifest.parent / "S00.nii.gz"
    done = plgg("predict", scan, "--model", run, "--out", tmp_path / "out", status=2, cwd=tmp_path)
    assert one_line(done)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--t2", "S01.nii.gz"], "S01.nii.gz: is given as --t2, and the model sees flair alone"),
        (["--t1", "mistyped.nii.gz"], "mistyped.nii.gz: no such file"),
        (["--sex", "X"], "no sex is called 'X'"),
    ],
)
def test_nothing_is_given_in_vain(run, manifest, tmp_path, words, said):
    out = tmp_path / "out"
    scan = ["predict", "S00.nii.gz", "--model", run, "--out", out]
    done = plgg(*scan, *words, status=2, cwd=manifest.parent)
    assert said in one_line(done)
    assert not out.exists()
