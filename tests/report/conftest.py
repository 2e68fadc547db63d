"""One store and one finished experiment for all tests of the page."""

import pytest
from make_experiment import make_experiment, make_store


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), failed=[("P99", "cannot be read as NIfTI")])


@pytest.fixture(scope="session")
def finished(tmp_path_factory, store):
    return make_experiment(tmp_path_factory.mktemp("finished") / "two", store, n_splits=2)
