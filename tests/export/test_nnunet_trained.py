"""The whole way of docs/nnunet.md: export, nnU-Net's own commands, a prediction, a comparison."""

import json
import os
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from plgg.data.result import read_result
from program import plgg

SETTINGS = ("grid.kind=slices", "grid.spacing_mm=6", "preprocess.registration=centre")
LABELS = "tasks.segmentation.labels={tumour: [1, 2], cyst: 2}"
# Two epochs of two iterations, by nnU-Net's own trainer and in its own process.
TRAIN = """
import json, sys, torch
from pathlib import Path
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
folder = Path(sys.argv[1])
plans, data = (json.loads((folder / n).read_text()) for n in ("nnUNetPlans.json", "dataset.json"))
plans["continue_training"] = False
plans["configurations"]["2d"]["batch_size"] = 2
trainer = nnUNetTrainer(plans, "2d", 0, data, torch.device("cpu"))
trainer.num_epochs, trainer.num_iterations_per_epoch = 2, 2
trainer.num_val_iterations_per_epoch = 1
trainer.run_training()
print(json.dumps([trainer.output_folder, *map(list, trainer.do_split())]))
"""


def run(command, surroundings):
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=surroundings)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("labels", [(), (LABELS,)], ids=["tumour", "labels"])
def test_what_nnunet_learns_from_an_export_predicts_and_is_compared(tmp_path, labels):
    pytest.importorskip("nnunetv2", reason='nnunetv2 is absent: pip install "plgg[nnunet]"')
    words = [word for setting in (*SETTINGS, *labels) for word in ("--set", setting)]
    drawn = ["--label-cysts"] if labels else []
    plgg("phantom", tmp_path / "patients", "--patients", 8, "--spacing-mm", 4, *drawn)
    manifest = tmp_path / "patients" / "manifest.csv"
    plgg("preprocess", manifest, tmp_path / "store", "--preset", "small", *words)
    raw = tmp_path / "raw"
    plgg("export", "nnunet", tmp_path / "store", raw, "--id", 501, "--splits", 1)

    places = {"raw": raw, "preprocessed": raw / "nnUNet_preprocessed", "results": raw / "results"}
    named = {f"nnUNet_{name}": str(path) for name, path in places.items()}
    around = {**os.environ, **named, "nnUNet_n_proc_DA": "0", "nnUNet_def_n_proc": "1"}
    plan = Path(sys.executable).with_name("nnUNetv2_plan_and_preprocess")
    said = run(
        [plan, "-d", "501", "--verify_dataset_integrity", "-c", "2d", "-np", "1", "-npfp", "1"],
        {**around, "nnUNet_n_proc_DA": "1"},
    )
    assert "verify_dataset_integrity Done" in said
    preprocessed = places["preprocessed"] / "Dataset501_plgg"
    said = run([sys.executable, "-c", TRAIN, preprocessed], around)
    trained, learned, validated = json.loads(said.strip().splitlines()[-1])
    split = json.loads((preprocessed / "splits_final.json").read_text())[0]
    tests = json.loads((raw / "Dataset501_plgg" / "splits_test.json").read_text())[0]
    assert {"train": learned, "val": validated} == split
    assert not {*learned, *validated} & set(tests)

    out = tmp_path / "nnunet" / "split-0"
    plgg("predict", tmp_path / "store", "--model", trained, "--part", "test", "--out", out)
    assert sorted(path.name for path in out.iterdir() if path.is_dir()) == sorted(tests)
    plgg("evaluate", out, tmp_path / "store", "--partial")
    small = [*words, "--set", "patches.size=[32,32,16]", "--set", "model.init_filters=8"]
    plgg("train", tmp_path / "store", "--run", tmp_path / "run", "--epochs", 1, *small)
    compared = plgg("compare", tmp_path / "run", out, "--json").json()
    assert compared["contrasts"][0]["patients"]["n"] == len(tests)

    scan = next((tmp_path / "patients" / "images").glob(f"{tests[0]}*flair*"))
    plgg("predict", scan, "--model", Path(trained).parent, "--out", tmp_path / "one")
    (made,) = [path for path in (tmp_path / "one").iterdir() if (path / "mask.nii.gz").is_file()]
    wanted, found = nib.load(scan), nib.load(made / "mask.nii.gz")
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found.affine, wanted.affine, atol=1e-4)
    assert read_result(made / "result.json").models[0].epoch == 2
    if labels:
        assert [one.name for one in read_result(made / "result.json").labels] == ["tumour", "cyst"]
        assert nib.load(made / "labels.nii.gz").shape == wanted.shape
