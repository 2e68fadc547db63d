"""An experiment that the tests of this folder share."""

import pytest
from scored import write_experiment


@pytest.fixture
def experiment(tmp_path):
    """Two splits and two arms, of which multitask is better by 0.1 and 0.02 on test."""
    single = [
        {"validation": {"v1": 0.7, "v2": 0.8}, "test": {"p1": 0.5, "p2": 0.7}},
        {"validation": {"v3": 0.6, "v4": 0.6}, "test": {"p2": 0.6, "p3": 0.8}},
    ]
    multitask = [
        {"validation": {"v1": 0.72, "v2": 0.82}, "test": {"p1": 0.65, "p2": 0.75}},
        {"validation": {"v3": 0.5, "v4": 0.6}, "test": {"p2": 0.66, "p3": 0.78}},
    ]
    arms = {"single": single, "multitask": multitask}
    return write_experiment(tmp_path / "results", arms, n_splits=2)
