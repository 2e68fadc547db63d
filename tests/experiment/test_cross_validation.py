"""`plgg experiment --folds`: each patient is tested once, by models that never saw them."""

import pytest

from plgg import api
from plgg.core.errors import ConfigError, RunError
from plgg.data.experiment_folder import read_experiment
from plgg.data.run_folder import read_split
from plgg.experiment.options import Design
from runs import SHALLOW
from tiny import SMALL_SHAPE, tiny_config, tiny_store

CONFIG = tiny_config(*SHALLOW, "optimiser.epochs=1")
FOLDS = 3


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A tiny store and its cross validation of one arm."""
    folder = tmp_path_factory.mktemp("folds")
    store = tiny_store(folder / "store", n=9, shape=SMALL_SHAPE)
    out = folder / "results"
    design = Design(folds=FOLDS, arms=("single",))
    assert not api.experiment(store.folder, out, CONFIG, design=design).failed
    return store, out


def test_each_patient_is_tested_once_and_never_trained_on(made):
    store, out = made
    splits = [read_split(out / f"split-{k}" / "single") for k in range(FOLDS)]
    assert sorted(case for split in splits for case in split["test"]) == sorted(store.by_id)
    assert sorted(case for split in splits for case in split["validation"]) == sorted(store.by_id)
    for split in splits:
        parts = [{*split[part]} for part in ("train", "validation", "test")]
        assert sum(map(len, parts)) == len(set.union(*parts)) == len(store.by_id)


def test_the_plan_and_the_report_say_so(made):
    _, out = made
    assert read_experiment(out).folds
    assert f"cross validation of {FOLDS} folds" in (out / "report.html").read_text("utf-8")


@pytest.mark.parametrize("other", [Design(splits=FOLDS), Design(folds=FOLDS + 1)])
def test_other_splits_are_refused_in_the_same_folder(made, other):
    store, out = made
    with pytest.raises(RunError, match="another folds"):
        api.experiment(store.folder, out, CONFIG, design=other)


def test_two_folds_leave_none_to_validate_on(made, tmp_path):
    store, _ = made
    with pytest.raises(ConfigError, match="at least 3 folds"):
        api.experiment(store.folder, tmp_path / "out", CONFIG, design=Design(folds=2))
