"""The transfer experiment: every pair of cohorts, and nobody tested who was learnt from."""

import json

import numpy as np
import pytest

from plgg.core.errors import ConfigError
from plgg.core.progress import Silent
from plgg.data.run_folder import read_config
from plgg.evaluate.compare.experiment import transfer_row
from plgg.experiment.transfer import Transfer, run_transfer
from runs import SHALLOW
from tiny import SMALL_SHAPE, tiny_config, tiny_store

SETTINGS = (*SHALLOW, "optimiser.epochs=2", "validate_every=2")


def cohorts(folder, *, classes=None):
    """Two cohorts of the same kind; the second one's scans are others."""
    more = {} if classes is None else {"classes": classes}
    home = tiny_store(folder / "adults", n=9, shape=SMALL_SHAPE)
    away = tiny_store(folder / "children", n=10, shape=SMALL_SHAPE, first=100, **more)
    return home, away


def plan_of(folder, out, **more):
    home, away = cohorts(folder, **more)
    return Transfer(home, away, out, tiny_config(*SETTINGS), frozen_stages=1)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer")
    plan = plan_of(folder, folder / "out")
    return plan, run_transfer(plan, Silent())


def test_every_pair_is_in_the_table(done):
    plan, found = done
    assert found.failed == {}
    lines = (plan.out / "transfer.md").read_text(encoding="utf-8").splitlines()
    pairs = [tuple(cell.strip() for cell in line.split("|")[1:3]) for line in lines[2:]]
    both = "adults, then children"
    assert pairs == [
        ("adults", "adults"),
        ("adults", "children"),
        ("children", "children"),
        (both, "children"),
        ("children", "adults"),
        (both, "adults"),
    ]
    assert len((plan.out / "transfer.csv").read_text(encoding="utf-8").splitlines()) == 7


def test_the_model_goes_as_it_is_and_tuning_begins_with_it(done):
    plan, _ = done
    home = json.loads((plan.home_run(0) / "checkpoints/best.json").read_text(encoding="utf-8"))
    moved = plan.away_run(0, "transferred")
    results = list((moved / "predictions/test").glob("*/result.json"))
    assert results
    for path in results:
        assert json.loads(path.read_text(encoding="utf-8"))["models"][0]["sha256"] == home["sha256"]
    assert not (moved / "checkpoints").exists()
    tuned = read_config(plan.away_run(0, "fine-tuned"))
    assert tuned.init.sha256 == home["sha256"]
    assert tuned.init.frozen_stages == 1


def test_nobody_is_tested_who_was_learnt_from(done):
    plan, _ = done
    split = plan.split(plan.away, 0)
    for arm in ("own", "transferred", "fine-tuned"):
        tested_cases = {p.name for p in (plan.away_run(0, arm) / "predictions/test").iterdir()}
        assert set(split.test) <= tested_cases
        assert not tested_cases & set(split.train)
    home = plan.split(plan.home, 0)
    for arm in ("own", "fine-tuned"):
        seen = {path.name for path in (plan.back(0, arm) / "predictions/test").iterdir()}
        assert not seen & set(home.train)


def test_the_pages_open_and_name_both_cohorts(done):
    plan, found = done
    text = found.report.read_text(encoding="utf-8")
    assert "From adults to children" in text
    assert "mean test Dice of" in text
    for page in ("home/report.html", "away/report.html"):
        assert page in text
        assert (plan.out / page).stat().st_size > 10_000


def test_repeating_it_changes_nothing(done):
    plan, found = done
    before = {path: path.stat().st_mtime_ns for path in plan.out.rglob("*.safetensors")}
    table = (plan.out / "transfer.csv").read_bytes()
    again = run_transfer(plan, Silent())
    assert again == found
    assert {path: path.stat().st_mtime_ns for path in plan.out.rglob("*.safetensors")} == before
    assert (plan.out / "transfer.csv").read_bytes() == table


def test_a_row_is_the_mean_of_its_patients(done):
    plan, _ = done
    folder = plan.away_run(0, "own") / "evaluation" / "test"
    row = transfer_row("a", "b", [folder, plan.out / "nothing"], seed=0)
    (patients,) = row.patients
    assert row.dice.value == pytest.approx(np.mean(patients))
    assert row.dice.low <= row.dice.value <= row.dice.high
    assert transfer_row("a", "b", [plan.out / "nothing"], seed=0) is None


def test_a_failed_run_stops_what_builds_on_it_alone(tmp_path):
    plan = plan_of(tmp_path, tmp_path / "out")
    (plan.home.folder / "cases/P00/image.b2nd").write_bytes(b"nothing")
    found = run_transfer(plan, Silent())
    assert list(found.failed) == ["split 1, multitask at home"] or len(found.failed) == 3
    assert all("P00" in reason for reason in found.failed.values())
    text = found.report.read_text(encoding="utf-8")
    assert "What failed" in text
    assert (plan.away_run(0, "own") / "evaluation/test/cases.csv").is_file()


def test_cohorts_that_do_not_fit_are_refused_before_anything_is_made(tmp_path):
    plan = plan_of(tmp_path, tmp_path / "out")
    same = Transfer(plan.home, plan.home, plan.out, plan.config)
    with pytest.raises(ConfigError, match="9 scans are in both cohorts"):
        run_transfer(same, Silent())
    assert not plan.out.exists()


def test_other_markers_are_refused_but_for_the_single_arm(tmp_path):
    plan = plan_of(tmp_path, tmp_path / "out", classes=("x", "y", "z"))
    with pytest.raises(ConfigError, match="other markers"):
        run_transfer(plan, Silent())
    assert not plan.out.exists()
