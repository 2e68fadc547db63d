"""Several earlier predictions of one patient: one timeline, through the real command."""

import json
from datetime import date
from pathlib import Path

import jsonschema
import pytest

from helper import ODD_AFFINES, blob_brain, write_nifti
from plgg.core.files import write_json
from plgg.data.result import read_result
from plgg.data.store_records import Cohort
from plgg.data.store_writing import write_cohort
from plgg.predict.ensemble import build_ensemble
from plgg.predict.member import load_member
from plgg.predict.scan import Predictor, predict_scans
from plgg.predict.source import find_scans
from program import one_line, plgg
from runs import CLASSES, make_run
from tiny import SPACING_MM, blob_case, stored_case, write_tiny_case

ROOT = Path(__file__).parents[2]
DATES = ("2024-01-01", "2024-04-01", "2024-07-01")


def predictor_of(run, **options):
    return Predictor(build_ensemble([load_member(run)]), **options)


def predict(predictor, out, *paths):
    return predict_scans(find_scans(paths), predictor, out)


def times(folder):
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


@pytest.fixture(scope="module")
def visits(tmp_path_factory):
    """Three scans of one patient, two of them predicted; stores need no registration."""
    folder = tmp_path_factory.mktemp("visits")
    predictor = predictor_of(make_run(folder / "run"))
    for n in range(3):
        _store(folder / f"store{n}", n)
    for n in range(2):
        predict(predictor, folder / "out", folder / f"store{n}")
        _date(folder / "out" / f"v{n}", DATES[n])
    return folder


def _store(folder, n):
    case = stored_case(f"v{n}", patient_id="P")
    image, mask = blob_case(seed=n)
    write_tiny_case(folder, case, image=image, mask=mask)
    write_cohort(folder, Cohort(spacing_mm=SPACING_MM, classes=CLASSES, cases=(case,)))


def _date(folder, when):
    """As `plgg predict --date` would have left it."""
    result = read_result(folder / "result.json")
    dated = result.model_copy(update={"scan_date": date.fromisoformat(when)})
    write_json(folder / "result.json", dated.model_dump(mode="json"))


def test_two_earlier_results_and_a_scan_are_one_timeline(visits):
    out = visits / "out"
    flair = blob_brain(affine=ODD_AFFINES["oblique-lps"])[0]
    write_nifti(visits / "v2.nii.gz", flair.data, flair.affine)
    words = ["predict", visits / "v2.nii.gz", "--model", visits / "run", "--out", out, "--prior",
             out / "v1", "--prior", out / "v0", "--date", DATES[2]]  # fmt: skip
    plgg(*words)
    result = json.loads((out / "v2" / "result.json").read_text())
    jsonschema.validate(result, json.loads((ROOT / "docs" / "result.schema.json").read_text()))
    assert result["scan_date"] == DATES[2]
    assert result["change"]["prior"] == str(out / "v1")
    points = result["timeline"]["points"]
    assert [point["name"] for point in points] == ["v0", "v1", "v2"]
    assert [point["days"] for point in points] == [0, 91, 182]
    assert points[0]["response"] == "baseline"
    assert points[2]["volume_ml"] == result["volume_ml"]
    assert "Response over time" in (out / "v2" / "report.html").read_text()
    before = times(out / "v2")
    plgg(*words)
    assert times(out / "v2") == before

    page = visits / "page.html"
    told = plgg("timeline", out / "v2", out / "v0", out / "v1", "--out", page, "--json").json()
    assert [point["response"] for point in told["points"]] == [p["response"] for p in points]
    assert "Response over time" in page.read_text()


def test_a_prior_that_changed_since_makes_a_new_timeline(visits, tmp_path):
    priors = tuple(visits / "out" / name for name in ("v0", "v1"))
    predictor = predictor_of(visits / "run", prior=priors)
    first = predict(predictor, tmp_path, visits / "store2")[0].result
    _date(visits / "out" / "v1", "2024-05-01")
    try:
        again = predictor_of(visits / "run", prior=priors)
        second = predict(again, tmp_path, visits / "store2")[0].result
    finally:
        _date(visits / "out" / "v1", DATES[1])
    assert first.timeline.points[1].days == 91
    assert second.timeline.points[1].days == 121
    assert any("not all dates are known" in warning for warning in first.timeline.warnings)


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (["out/v0"], "wants two results or more"),
        (["out/v0", "out/v1", "--date", "2024-01-01"], "1 dates for 2 results"),
        (["out/v0", "out/v0"], "is a prediction of the same scan as v0"),
        (["out/v0", "run"], "is no prediction"),
    ],
)
def test_what_makes_no_timeline_is_refused_in_one_line(visits, words, fault):
    assert fault in one_line(plgg("timeline", *words, status=2, cwd=visits))
