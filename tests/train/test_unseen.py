"""A run must not start from weights that learnt from those it is tested on."""

import json
import shutil

import pytest

from plgg.core.errors import ConfigError
from plgg.core.progress import Silent
from plgg.data.store import Store
from plgg.data.store_writing import write_cohort
from plgg.experiment.folds import train_folds
from plgg.train.run import train
from plgg.train.unseen import require_unseen
from runs import make_run
from tiny import SMALL_SHAPE, hand_split, tiny_config, tiny_store

SPLIT = {"validation": ("P00",), "test": ("P01",)}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("store") / "store", n=6, shape=SMALL_SHAPE)


def a_run(store, folder, **parts):
    """The folder of a run, as far as it says who taught it."""
    folder.mkdir()
    split = hand_split(store, **parts)
    (folder / "split.json").write_text(json.dumps(split.model_dump(mode="json")))
    (folder / "environment.json").write_text(json.dumps({"store": str(store.folder)}))
    return folder


def test_the_same_split_is_what_one_goes_on_with(store, tmp_path):
    assert (
        require_unseen(store, a_run(store, tmp_path / "run", **SPLIT), hand_split(store, **SPLIT))
        is None
    )


@pytest.mark.parametrize(
    "parts",
    [{"validation": ("P02",), "test": ("P01",)}, {"validation": ("P00",), "test": ("P02",)}],
)
def test_another_split_of_the_cohort_is_refused(store, tmp_path, parts):
    run = a_run(store, tmp_path / "run", **parts)
    with pytest.raises(ConfigError, match="learnt from 1 of the 2 patients"):
        require_unseen(store, run, hand_split(store, **SPLIT))


def test_nothing_is_begun_that_would_be_tested_on_what_it_knows(store, tmp_path):
    config = tiny_config("patches.size=[16,16,16]", "optimiser.epochs=1")
    train(store, tmp_path / "first", config, hand_split(store, validation=("P04",), test=("P05",)))
    going_on = tiny_config("optimiser.epochs=1", f"init.run={tmp_path / 'first'}")
    with pytest.raises(ConfigError, match="learnt from 2 of the 2 patients"):
        train(store, tmp_path / "second", going_on, hand_split(store, **SPLIT))
    assert not (tmp_path / "second").exists()


def test_a_scan_is_known_by_its_contents_in_a_store_of_other_names(store, tmp_path):
    run = a_run(store, tmp_path / "run", validation=("P04",), test=("P05",))
    copied = tmp_path / "copy"
    shutil.copytree(store.folder, copied)
    with pytest.raises(ConfigError, match="learnt from 2 of the 2"):
        require_unseen(Store(copied), run, hand_split(store, **SPLIT))


def test_a_store_of_other_scans_may_have_the_same_names(store, tmp_path):
    run = a_run(store, tmp_path / "run", validation=("P04",), test=("P05",))
    others = tiny_store(tmp_path / "others", n=6, shape=SMALL_SHAPE)
    cases = tuple(
        case.model_copy(update={"flair_sha256": case.flair_sha256[::-1]})
        for case in others.cohort.cases
    )
    write_cohort(others.folder, others.cohort.model_copy(update={"cases": cases}))
    assert require_unseen(Store(others.folder), run, hand_split(store, **SPLIT)) is None


def test_what_cannot_be_told_is_said(store, tmp_path):
    (tmp_path / "model").mkdir()
    doubt = require_unseen(store, tmp_path / "model", hand_split(store, **SPLIT))
    assert "does not say who taught it" in doubt
    run = a_run(store, tmp_path / "run", validation=("P04",), test=("P05",))
    (run / "environment.json").write_text(json.dumps({"store": str(tmp_path / "gone")}))
    assert "its store is gone" in require_unseen(store, run, hand_split(store, **SPLIT))
    assert require_unseen(store, run, hand_split(store, validation=(), test=())) is None


def test_folds_say_of_each_start_once_what_cannot_be_told(tmp_path, caplog):
    """Training ends after it was said, at a cohort without a mask."""
    names = [f"P{n:02d}" for n in range(6)]
    store = tiny_store(tmp_path / "store", n=6, shape=SMALL_SHAPE, no_mask=names)
    make_run(tmp_path / "model")
    config = tiny_config()
    going_on = config.init.model_copy(update={"run": str(tmp_path / "model")})
    config = config.model_copy(update={"init": going_on})
    with pytest.raises(ConfigError, match="no training case has a mask"):
        train_folds(store, tmp_path / "out", config, 3, watch=Silent())
    assert caplog.text.count("does not say who taught it") == 1


def test_an_ensemble_is_no_start_of_one_run(store, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "ensemble.json").write_text("{}")
    with pytest.raises(ConfigError, match=r"model: is an ensemble, .*model/fold-0"):
        require_unseen(store, tmp_path / "model", hand_split(store, **SPLIT))
