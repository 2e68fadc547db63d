"""One reader of JSON: whatever is wrong with a file is one line that names it and what to do."""

import contextlib
import json
import os

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from plgg.core import records as json_records
from plgg.core.errors import CheckpointError, InputError, PlggError, RunError, StoreError
from plgg.core.files import write_json, write_text
from plgg.core.records import JsonError, parse_json, read_json, read_record
from plgg.data.calibration import read_calibration
from plgg.data.experiment_folder import read_choice, read_experiment, read_failure
from plgg.data.result import read_result
from plgg.data.run_folder import read_config, read_metrics, read_split
from plgg.data.store import Store
from plgg.data.store import read_record as read_case
from plgg.predict.engine import read_export

BROKEN = {
    "empty": b"",
    "cut": b'{"format": "plgg',
    "deep": b"[" * 100_000,
    "deep but whole": b"[" * 500 + b"]" * 500,
    "deep record": b'{"a":' * 500 + b"1" + b"}" * 500,
    "huge number": b'{"version": ' + b"9" * 1_000_000 + b"}",
    "large number": b'{"version": 99999999999999999999}',
    "infinite": b'{"spacing_mm": 1e999}',
    "NaN": b'{"spacing_mm": NaN}',
    "Infinity": b'{"spacing_mm": -Infinity}',
    "twice": b'{"format": "plgg-store", "format": "plgg-store"}',
    "UTF-16": '{"format": "plgg"}'.encode("utf-16"),
    "Latin-1": '{"site": "Köln"}'.encode("latin-1"),
    "list": b"[]",
    "null": b"null",
    "text": b'"plgg"',
    "no keys": b"{}",
    "strange key": b'{"<script>\\u001b[31m": 1}',
    "two values": b"{} {}",
}


class Model(BaseModel):
    spacing_mm: float


def read(path):
    return read_record(path, Model, error=RunError, what="is no model", remedy="Make it again.")


def told(act):
    """The one line that is raised."""
    with pytest.raises(PlggError) as caught:
        act()
    text = str(caught.value)
    assert text.isprintable()
    assert len(text) < 600
    assert text.endswith(".")
    return text


@pytest.mark.parametrize("kind", BROKEN)
def test_whatever_is_wrong_is_one_line_that_names_the_file(tmp_path, kind):
    path = tmp_path / "model.json"
    path.write_bytes(BROKEN[kind])
    text = told(lambda: read(path))
    assert text.startswith(f"{path}: is no model (")
    assert text.endswith("). Make it again.")


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("empty", "it is empty"),
        ("cut", "not JSON from line 1 on"),
        ("deep", "nested too deep"),
        ("deep but whole", "nested too deep"),
        ("huge number", "a number in it is too large"),
        ("infinite", "a number in it is too large"),
        ("NaN", "NaN is not JSON"),
        ("twice", "the key 'format' stands in it twice"),
        ("Latin-1", "not text in UTF-8"),
        ("no keys", "spacing_mm: Field required"),
    ],
)
def test_the_reason_is_true(tmp_path, kind, reason):
    (tmp_path / "a.json").write_bytes(BROKEN[kind])
    assert f"({reason})" in told(lambda: read(tmp_path / "a.json"))


def test_what_is_no_file_is_told_and_never_waited_for(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "folder").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "none").symlink_to("nothing")
    monkeypatch.setattr(json_records, "MAX_BYTES", 1000)
    (tmp_path / "large").write_bytes(b" " * 1001)
    for name, reason in {
        "pipe": "not a regular file",
        "folder": "not a regular file",
        "loop": "symbolic links",
        "none": "no such file",
        "missing": "no such file",
        "large": "larger than",
        "x" * 300: "too long",
        "zero\x00": "its name is none",
    }.items():
        with pytest.raises(RunError, match=reason):
            read(tmp_path / name)
    with pytest.raises(RunError, match="not a regular file"):
        read(type(tmp_path)("/dev/zero"))


def test_a_byte_order_mark_is_no_fault(tmp_path):
    (tmp_path / "a.json").write_bytes(b'\xef\xbb\xbf{"spacing_mm": 2}')
    assert read(tmp_path / "a.json").spacing_mm == 2.0


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text()
        | st.floats(allow_nan=False, allow_infinity=False),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
        max_leaves=10,
    )
)  # fmt: skip
@settings(max_examples=100, derandomize=True, deadline=None)
def test_all_other_json_is_read_as_it_is(value):
    assert parse_json(json.dumps(value)) == value
    assert parse_json(json.dumps(value, ensure_ascii=False)) == value


@given(st.text(alphabet='[]{}",:-0123456789.eE\\untrfalsN \n', max_size=40))
@settings(max_examples=300, derandomize=True, deadline=None)
def test_any_text_is_a_value_or_one_error(text):
    with contextlib.suppress(JsonError):
        parse_json(text)


def test_names_that_are_not_utf8_are_written_and_come_back(tmp_path):
    name = os.fsdecode(b"M\xfcller.nii.gz")
    write_json(tmp_path / "a.json", {"flair": name, name: "日本"})
    (tmp_path / "a.json").read_bytes().decode("utf-8")
    assert read_json(tmp_path / "a.json") == {"flair": name, name: "日本"}
    write_text(tmp_path / "a.csv", f"flair\n{name}\n")
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "flair\nM\\udcfcller.nii.gz\n"


def case_of(folder):
    return read_case(folder, "P1")


READERS = {
    "cohort.json": (Store, StoreError),
    "cases/P1/case.json": (case_of, StoreError),
    "config.json": (read_config, PlggError),
    "split.json": (read_split, RunError),
    "calibration.json": (read_calibration, RunError),
    "experiment.json": (read_experiment, RunError),
    "result.json": (lambda folder: read_result(folder / "result.json"), InputError),
    "export.json": (lambda folder: read_export(folder, "onnx"), RunError),
    "checkpoints/best.json": (
        lambda folder: __import__("plgg.model.checkpoint", fromlist=["_"]).read_meta(folder),
        CheckpointError,
    ),
}


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", BROKEN)
def test_every_record_of_plgg_is_read_so(tmp_path, name, kind):
    read, error = READERS[name]
    if (name, kind) == ("config.json", "no keys"):
        return  # every setting has a default
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(BROKEN[kind])
    text = told(lambda: read(tmp_path))
    with pytest.raises(error):
        read(tmp_path)
    assert str(tmp_path) in text


@pytest.mark.parametrize("kind", BROKEN)
def test_what_may_be_missing_is_missing_where_it_cannot_be_read(tmp_path, kind):
    (tmp_path / "choice.json").write_bytes(BROKEN[kind])
    (tmp_path / "failure.json").write_bytes(BROKEN[kind])
    assert read_choice(tmp_path) is None
    assert read_failure(tmp_path) is None


@pytest.mark.parametrize("point", ["../../other", "/etc", "..", "", "a/b"])
def test_a_chosen_point_lies_in_its_folder(tmp_path, point):
    record = {"point": point, "scores": {}}
    (tmp_path / "choice.json").write_text(json.dumps(record))
    assert read_choice(tmp_path) is None


@pytest.mark.parametrize("arm", ["../../other", "/etc", "..", "", "a/b"])
def test_an_arm_s_name_is_a_folder_s(tmp_path, arm):
    (tmp_path / "experiment.json").write_text(json.dumps({"arms": [arm], "n_splits": 1}))
    assert "arms.0" in told(lambda: read_experiment(tmp_path))


def test_a_last_epoch_that_was_cut_is_left_out_and_any_other_told(tmp_path):
    path = tmp_path / "metrics.jsonl"
    good = '{"epoch": 1, "train": {"loss": 0.5}}\n'
    assert read_metrics(tmp_path) == []
    for cut in ("", '{"epoch": 2, "tr', "{}", "[1]"):
        path.write_text(good + cut)
        assert [record["epoch"] for record in read_metrics(tmp_path)] == [1]
    for broken in ("", "{", "{}", "[]", "null", '{"epoch": -1}', '{"epoch": "x"}', "[" * 10**5):
        path.write_text(f"{good}{broken}\n{good}")
        assert "line 2 is no epoch" in told(lambda: read_metrics(tmp_path))
    path.write_bytes(b"\xff\xfe\n")
    assert "not text in UTF-8" in told(lambda: read_metrics(tmp_path))
