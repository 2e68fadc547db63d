"""The run folder: begun once, resumed by the same command only, and read after a kill."""

import pytest

from plgg.config import preset, with_settings
from plgg.core.errors import RunError
from plgg.data.run_folder import (
    append_metrics,
    is_run,
    keep_metrics_until,
    read_config,
    read_metrics,
    read_split,
    start_run,
)

SPLIT = {"train": ["a", "b"], "validation": ["c"], "test": ["d"], "k": 0, "seed": 3}


@pytest.fixture
def run(tmp_path):
    start_run(tmp_path / "run", preset("small"), SPLIT, store=tmp_path / "store")
    return tmp_path / "run"


def test_what_was_begun_is_read(run):
    assert is_run(run)
    assert read_config(run) == preset("small")
    assert read_split(run) == SPLIT


def test_the_same_command_resumes(run, tmp_path):
    start_run(run, preset("small"), SPLIT, store=tmp_path / "store")
    assert read_split(run) == SPLIT


def test_other_settings_or_another_split_are_refused(run, tmp_path):
    other = with_settings(preset("small"), ("loss.marker_weight=0.5",))
    with pytest.raises(RunError, match="another loss"):
        start_run(run, other, SPLIT, store=tmp_path)
    with pytest.raises(RunError, match="another split"):
        start_run(run, preset("small"), {**SPLIT, "seed": 4}, store=tmp_path)
    assert read_config(run) == preset("small")
    assert read_split(run) == SPLIT


def test_a_folder_that_is_no_run_is_refused(tmp_path):
    assert not is_run(tmp_path)
    with pytest.raises(RunError, match="is not a run"):
        read_config(tmp_path)
    with pytest.raises(RunError, match=r"split\.json"):
        read_split(tmp_path)


def test_the_environment_names_versions_and_no_host(run):
    text = (run / "environment.json").read_text()
    assert '"numpy"' in text
    assert '"cores"' in text


def test_metrics_come_back_without_the_line_a_kill_cut(run):
    assert read_metrics(run) == []
    records = [{"epoch": epoch, "train": {"loss": 1 / epoch}} for epoch in (1, 2, 3)]
    for one in records:
        append_metrics(run, one)
    assert read_metrics(run) == records
    with (run / "metrics.jsonl").open("a") as handle:
        handle.write('{"epoch": 4, "tra')
    assert read_metrics(run) == records
    keep_metrics_until(run, 2)
    append_metrics(run, {"epoch": 3})
    assert read_metrics(run) == [*records[:2], {"epoch": 3}]
