"""Bad input through the real program: one clear line each, nothing half-written."""

import nibabel as nib
import numpy as np
import pytest
from program import one_line, plgg

from helper import blob_brain, make_affine
from plgg.io.nifti import write_volume

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
    return {"flair": name}, "read"


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


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_a_bad_case_is_named_and_the_good_one_is_stored(fault, tmp_path):
    row, word = fault(tmp_path)
    data, _ = brain()
    good = save(tmp_path / "good.nii.gz", data)
    manifest = tmp_path / "manifest.csv"
    manifest.write_text(
        f"patient_id,flair,mask\nbad,{row['flair']},{row.get('mask', '')}\ngood,{good},\n"
    )
    found = plgg("check", manifest, "--json", status=1).json()
    assert {f["case_id"] for f in found["findings"] if f["severity"] == "error"} == {"bad"}

    store = tmp_path / "store"
    line = one_line(plgg("preprocess", manifest, store, *TOY, "--workers", 1, status=1))
    assert "bad" in line
    assert word in line
    assert [path.name for path in (store / "cases").iterdir()] == ["good"]


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


def test_not_a_store_and_not_a_run(tmp_path):
    assert "not a store" in one_line(plgg("train", tmp_path, "--run", tmp_path / "run", status=2))
    flair = tmp_path / "f.nii.gz"
    write_volume(flair, blob_brain((36, 40, 32), AFFINE)[0])
    done = plgg("predict", flair, "--model", tmp_path, "--out", tmp_path / "out", status=2)
    assert "no checkpoint" in one_line(done)
    assert not (tmp_path / "out").exists()
