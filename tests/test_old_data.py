"""What commit 0c0a00c wrote is read, resumed and reported, and its losses come out again.

`tests/frozen/README.md` says how the files were made.
"""

import csv
import dataclasses
import json
import shutil
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from plgg import api
from plgg.data.result import read_result
from plgg.data.store import Store
from plgg.evaluate.evaluation import read_evaluation
from plgg.measure.change import read_prior
from plgg.predict.options import PredictOptions
from plgg.report.experiment.page import write_experiment_report
from reference import losses_of

OLD = Path(__file__).parent / "frozen" / "0c0a00c"
LOSSES = json.loads((OLD / "losses.json").read_text(encoding="utf-8"))
SETTINGS = (
    "grid.spacing_mm=8",
    "model.init_filters=4",
    "model.norm_groups=4",
    "model.blocks_down=[1,1]",
    "model.blocks_up=[1]",
    "model.marker.hidden=[8]",
    'model.marker.inputs=["average","tumour","clinical"]',
    "patches.size=[16,16,16]",
    "patches.batch=2",
    "patches.per_case=24",
    "loss.voxel_weight=1",
    "optimiser.learning_rate=0.01",
    "validate_every=1",
    "precision=fp32",
)


@pytest.fixture
def old(tmp_path):
    """A copy that may be written to."""
    return Path(shutil.copytree(OLD, tmp_path / "old"))


def settings(epochs):
    return api.configure("small", settings=(*SETTINGS, f"optimiser.epochs={epochs}"))


def epochs_of(run):
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def voxels(path):
    return np.asarray(nib.load(path).dataobj)


@pytest.mark.parametrize(
    "name",
    [
        "small-multitask",
        "small-single",
        "narrow-paper",
        pytest.param("paper", marks=pytest.mark.slow),
    ],
)
def test_the_losses_of_a_preset_are_those_of_old(name, tmp_path):
    # Two threads add in another order.
    torch.set_num_threads(1)
    found = losses_of(name, tmp_path)
    assert len(found) == len(LOSSES[name])
    for new, known in zip(found, LOSSES[name], strict=True):
        assert new["train"] == pytest.approx(known["train"], rel=1e-6)
        assert new.keys() == known.keys()
        if "gradients" in known:
            assert new["gradients"] == pytest.approx(known["gradients"], rel=1e-4, abs=1e-6)
        if "validation" in known:
            # Dice and AUC jump where a voxel or a patient changes sides.
            for measure in ("soft_dice", "marker_loss"):
                old = known["validation"][measure]
                assert new["validation"][measure] == (old and pytest.approx(old, rel=1e-4))


def test_an_old_store_is_read():
    store = Store(OLD / "store")
    assert len(store.by_id) == 11
    for name, case in store.by_id.items():
        assert store.image(name).shape == tuple(case.shape)
        mask = store.mask(name)
        assert (mask is not None) == case.has_mask
        assert store.placement(name).box_shape == case.shape
        if case.has_mask:
            assert mask.any()
            assert voxels(store.truth_path(name)).any()


def test_an_old_store_is_trained_on_as_it_was(tmp_path):
    torch.set_num_threads(1)
    api.train(OLD / "store", tmp_path / "run", settings(2))
    new, known = epochs_of(tmp_path / "run"), epochs_of(OLD / "run")
    # The old run had two threads: by the end of its 84 steps, 0c0a00c differs so much from itself.
    assert new[0]["train"] == pytest.approx(known[0]["train"], rel=0.01)
    assert new[1]["train"] == pytest.approx(known[1]["train"], rel=0.1)
    assert (tmp_path / "run" / "split.json").read_text() == (OLD / "run" / "split.json").read_text()


def test_an_old_run_is_resumed(old):
    run = old / "run"
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config["optimiser"]["epochs"] = 3
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    before = epochs_of(run)
    api.train(old / "store", run, settings(3))
    *kept, added = epochs_of(run)
    assert kept == before
    assert added["epoch"] == 3
    assert added["train"]["loss"] < before[0]["train"]["loss"]


def test_an_old_run_predicts_what_it_did(tmp_path):
    out = tmp_path / "predictions"
    options = PredictOptions(part="test", pages=False)
    outcomes = api.predict([OLD / "store"], model=OLD / "run", out=out, options=options)
    assert [outcome.reason for outcome in outcomes] == [None, None]
    for outcome in outcomes:
        new, known = out / outcome.case_id, OLD / "predictions" / outcome.case_id
        np.testing.assert_array_equal(
            voxels(new / "mask.nii.gz"), voxels(known / "mask.nii.gz"), strict=True
        )
        np.testing.assert_allclose(
            nib.load(new / "probability.nii.gz").get_fdata(),
            nib.load(known / "probability.nii.gz").get_fdata(),
            atol=1e-5,
        )
        before = read_result(known / "result.json")
        assert outcome.result.volume_ml == pytest.approx(before.volume_ml, rel=1e-6)
        assert outcome.result.marker.probabilities == pytest.approx(
            before.marker.probabilities, abs=1e-5
        )


def test_old_results_are_read():
    paths = sorted(OLD.glob("*/phantom-*/result.json"))
    assert len(paths) == 4
    for path in paths:
        raw = json.loads(path.read_text(encoding="utf-8"))
        read = read_result(path)
        assert read.volume_ml == raw["volume_ml"]
        assert read.marker.probabilities == raw["marker"]["probabilities"]
    followed = read_prior(OLD / "second" / "phantom-009_2_flair")
    first = read_prior(OLD / "first" / "phantom-009_flair")
    assert followed.change.volume_ml == first.volume_ml


def test_old_predictions_are_evaluated_as_they_were(old):
    known = read_evaluation(OLD / "predictions" / "evaluation")
    new = api.evaluate(old / "predictions", old / "store", out=old / "anew")
    assert (old / "anew" / "evaluation.html").is_file()
    assert [case.case_id for case in new.rows] == [case.case_id for case in known.rows]
    assert dices(old / "anew") == pytest.approx(dices(OLD / "predictions" / "evaluation"))


def dices(folder):
    with (folder / "cases.csv").open(encoding="utf-8", newline="") as handle:
        return {row["case_id"]: float(row["dice"]) for row in csv.DictReader(handle)}


@pytest.mark.parametrize("part", ["validation", "test"])
def test_old_evaluations_are_read(part):
    runs = [OLD / "run", *OLD.glob("experiment/split-*/*")]
    assert len(runs) == 5
    for run in runs:
        assert read_evaluation(run / "evaluation" / part).rows


def test_old_results_are_compared(old):
    found = api.compare(old / "experiment/split-0/single", old / "experiment/split-0/multitask")
    assert found


def test_an_old_experiment_is_compared_as_it_was():
    found = api.compare(OLD / "experiment")
    known = json.loads((OLD / "experiment" / "comparison.json").read_text(encoding="utf-8"))
    assert list(found.arms) == known["arms"]
    assert not found.missing
    scores = json.loads(json.dumps([dataclasses.asdict(score) for score in found.scores]))
    assert scores == known["scores"]


def test_the_report_of_an_old_experiment_is_written_anew(old):
    page = write_experiment_report(old / "experiment", store=old / "store")
    text = page.read_text(encoding="utf-8")
    assert "Multitask" in text
    assert "no statistics" not in text
