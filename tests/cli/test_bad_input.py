"""Bad input through the real program: one clear line each, nothing half-written."""

import os
from types import SimpleNamespace

import nibabel as nib
import numpy as np
import pytest

from helper import blob_brain, make_affine, write_csv
from plgg.data.nifti.image import write_volume
from program import one_line, plgg

AFFINE = make_affine((4.5, 4.5, 4.5))


def brain():
    flair, mask = blob_brain((36, 40, 32), AFFINE)
    return flair.data.astype(np.float32), mask.data.astype(np.uint8)


def save(path, data, affine=AFFINE):
    nib.save(nib.Nifti1Image(data, affine), path)
    return path.name


def missing_file(_folder):
    return {"flair": "nowhere.nii.gz"}, "no such file"


def four_d(folder):
    return {"flair": save(folder / "f.nii.gz", np.ones((9, 9, 9, 2), np.float32))}, "3-D"


def nan(folder):
    data, _ = brain()
    data[20, 20, 16] = np.nan
    return {"flair": save(folder / "f.nii.gz", data)}, "NaN"


def zeros(folder):
    return {"flair": save(folder / "f.nii.gz", np.zeros((9, 9, 9), np.float32))}, "0"


def truncated(folder):
    name = save(folder / "f.nii.gz", brain()[0])
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[: len(content) // 2])
    return {"flair": name}, "truncated"


def other_shape(folder):
    data, mask = brain()
    flair = save(folder / "f.nii.gz", data)
    return {"flair": flair, "mask": save(folder / "m.nii.gz", mask[:-2])}, "shape"


def other_grid(folder):
    data, mask = brain()
    moved = AFFINE.copy()
    moved[0, 3] += 10
    flair = save(folder / "f.nii.gz", data)
    return {"flair": flair, "mask": save(folder / "m.nii.gz", mask, moved)}, "affine"


# The good case is a toy without anatomy, so it is placed by its centre.
TOY = ["--set", "grid.spacing_mm=4", "--set", "preprocess.registration=centre"]
FAULTS = [missing_file, four_d, nan, zeros, truncated, other_shape, other_grid]


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """A cohort with every fault and one good case: what is said of it, and the store."""
    folder = tmp_path_factory.mktemp("cohort")
    rows, words = [], {}
    for fault in FAULTS:
        name = fault.__name__
        (folder / name).mkdir()
        row, words[name] = fault(folder / name)
        mask = f"{name}/{row['mask']}" if "mask" in row else ""
        rows.append(f"{name},{name}/{row['flair']},{mask}")
    good = save(folder / "good.nii.gz", brain()[0])
    manifest = write_csv(folder / "manifest.csv", "patient_id,flair,mask", *rows, f"good,{good},")
    checked = plgg("check", manifest, "--json", status=1).json()
    store = folder / "store"
    preprocessed = plgg("preprocess", manifest, store, *TOY, "--workers", 1, status=1)
    return SimpleNamespace(checked=checked, preprocessed=preprocessed, store=store, words=words)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_bad_case_is_named_in_one_line(fault, cohort):
    name = fault.__name__
    errors = {f["case_id"] for f in cohort.checked["findings"] if f["severity"] == "error"}
    assert name in errors
    lines = cohort.preprocessed.err.splitlines()
    (line,) = [line for line in lines if line.startswith(f"plgg: {name}: ")]
    assert cohort.words[name] in line


def test_the_good_case_beside_them_is_sound_and_stored(cohort):
    errors = {f["case_id"] for f in cohort.checked["findings"] if f["severity"] == "error"}
    assert errors == {fault.__name__ for fault in FAULTS}
    lines = [x for x in cohort.preprocessed.err.splitlines() if x.startswith("plgg: ")]
    assert len(lines) == len(FAULTS)
    assert "Traceback" not in cohort.preprocessed.err
    assert [path.name for path in (cohort.store / "cases").iterdir()] == ["good"]


def test_a_manifest_without_the_needed_column(tmp_path):
    manifest = tmp_path / "manifest.csv"
    manifest.write_text("patient,flair\n1,f.nii.gz\n")
    for command in (["check", manifest], ["preprocess", manifest, tmp_path / "store"]):
        assert "patient_id" in one_line(plgg(*command, status=2))
    assert not (tmp_path / "store").exists()


def test_an_unwritable_folder(tmp_path):
    data, _ = brain()
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(f"patient_id,flair\np,{save(tmp_path / 'f.nii.gz', data)}\n")
    # A folder below a file: no one may write there, not even root.
    (tmp_path / "file").write_text("")
    done = plgg("preprocess", manifest, tmp_path / "file" / "store", status=2)
    assert "cannot write" in one_line(done)


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "scan", "--model", "run", "--out", "out", "--age", "nan"],
        ["predict", "scan", "--model", "run", "--out", "out", "--age", "inf"],
        ["predict", "scan", "--model", "run", "--out", "out", "--age", "-1"],
        ["predict", "scan", "--model", "run", "--out", "out", "--age", "150"],
        ["preprocess", "manifest", "store", "--memory", "nan"],
        ["preprocess", "manifest", "store", "--memory", "-1"],
        ["evaluate", "out", "manifest", "--seed", "-1"],
        ["compare", "a", "b", "--seed", "-1"],
        ["compare", "a", "b", "--gain", "inf"],
        ["demo", "--seed", 2**63],
    ],
)
def test_a_number_that_cannot_be_meant_is_refused_by_its_option(words, tmp_path):
    line = one_line(plgg(*words, cwd=tmp_path, status=2))
    assert f"Invalid value for '{words[-2]}'" in line
    assert [*tmp_path.iterdir()] == []


def test_not_a_store_and_not_a_run(tmp_path):
    assert "not a store" in one_line(plgg("train", tmp_path, "--run", tmp_path / "run", status=2))
    flair = tmp_path / "f.nii.gz"
    write_volume(flair, blob_brain((36, 40, 32), AFFINE)[0])
    done = plgg("predict", flair, "--model", tmp_path, "--out", tmp_path / "out", status=2)
    assert "no checkpoint" in one_line(done)
    assert not (tmp_path / "out").exists()


def test_a_name_that_is_not_utf_8_is_a_case_like_any_other_in_a_plain_locale(tmp_path, monkeypatch):
    for name, value in {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}.items():
        monkeypatch.setenv(name, value)
    folder = tmp_path / os.fsdecode(b"Kr\xe4nke")
    folder.mkdir()
    save(folder / "f.nii.gz", brain()[0])
    manifest = write_csv(folder / "manifest.csv", "patient_id,flair", "p,f.nii.gz", "q,g.nii.gz")
    done = plgg("check", manifest, "--json", status=1, fresh=True)
    errors = {f["case_id"] for f in done.json()["findings"] if f["severity"] == "error"}
    assert errors == {"q"}
    assert "Traceback" not in done.err
