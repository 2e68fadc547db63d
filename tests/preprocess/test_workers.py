"""Cases over processes: as many as fit, in order, and one that kills its process is found."""

import sys

import killing
import pytest

from helper import write_case
from plgg.config import Config, GridConfig, PreprocessConfig
from plgg.errors import InputError
from plgg.io.manifest import Case
from plgg.preprocess import workers
from plgg.preprocess.cohort import preprocess_cohort

CONFIG = Config(
    grid=GridConfig(spacing_mm=8.0),
    preprocess=PreprocessConfig(registration="centre", stripping="none"),
)


def test_no_more_processes_than_memory_holds():
    assert workers.fitting(8, memory_gib=3 * workers.PROCESS_GIB + 0.1) == 3
    assert workers.fitting(2, memory_gib=1000.0) == 2
    assert workers.fitting(4, memory_gib=0.0) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_killed_process_costs_only_the_case_that_killed_it(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_one", killing.work)
    cases = [Case(name, name, tmp_path / name) for name in ("a", "killer", "b", "c")]
    found = list(workers.outcomes(cases, tmp_path, CONFIG, workers=2))
    assert [outcome.case_id for outcome in found] == ["a", "killer", "b", "c"]
    reasons = {outcome.case_id: outcome.reason for outcome in found}
    assert "was killed" in reasons.pop("killer")
    assert set(reasons.values()) == {"done"}


def test_stopping_at_a_failure_keeps_what_is_finished_and_completes_no_store(tmp_path):
    good = Case("good", "good", *write_case(tmp_path, "good"))
    bad = Case("bad", "bad", tmp_path / "none.nii.gz")
    after = Case("after", "after", *write_case(tmp_path, "after", seed=3))
    store = tmp_path / "store"
    with pytest.raises(InputError, match=r"case bad failed .*none\.nii\.gz: no such file"):
        preprocess_cohort([good, bad, after], store, CONFIG, keep_going=False)
    assert not (store / "cohort.json").exists()
    assert {path.name for path in (store / "cases").iterdir()} == {"good"}
    before = (store / "cases" / "good" / "image.b2nd").stat().st_mtime_ns
    cohort = preprocess_cohort([good, after], store, CONFIG, keep_going=False)
    assert [case.case_id for case in cohort.cases] == ["good", "after"]
    assert (store / "cases" / "good" / "image.b2nd").stat().st_mtime_ns == before
