"""Cases over processes: as many as fit, in order, and one that kills its process is found."""

import sys

import killing
import pytest

from helper import write_case
from plgg.config import Config, GridConfig, PreprocessConfig
from plgg.core.errors import InputError
from plgg.data.manifest import Case
from plgg.preprocess import cohort as workers
from plgg.preprocess.cohort import Limits, preprocess_cohort

CONFIG = Config(
    grid=GridConfig(spacing_mm=8.0),
    preprocess=PreprocessConfig(registration="centre", stripping="none"),
)


def test_no_more_processes_than_memory_holds():
    assert workers.fitting(8, memory_gib=3 * workers.PROCESS_GIB + 0.1) == 3
    assert workers.fitting(2, memory_gib=1000.0) == 2
    assert workers.fitting(4, memory_gib=0.0) == 1


def test_memory_is_shared_out_over_the_processes():
    assert Limits.of(2, memory_gib=12.0, seconds=None) == Limits(2, 6.0, None)
    assert Limits.of(2, memory_gib=1.0, seconds=9.0) == Limits(1, workers.PROCESS_GIB, 9.0)
    assert Limits.of(0, memory_gib=None, seconds=None).workers == 0


# Case -> what is said of it, and what to do.
STOPPED = {
    "killer": "its process was killed, as happens where memory runs out. Use fewer --workers",
    "crasher": "its process crashed (SIGSEGV). Convert the scan again",
    "eater": "it took more than 1.0 GiB of memory and was stopped. Is the scan as large",
}


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_a_case_that_has_to_be_stopped_costs_only_itself(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_one", killing.work)
    monkeypatch.setattr(workers, "_ready", killing.ready)
    names = [name for bad in STOPPED for name in (f"before-{bad}", bad)] + ["last"]
    cases = [Case(name, name, tmp_path / name) for name in names]
    limits = Limits(2, 1.0, 3600.0)
    (tmp_path / "qc").mkdir()
    found = list(workers.outcomes(cases, tmp_path, CONFIG, limits))
    assert [outcome.case_id for outcome in found] == names
    reasons = {outcome.case_id: outcome.reason for outcome in found}
    for name, reason in STOPPED.items():
        assert reasons.pop(name).startswith(reason)
        assert (tmp_path / "qc" / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert set(reasons.values()) == {"done"}


def test_a_case_that_hangs_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "_one", killing.work)
    monkeypatch.setattr(workers, "_ready", killing.ready)
    cases = [Case(name, name, tmp_path / name) for name in ("first", "sleeper", "last")]
    found = list(workers.outcomes(cases, tmp_path, CONFIG, Limits(1, 8.0, 3.0)))
    first, slow, last = (outcome.reason for outcome in found)
    assert (first, last) == ("done", "done")
    assert slow.startswith("it took longer than 3 s and was stopped. Look at the scan, or give it")


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
