"""A head that asks for age and sex: it learns from them, and every way to an answer uses them."""

import numpy as np
import pytest

from plgg.data.run_folder import read_metrics
from plgg.data.store import Store
from plgg.export.run import export_run
from plgg.model.checkpoint import load_checkpoint
from plgg.model.device import choose_runtime
from plgg.predict.ensemble import build_ensemble
from plgg.predict.member import load_member
from plgg.predict.scan import Predictor, predict_scans
from plgg.predict.source import find_scans
from plgg.train.run import train
from plgg.train.validate import validate
from runs import make_run
from tiny import CLASSES, SMALL_SHAPE, hand_split, tiny_config, tiny_store

ASKING = 'model.marker.inputs=["average","clinical"]'
AGES = {"bright": 5.0, "dark": 25.0, "middle": 60.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    ages = tuple(AGES[CLASSES[index % 3]] for index in range(9))
    return tiny_store(tmp_path_factory.mktemp("store"), n=9, shape=SMALL_SHAPE, ages=ages)


def chances(run, store, *, engine="pytorch", **patient):
    networks = build_ensemble([load_member(run, engine=engine)])
    return networks.answer(store.image("P00"), **patient).markers[0]


def test_the_marker_depends_on_what_is_known(tmp_path, store):
    run = make_run(tmp_path / "run", ASKING, classes=CLASSES)
    nothing = chances(run, store)
    child, adult = (chances(run, store, age_years=age, sex="f") for age in (4.0, 60.0))
    assert np.abs(child - adult).max() > 1e-4
    assert np.abs(child - nothing).max() > 1e-5
    plain = make_run(tmp_path / "plain", classes=CLASSES)
    assert np.array_equal(chances(plain, store), chances(plain, store, age_years=4.0, sex="f"))


def test_an_exported_network_gives_the_same_answer(tmp_path, store):
    run = make_run(tmp_path / "run", ASKING, classes=CLASSES)
    export_run(run, None, "onnx")
    for patient in ({}, {"age_years": 7.0, "sex": "m"}):
        np.testing.assert_allclose(
            chances(run, store, **patient), chances(run, store, engine="onnx", **patient), atol=1e-5
        )


def test_validation_and_prediction_agree_and_the_age_is_learnt(tmp_path, store):
    """Nothing but the age is looked at, and it tells the class."""
    run = tmp_path / "run"
    settings = tiny_config(
        "patches.size=[16,16,16]",
        "patches.per_case=4",
        'model.marker.inputs=["clinical"]',
        "model.marker.dropout=0",
        "optimiser.epochs=12",
        "optimiser.learning_rate=0.01",
        "validate_every=12",
    )
    split = hand_split(store, validation=("P00", "P01", "P02"), test=())
    train(store, run, settings, split, workers=1)
    last = read_metrics(run)[-1]["validation"]
    assert last["marker_auc"] == 1.0
    outcomes = predict_scans(
        find_scans([store.folder], only=split.validation),
        Predictor(build_ensemble([load_member(run)])),
        tmp_path / "out",
    )
    said = {outcome.case_id: outcome.result.marker.probabilities for outcome in outcomes}
    likelihood = [said[case][store.by_id[case].marker] for case in split.validation]
    assert -np.log(likelihood).mean() == pytest.approx(last["marker_loss"], abs=1e-3)


def test_every_input_at_once_trains_and_answers(tmp_path, store):
    run = tmp_path / "run"
    inputs = '["average","attention","outlined","tumour","clinical"]'
    settings = tiny_config(
        "patches.size=[16,16,16]", f"model.marker.inputs={inputs}", "optimiser.epochs=1"
    )
    split = hand_split(store, validation=("P00", "P01", "P02"), test=())
    train(store, run, settings, split, workers=1)
    found = validate(
        load_checkpoint(run).network(),
        Store(store.folder),
        split.validation,
        runtime=choose_runtime("fp32"),
        settings=settings.inference,
    )
    assert found == read_metrics(run)[-1]["validation"]
