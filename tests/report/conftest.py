"""One store and one finished experiment for all tests of the page."""

import pytest
from make_experiment import make_experiment, make_store

from shortcuts import plain_figures


@pytest.fixture(scope="session")
def store(tmp_path_factory):
    return make_store(tmp_path_factory.mktemp("store"), failed=[("P99", "cannot be read as NIfTI")])


@pytest.fixture(scope="session")
def finished(tmp_path_factory, store):
    return make_experiment(tmp_path_factory.mktemp("finished") / "two", store, n_splits=2)


# These read words, tables and what a figure is made of. Pages of a module's fixtures are drawn.
OF_WORDS = (
    *("test_experiment_arms", "test_experiment_report", "test_experiment_sections"),
    "test_evaluation_figures",
)
OF_IMAGES = (
    *("test_the_page_is_the_same_twice", "test_the_page_is_whole_and_stands_alone"),
    *("test_figures_are_files_too", "test_the_same_evaluation_gives_the_same_bytes"),
)


@pytest.fixture(autouse=True)
def _undrawn(request):
    if request.path.stem not in OF_WORDS or request.function.__name__ in OF_IMAGES:
        yield
        return
    with plain_figures():
        yield
