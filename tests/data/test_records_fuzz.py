"""Whatever stands in the JSON of a store or an experiment: read, or refused in one line."""

import random
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path[:0] = [
    str(Path(__file__).parents[2] / "benchmarks"),
    str(Path(__file__).parents[1] / "report"),
]
from make_experiment import make_experiment, make_store  # noqa: E402

from fuzzing import records  # noqa: E402 - it is no part of the package

SEEDS = st.integers(0, 10**9)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), names=["A", "B"])


@pytest.fixture(scope="module")
def experiment(tmp_path_factory):
    store = make_store(tmp_path_factory.mktemp("cohort"))
    return make_experiment(tmp_path_factory.mktemp("e") / "e", store, n_splits=1, epochs=2)


def generator(seed):
    return random.Random(seed)  # noqa: S311 - nothing is kept secret by it


def try_seed(kind, folder, seed):
    with records.damage(folder, generator(seed)):
        records.attempt(kind, folder)


@given(SEEDS)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_a_store_is_read_or_refused(store, seed):
    try_seed("store", store.folder, seed)


@given(SEEDS)
@settings(max_examples=60, derandomize=True, deadline=None)
def test_an_experiment_is_read_or_refused(experiment, seed):
    try_seed("experiment", experiment, seed)


def test_sound_folders_are_read(store, experiment):
    records.attempt("store", store.folder)
    records.attempt("experiment", experiment)


@given(SEEDS)
@settings(max_examples=100, derandomize=True, deadline=None)
def test_damage_leaves_what_it_was_given(seed):
    value = {"a": [1, {"b": "c"}], "d": None}
    records.mutated(value, generator(seed))
    assert value == {"a": [1, {"b": "c"}], "d": None}
    assert isinstance(records.damaged(b'{"a": 1}', generator(seed)), bytes)
