"""An ensemble from folds: trained, scored out of fold, resumed, predicted with, handed on."""

import json
from itertools import combinations

import numpy as np
import pytest
import torch

from plgg import api
from plgg.core.errors import ConfigError, PlggError, RunError
from plgg.data.calibration import read_calibration
from plgg.data.ensemble_folder import FILE, OUT_OF_FOLD, member_runs, read_ensemble
from plgg.data.nifti.image import read_volume
from plgg.data.run_folder import read_config, read_split
from plgg.data.store import Store
from plgg.model.checkpoint import load_checkpoint
from plgg.phantom.cohort import make_cohort
from plgg.phantom.settings import phantom_settings

FOLDS = 3
ABOUT = "Made of phantoms."
SETTINGS = [
    "preprocess.registration=centre",
    "preprocess.stripping=none",
    "grid.spacing_mm=8",
    "optimiser.epochs=1",
    "validate_every=1",
    "patches.per_case=1",
    "patches.batch=4",
    "init.imagenet=false",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A cohort of phantoms, its store of slices, and an ensemble trained on it."""
    folder = tmp_path_factory.mktemp("folds")
    settings = phantom_settings(n_patients=9, seed=3, spacing_mm=4.0)
    make_cohort(folder / "patients", settings)
    manifest = folder / "patients" / "manifest.csv"
    config = api.configure("best", settings=SETTINGS)
    api.preprocess(manifest, folder / "store", config, workers=0)
    api.train(folder / "store", folder / "ensemble", config, folds=FOLDS)
    return folder, manifest, config


@pytest.fixture(scope="module")
def handed_on(made):
    folder, _, _ = made
    api.export_model(folder / "ensemble", folder / "model", name="phantom-model", about=ABOUT)
    return folder / "model"


def test_every_patient_is_validated_once_and_scored_out_of_fold(made):
    folder, _, _ = made
    store = Store(folder / "store")
    splits = [read_split(run) for run in member_runs([folder / "ensemble"])]
    assert sorted(case for split in splits for case in split["validation"]) == sorted(store.by_id)
    for split in splits:
        assert not {*split["train"]} & {*split["validation"]}
        assert split["test"] == []
    for one, other in combinations(splits, 2):
        assert not {*one["validation"]} & {*other["validation"]}
    scored = folder / "ensemble" / "evaluation" / OUT_OF_FOLD
    summary = json.loads((scored / "summary.json").read_text())
    assert summary["n_cases"] == len(store.by_id)
    predicted = folder / "ensemble" / "predictions" / OUT_OF_FOLD
    for split, run in zip(splits, member_runs([folder / "ensemble"]), strict=True):
        weights = load_checkpoint(run).meta.sha256
        for case in split["validation"]:
            result = json.loads((predicted / case / "result.json").read_text())
            assert [model["sha256"] for model in result["models"]] == [weights]


def test_all_patients_teach_one_calibration(made):
    folder, _, _ = made
    found = [read_calibration(run) for run in member_runs([folder / "ensemble"])]
    first, *others = found
    assert first.mask.n == len(Store(folder / "store").by_id)
    for other in others:
        assert (other.mask, other.marker, other.volume) == (first.mask, first.marker, first.volume)
        assert other.model_sha256 != first.model_sha256


def test_the_card_says_that_it_is_an_ensemble(made):
    folder, _, _ = made
    card = (folder / "ensemble" / "model_card.md").read_text()
    assert f"ensemble of {FOLDS} networks" in card
    assert "slices as acquired" in card
    assert "None" not in card


def test_the_same_command_keeps_what_is_finished(made):
    folder, _, config = made
    runs = member_runs([folder / "ensemble"])
    before = [load_checkpoint(run).meta.sha256 for run in runs]
    api.train(folder / "store", folder / "ensemble", config, folds=FOLDS)
    assert [load_checkpoint(run).meta.sha256 for run in runs] == before


def test_other_folds_are_refused_in_the_same_folder(made):
    folder, _, config = made
    with pytest.raises(RunError, match="other folds"):
        api.train(folder / "store", folder / "ensemble", config, folds=FOLDS + 1)


def test_an_ensemble_goes_on_from_one_of_the_same_folds(made, tmp_path):
    folder, _, config = made
    first = folder / "ensemble"
    going_on = config.model_copy(
        update={"init": config.init.model_copy(update={"run": str(first)})}
    )
    with pytest.raises(ConfigError, match="of 3 folds, and 2 are wanted"):
        api.train(folder / "store", tmp_path / "two", going_on, folds=FOLDS - 1)
    other = going_on.model_copy(update={"seed": config.seed + 5})
    with pytest.raises(ConfigError, match="learnt from"):
        api.train(folder / "store", tmp_path / "two", other, folds=FOLDS)
    assert not (tmp_path / "two").exists()
    api.train(folder / "store", tmp_path / "second", going_on, folds=FOLDS)
    for old, new in zip(member_runs([first]), member_runs([tmp_path / "second"]), strict=True):
        assert read_split(new) == read_split(old)
        start = read_config(new)
        assert start.init.sha256 == load_checkpoint(old).meta.sha256
        assert start.seed == config.seed + 1
        assert load_checkpoint(new).meta.sha256 != load_checkpoint(old).meta.sha256
    third = config.model_copy(
        update={"init": config.init.model_copy(update={"run": str(tmp_path / "second")})}
    )
    api.train(folder / "store", tmp_path / "third", third, folds=FOLDS)
    assert {read_config(run).seed for run in member_runs([tmp_path / "third"])} == {config.seed + 2}


def test_one_run_that_saw_them_is_no_start_for_folds(made, tmp_path):
    folder, _, config = made
    seen = str(member_runs([folder / "ensemble"])[1])
    going_on = config.model_copy(update={"init": config.init.model_copy(update={"run": seen})})
    with pytest.raises(ConfigError, match="learnt from"):
        api.train(folder / "store", tmp_path / "third", going_on, folds=FOLDS)
    assert not (tmp_path / "third").exists()


def test_folds_and_devices_do_not_go_together(made):
    folder, _, config = made
    with pytest.raises(ConfigError, match="one device"):
        api.train(folder / "store", folder / "other", config, folds=FOLDS, devices=2)


def test_an_ensemble_predicts_as_the_mean_of_its_runs(made, tmp_path):
    folder, manifest, _ = made
    scan = next((manifest.parent / "images").glob("*flair*.nii.gz"))
    ensemble = folder / "ensemble"
    api.predict([scan], model=ensemble, out=tmp_path / "all")
    (case,) = [path.name for path in (tmp_path / "all").iterdir() if path.is_dir()]
    alone = []
    for number, run in enumerate(member_runs([ensemble])):
        api.predict([scan], model=run, out=tmp_path / str(number))
        alone.append(read_volume(tmp_path / str(number) / case / "probability.nii.gz").data)
    found = read_volume(tmp_path / "all" / case / "probability.nii.gz").data
    # Written in steps of a hundredth or finer; a mean of rounded ones is not rounded alike.
    assert np.abs(found - np.mean(alone, axis=0)).max() < 0.01


def test_a_model_to_hand_on_names_no_case_and_no_folder(made, handed_on):
    folder, _, _ = made
    files = [path for path in handed_on.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {FILE, "model_card.md", "calibration.json"}
    said = b"".join(path.read_bytes() for path in files)
    assert str(folder).encode() not in said
    for case in Store(folder / "store").by_id:
        assert case.encode() not in said
    assert ABOUT in (handed_on / "model_card.md").read_text()


def test_a_model_to_hand_on_is_half_as_large_and_answers_alike(made, handed_on):
    folder, manifest, _ = made
    whole, half = (
        [load_checkpoint(run) for run in member_runs([model])]
        for model in (folder / "ensemble", handed_on)
    )
    for one, other in zip(whole, half, strict=True):
        kept = {n for n in other.tensors if "running_" not in n}
        assert {other.tensors[name].dtype for name in kept} == {torch.float16}
        assert set(other.tensors) == set(one.tensors)
    scan = next((manifest.parent / "images").glob("*flair*.nii.gz"))
    loaded = read_volume(scan)
    found = [
        api.segment(loaded.data, loaded.affine, model=model)
        for model in (folder / "ensemble", handed_on)
    ]
    assert np.abs(found[0].probability - found[1].probability).max() < 0.02
    assert (found[0].mask == found[1].mask).mean() > 0.999


def test_what_must_be_known_of_a_model_is_in_every_result_and_page(made, handed_on, tmp_path):
    _, manifest, _ = made
    scan = next((manifest.parent / "images").glob("*flair*.nii.gz"))
    (outcome,) = api.predict([scan], model=handed_on, out=tmp_path / "out")
    assert outcome.result.note == f"For research use only. {ABOUT}"
    assert ABOUT in (tmp_path / "out" / outcome.case_id / "report.html").read_text()


def test_an_ensemble_that_leads_out_of_its_folder_is_refused(made, tmp_path):
    folder, _, _ = made
    record = read_ensemble(folder / "ensemble").model_dump(mode="json")
    for member in ("../ensemble/fold-0", "/etc", ".."):
        (tmp_path / FILE).write_text(json.dumps(record | {"members": [member]}))
        with pytest.raises(PlggError) as caught:
            member_runs([tmp_path])
        assert "\n" not in str(caught.value)
