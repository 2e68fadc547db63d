"""Two evaluated sets of predictions: pairing, what is left out, and where results are found."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from scored import write_evaluation

from plgg.core.errors import ConfigError, RunError
from plgg.evaluate.compare.contrast import compare_results
from plgg.report.comparison import as_markdown, statistics_table, verdict, write_comparison


def only(comparison):
    (contrast,) = comparison.contrasts
    return contrast


def random_cases(seed, n=12):
    values = np.random.default_rng(seed).uniform(0.3, 0.9, n)
    return {f"p{k}": round(float(value), 6) for k, value in enumerate(values)}


@pytest.fixture
def pair(tmp_path):
    return (
        write_evaluation(tmp_path / "a", random_cases(0)),
        write_evaluation(tmp_path / "b", random_cases(1)),
    )


def test_differences_by_hand(tmp_path):
    a = write_evaluation(tmp_path / "a", {"p1": 0.5, "p2": 0.6, "p3": 0.8})
    b = write_evaluation(tmp_path / "b", {"p3": 0.7, "p1": 0.7, "p2": 0.8})
    found = only(compare_results(a, b)).patients
    assert found.n == 3
    assert found.difference == pytest.approx(0.1)
    assert found.median == pytest.approx(0.2)
    assert found.sd == pytest.approx(np.sqrt(0.03))
    assert found.effect_size == pytest.approx(0.1 / np.sqrt(0.03))
    assert (found.n_improved, found.n_equal, found.n_worse) == (2, 0, 1)
    assert found.share_improved == pytest.approx(2 / 3)
    assert found.corrected_t is None


def test_a_difference_that_rounds_to_nothing_is_not_called_nothing(tmp_path):
    a = write_evaluation(tmp_path / "a", {"p1": 0.5, "p2": 0.6})
    b = write_evaluation(tmp_path / "b", {"p1": 0.5004, "p2": 0.6004})
    assert "by less than 0.001 Dice" in verdict(only(compare_results(a, b)))
    assert "by 0.000 Dice" in verdict(only(compare_results(a, a)))


def test_scans_are_averaged_within_their_patient(tmp_path):
    a = write_evaluation(tmp_path / "a", {"p1_1": 0.2, "p1_2": 0.4, "p2": 0.5})
    b = write_evaluation(tmp_path / "b", {"p1_1": 0.4, "p1_2": 0.8, "p2": 0.5})
    first, second = only(compare_results(a, b)).patient_differences
    assert (first.name, first.n) == ("p1", 2)
    assert (first.a, first.b, first.difference) == pytest.approx((0.3, 0.6, 0.3))
    assert (second.name, second.difference, second.n) == ("p2", 0.0, 1)


def test_swapping_flips_the_sign(pair):
    a, b = pair
    there, back = only(compare_results(a, b)), only(compare_results(b, a))
    assert there.difference == pytest.approx(-back.difference)
    assert there.patients.n_improved == back.patients.n_worse
    assert there.patients.wilcoxon.p == pytest.approx(back.patients.wilcoxon.p)
    ends = there.interval.low, there.interval.high
    assert ends == pytest.approx((-back.interval.high, -back.interval.low))


def test_a_shift_of_both_changes_no_difference(tmp_path, pair):
    a, b = (
        write_evaluation(
            tmp_path / f"shifted-{n}",
            {case: value + 0.05 for case, value in random_cases(n).items()},
        )
        for n in (0, 1)
    )
    shifted, plain = only(compare_results(a, b)), only(compare_results(*pair))
    assert shifted.difference == pytest.approx(plain.difference)
    assert shifted.patients.paired_t.p == pytest.approx(plain.patients.paired_t.p)
    assert shifted.patients.wilcoxon == plain.patients.wilcoxon


def test_the_same_seed_gives_the_same_record(pair):
    assert compare_results(*pair, seed=3) == compare_results(*pair, seed=3)
    intervals = [only(compare_results(*pair, seed=seed)).interval for seed in (3, 4)]
    assert intervals[0] != intervals[1]


def test_with_itself_nothing_differs(pair):
    found = compare_results(pair[0], pair[0])
    patients = only(found).patients
    assert patients.difference == 0.0
    assert patients.wilcoxon.p == 1.0
    assert patients.paired_t.p is None
    assert patients.n_equal == patients.n
    assert only(found).a != only(found).b


def test_what_cannot_be_paired_is_listed(tmp_path):
    a = write_evaluation(tmp_path / "a", {"p1": 0.5, "p2": 0.5, "p3": "", "p4": 0.1})
    b = write_evaluation(tmp_path / "b", {"p1": 0.6, "p5": 0.5, "p3": 0.4, "p4": 0.2})
    comparison = compare_results(a, b)
    unpaired = only(comparison).unpaired
    assert unpaired.only_a == ("p2",)
    assert unpaired.only_b == ("p5",)
    assert unpaired.undefined == ("p3",)
    text = as_markdown(comparison)
    assert "only in a: p2; only in b: p5; dice undefined: p3" in text
    assert "3 cases could not be paired" in text


def test_nothing_in_common_is_an_error(tmp_path):
    a = write_evaluation(tmp_path / "a", {"p1": 0.5})
    b = write_evaluation(tmp_path / "b", {"p2": 0.5})
    with pytest.raises(RunError, match="no case has dice in both a and b"):
        compare_results(a, b)


def test_lower_is_better_for_distances_and_errors(tmp_path):
    rows = {"p1": {"hd95_mm": 9, "volume_error_ml": -5}, "p2": {"hd95_mm": 8, "volume_error_ml": 1}}
    a = write_evaluation(tmp_path / "a", rows)
    rows = {"p1": {"hd95_mm": 7, "volume_error_ml": 2}, "p2": {"hd95_mm": 9, "volume_error_ml": 0}}
    b = write_evaluation(tmp_path / "b", rows)
    distance = only(compare_results(a, b, metric="hd95_mm"))
    assert distance.better == "lower"
    assert distance.patients.n_improved == 1
    error = compare_results(a, b, metric="volume_error_ml")
    # From |-5| to |2| and from |1| to |0|.
    assert only(error).difference == pytest.approx(-2.0)
    assert only(error).patients.n_improved == 2
    assert "Absolute values" in error.notes[0]


def test_a_metric_without_direction_has_no_winner(tmp_path):
    folder = write_evaluation(tmp_path / "a", {"p1": 1, "p2": 2})
    table = (folder / "cases.csv").read_text(encoding="utf-8").replace("hd95_mm", "volume_ml")
    table = table.replace(",1,,", ",1,5,").replace(",2,,", ",2,6,")
    (folder / "cases.csv").write_text(table, encoding="utf-8")
    found = compare_results(folder, folder, metric="volume_ml")
    assert only(found).patients.n_improved is None
    assert "Neither direction" in " ".join(found.notes)


@pytest.mark.parametrize("metric", ["beauty", "marker"])
def test_a_metric_that_is_no_number_is_refused(tmp_path, metric):
    folder = write_evaluation(tmp_path / "a", {"p1": {"dice": 1, "marker": "fusion"}})
    with pytest.raises(ConfigError, match=metric):
        compare_results(folder, folder, metric=metric)


@pytest.mark.parametrize("written", ["1_0", "٠.٨", "0x1", "0,8"])
def test_what_only_a_program_takes_for_a_number_is_none(tmp_path, written):
    folder = write_evaluation(tmp_path / "a", {"p1": {"dice": written}})
    with pytest.raises(ConfigError, match="no number"):
        compare_results(folder, folder)


@pytest.mark.parametrize(
    ("metric", "value"),
    [("dice", 7), ("dice", -0.1), ("hd95_mm", -1)],
)
def test_a_value_that_cannot_be_is_no_result(tmp_path, metric, value):
    folder = write_evaluation(tmp_path / "a", {"p1": {"dice": 0.5, metric: value}})
    with pytest.raises(RunError, match="which it cannot be"):
        compare_results(folder, folder, metric=metric)


def test_a_case_cannot_change_its_patient(tmp_path):
    a = write_evaluation(tmp_path / "a", {"s1": {"dice": 1, "patient_id": "x"}})
    b = write_evaluation(tmp_path / "b", {"s1": {"dice": 1, "patient_id": "y"}})
    with pytest.raises(RunError, match="patient x in one and y"):
        compare_results(a, b)


def test_twins_are_refused(tmp_path):
    folder = write_evaluation(tmp_path / "a", {"p1": 0.5})
    with (folder / "cases.csv").open("a", encoding="utf-8", newline="") as handle:
        csv.writer(handle).writerow(["p1", "p1", "", 0.4, "", ""])
    with pytest.raises(RunError, match="occurs twice"):
        compare_results(folder, folder)


def test_every_kind_of_folder_is_found(experiment, tmp_path):
    run_a, run_b = (experiment / "split-0" / arm for arm in ("single", "multitask"))
    by_run = only(compare_results(run_a, run_b))
    by_evaluation = only(
        compare_results(run_a / "evaluation" / "test", run_b / "evaluation" / "test")
    )
    predictions = tmp_path / "predictions"
    shutil.copytree(run_a / "evaluation" / "test", predictions / "evaluation")
    by_predictions = only(compare_results(predictions, run_b))
    assert by_run.difference == pytest.approx(0.1)
    assert by_run == by_evaluation
    assert by_predictions.patients == by_run.patients
    assert (by_run.a, by_run.b, by_run.part) == ("single", "multitask", "test")
    validation = only(compare_results(run_a, run_b, part="validation"))
    assert validation.difference == pytest.approx(0.02)


def test_an_arm_is_compared_over_all_its_splits(experiment):
    by_name = compare_results(Path(f"{experiment}:single"), Path(f"{experiment}:multitask"))
    by_glob = compare_results(
        experiment / "split-*" / "single", experiment / "split-*" / "multitask"
    )
    found = only(by_name)
    assert by_glob.contrasts == by_name.contrasts
    # Split means 0.1 and 0.02; p2 was tested in both and counts once, with its mean of 0.055.
    assert found.difference == pytest.approx(0.06)
    assert [d.difference for d in found.split_differences] == pytest.approx([0.1, 0.02])
    assert {d.name: d.difference for d in found.patient_differences} == pytest.approx(
        {"p1": 0.15, "p2": 0.055, "p3": -0.02}
    )
    assert found.splits.corrected_t.p > found.splits.paired_t.p
    # Two test and ten training cases in each split.json.
    assert found.test_to_train == pytest.approx(0.2)
    assert "splits, then patients" in found.interval.method


def test_split_10_comes_after_split_2(experiment):
    for arm in ("single", "multitask"):
        (experiment / "split-0" / arm).rename(experiment / arm)
        (experiment / "split-10").mkdir(exist_ok=True)
        (experiment / arm).rename(experiment / "split-10" / arm)
        (experiment / "split-2").mkdir(exist_ok=True)
        (experiment / "split-1" / arm).rename(experiment / "split-2" / arm)
    found = only(compare_results(Path(f"{experiment}:single"), Path(f"{experiment}:multitask")))
    assert [d.name for d in found.split_differences] == ["split-2", "split-10"]


def test_a_split_that_one_arm_lacks_is_listed(experiment):
    shutil.rmtree(experiment / "split-1" / "multitask")
    shutil.copytree(experiment / "split-0" / "multitask", experiment / "split-2" / "multitask")
    found = only(compare_results(Path(f"{experiment}:single"), Path(f"{experiment}:multitask")))
    assert found.unpaired.only_a == ("split-1/p2", "split-1/p3")
    assert found.unpaired.only_b == ("split-2/p1", "split-2/p2")
    assert found.splits is None


def test_paths_that_hold_nothing_are_named(experiment, tmp_path):
    fine = experiment / "split-0" / "single"
    (tmp_path / "empty").mkdir()
    for path, words in (
        (tmp_path / "nowhere", "no such folder"),
        (tmp_path / "empty", "plgg evaluate"),
        (experiment, "multitask"),
        (Path(f"{experiment}:third"), "no split has such an arm"),
        (experiment / "split-*" / "*", "several folders of one split"),
        (Path(f"{experiment}:single"), "has 2 splits"),
    ):
        with pytest.raises(RunError, match=words):
            compare_results(path, fine)


def test_json_holds_no_nan_and_gives_reasons(tmp_path):
    a = write_evaluation(tmp_path / "a", {"p1": 0.5})
    b = write_evaluation(tmp_path / "b", {"p1": 0.6})
    write_comparison(tmp_path / "found.json", compare_results(a, b))
    record = json.loads((tmp_path / "found.json").read_text(encoding="utf-8"))
    (contrast,) = record["contrasts"]
    assert record["format"] == "plgg-comparison"
    assert contrast["patients"]["sd"] is None
    assert contrast["patients"]["paired_t"]["note"] == "needs two differences or more"
    assert contrast["interval"]["reason"] == "needs two patients or more"


def test_rows_and_markdown_show_the_same_numbers(pair):
    comparison = compare_results(*pair, names=("old", "new"))
    found = statistics_table(comparison)
    header, rows = found.header, found.rows
    assert header == ("", "over 12 patients")
    assert rows[0][0] == "mean of old"
    text = as_markdown(comparison)
    assert text.startswith(f"{verdict(comparison.contrasts[0])}\n\n")
    assert "new is better than old by 0.004 Dice" in text
    assert "\n\nDice (higher is better): new − old = " in text
    for name, value in rows:
        assert f"| {name} | {value} |" in text
