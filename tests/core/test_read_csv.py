"""One reader for all tables: what it takes, and that nothing is misread without a word."""

import contextlib
import csv
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plgg.core.errors import ManifestError, PlggError, RunError
from plgg.core.tables import column_key, is_suspicious, known, read_csv
from plgg.data.layouts import labels as tables
from plgg.data.manifest import read_manifest
from plgg.evaluate.compare.table import compare_table

READERS = [
    lambda path: read_csv(path, error=ManifestError),
    read_manifest,
    tables.read_table,
    compare_table,
]


def written(tmp_path, content, name="table.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("reader", READERS)
@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("patient_id,flair,split\nP1,f\0,1\n", "line 2: holds NUL bytes"),
        ("patient_id,flair,split\n".encode("utf-16-le"), "line 1: holds NUL bytes"),
        (b"patient_id,flair,split\nP1,\xff\xfe,1\n", "no text|as text"),
        ('patient_id,flair,split\nP1,"f,1\n', "line 2: .*never closed"),
        ('patient_id,flair,split\nP1,"f"g,1\n', "line 2: .*follows a closing quotation mark"),
        (f"patient_id,flair,split\nP1,{'x' * 200_000},1\n", "line 2: .*more than 131,072"),
        ("patient_id,flair,split\nP1,f,1,2\n", "line 2: has 4 cells.*3 columns"),
        ("patient_id,flair,split\nP1,f,1\npatient_id,flair,split\n", "line 3: repeats the header"),
        ("patient_id,flair,split,flair\nP1,f,1,g\n", "line 1: has the column 'flair' and 'flair'"),
    ],
)  # fmt: skip
def test_what_could_be_misread_is_refused_in_one_line(tmp_path, reader, content, words):
    path = written(tmp_path, content)
    with pytest.raises(PlggError, match=words) as caught:
        reader(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("first", ["sep=;\n", "SEP=;\r\n", '"sep=;"\r', "\ufeffsep=;\n"])
def test_the_line_that_tells_a_spreadsheet_the_delimiter_is_no_header(tmp_path, first):
    table = read_csv(written(tmp_path, f"{first}a;b\n1,5;2\n"), error=ManifestError)
    assert table.rows() == [{"a": "1,5", "b": "2"}]
    assert [line.number for line in table.lines] == [3]


def test_a_table_that_begins_with_a_remark_is_told_so(tmp_path):
    with pytest.raises(ManifestError, match=r"header has 1 column\. Begin the file with the names"):
        read_csv(written(tmp_path, "# my cohort\na,b\n1,2\n"), error=ManifestError)


@pytest.mark.parametrize("reader", READERS)
def test_what_is_no_regular_file_is_refused_without_waiting(tmp_path, reader):
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(PlggError, match="cannot be read as a table"):
        reader(tmp_path / "pipe.csv")
    with pytest.raises(PlggError, match="is a folder"):
        reader(tmp_path)
    with pytest.raises(PlggError, match="no such file"):
        reader(tmp_path / "none.csv")


@pytest.mark.parametrize("twin", ["marker", "Marker", " MARKER ", "\ufeffmarker", "marker\u00a0"])
def test_a_marker_column_twice_is_refused_by_name(tmp_path, twin):
    text = f"patient_id,flair,marker,{twin}\nP1,f,A,B\n"
    for reader in (read_manifest, tables.read_table):
        with pytest.raises(ManifestError, match=r"has the column 'marker' and '.*twice"):
            reader(written(tmp_path, text))


@pytest.mark.parametrize("name", ["patient_id", "flair", "mask", "scan id", "site", "Age Years"])
def test_any_column_that_is_read_may_stand_there_once(tmp_path, name):
    header = "patient_id,flair,mask,marker,scan_id,site,age_years,sex"
    with pytest.raises(ManifestError, match="twice"):
        read_manifest(written(tmp_path, f"{header},{name}\nP1,f\n"))


def test_columns_that_a_manifest_does_not_read_are_left_alone(tmp_path):
    (case,) = read_manifest(written(tmp_path, "patient_id,flair,notes,notes,,\nP1,f,a,b,,\n"))
    assert case.patient_id == "P1"


def test_scores_of_two_classes_that_differ_in_case_are_two_columns(tmp_path):
    path = written(tmp_path, "case_id,p_a,p_A\nx,0.1,0.9\n")
    assert read_csv(path, error=RunError, key=str).rows() == [
        {"case_id": "x", "p_a": "0.1", "p_A": "0.9"}
    ]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("last", ["", "end"])
def test_any_line_end_with_or_without_the_last(tmp_path, end, last):
    text = end.join(("a;b", "1;2", ";;;", "", '"x;y";3')) + (end if last else "")
    table = read_csv(written(tmp_path, text), error=ManifestError)
    assert table.rows() == [{"a": "1", "b": "2"}, {"a": "x;y", "b": "3"}]
    assert [line.number for line in table.lines] == [2, 5]


def test_a_delimiter_within_quotes_does_not_choose_it(tmp_path):
    table = read_csv(written(tmp_path, '"a, or, b";c\n1;2\n'), error=ManifestError)
    assert table.header == ("a, or, b", "c")


def test_keys_forgive_case_and_blanks_only():
    assert column_key(" Scan \u00a0ID\ufeff") == "scan_id"
    assert column_key("BRAF+") != column_key("BRAF-")


@settings(deadline=None, max_examples=200)
@given(st.text("ab,;\t\"'\n\r\0é=x1", max_size=60) | st.binary(max_size=60))
def test_any_bytes_are_a_table_or_are_refused(tmp_path_factory, content):
    path = written(tmp_path_factory.mktemp("csv"), content)
    for reader in READERS:
        with contextlib.suppress(PlggError):
            reader(path)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(st.text("ab ,;\"'é", max_size=5), min_size=3, max_size=3), max_size=4))
def test_what_the_csv_module_writes_is_read_back(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("csv") / "t.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        csv.writer(handle).writerows([["x", "y", "z"], *rows])
    wanted = [[cell.strip() for cell in row] for row in rows if any(cell.strip() for cell in row)]
    assert [list(line.cells) for line in read_csv(path, error=RunError).lines] == wanted


PLACEHOLDERS = [
    "[Not Available]", "#N/A", "not tested", "pending", "n.d.", "NA", "n/a", "N.A.", "-", "--", "–",
    "?", "???", "unknown", "[Unknown]", "[Not Applicable]", "NaN", "none", "null", ".", "tbd",
    "[Discrepancy]", "Not_Tested", "NOT-DONE", "(unknown)", "<NA>", "#REF!", "#VALUE!", "_", "Unk.",
    "unbekannt", "不明", "", "  ",
]  # fmt: skip


@pytest.mark.parametrize("text", PLACEHOLDERS)
def test_a_placeholder_is_unknown_in_every_table(tmp_path, text):
    assert known(text) is None
    cell = f'"{text}"'
    (case,) = read_manifest(
        written(
            tmp_path,
            "patient_id,flair,mask,marker,scan_id,site,age_years,sex\n"
            f"P1,f,{cell},{cell},{cell},{cell},{cell},{cell}\n",
        )
    )
    assert (case.case_id, case.mask, case.marker) == ("P1", None, None)
    assert (case.site, case.age_years, case.sex) == (None, None, None)
    (row,) = tables.read_table(written(tmp_path, f"patient_id,marker,age\nP1,{cell},{cell}\n"))
    assert (row["marker"], row["age"]) == ("", "")
    found = compare_table(written(tmp_path, f"split,a,b\n1,0.1,0.2\n2,0.1,0.3\n3,0.1,{cell}\n"))
    assert found.contrasts[0].difference == pytest.approx(0.15)


@pytest.mark.parametrize(
    "text",
    ["BRAF fusion", "V600E", "wt", "NF1", "0", "1", "+", "*", "other", "negative", "No", "A",
     "IDHmut-codel", "KIAA1549-BRAF", "GA", "SA", "TCGA-DU", "Nantes", "1p/19q"],
)  # fmt: skip
def test_a_value_is_known_and_not_suspicious(text):
    assert known(text) == text
    assert not is_suspicious(text)


@pytest.mark.parametrize(
    "text",
    ["BRAF fusion?", "[BRAF]", "inconclusive", "-9", "-999.0", "99", "999", "result pending (lab)",
     "failed QC", "test not performed", "probably unknown"],
)  # fmt: skip
def test_a_value_in_doubt_is_known_and_suspicious(text):
    assert known(text) == text
    assert is_suspicious(text)
