"""Experiments: scores, statistics, the paper's Table 1, and experiments that are not complete."""

import json
import os
import shutil
from pathlib import Path

import pytest
from scored import write_experiment

from plgg import api
from plgg.core.errors import ConfigError, RunError
from plgg.data.experiment_folder import read_about, read_choice
from plgg.evaluate.compare.contrast import compare_results
from plgg.evaluate.compare.experiment import compare_experiment
from plgg.evaluate.compare.table import compare_table
from plgg.report.comparison import as_markdown, statistics_table, write_comparison, write_table1


def test_scores_by_hand(experiment):
    found = compare_experiment(experiment)
    assert (found.arms, found.splits, found.missing) == (("single", "multitask"), (0, 1), ())
    single, multitask = found.of("single", "test"), found.of("multitask", "test")
    assert single.dice.values == pytest.approx((0.6, 0.7))
    assert multitask.dice.values == pytest.approx((0.7, 0.72))
    assert multitask.dice.mean == pytest.approx(0.71)
    assert multitask.dice.sd == pytest.approx(0.02 / 2**0.5)
    assert found.of("multitask", "validation").dice.values == pytest.approx((0.77, 0.55))
    assert multitask.marker_auc.mean == 0.75
    assert single.marker_auc.values == (None, None)
    assert single.marker_auc.mean is None


def test_statistics_over_splits_and_patients(experiment):
    found = compare_experiment(experiment)
    (test,), (validation,) = found.on("test"), found.on("validation")
    assert found.won == {"multitask": 2}
    assert test.difference == pytest.approx(0.06)
    assert test.splits.n == 2
    assert test.patients.n == 3
    assert test.interval.low <= test.difference <= test.interval.high
    assert validation.difference == pytest.approx((0.02 - 0.05) / 2)
    assert validation.splits.n_worse == 1
    assert "corrected t test is the one to go by" in found.notes[0]


def test_the_same_seed_gives_the_same_record(experiment):
    assert compare_experiment(experiment, seed=2) == compare_experiment(experiment, seed=2)


def test_table_1(experiment):
    markdown, table = write_table1(experiment, compare_experiment(experiment))
    text = markdown.read_text(encoding="utf-8")
    assert "| Single-task validation | Single-task test | Multitask validation |" in text
    assert "| Split 1 | 0.750 | 0.600 | 0.770 | 0.700 |" in text
    assert "| Split 2 | 0.600 | 0.700 | 0.550 | 0.720 |" in text
    assert "| Mean ± SD | 0.675 ± 0.106 | 0.650 ± 0.071 |" in text
    assert "Δ = +0.060" in text
    assert "Multitask won 2 of 2." in text
    assert "Nadeau–Bengio-corrected t p = " in text
    assert "do not show a difference" in text
    assert "Marker AUC on test: Multitask 0.750" in text
    assert table.read_text(encoding="utf-8").splitlines() == [
        "split,single_validation,single_test,multitask_validation,multitask_test",
        "1,0.750000,0.600000,0.770000,0.700000",
        "2,0.600000,0.700000,0.550000,0.720000",
    ]


def test_table_1_can_be_compared_again(experiment):
    comparison = compare_experiment(experiment)
    _, table = write_table1(experiment, comparison)
    for part in ("test", "validation"):
        (again,), (before,) = compare_table(table, part=part).contrasts, comparison.on(part)
        assert again.difference == pytest.approx(before.difference)
        assert again.splits.paired_t.p == pytest.approx(before.splits.paired_t.p, rel=1e-6)


def test_json_and_text(experiment, tmp_path):
    found = compare_experiment(experiment)
    write_comparison(tmp_path / "comparison.json", found)
    record = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert record["format"] == "plgg-experiment-comparison"
    assert record["won"] == {"multitask": 2}
    assert record["scores"][0]["marker_auc"]["values"] == [None, None]
    header = statistics_table(found).header
    assert header[1] == "multitask − single, test, over 3 patients"
    assert len(header) == 5
    assert as_markdown(found).count("95 % interval") == 3


def test_one_split_says_that_no_test_is_possible(tmp_path):
    rows = {"validation": {"v1": 0.5, "v2": 0.6}, "test": {"p1": 0.5, "p2": 0.6, "p3": 0.7}}
    better = {part: {case: v + 0.1 * v for case, v in of.items()} for part, of in rows.items()}
    arms = {"single": [rows], "multitask": [better]}
    folder = write_experiment(tmp_path / "one", arms, n_splits=1)
    found = compare_experiment(folder)
    (test,) = found.on("test")
    assert test.splits is None
    assert test.interval.method == "bootstrap over patients"
    markdown, _ = write_table1(folder, found)
    text = markdown.read_text(encoding="utf-8")
    assert "no test over splits is possible" in text
    assert "Multitask won 1 of 1." in text
    assert "| Mean ± SD | 0.550 |" in text


def test_what_is_not_there_yet_is_listed(experiment):
    shutil.rmtree(experiment / "split-1" / "multitask")
    found = compare_experiment(experiment)
    assert found.missing == ("split-1/multitask/test", "split-1/multitask/validation")
    assert found.of("multitask", "test").dice.values == (pytest.approx(0.7), None)
    (test,) = found.on("test")
    assert test.difference == pytest.approx(0.1)
    markdown, table = write_table1(experiment, found)
    assert "Not there yet" in markdown.read_text(encoding="utf-8")
    assert table.read_text(encoding="utf-8").endswith("2,0.600000,0.700000,,\n")


def test_one_arm_has_a_table_and_nothing_to_compare(tmp_path):
    parts = {"validation": {"v1": 0.5}, "test": {"p1": 0.5}}
    folder = write_experiment(tmp_path / "one", {"multitask": [parts]}, n_splits=1)
    found = compare_experiment(folder)
    assert found.contrasts == ()
    markdown, _ = write_table1(folder, found)
    assert "nothing to compare" in markdown.read_text(encoding="utf-8")
    assert "nothing to compare" in as_markdown(found)


def test_three_arms(experiment):
    record = json.loads((experiment / "experiment.json").read_text(encoding="utf-8"))
    record["arms"].append("third")
    (experiment / "experiment.json").write_text(json.dumps(record), encoding="utf-8")
    for k in (0, 1):
        shutil.copytree(experiment / f"split-{k}/single", experiment / f"split-{k}/third")
    found = compare_experiment(experiment)
    assert found.won == {"multitask": 2, "third": 0}
    assert "for comparing 2 arms with single" in found.notes[1]
    markdown, _ = write_table1(experiment, found)
    assert "third won 0 of 2 (equal in 2)." in markdown.read_text(encoding="utf-8")
    other = compare_experiment(experiment, baseline="multitask")
    assert other.arms == ("multitask", "single", "third")
    by_arm = {(c.a, c.b): c.difference for c in other.on("test")}
    assert by_arm["multitask", "single"] == pytest.approx(-found.on("test")[0].difference)
    with pytest.raises(RunError, match=r"no arm 'fourth'.*Choose single, multitask, third"):
        compare_experiment(experiment, baseline="fourth")


def test_what_is_no_experiment_is_refused(tmp_path):
    with pytest.raises(RunError, match="is no experiment"):
        compare_experiment(tmp_path)
    (tmp_path / "experiment.json").write_text("{", encoding="utf-8")
    with pytest.raises(RunError, match="cannot be read"):
        compare_experiment(tmp_path)
    record = {"arms": ["single", "multitask"], "n_splits": 2}
    (tmp_path / "experiment.json").write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(RunError, match="nothing is evaluated yet"):
        compare_experiment(tmp_path)


def split_of(experiment, k, arm, parts):
    path = experiment / f"split-{k}" / arm / "split.json"
    path.write_text(json.dumps(parts))
    return path


def draw(experiment):
    """The splits that the scored cases belong to."""
    first = {"train": ["t1", "t2"], "validation": ["v1", "v2"], "test": ["p1", "p2"]}
    second = {"train": ["t1", "t3"], "validation": ["v3", "v4"], "test": ["p2", "p3"]}
    for arm in ("single", "multitask"):
        split_of(experiment, 0, arm, first)
        split_of(experiment, 1, arm, second)


def test_another_part_in_the_place_of_the_test_is_refused(experiment):
    draw(experiment)
    compare_experiment(experiment)
    evaluation = experiment / "split-0" / "single" / "evaluation"
    shutil.rmtree(evaluation / "test")
    shutil.copytree(evaluation / "validation", evaluation / "test")
    with pytest.raises(RunError, match=r"scores v1, v2, which .* does not list under test"):
        compare_experiment(experiment)


def test_arms_that_were_split_otherwise_are_refused(experiment):
    draw(experiment)
    parts = {"train": ["t1"], "validation": ["v1", "v2"], "test": ["p1", "p2"]}
    split_of(experiment, 0, "multitask", parts)
    with pytest.raises(RunError, match=r"multitask/split\.json: does not list the patients"):
        compare_experiment(experiment)


def test_text_names_what_is_not_there(experiment):
    some = [Path(f"{experiment}/split-[0]*/{arm}") for arm in ("single", "multitask")]
    assert "Not there yet" not in as_markdown(compare_results(*some))
    shutil.rmtree(experiment / "split-1" / "multitask")
    assert "Not there yet" in as_markdown(compare_experiment(experiment))
    shutil.rmtree(experiment / "split-1" / "single")
    arms = (Path(f"{experiment}:{arm}") for arm in ("single", "multitask"))
    assert "Not there yet, and left out: split-1." in as_markdown(compare_results(*arms))


def test_an_experiment_is_compared_by_dice_alone(experiment):
    with pytest.raises(ConfigError, match=r"by Dice, not by hd95_mm.*:ARM"):
        api.compare(experiment, metric="hd95_mm")


def test_a_damaged_choice_is_said(tmp_path, caplog):
    record = {"point": "a=1", "scores": {"a=1": 0.5, "a=2": 0.7}}
    path = tmp_path / "choice.json"
    path.write_text(json.dumps(record))
    assert read_choice(tmp_path) is None
    assert "choice.json is passed over" in caplog.text
    path.write_text(json.dumps(record | {"point": "a=2"}))
    assert read_choice(tmp_path).point == "a=2"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_for_the_words_on_patients_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "about.txt")
    assert read_about(tmp_path) == ()
