"""Names from elsewhere: what may name a case, a patient, a file, and what leads out of a folder."""

from __future__ import annotations

import doctest
import json

import pytest
from pydantic import TypeAdapter, ValidationError

from plgg.core import case_id, paths
from plgg.core.case_id import CaseId, PatientId, case_id_of, require_case_id
from plgg.core.errors import InputError, ManifestError, RunError, StoreError
from plgg.core.paths import FileName, RelativePath, join_inside
from plgg.data.manifest import read_manifest
from plgg.data.split import Split
from plgg.data.store import case_folder
from plgg.data.store_records import Cohort, FailedCase, StoredCase
from plgg.evaluate.records import CaseScores

GOOD = ("P01", "p-1_2.3", "0", "a" * 100, "console", "COM", "com10", "x.con")
BAD = (
    "", ".", "..", ".hidden", "-x", "_x", "a/b", "a\\b", "/etc", "C:", "x/../../victim",
    "a b", "é", "Ｐ01", "٣", "a\n", "a\x00", "a\u202e", "trailing.", "trailing ", "a" * 101,
    "a" * 300, "con", "NUL", "nul.nii", "Com1", "com9.tar.gz", "LPT0", "aux.x.y",
    "\udcff", "~", "*",
)  # fmt: skip
STORED = {
    "patient_id": "P1", "marker": None, "has_mask": False, "site": None, "age_years": None,
    "sex": None, "flair": "f", "flair_sha256": "", "shape": (1, 1, 1),
}  # fmt: skip


@pytest.mark.parametrize("name", GOOD)
def test_a_plain_name_is_a_case_s(name):
    assert TypeAdapter(CaseId).validate_python(name) == name
    assert require_case_id(name, where="here") == name
    assert case_id_of(name) == name


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize(
    "record",
    [
        lambda name: StoredCase(case_id=name, **STORED),
        lambda name: FailedCase(case_id=name, reason=""),
        lambda name: CaseScores(
            case_id=name, patient_id="P", marker=None, site=None, age_years=None, sex=None
        ),
        lambda name: Split(train=(name,), validation=("b",), test=("c",), k=0, seed=0),
    ],
)
def test_no_record_takes_a_name_that_leads_elsewhere(record, name):
    with pytest.raises(ValidationError):
        record(name)


@pytest.mark.parametrize("name", BAD)
def test_the_refusal_is_one_printable_line_of_the_caller_s_kind(name):
    with pytest.raises(RunError) as caught:
        require_case_id(name, where="file, line 3", error=RunError)
    text = str(caught.value)
    assert text.startswith("file, line 3: ")
    assert text.isascii()
    assert text.isprintable()
    assert len(text) < 300


@pytest.mark.parametrize("name", BAD)
def test_whatever_a_file_is_called_its_scan_gets_a_name(name):
    given = case_id_of(name)
    assert TypeAdapter(CaseId).validate_python(given) == given
    assert case_id_of(name) == given


@pytest.mark.parametrize(
    "name", [name for name in BAD if name == name.strip() != "" and name != "\udcff"]
)
def test_a_manifest_s_name_is_refused_with_its_line(tmp_path, name):
    path = tmp_path / "m.csv"
    path.write_bytes(f"patient_id,flair\nP1,f\n{name},g\n".encode("utf-8", "surrogateescape"))
    with pytest.raises(ManifestError) as caught:
        read_manifest(path)
    assert "line 3" in str(caught.value)


def test_a_patient_s_name_is_bounded(tmp_path):
    adapter = TypeAdapter(PatientId)
    assert adapter.validate_python("Zoë 日本 (1)") == "Zoë 日本 (1)"
    for name in ("a" * 101, "a\x00", "a\x1b[31m", "a\u2028", "\udcff"):
        with pytest.raises(ValidationError):
            adapter.validate_python(name)
    path = tmp_path / "m.csv"
    path.write_text(f"patient_id,flair,scan_id\n{'P' * 150},f,\n")
    with pytest.raises(ManifestError, match="150 characters, and 100 is the most"):
        read_manifest(path)


@pytest.mark.parametrize(("one", "other"), [("A", "A"), ("P01", "p01")])
def test_a_store_names_a_case_once(one, other):
    cases = [StoredCase(case_id=name, **STORED) for name in (one, other)]
    with pytest.raises(ValidationError, match="two cases are called"):
        Cohort(spacing_mm=2.0, classes=(), cases=tuple(cases))


@pytest.mark.parametrize("name", ["../../victim", "/etc", "..", "a/b", ""])
def test_no_path_leads_out_by_its_name(tmp_path, name):
    for root in (tmp_path, tmp_path / "not" / "there"):
        with pytest.raises(InputError, match="leads out of"):
            join_inside(root, "cases", name)


def test_no_path_leads_out_by_a_link(tmp_path):
    store, victim = tmp_path / "store", tmp_path / "victim"
    victim.mkdir()
    (store / "cases").mkdir(parents=True)
    (store / "cases" / "P1").symlink_to(victim)
    (store / "cases" / "P2").symlink_to("P2")
    for name in ("P1", "P2"):
        with pytest.raises(StoreError, match="leads out of"):
            case_folder(store, name)
    link = tmp_path / "link"
    link.symlink_to(store)
    assert case_folder(link, "P3") == link / "cases" / "P3"


def test_files_of_a_record_are_plain_names():
    name, path = TypeAdapter(FileName), TypeAdapter(RelativePath)
    assert name.validate_python("best-0012.safetensors") == "best-0012.safetensors"
    assert path.validate_python("models/model.pt") == "models/model.pt"
    for bad in ("", ".", "..", "a\\b", "C:x", "a\n", "x" * 256):
        for adapter in (name, path):
            with pytest.raises(ValidationError):
                adapter.validate_python(bad)
    for bad in ("/a", "a/", "a//b", "../a", "a/../../b", "a/."):
        for adapter in (name, path):
            with pytest.raises(ValidationError):
                adapter.validate_python(bad)


def test_a_store_that_names_a_case_elsewhere_is_refused_before_anything_is_touched(tmp_path):
    from plgg.data.store import Store

    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "keep").touch()
    for name in ("x/../../victim", str(victim)):
        case = {"case_id": name, **STORED, "shape": [1, 1, 1]}
        store = tmp_path / "store"
        store.mkdir(exist_ok=True)
        record = {"spacing_mm": 2.0, "classes": [], "cases": [case]}
        (store / "cohort.json").write_text(json.dumps(record))
        with pytest.raises(StoreError):
            Store(store)
    assert [path.name for path in victim.iterdir()] == ["keep"]


@pytest.mark.parametrize("module", [case_id, paths])
def test_the_examples_are_true(module):
    assert doctest.testmod(module).failed == 0
