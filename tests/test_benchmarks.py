"""The benchmarks of scale and against nnU-Net: their stores, rows and words, on tiny cohorts."""

import importlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest

from plgg.data.split import make_split
from plgg.data.store import Store
from tiny import tiny_config, tiny_store

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark_named(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.fixture
def started(monkeypatch, capsys):
    def start(module, *arguments):
        monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
        module.main()
        return capsys.readouterr().out

    return start


def test_a_store_is_filled_up_with_copies_that_are_other_patients(tmp_path, benchmark_named):
    scaling = benchmark_named("scaling")
    made = tiny_store(tmp_path / "made", 5)
    store = Store(scaling.make_store(tmp_path, 12, 5, tiny_config()))
    cases = store.cohort.cases
    assert len({case.patient_id for case in cases}) == len({case.case_id for case in cases}) == 12
    split = make_split(cases, k=0, seed=0)
    assert len(split.train) + len(split.validation) + len(split.test) == 12
    for number, case in enumerate(cases):
        original = f"P{number % 5:02d}"
        assert np.array_equal(store.image(case.case_id), made.image(original))
        assert np.array_equal(store.mask(case.case_id), made.mask(original))
        first = made.folder / "cases" / original / "image.b2nd"
        assert not first.samefile(store.folder / "cases" / case.case_id / "image.b2nd")


def test_an_epoch_is_measured_and_rounds_become_a_row(tmp_path, benchmark_named, started):
    scaling = benchmark_named("scaling")
    tiny_store(tmp_path / "store", 8)
    settings = ("patches.size=[24,24,24]", "preprocess.stripping=none", "precision=fp32")
    chosen = [word for setting in settings for word in ("--set", setting)]
    said = started(scaling, "--store", tmp_path / "store", "--epochs", 2, *chosen)
    run = json.loads(said.splitlines()[-1])
    row = scaling.middle([run, run])
    assert (row["patients"], row["trained"]) == (8, 6)
    assert row["epoch_s"] > 0
    assert row["peak_mib"] == run["peaks_mib"][-1] >= run["peaks_mib"][0]
    assert set(scaling.COLUMNS) <= set(row)


def test_one_epoch_is_refused(benchmark_named, started, capsys):
    with pytest.raises(SystemExit):
        started(benchmark_named("scaling"), "--epochs", 1)
    assert "2 or more" in capsys.readouterr().err


@pytest.mark.parametrize("python", [sys.executable, "no/such/python"])
def test_without_nnunet_the_benchmark_says_so_in_one_line(python, benchmark_named, started):
    nnunet = benchmark_named("nnunet")
    if nnunet.has_nnunet(python):
        pytest.skip("nnunetv2 is installed here")
    said = started(nnunet, "--nnunet-python", python)
    assert said.count("\n") == 1
    assert said.startswith(f"skipped: {python} has no nnunetv2")


def test_plgg_is_timed_as_nnunet_is(tmp_path, benchmark_named):
    nnunet = benchmark_named("nnunet")
    tiny_store(tmp_path / "store", 4)
    found = nnunet.ours(tmp_path / "store", tiny_config("arm=single"), repeats=1)
    assert (found["patch"], found["batch"]) == ([24, 24, 24], 2)
    for part in nnunet.PARTS:
        assert len(found[part]["wall"]) == len(found[part]["processor"]) >= 1
        assert min(found[part]["wall"]) > 0
