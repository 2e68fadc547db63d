"""The store: what is written is read, in part too, and what is broken says so."""

import json

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helper import ODD_AFFINES
from plgg.core.errors import OutputError, StoreError
from plgg.core.placement import Placement, as_rows
from plgg.core.volume import Volume
from plgg.data.store import Store, is_store, read_record
from plgg.data.store_records import CaseRecord, Cohort, StoredCase
from plgg.data.store_writing import write_case, write_cohort
from tiny import tiny_store

SHAPE = (41, 33, 35)


def contents(seed=0):
    rng = np.random.default_rng(seed)
    return (
        rng.integers(-128, 128, SHAPE).astype(np.int8),
        (rng.random(SHAPE) < 0.1).astype(np.uint8),
    )


def record(case_id="P1", *, has_mask=True):
    affine = as_rows(ODD_AFFINES["oblique"])
    return CaseRecord(
        case=StoredCase(
            case_id=case_id,
            patient_id="P1",
            marker=None,
            has_mask=has_mask,
            site="Köln",
            age_years=7.1,
            sex=None,
            flair="/scans/f.nii.gz",
            flair_sha256="0" * 64,
            shape=SHAPE,
        ),
        spacing_mm=4.0,
        placement=Placement(
            native_shape=SHAPE,
            native_affine=affine,
            box_shape=SHAPE,
            box_affine=affine,
            native_to_atlas=affine,
            method="test",
        ),
        mask_sha256="1" * 64 if has_mask else None,
    )


def bare(stored):
    """A record as it was before its files were written."""
    return stored.model_copy(update={"sha256": {}})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A store of one case with a mask and one without."""
    folder = tmp_path_factory.mktemp("store")
    image, mask = contents()
    truth = Volume(mask > 0, ODD_AFFINES["oblique"])
    write_case(folder, record(), image=image, mask=mask, truth=truth)
    write_case(folder, record("P2", has_mask=False), image=image, mask=None, truth=None)
    cases = (record().case, record("P2", has_mask=False).case)
    write_cohort(folder, Cohort(spacing_mm=4.0, classes=("a", "b"), cases=cases))
    return folder


def test_what_is_written_is_read(folder):
    image, mask = contents()
    store = Store(folder)
    np.testing.assert_array_equal(store.image("P1"), image)
    np.testing.assert_array_equal(store.mask("P1"), mask)
    assert (store.image("P1").dtype, store.mask("P1").dtype) == (np.int8, np.uint8)
    assert store.placement("P1") == record().placement
    assert bare(read_record(folder, "P1")) == record()
    truth = nib.load(store.truth_path("P1"))
    np.testing.assert_array_equal(np.asarray(truth.dataobj), mask)
    np.testing.assert_allclose(truth.affine, ODD_AFFINES["oblique"], atol=1e-4)


def test_an_unknown_mask_is_none_and_not_empty(folder):
    store = Store(folder)
    assert store.mask("P2") is None
    assert store.truth_path("P2") is None
    assert {path.name for path in (folder / "cases" / "P2").iterdir()} == {
        "case.json",
        "image.b2nd",
    }


def test_the_cohort_as_a_manifest(folder):
    first, second = Store(folder).manifest_cases()
    assert (first.case_id, first.site, first.age_years, first.marker) == ("P1", "Köln", 7.1, None)
    assert first.mask == folder / "cases" / "P1" / "truth.nii.gz"
    assert second.mask is None


@settings(deadline=None, max_examples=40)
@given(st.tuples(*[st.tuples(st.integers(0, n - 1), st.integers(1, n)) for n in SHAPE]))
def test_a_part_is_the_part_of_the_whole(folder, corners):
    box = tuple(slice(low, low + length) for low, length in corners)
    image, mask = contents()
    store = Store(folder)
    np.testing.assert_array_equal(store.image("P1", box), image[box])
    np.testing.assert_array_equal(store.mask("P1", box), mask[box])


def test_a_case_is_replaced_as_a_whole(tmp_path):
    image, mask = contents()
    write_case(tmp_path, record(), image=image, mask=mask, truth=Volume(mask > 0, np.eye(4)))
    other, _ = contents(seed=1)
    write_case(tmp_path, record(has_mask=False), image=other, mask=None, truth=None)
    files = {path.name for path in (tmp_path / "cases" / "P1").iterdir()}
    assert files == {"case.json", "image.b2nd"}


def test_an_interrupted_write_leaves_nothing(tmp_path):
    image, mask = contents()
    # No NIfTI can hold these, so the write fails after the arrays.
    truth = Volume(np.zeros(SHAPE, dtype=object), np.eye(4))
    with pytest.raises(Exception, match="object"):
        write_case(tmp_path, record(), image=image, mask=mask, truth=truth)
    assert list((tmp_path / "cases").iterdir()) == []


def test_an_interrupted_write_leaves_the_case_that_was_there(tmp_path):
    image, mask = contents()
    write_case(tmp_path, record(), image=image, mask=None, truth=None)
    truth = Volume(np.zeros(SHAPE, dtype=object), np.eye(4))
    with pytest.raises(Exception, match="object"):
        write_case(tmp_path, record(), image=image, mask=mask, truth=truth)
    assert [path.name for path in (tmp_path / "cases").iterdir()] == ["P1"]
    assert bare(read_record(tmp_path, "P1")) == record()


@pytest.mark.parametrize(
    "name", ["case.json", "image.b2nd", "mask.b2nd", "truth.nii.gz", "cohort.json"]
)
def test_flipped_bits_are_told_or_without_effect(name, tmp_path):
    """Forty flips in each file: a line that names it, or the same numbers."""
    image, mask = contents()
    write_case(
        tmp_path, record(), image=image, mask=mask, truth=Volume(mask > 0, ODD_AFFINES["oblique"])
    )
    write_cohort(tmp_path, Cohort(spacing_mm=4.0, classes=("a", "b"), cases=(record().case,)))
    whole = everything(tmp_path)
    path = tmp_path / name if name == "cohort.json" else tmp_path / "cases" / "P1" / name
    raw = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in rng.integers(0, len(raw) * 8, 40):
        flipped = bytearray(raw)
        flipped[position // 8] ^= 1 << int(position % 8)
        path.write_bytes(bytes(flipped))
        found = everything_or_reason(tmp_path)
        assert found == whole or name in found


def everything_or_reason(folder):
    try:
        return everything(folder)
    except StoreError as error:
        return str(error)


def everything(folder):
    """All that a store gives, comparable."""
    store = Store(folder)
    return (
        store.cohort,
        bare(read_record(folder, "P1")),
        store.image("P1").tobytes(),
        store.mask("P1").tobytes(),
        np.asarray(nib.load(store.truth_path("P1")).dataobj).tobytes(),
    )


def test_an_earlier_versions_store_has_no_hashes_and_is_read(tmp_path):
    image, mask = contents()
    write_case(tmp_path, record(), image=image, mask=mask, truth=Volume(mask > 0, np.eye(4)))
    write_cohort(tmp_path, Cohort(spacing_mm=4.0, classes=(), cases=(record().case,)))
    for path in (tmp_path / "cases" / "P1" / "case.json", tmp_path / "cohort.json"):
        known = json.loads(path.read_text())
        path.write_text(json.dumps({k: v for k, v in known.items() if k not in ("seal", "sha256")}))
    np.testing.assert_array_equal(Store(tmp_path).image("P1"), image)


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "cases").write_text("a file")
    with pytest.raises(OutputError, match="cases"):
        write_case(tmp_path, record(), image=contents()[0], mask=None, truth=None)


def opened(tmp_path, text):
    (tmp_path / "cohort.json").write_text(text)
    return Store(tmp_path)


def test_a_folder_that_is_no_store_says_how_to_make_one(tmp_path):
    assert not is_store(tmp_path)
    with pytest.raises(StoreError, match="plgg preprocess"):
        Store(tmp_path)


@pytest.mark.parametrize(
    "changed",
    [
        {"version": 3},
        {"version": 0},
        {"format": "other"},
        {"new": 1},
        {"spacing_mm": None},
        {"classes": ["a", "a"]},
    ],
)
def test_a_store_of_another_version_is_refused(tmp_path, changed):
    cohort = Cohort(spacing_mm=1.0, classes=(), cases=()).model_dump(mode="json")
    assert opened(tmp_path, json.dumps(cohort)).by_id == {}
    with pytest.raises(StoreError, match="not a store of this version"):
        opened(tmp_path, json.dumps(cohort | changed))


@pytest.mark.parametrize("text", ["", "{", "[]", "null", "[1, 2]"])
def test_a_broken_cohort_file_is_refused(tmp_path, text):
    with pytest.raises(StoreError, match="not a store of this version"):
        opened(tmp_path, text)


@pytest.mark.parametrize("spoil", ["missing", "empty", "junk", "half", "tail"])
def test_a_broken_array_is_named(tmp_path, spoil):
    write_case(tmp_path, record(), image=contents()[0], mask=None, truth=None)
    write_cohort(tmp_path, Cohort(spacing_mm=4.0, classes=(), cases=(record().case,)))
    path = tmp_path / "cases" / "P1" / "image.b2nd"
    raw = path.read_bytes()
    path.unlink()
    if spoil != "missing":
        broken = {
            "empty": b"",
            "junk": b"junk" * 50,
            "half": raw[: len(raw) // 2],
            "tail": raw[:-9],
        }
        path.write_bytes(broken[spoil])
    with pytest.raises(StoreError, match=r"image\.b2nd: (cannot be read|was altered)"):
        Store(tmp_path).image("P1")


def test_a_missing_record_is_named(folder):
    with pytest.raises(StoreError, match="P9"):
        read_record(folder, "P9")


def test_a_store_of_the_first_version_is_read_as_it_was_made(tmp_path):
    cohort = Cohort(spacing_mm=1.0, classes=(), cases=()).model_dump(mode="json")
    del cohort["settings"]
    found = opened(tmp_path, json.dumps({**cohort, "version": 1})).cohort.settings
    assert (found.registration, found.stripping) == ("centre", "none")


def test_a_full_disk_is_one_line_that_says_so(tmp_path, monkeypatch):
    def full(*_, **__):
        raise RuntimeError("Error while creating the NDArray")

    monkeypatch.setattr("blosc2.asarray", full)
    with pytest.raises(OutputError, match=r"could not be written .* Check free space"):
        tiny_store(tmp_path / "store", 1)
    assert not list((tmp_path / "store" / "cases").iterdir())
