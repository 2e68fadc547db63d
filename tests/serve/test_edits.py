"""Corrected masks: saved exactly or refused, and nothing of what was there is ever lost."""

import gzip
from concurrent.futures import ThreadPoolExecutor

import nibabel as nib
import numpy as np
import pytest
from served import served

from helper import write_nifti
from plgg.core.files import sha256, temporary_name
from plgg.data.nifti.image import read_volume
from plgg.serve.edits import save_edit
from plgg.serve.errors import RequestError


def nifti(tmp_path, data, affine, name="mask.nii.gz"):
    return write_nifti(tmp_path / name, data, affine).read_bytes()


def drawn(work, case_id, seed=0, dtype=np.uint8):
    """A mask that nobody would predict, on the grid of a case."""
    base = nib.load(work.case_folder(case_id) / "mask.nii.gz")
    data = (np.random.default_rng(seed).random(base.shape) < 0.02).astype(dtype)
    return data, base.affine


def put(room, case_id, body, etag, status=201, **headers):
    sent = {"If-Match": f'"{etag}"', **headers}
    return room.ask("PUT", f"cases/{case_id}/mask", status, content=body, headers=sent)


def etag_of(room, case_id):
    return room.get(f"cases/{case_id}").json()["etag"]


def files_of(work, case_id):
    """SHA-256 of all that the model made."""
    return {path.name: sha256(path) for path in work.case_folder(case_id).glob("*.*")}


@pytest.mark.parametrize("case_id", ["P01", "P02", "P03"])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_mask_comes_back_voxel_for_voxel(room, work, tmp_path, case_id, kind):
    data, affine = drawn(work, case_id, dtype=kind)
    before, began = files_of(work, case_id), etag_of(room, case_id)
    saved = put(room, case_id, nifti(tmp_path, data, affine), began)
    back = room.get(f"cases/{case_id}/mask.nii.gz")
    assert back.headers["ETag"] == saved.headers["ETag"] == f'"{saved.json()["etag"]}"'
    (tmp_path / "back.nii.gz").write_bytes(back.content)
    found = nib.load(tmp_path / "back.nii.gz")
    assert np.array_equal(np.asarray(found.dataobj), data)
    assert np.allclose(found.affine, nib.load(work.case_folder(case_id) / "mask.nii.gz").affine)
    assert files_of(work, case_id) == before


def test_an_edit_says_who_when_and_how_far_it_is_from_the_model(room, work, tmp_path):
    data, affine = drawn(work, "P01")
    answer = put(
        room,
        "P01",
        nifti(tmp_path, data, affine),
        etag_of(room, "P01"),
        **{"X-Plgg-User": "Zo%C3%AB <b>", "X-Plgg-Minutes": "2.5"},
    ).json()
    (edit,) = work.edits("P01")
    base = read_volume(work.case_folder("P01") / "mask.nii.gz")
    voxel_ml = base.voxel_volume_ml
    assert edit.who == "Zoë <b>"
    assert edit.minutes == 2.5
    assert edit.base_sha256 == edit.replaces_sha256 == work.result("P01").files["mask.nii.gz"]
    assert edit.mask_sha256 == sha256(work.mask("P01")) == answer["etag"]
    assert edit.volume_ml == pytest.approx(data.sum() * voxel_ml, abs=1e-4)
    change = (data.sum() - base.data.sum()) * voxel_ml
    assert answer["volume_change_ml"] == pytest.approx(change, abs=1e-3)
    both = (data * base.data).sum()
    dice = 2 * both / (data.sum() + base.data.sum())
    assert answer["dice_to_base"] == pytest.approx(dice, abs=1e-5)
    case = room.get("cases/P01").json()
    assert case["edited"]
    assert case["n_edits"] == 1
    assert case["volume_ml"] == edit.volume_ml
    assert case["volume_interval_ml"] is None
    assert work.corrected() == ["P01"]


def test_a_stale_save_changes_nothing_and_says_what_is_newest(room, work, tmp_path):
    began = etag_of(room, "P01")
    first, second = (nifti(tmp_path, *drawn(work, "P01", seed)) for seed in (1, 2))
    newest = put(room, "P01", first, began).json()["etag"]
    refused = put(room, "P01", second, began, 409)
    assert refused.json()["etag"] == newest
    assert refused.headers["ETag"] == f'"{newest}"'
    assert len(work.edits("P01")) == 1
    # Knowing the newest, it is saved; the other one is still there.
    put(room, "P01", second, newest)
    assert [edit.number for edit in work.edits("P01")] == [1, 2]
    assert room.get("cases/P01/mask.nii.gz?edit=1").headers["ETag"] == f'"{newest}"'
    zero = room.get("cases/P01/mask.nii.gz?edit=0").headers["ETag"]
    assert zero == f'"{began}"'


def test_of_many_who_save_at_once_one_is_first(room, work, tmp_path):
    began = etag_of(room, "P02")
    bodies = [nifti(tmp_path, *drawn(work, "P02", seed)) for seed in range(6)]
    headers = {"If-Match": f'"{began}"'}

    def save(body):
        path = "/api/v1/cases/P02/mask"
        return room.client.put(path, content=body, headers=headers).status_code

    with ThreadPoolExecutor(6) as people:
        found = sorted(people.map(save, bodies))
    assert found == [201, 409, 409, 409, 409, 409]
    assert len(work.edits("P02")) == 1
    assert not list((work.case_folder("P02") / "edits").glob(".plgg-*"))
    assert not list(work.uploads.glob(".plgg-*"))


def test_without_if_match_nothing_is_saved(room, work, tmp_path):
    body = nifti(tmp_path, *drawn(work, "P01"))
    room.ask("PUT", "cases/P01/mask", 428, content=body)
    room.ask("PUT", "cases/P01/mask", 428, content=body, headers={"If-Match": "*"})
    assert not work.edits("P01")


def turned(affine):
    return affine @ np.diag([-1.0, 1.0, 1.0, 1.0])


def moved(affine):
    found = affine.copy()
    found[0, 3] += 1.0
    return found


WRONG = {
    "smaller": lambda data, affine: (data[:-1], affine),
    "another axis order": lambda data, affine: (data.transpose(1, 0, 2), affine),
    "mirrored": lambda data, affine: (data, turned(affine)),
    "a millimetre away": lambda data, affine: (data, moved(affine)),
    "twos": lambda data, affine: (data * 2, affine),
    "halves": lambda data, affine: (data * np.float32(0.5), affine),
    "below 0": lambda data, affine: (data.astype(np.int16) * -1, affine),
    "not a number": lambda data, affine: (np.where(data, np.nan, 0.0), affine),
    "two volumes": lambda data, affine: (np.stack([data, data], axis=3), affine),
}


@pytest.mark.parametrize("fault", WRONG)
def test_what_is_no_mask_of_the_case_is_refused(work, tmp_path, fault):
    data, affine = WRONG[fault](*drawn(work, "P01"))
    path = write_nifti(tmp_path / "mask.nii.gz", data, affine)
    with pytest.raises(RequestError) as refused:
        save_edit(work, "P01", path, if_match=work.mask_sha256("P01"))
    assert refused.value.status == 422
    assert refused.value.where == "the mask"
    assert not work.edits("P01")


@pytest.mark.parametrize(
    "body",
    [b"", b"GIF89a", b"\x1f\x8b broken", gzip.compress(b"\0" * 400, mtime=0), b"\0" * 1000],
    ids=["empty", "picture", "broken", "packed", "zeros"],
)
def test_what_is_no_nifti_is_refused(room, work, body):
    error = put(room, "P01", body, etag_of(room, "P01"), 422).json()["error"]
    assert str(work.root) not in str(error)
    assert not work.edits("P01")


def test_a_mask_that_unpacks_to_far_more_than_its_grid_is_refused(room, work, tmp_path):
    data, affine = drawn(work, "P01")
    whole = gzip.decompress(nifti(tmp_path, data, affine))
    bomb = gzip.compress(whole + b"\0" * 2**26, compresslevel=9)
    put(room, "P01", bomb, etag_of(room, "P01"), 422)
    assert not work.edits("P01")


def test_a_mask_larger_than_any_of_the_case_is_refused(room, work):
    put(room, "P01", b"\0" * (2**20 + 8 * 36 * 40 * 32 + 1), etag_of(room, "P01"), 413)
    assert not list(work.uploads.glob(".plgg-*"))


@pytest.mark.parametrize("minutes", ["-1", "nan", "inf", "soon", "1e9"])
def test_minutes_are_a_number(room, work, tmp_path, minutes):
    body, etag = nifti(tmp_path, *drawn(work, "P01")), etag_of(room, "P01")
    put(room, "P01", body, etag, 422, **{"X-Plgg-Minutes": minutes})
    put(room, "P01", body, etag, 422, **{"X-Plgg-User": "a%0Ab"})
    assert not work.edits("P01")


def test_what_a_killed_save_left_is_cleared_and_the_number_is_free(work, tmp_path):
    edits = work.case_folder("P01") / "edits"
    left = temporary_name(edits / "edit")
    left.mkdir(parents=True)
    (left / "mask.nii.gz").write_bytes(b"half")
    (edits / "0001").mkdir()  # without its record it is no edit
    with served(work.root, *work.models) as room:
        assert not left.exists()
        assert room.get("cases/P01").json()["n_edits"] == 0
        body = nifti(tmp_path, *drawn(work, "P01"))
        assert put(room, "P01", body, etag_of(room, "P01")).json()["edit"] == 1


def test_a_corrected_case_is_not_predicted_again(room, work, tmp_path):
    put(room, "P01", nifti(tmp_path, *drawn(work, "P01")), etag_of(room, "P01"))
    room.ask("POST", "cases/P01/predict", 409)
    assert room.get("cases/P01").json()["state"] == "done"
    assert not room.get("jobs").json()["jobs"]


def test_while_a_case_is_predicted_nothing_is_saved(room, work, tmp_path):
    room.room.queue.close()  # so that the job waits
    room.ask("POST", "cases/P01/predict", 202)
    body = nifti(tmp_path, *drawn(work, "P01"))
    put(room, "P01", body, work.mask_sha256("P01"), 409)
    room.ask("POST", "cases/P01/predict", 409)
