"""An empty word, as of a variable that is not set, is refused; so is a day that is yet to come."""

from datetime import date, timedelta

import pytest

from helper import write_case
from program import one_line, plgg
from runs import make_run


@pytest.fixture(scope="module")
def scan(tmp_path_factory):
    return write_case(tmp_path_factory.mktemp("scan"), "one")[0]


@pytest.mark.parametrize(
    ("words", "after"),
    [
        (("predict", "SCAN", "--out", ""), "--out"),
        (("predict", "SCAN", "--out="), "--out"),
        (("predict", "", "--out", "out"), "predict"),
        (("preprocess", "manifest.csv", ""), "manifest.csv"),
        (("", "--help"), "plgg"),
    ],
)
def test_an_empty_word_is_no_folder(scan, tmp_path, words, after):
    named = [str(scan) if word == "SCAN" else word for word in words]
    line = one_line(plgg(*named, status=2, cwd=tmp_path))
    assert f"nothing stands after {after}." in line
    assert list(tmp_path.iterdir()) == []


def test_an_empty_text_is_one(tmp_path):
    line = one_line(plgg("export", tmp_path / "no", "--format", "onnx", "--about", "", status=2))
    assert "nothing stands" not in line


def test_a_day_that_is_yet_to_come_is_refused(scan, tmp_path):
    run = make_run(tmp_path / "run")
    later = (date.today() + timedelta(days=3)).isoformat()
    words = ("predict", scan, "--model", run, "--out", tmp_path / "out")
    assert "is yet to come" in one_line(plgg(*words, "--date", later, status=2))
    assert not (tmp_path / "out").exists()
    plgg(*words, "--date", date.today().isoformat(), "--no-report")
    case = tmp_path / "out" / "one_flair"
    line = one_line(plgg("timeline", case, case, "--date", later, "--date", later, status=2))
    assert "is yet to come" in line
