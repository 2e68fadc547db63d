"""Plain tables: the paper's own, several arms, parts, and tables that cannot be read."""

import pytest

from plgg import api
from plgg.core.errors import ConfigError, RunError
from plgg.evaluate.compare.table import compare_table
from plgg.report.comparison import as_markdown, statistics_table

PAPER_SINGLE = (0.62, 0.74, 0.75, 0.77, 0.78, 0.79)
PAPER_GAIN = (0.13, 0.01, 0.02, 0.01, 0.0, 0.0)


def write(path, *lines):
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


@pytest.fixture
def paper(tmp_path):
    rows = [
        f"Split {n},{a:.2f},{a + gain:.2f}"
        for n, (a, gain) in enumerate(zip(PAPER_SINGLE, PAPER_GAIN, strict=True), start=1)
    ]
    return write(tmp_path / "paper.csv", "split,single,multitask", *rows, "Mean ± SD,0.74,0.77")


def test_the_papers_table(paper):
    comparison = compare_table(paper)
    (contrast,) = comparison.contrasts
    found = contrast.splits
    assert (contrast.a, contrast.b, contrast.patients) == ("single", "multitask", None)
    assert found.n == 6
    assert found.difference == pytest.approx(0.028, abs=5e-4)
    assert found.paired_t.p == pytest.approx(0.23, abs=5e-3)
    assert found.wilcoxon.p == 0.125
    assert found.corrected_t.p == pytest.approx(0.40, abs=5e-3)
    assert (found.n_improved, found.n_equal, found.n_worse) == (4, 2, 0)
    assert contrast.interval.low < 0 < contrast.interval.high
    assert comparison.notes == ("The row 'Mean ± SD' is a summary and was left out.",)


def test_the_papers_table_in_words(paper):
    text = as_markdown(compare_table(paper))
    assert "multitask − single = +0.028" in text
    for cell in ("p = 0.227", "p = 0.125", "p = 0.404", "4 / 2 / 0"):
        assert cell in text


def test_size_of_the_parts_changes_only_the_corrected_test(paper):
    (small,) = compare_table(paper, test_to_train=0.0).contrasts
    (large,) = compare_table(paper, test_to_train=1.0).contrasts
    assert small.splits.corrected_t == small.splits.paired_t
    assert large.splits.paired_t == small.splits.paired_t
    assert large.splits.corrected_t.p > small.splits.corrected_t.p


def test_more_arms_are_each_compared_with_the_first(tmp_path):
    path = write(tmp_path / "t.csv", "Split;base;x;y", "1;0,5;0,6;0,4", "2;0,5;0,7;0,5")
    comparison = compare_table(path)
    assert [(c.a, c.b) for c in comparison.contrasts] == [("base", "x"), ("base", "y")]
    assert [c.difference for c in comparison.contrasts] == pytest.approx([0.15, -0.05])
    x, y = (contrast.splits.corrected_t.p for contrast in comparison.contrasts)
    assert x < y
    assert [c.adjusted_p for c in comparison.contrasts] == [min(1, 2 * x), max(min(1, 2 * x), y)]
    columns = statistics_table(comparison).header[1:]
    assert columns == ("x − base, over 2 splits", "y − base, over 2 splits")


@pytest.mark.parametrize(
    "header",
    [
        "split,single_validation,single_test,multitask_validation,multitask_test",
        "split,validation_single,test_single,validation_multitask,test_multitask",
    ],
)
def test_parts_as_columns(tmp_path, header):
    path = write(tmp_path / "t.csv", header, "1,0.1,0.5,0.2,0.6", "2,0.1,0.5,0.2,0.8")
    (test,) = compare_table(path).contrasts
    (validation,) = compare_table(path, part="validation").contrasts
    assert (test.a, test.b, test.part) == ("single", "multitask", "test")
    assert test.difference == pytest.approx(0.2)
    assert validation.difference == pytest.approx(0.1)


def test_parts_as_rows(tmp_path):
    lines = ("1,test,0.5,0.6", "1,validation,0.5,0.9", "2,test,0.5,0.8", "2,validation,0.5,0.9")
    path = write(tmp_path / "t.csv", "split,part,a,b", *lines)
    (test,) = compare_table(path).contrasts
    (validation,) = compare_table(path, part="validation").contrasts
    assert test.difference == pytest.approx(0.2)
    assert validation.difference == pytest.approx(0.4)
    assert validation.splits.paired_t.note == "the differences do not vary"


def test_blank_cells_are_listed(tmp_path):
    path = write(tmp_path / "t.csv", "split,a,b", "1,0.5,0.6", "2,,0.6", "3,0.5,", "4,,", "5,0.5,1")
    (contrast,) = compare_table(path).contrasts
    assert contrast.splits.n == 2
    unpaired = contrast.unpaired
    assert (unpaired.only_b, unpaired.only_a, unpaired.undefined) == (("2",), ("3",), ("4",))


def test_a_stray_column_is_noted(tmp_path):
    path = write(tmp_path / "t.csv", "split,a_test,b_test,seed", "1,0.5,0.6,7", "2,0.5,0.7,8")
    assert "'seed' belongs to no part" in compare_table(path).notes[0]


def test_one_split_has_no_test(tmp_path):
    comparison = compare_table(write(tmp_path / "t.csv", "split,a,b", "1,0.5,0.6"))
    (contrast,) = comparison.contrasts
    assert contrast.splits is None
    assert contrast.difference == pytest.approx(0.1)
    assert "needs two differences or more" in as_markdown(comparison)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        ((), "needs a column 'split'"),
        (("a,b", "1,2"), "needs a column 'split'"),
        (("split,a", "1,0.5"), "needs two arms"),
        (("split,a,b",), "no rows"),
        (("split,a,b", "1,1,1", "1,1,1"), "occurs twice"),
        (("split,a,b", "1,1,many"), "'many' is no number"),
        (("split,a,b", "1,1,inf"), "'inf' is no number"),
        (("split,a,b", "1,1,nan"), "no split has both"),
        (("split,a,b", "1,,0.5"), "no split has both"),
    ],
)
def test_other_tables_are_refused_in_one_line(tmp_path, lines, words):
    path = write(tmp_path / "t.csv", *lines)
    with pytest.raises(RunError, match=words) as caught:
        compare_table(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_part_that_is_not_there_is_refused(paper, tmp_path):
    with pytest.raises(RunError, match="tells no parts"):
        compare_table(paper, part="test")
    path = write(tmp_path / "t.csv", "split,a_test,b_test", "1,0.5,0.6")
    with pytest.raises(RunError, match="needs two arms of the part 'validation'"):
        compare_table(path, part="validation")


def test_a_folder_is_no_table(tmp_path):
    with pytest.raises(RunError, match="is a folder"):
        compare_table(tmp_path)


def test_a_baseline_is_not_passed_over_where_it_means_nothing(paper):
    for second in (None, paper):
        with pytest.raises(ConfigError, match="--baseline goes with an experiment alone"):
            api.compare(paper, second, baseline="multitask")


@pytest.mark.parametrize("value", ["55", "1e308", "-0.1"])
def test_what_no_dice_can_be_is_refused(tmp_path, value):
    path = tmp_path / "table.csv"
    path.write_text(f"split,a,b\n1,0.5,{value}\n2,0.5,0.6\n")
    with pytest.raises(RunError, match=r"is no value of dice, which lies from 0 to 1"):
        compare_table(path)
