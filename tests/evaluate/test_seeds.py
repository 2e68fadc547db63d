"""Seeds as a factor: averaged by patient first, and told apart from splits and patients."""

import json
import math

import numpy as np
import pytest
from scored import write_evaluation, write_experiment

from plgg.core.errors import ConfigError
from plgg.data.experiment_folder import (
    arm_folder,
    failures,
    note_failure,
    read_experiment,
)
from plgg.data.experiment_folder import (
    write_experiment as write_plan,
)
from plgg.evaluate.compare.contrast import compare_results
from plgg.evaluate.compare.experiment import compare_experiment
from plgg.evaluate.compare.seeds import spread
from plgg.experiment.options import Design
from plgg.report.comparison import as_markdown, spreads_table, write_table1

# Of each arm and seed the test Dice of four patients on three splits.
PATIENTS = ("P1", "P2", "P3", "P4")


def seeded(folder, arms, *, n_splits=3, n_seeds=2, auc=None):
    """An experiment; `arms[arm](split, seed, patient)` gives the Dice."""

    def scores(arm, split, seed):
        return {p: arms[arm](split, seed, n) for n, p in enumerate(PATIENTS)}

    first = {
        arm: [{"test": scores(arm, k, 0), "validation": scores(arm, k, 0)} for k in range(n_splits)]
        for arm in arms
    }
    write_experiment(folder, first, n_splits=n_splits)
    record = json.loads((folder / "experiment.json").read_text(encoding="utf-8"))
    record |= {"version": 2, "n_seeds": n_seeds}
    (folder / "experiment.json").write_text(json.dumps(record), encoding="utf-8")
    for seed in range(1, n_seeds):
        for arm in arms:
            for k in range(n_splits):
                run = arm_folder(folder, k, arm, seed)
                for part in ("test", "validation"):
                    write_evaluation(run / "evaluation" / part, scores(arm, k, seed), auc=auc)
    return folder


def plain(split, seed, n):
    return 0.5 + 0.1 * n + 0.02 * split + 0.04 * seed


def better(split, seed, n):
    return plain(split, seed, n) + 0.1 + 0.001 * split - 0.02 * seed


def test_a_patient_is_averaged_over_seeds_before_anything_else(tmp_path):
    folder = seeded(tmp_path / "out", {"single": plain, "multitask": better})
    found = compare_experiment(folder)
    assert found.n_seeds == 2
    expected = [np.mean([plain(k, s, n) for s in (0, 1) for n in range(4)]) for k in range(3)]
    assert found.of("single", "test").dice.values == pytest.approx(expected)
    (test,) = found.on("test")
    assert test.difference == pytest.approx(0.09 + 0.001)
    # Seeds are no trials: three splits and four patients, as with one seed.
    assert test.splits.n == 3
    assert test.patients.n == 4
    assert test.patient_differences[0].a == pytest.approx(0.5 + 0.02 + 0.02)
    assert "means over 2 seeds" in " ".join(found.notes)


def test_comparing_two_arms_by_name_gives_the_same(tmp_path):
    folder = seeded(tmp_path / "out", {"single": plain, "multitask": better})
    (whole,) = compare_experiment(folder).on("test")
    named = (folder.parent / f"out:{arm}" for arm in ("single", "multitask"))
    (pair,) = compare_results(*named).contrasts
    assert pair.difference == pytest.approx(whole.difference)
    assert pair.splits.corrected_t.p == pytest.approx(whole.splits.corrected_t.p)
    assert (pair.splits.n, pair.patients.n) == (3, 4)
    for one, other in zip(pair.patient_differences, whole.patient_differences, strict=True):
        assert one.name == other.name
        assert (one.a, one.b) == (pytest.approx(other.a), pytest.approx(other.b))


def test_only_seeds_that_both_arms_have_are_compared(tmp_path):
    folder = seeded(tmp_path / "out", {"single": plain, "multitask": better})
    lost = arm_folder(folder, 1, "multitask", 1) / "evaluation" / "test" / "cases.csv"
    lost.unlink()
    found = compare_experiment(folder)
    assert found.missing == ("seed-1/split-1/multitask/test",)
    (test,) = found.on("test")
    assert test.split_differences[1].difference == pytest.approx(0.101)
    assert test.split_differences[0].difference == pytest.approx(0.09)


def test_variance_components_of_a_table_by_hand():
    # Two splits, two seeds, two patients.
    splits = [
        [{"a": 0.2, "b": 0.6}, {"a": 0.4, "b": 0.8}],
        [{"a": 0.5, "b": 0.7}, {"a": 0.5, "b": 0.7}],
    ]
    found = spread("arm", splits)
    assert found.n_seeds == 2
    # Means 0.4 and 0.6, 0.6 and 0.6: squares 0.02 and 0 by one degree of freedom each.
    assert found.seeds == pytest.approx(math.sqrt(0.02 / 2))
    # Means over seeds 0.5 and 0.6: variance 0.005, of which chance in training makes up 0.01 / 2.
    assert found.splits == pytest.approx(0.0, abs=1e-6)
    # Patients 0.3 and 0.7, 0.5 and 0.7.
    assert found.patients == pytest.approx(math.sqrt((0.08 + 0.02) / 2))


@pytest.mark.parametrize(("seeds", "splits", "patients"), [(0.05, 0.1, 0.2), (0.2, 0.01, 0.05)])
def test_what_was_put_in_is_found_again(seeds, splits, patients):
    rng = np.random.default_rng(0)
    made = []
    for _ in range(400):
        middle = rng.normal(0.5, splits)
        people = rng.normal(0, patients, 20)
        # The patients of a split are drawn as well: that, too, moves its mean.
        people -= people.mean()
        runs = [middle + rng.normal(0, seeds) + people for _ in range(3)]
        made.append([dict(enumerate(run)) for run in runs])
    found = spread("arm", made)
    assert found.seeds == pytest.approx(seeds, rel=0.1)
    assert found.patients == pytest.approx(patients, rel=0.1)
    assert found.splits == pytest.approx(splits, rel=0.1, abs=0.05)


def test_one_seed_leaves_chance_in_training_unknown():
    found = spread("arm", [[{"a": 0.2, "b": 0.6}]])
    assert (found.seeds, found.splits) == (None, None)
    assert spread("arm", [[], []]).patients is None


def test_the_table_and_the_text_tell_them(tmp_path):
    folder = seeded(tmp_path / "out", {"single": plain, "multitask": better})
    found = compare_experiment(folder)
    assert [one.name for one in found.spreads] == ["single", "multitask", "multitask − single"]
    # Every run of the second seed is better by 0.04, and by 0.02: two values apart.
    sizes = [one.seeds for one in found.spreads]
    assert sizes == pytest.approx([0.04 / 2**0.5, 0.02 / 2**0.5, 0.02 / 2**0.5])
    assert spreads_table(found).rows[0][:2] == ("Single-task", "0.028")
    markdown, table = write_table1(folder, found)
    for text in (markdown.read_text(encoding="utf-8"), as_markdown(found)):
        assert "chance in training" in text
    assert len(table.read_text(encoding="utf-8").splitlines()) == 4
    assert found.as_json()["spreads"][0]["seeds"] == pytest.approx(0.04 / 2**0.5)


def test_without_seeds_nothing_is_written_of_them(tmp_path):
    folder = seeded(tmp_path / "out", {"single": plain, "multitask": better}, n_seeds=1)
    record = compare_experiment(folder).as_json()
    assert not {"n_seeds", "spreads", "marker"} & set(record)
    write_plan(folder, read_experiment(folder))
    assert "n_seeds" not in json.loads((folder / "experiment.json").read_text(encoding="utf-8"))


def test_a_failure_of_any_seed_is_told(tmp_path):
    folder = seeded(tmp_path / "out", {"single": plain})
    note_failure(arm_folder(folder, 0, "single", 1), "the disk is full", "trace")
    assert failures(folder) == {"seed-1/split-0/single": "the disk is full"}


@pytest.mark.parametrize("seeds", [0, -1, 101])
def test_a_number_of_seeds_that_is_none_is_refused(seeds):
    with pytest.raises(ConfigError, match="seeds"):
        Design(seeds=seeds)


def worse(split, seed, n):
    return plain(split, seed, n) - 0.1 - 0.001 * split


def unsure(split, seed, n):
    return plain(split, seed, n) + 0.05 * (-1) ** split


CAN = {
    better: ("The marker can help the outline here", "better"),
    worse: ("Nothing says that the marker can help", "worse"),
    unsure: ("That the marker can help the outline here is not shown", "not shown"),
}
DID = {
    better: "learning it beside the outline did help",
    worse: "learning it beside the outline did harm",
    unsure: "that learning it beside the outline helped is not shown",
}


@pytest.mark.parametrize("multitask", DID)
@pytest.mark.parametrize("oracle", CAN)
def test_whether_the_marker_can_help_and_did(tmp_path, oracle, multitask):
    arms = {"single": plain, "multitask": multitask, "oracle": oracle}
    folder = seeded(tmp_path / "out", arms)
    found = compare_experiment(folder)
    answer = found.marker
    can, shown = CAN[oracle]
    assert answer.sentence.startswith(can)
    assert DID[multitask] in answer.sentence
    assert ("does not mean absent" in answer.sentence) == (unsure in (oracle, multitask))
    assert answer.can_help.shown == shown
    contrast = next(c for c in found.on("test") if c.b == "oracle")
    assert answer.can_help.difference == contrast.difference
    assert answer.can_help.p == contrast.adjusted_p
    assert answer.can_help.low == contrast.splits.interval.low
    assert f"corrected p = {contrast.adjusted_p:.3f}" in answer.sentence
    markdown, _ = write_table1(folder, found)
    assert can in markdown.read_text(encoding="utf-8")
    assert found.as_json()["marker"]["can_help"]["shown"] == shown


def test_the_question_is_asked_against_single_whatever_the_baseline(tmp_path):
    arms = {"multitask": better, "single": plain, "oracle": better}
    folder = seeded(tmp_path / "out", arms)
    found = compare_experiment(folder)
    assert found.arms[0] == "multitask"
    assert found.marker.can_help.difference == pytest.approx(0.091)
    assert found.marker.did_help.difference == pytest.approx(0.091)
    again = compare_experiment(folder, baseline="single").marker
    assert again.can_help.p == found.marker.can_help.p


def test_without_an_oracle_the_question_is_not_asked_and_without_multitask_half_of_it(tmp_path):
    usual = seeded(tmp_path / "a", {"single": plain, "multitask": better})
    assert compare_experiment(usual).marker is None
    found = compare_experiment(seeded(tmp_path / "b", {"single": plain, "oracle": better}))
    assert found.marker.did_help is None
    assert "learning it" not in found.marker.sentence


def test_one_split_says_so(tmp_path):
    folder = seeded(tmp_path / "out", {"single": plain, "oracle": unsure}, n_splits=1)
    answer = compare_experiment(folder).marker
    assert "Wilcoxon p over patients" in answer.sentence
    assert "One split cannot tell" in answer.sentence
