"""Several arms, with failures: the page tells one story, and says the same thing everywhere."""

import shutil
from dataclasses import replace

import pytest
from make_experiment import make_experiment, make_store
from test_experiment_report import read

from plgg.data.experiment_folder import note_failure
from plgg.evaluate.compare.experiment import compare_experiment
from plgg.evaluate.experiment_records import read_experiment
from plgg.report.comparison import table1
from plgg.report.experiment.arms import forest_figure
from plgg.report.experiment.page import write_experiment_report
from plgg.report.experiment.sentences import gain, gain_sentences, is_significant, warnings

ARMS = ("single", "wide", "multitask", "best")
REASON = "the loss is nan in epoch 3, step 2"


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """Four arms on six splits of six patients; one run failed, one is not begun."""
    folder = tmp_path_factory.mktemp("several")
    store = make_store(folder / "store", names=[f"P{n:02d}" for n in range(6)])
    out = make_experiment(folder / "four", store, arms=ARMS, n_splits=6, epochs=2)
    failed = out / "split-5" / "best"
    shutil.rmtree(failed)
    failed.mkdir()
    note_failure(failed, REASON, "trace")
    shutil.rmtree(out / "split-4" / "best")
    return out


@pytest.fixture(scope="module")
def page(several):
    return read(write_experiment_report(several))


def test_the_page_is_whole(several, page):
    assert not page.unclosed
    assert (several / "report.html").stat().st_size < 4_000_000
    targets = [f"#{attrs['id']}" for _, attrs in page.tags if "id" in attrs]
    assert len(set(targets)) == len(targets)
    assert {a["href"] for a in page.all("a")} <= set(targets)
    assert all(len(image["alt"]) > 40 for image in page.all("img"))


def test_the_answer_comes_first(several):
    text = (several / "report.html").read_text(encoding="utf-8")
    order = ["In short</h2>", "Table 1: Dice", "What each arm gains", "Patient by patient</h2>"]
    order += ["Training</h2>", "All test scans</h2>", "What was run</h2>"]
    places = [text.index(words) for words in order]
    assert places == sorted(places)


def test_a_failed_run_is_named_once_with_its_reason(several, page):
    notes = [note for note in read_experiment(several).notes if "best" in note]
    assert notes == [f"Split 6, best: it failed ({REASON}).", "Split 5, best: not run yet."]
    assert f"failed: {REASON}" in page.text
    assert "Of 24 runs, 22 are done; 1 failed (best on split 6)" in page.text
    assert [attrs for attrs in page.all("details") if "open" in attrs]


def test_means_of_different_splits_are_warned_of(page, finished):
    assert "so the arms' means are of different patients" in page.text
    assert not [w for w in warnings(read_experiment(finished), ()) if "different patients" in w]


def test_many_runs_still_to_come_are_counted(several, tmp_path):
    begun = tmp_path / "begun"
    shutil.copytree(several / "split-0", begun / "split-0")
    shutil.rmtree(begun / "split-0" / "best" / "evaluation")
    shutil.copy(several / "experiment.json", begun)
    notes = read_experiment(begun).notes
    assert notes == ("Split 1, best: neither part is evaluated yet.", "20 runs are not run yet.")


def test_every_arm_has_its_verdict_beside_the_forest(several, page):
    for contrast in compare_experiment(several).on("test"):
        found = gain(contrast)
        assert found.verdict in page.text
        assert found.needed in page.text
    assert "All arms saw the same patients" in page.text


def test_the_forest_says_how_many_splits_an_arm_has(several):
    comparison = compare_experiment(several)
    axes = forest_figure(comparison.on("test"), comparison.arms).axes[0]
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert [n for n in names if n.endswith("splits")] == [
        "wide, 6 splits",
        "Multitask, 6 splits",
        "best, 4 splits",
    ]
    assert sum(name.startswith("split ") for name in names) == 6 + 6 + 4


def test_table_1_has_a_heading_for_each_arm(several):
    table = table1(compare_experiment(several))
    assert [name for name, _ in table.groups] == ["", "Single-task", "wide", "Multitask", "best"]
    assert sum(span for _, span in table.groups) == len(table.header) == len(table.rows[0])


def test_words_follow_the_adjusted_p(several):
    contrasts = compare_experiment(several).on("test")
    none = [replace(contrast, adjusted_p=0.2) for contrast in contrasts]
    assert gain_sentences(none) == [
        "None of the 3 other models is shown to be better or worse than the single-task model."
    ]
    up, down, open_ = (
        replace(contrasts[0], adjusted_p=0.01, difference=0.1),
        replace(contrasts[1], adjusted_p=0.01, difference=-0.1),
        replace(contrasts[2], adjusted_p=0.06),
    )
    assert gain_sentences([up, down, open_]) == [
        "Shown to be better than the single-task model: wide.",
        "Shown to be worse than the single-task model: multitask.",
        "For the others that is not settled.",
    ]
    assert gain_sentences([]) == []


def test_no_p_shows_nothing(several):
    contrast = compare_experiment(several).on("test")[0]
    assert not is_significant(replace(contrast, adjusted_p=None))
    one = replace(contrast, splits=None, adjusted_p=0.01)
    across = replace(one, interval=replace(one.interval, low=-0.1, high=0.2))
    assert not is_significant(across)
    assert is_significant(replace(one, interval=replace(one.interval, low=0.1, high=0.2)))


def test_no_word_on_the_page_contradicts_another(several, page):
    contrasts = compare_experiment(several).on("test")
    for contrast in contrasts:
        assert is_significant(contrast) == ("hardly chance" in gain(contrast).verdict)
    assert ("None of the 3 other models" in page.text) == (not any(map(is_significant, contrasts)))
