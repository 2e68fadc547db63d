"""Labels all the way by the commands, on phantoms with cysts; and slices of preset best."""

import json

import numpy as np
import pytest
from labelled import SETTING, labelled_store
from scipy.ndimage import binary_erosion

from correcting import CONFIG, a_round, write_patients
from helper import ODD_AFFINES, blob_brain
from plgg import api
from plgg.config import with_settings
from plgg.core.errors import ConfigError
from plgg.core.progress import Silent
from plgg.data.nifti.image import read_volume, write_volume
from plgg.data.run_folder import read_metrics
from plgg.data.store import Store
from plgg.experiment.scoring import calibrate_run
from plgg.metrics.overlap import hard_dice
from plgg.predict.options import PredictOptions
from plgg.train.run import train
from program import plgg
from runs import make_run
from tiny import hand_split

TINY = (
    "grid.spacing_mm=4",
    "preprocess.registration=centre",
    "preprocess.stripping=none",
    "model.init_filters=8",
    "model.blocks_down=[1,1,1]",
    "model.blocks_up=[1,1]",
    "patches.size=[40,48,36]",
    "patches.per_case=4",
    "optimiser.learning_rate=0.003",
    "loss.gradients_every=0",
    "precision=fp32",
    SETTING,
)


def options(*settings):
    return [word for setting in settings for word in ("--set", setting)]


@pytest.mark.slow
def test_phantoms_with_cysts_go_all_the_way(tmp_path):
    patients, store, run = (tmp_path / name for name in ("patients", "store", "run"))
    plgg(
        *("phantom", patients, "--patients", 16, "--seed", 5, "--spacing-mm", 4),
        *("--contrast", 2, "--label-cysts", "--workers", 1),
    )
    manifest = patients / "manifest.csv"
    assert "no label has" not in plgg("check", manifest, "--set", SETTING).out
    plgg("preprocess", manifest, store, "--workers", 1, *options(*TINY))
    plgg("train", store, "--run", run, "--epochs", 14, *options(*TINY))
    last = read_metrics(run)[-1]["validation"]["labels"]
    assert last["tumour"] > 0.5
    plgg("predict", store, "--model", run, "--out", tmp_path / "out", "--part", "test")
    found = json.loads(plgg("evaluate", tmp_path / "out", store, "--json", "--partial").out)
    assert found["tasks"]["cyst"]["n"]
    assert found["tasks"]["cyst"]["metrics"]["dice"]["value"] > 0.2


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["onnx", "openvino"])
def test_exports_carry_every_region(tmp_path, engine):
    pytest.importorskip(engine if engine == "openvino" else "onnxruntime")
    run = make_run(tmp_path / "run", SETTING)
    api.export(run, engine)
    scan, _ = blob_brain(affine=ODD_AFFINES["oblique"])
    said = [
        api.segment(scan.data, scan.affine, model=run, options=PredictOptions(engine=name))
        for name in ("pytorch", engine)
    ]
    for name in ("tumour", "cyst"):
        one, other = (found.labels[name] for found in said)
        assert hard_dice(one, other) > 0.99


@pytest.mark.slow
def test_a_round_of_corrections_knows_the_whole_tumour_alone(tmp_path):
    """Masks of ones, as the pen draws them, are no cores; cores are rehearsed from the store."""
    config = with_settings(CONFIG, ["tasks.segmentation.labels={tumour: [1, 2], core: 2}"])
    manifest = write_patients(tmp_path / "old", 7)
    for path in (tmp_path / "old").glob("*_mask.nii.gz"):
        mask = read_volume(path)
        core = binary_erosion(mask.data > 0, iterations=2)
        write_volume(path, mask.with_data((mask.data > 0).astype(np.uint8) + core))
    api.preprocess(manifest, tmp_path / "store", config, workers=0)
    store, model = Store(tmp_path / "store"), tmp_path / "model"
    split = hand_split(store, validation=("P00", "P01"), test=())
    train(store, model, config, split)
    calibrate_run(store, model, split, Silent(), label="before")
    dark = write_patients(tmp_path / "dark", 6, dark=True, first=50)
    with pytest.raises(ConfigError, match="tells the label core"):
        a_round(model, dark, tmp_path / "alone")
    found = a_round(model, dark, tmp_path / "round", store=store.folder)
    assert found.n_training == 4
    assert found.n_rehearsed == 5
    corrected = Store(tmp_path / "round" / "store")
    assert corrected.cohort.labels == config.labels
    assert {case.labels for case in corrected.cohort.cases} == {("tumour",)}


@pytest.mark.slow
def test_slices_learn_both_regions(tmp_path):
    """Preset best, which sees slices and takes Dice over the batch."""
    store = labelled_store(tmp_path / "store", n=8, grid="slices", whole_alone=("P01",))
    config = api.configure(
        "best",
        settings=(
            SETTING,
            "grid.spacing_mm=4",
            "init.imagenet=false",
            "preprocess.registration=centre",
            "preprocess.stripping=none",
            "patches.size=[32,32,1]",
            "patches.per_case=12",
            "patches.tumour_share=0.8",
            "optimiser.learning_rate=0.003",
            "optimiser.epochs=12",
            "validate_every=12",
        ),
    )
    api.train(store.folder, tmp_path / "run", config)
    found = read_metrics(tmp_path / "run")[-1]["validation"]["labels"]
    assert min(found.values()) > 0.4
