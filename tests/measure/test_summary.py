"""summary.csv: one row a scan, whatever became of it."""

import csv
from dataclasses import dataclass

from measured import CLASSES, make_marker, make_result

from plgg.data.result import Result
from plgg.predict.summary import COLUMNS, summary_row, write_summary


@dataclass
class Outcome:
    case_id: str
    result: Result | None
    reason: str | None = None


def written(path, *outcomes):
    write_summary(path, outcomes)
    with path.open(newline="", encoding="utf-8") as handle:
        return list(csv.DictReader(handle))


def test_scans_and_failures_have_a_row_each_in_their_order(tmp_path):
    reason = 'a.nii.gz: is truncated, "oh".\nCopy it again.'
    rows = written(
        tmp_path / "summary.csv",
        Outcome("B", None, reason),
        Outcome("P01_a", make_result(warnings=("one", "two, three"))),
        Outcome("C", None),
    )
    assert [row["case_id"] for row in rows] == ["B", "P01_a", "C"]
    assert [row["status"] for row in rows] == ["failed", "done", "failed"]
    assert [row["reason"] for row in rows] == [reason, "", "not known"]
    assert rows[0]["volume_ml"] == rows[0]["p_fusion"] == ""
    assert rows[1]["warnings"] == "one; two, three"


def test_numbers_are_those_of_the_result(tmp_path):
    (row,) = written(tmp_path / "summary.csv", Outcome("P01_a", make_result()))
    assert list(row) == [*COLUMNS, *(f"p_{name}" for name in CLASSES)]
    assert (row["volume_ml"], row["volume_low_ml"], row["volume_high_ml"]) == (
        "20.0",
        "16.0",
        "25.0",
    )
    assert (row["largest_mm"], row["perpendicular_mm"], row["product_mm2"]) == (
        "40.0",
        "25.0",
        "1000.0",
    )
    assert (row["marker"], row["withheld"], row["p_fusion"]) == ("fusion", "false", "0.7")
    assert (row["expected_dice"], row["agreement"], row["n_components"]) == ("0.9", "0.95", "1")


def test_a_withheld_marker_is_not_named():
    row = summary_row(make_result(marker=make_marker(withheld=True)))
    assert (row["marker"], row["withheld"], row["p_fusion"]) == (None, True, 0.7)


def test_a_scan_without_tumour_or_marker_has_its_row(tmp_path):
    nothing = make_result(
        volume_ml=0.0, volume_interval=None, components=(), diameters=None, marker=None
    )
    (row,) = written(tmp_path / "summary.csv", Outcome("P01_a", nothing))
    assert (row["volume_ml"], row["n_components"], row["plane"]) == ("0.0", "0", "")
    assert list(row) == list(COLUMNS)


def test_no_scans_leave_a_header(tmp_path):
    assert written(tmp_path / "summary.csv") == []
    assert (tmp_path / "summary.csv").read_text().startswith("case_id,patient_id,status")
