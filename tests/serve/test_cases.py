"""The work list, images and slices: what is on the disk, and nothing else."""

import io
import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from helper import ODD_AFFINES, blob_brain, make_affine
from plgg.core.errors import InputError
from plgg.core.files import sha256
from plgg.core.volume import Volume
from plgg.serve.pictures import slice_counts, slice_png, thumbnail_png, upright
from plgg.serve.views import case_view, certainty
from plgg.serve.work import WorkFolder

IMAGES = ("volume", "mask", "probability", "uncertainty")


def image(answer, tmp_path):
    path = tmp_path / "answer.nii.gz"
    path.write_bytes(answer.content)
    return nib.load(path)


def test_info_tells_model_limits_and_queue(room, models):
    info = room.get("info").json()
    assert info["model"]["name"] == " + ".join(run.name for run in models)
    assert info["model"]["members"] == 2
    assert info["sequences"] == ["flair"]
    assert info["limits"] == {"upload_bytes": 2**31, "voxels": 2**29}
    assert info["round"] is None
    assert info["queue"] == {"queued": 0, "running": 0}
    assert info["research_only"].startswith("For research use only.")


def test_the_work_list_says_what_the_results_say(room, work):
    cases = room.get("cases").json()["cases"]
    assert [case["id"] for case in cases] == ["P01", "P02", "P03"]
    for case in cases:
        result = work.result(case["id"])
        assert case["state"] == "done"
        assert case["volume_ml"] == result.volume_ml
        assert case["marker"]["probabilities"] == result.marker.probabilities
        assert case["marker"]["abstains"] == result.marker.withheld
        assert case["marker"]["label"] is None  # never calibrated, so it abstains
        assert case["agreement"] == result.uncertainty.agreement
        assert case["etag"] == sha256(work.mask(case["id"]))
        assert not case["edited"]
        assert 0 <= case["certainty"] <= 1


def test_a_case_tells_its_grid_and_no_path_of_this_machine(room, work):
    answer = room.get("cases/P01")
    assert str(work.root) not in answer.text
    case = answer.json()
    mask = nib.load(work.mask("P01"))
    assert tuple(case["shape"]) == mask.shape
    assert np.allclose(case["affine"], mask.affine)
    assert np.allclose(case["spacing_mm"], mask.header.get_zooms())
    assert sum(case["slices"].values()) == sum(mask.shape)
    assert case["result"]["case_id"] == "P01"
    assert case["result"]["input"]["path"] == "uploads/P01/P01.nii.gz"


@pytest.mark.parametrize("case_id", ["P01", "P03"])
def test_all_images_lie_on_one_grid_and_the_volume_is_the_scan(room, scans, tmp_path, case_id):
    found = {name: image(room.get(f"cases/{case_id}/{name}.nii.gz"), tmp_path) for name in IMAGES}
    scan = nib.load(scans[case_id])
    for one in found.values():
        assert one.shape == scan.shape
        assert np.allclose(one.affine, scan.affine, atol=1e-4)
    again = image(room.get(f"cases/{case_id}/volume.nii.gz"), tmp_path)
    assert np.array_equal(again.get_fdata(), scan.get_fdata())


def test_what_a_client_has_is_not_sent_again(room):
    for name in (*(f"{image}.nii.gz" for image in IMAGES), "thumbnail.png"):
        first = room.get(f"cases/P01/{name}")
        tag = first.headers["ETag"]
        assert not room.get(f"cases/P01/{name}", 304, headers={"If-None-Match": tag}).content
        room.get(f"cases/P01/{name}", headers={"If-None-Match": '"other"'})


def test_slices_are_pictures_of_the_planes(room):
    case = room.get("cases/P03").json()
    for plane, n_slices in case["slices"].items():
        found = room.get(f"cases/P03/slice.png?plane={plane}&index={n_slices // 2}&mask=1")
        assert Image.open(io.BytesIO(found.content)).format == "PNG"
        room.get(f"cases/P03/slice.png?plane={plane}&index={n_slices}", 404)
    room.get("cases/P03/slice.png?plane=oblique&index=1", 422)


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def test_one_head_gives_one_picture_however_it_is_stored():
    """The tumour lies to the right and in front: left of the middle, in the upper half."""
    pictures = []
    for axes in ("RAS", "LAS", "LPS", "PSR", "LIA"):
        shape = (36, 36, 36)
        head, tumour = blob_brain(shape, make_affine((4.0, 4.0, 4.0), axes=axes, shape=shape))
        smooth = Volume(head.data * 0 + 80 * tumour.data + 20 * (head.data > 0), head.affine)
        seen = upright(smooth)
        pictures.append(pixels(slice_png(seen, seen.turned(tumour.data > 0), "axial", 21)))
    rows, columns = np.nonzero(pictures[0][..., 2] < pictures[0][..., 0])  # the yellow outline
    height, width = pictures[0].shape[:2]
    assert rows.mean() < height / 2
    assert columns.mean() < width / 2
    for other in pictures[1:]:
        assert np.array_equal(other, pictures[0])


def test_sagittal_slices_look_to_the_left():
    head, tumour = blob_brain(affine=ODD_AFFINES["coronal"])
    seen = upright(head)
    where = np.argwhere(seen.turned(tumour.data > 0)).mean(axis=0)
    found = pixels(slice_png(seen, seen.turned(tumour.data > 0), "sagittal", round(where[0])))
    rows, columns = np.nonzero(found[..., 2] < found[..., 0])
    assert columns.mean() < found.shape[1] / 2
    assert rows.mean() < found.shape[0] / 2
    assert slice_counts(head.shape, head.affine)["sagittal"] == seen.grey.shape[0]


def test_a_scan_of_one_value_and_one_of_nan_still_give_pictures():
    for value in (0.0, 7.0, np.nan):
        seen = upright(Volume(np.full((8, 9, 10), value, np.float32), np.eye(4)))
        nothing = np.zeros((8, 9, 10), np.bool_)
        assert pixels(thumbnail_png(seen, nothing)).shape[2] == 3


def test_certainty_is_one_less_the_entropy_where_there_may_be_tumour():
    probability = np.array([0.0, 0.04, 0.5, 1.0])
    entropy = np.array([0.0, 0.9, 1.0, 0.0])
    assert certainty(probability, entropy) == 0.5
    assert certainty(probability * 0, entropy) is None


def test_a_view_that_was_deleted_is_made_again(room, work):
    shutil.rmtree(work.view_folder("P02"))
    before = room.get("cases/P02").json()
    assert before["certainty"] is not None
    room.get("cases/P02/thumbnail.png")
    assert case_view(work, "P02", work.result("P02")) is not None


def test_without_its_scan_a_case_keeps_its_mask(room, work):
    shutil.rmtree(work.view_folder("P02"))
    shutil.rmtree(work.upload_folder("P02"))
    path = work.case_folder("P02") / "result.json"
    record = json.loads(path.read_text(encoding="utf-8"))
    record["input"]["path"] = str(work.root / "gone.nii.gz")
    path.write_text(json.dumps(record), encoding="utf-8")
    case = room.get("cases/P02").json()
    assert case["shape"] is None
    assert case["state"] == "done"
    room.get("cases/P02/mask.nii.gz")
    room.get("cases/P02/volume.nii.gz", 404)
    room.ask("POST", "cases/P02/predict", 404)


def test_a_record_that_was_damaged_is_said_and_costs_no_other_case(room, work):
    (work.case_folder("P02") / "result.json").write_text("{", encoding="utf-8")
    states = {case["id"]: case for case in room.get("cases").json()["cases"]}
    assert states["P02"]["state"] == "failed"
    assert "result.json" in states["P02"]["error"]
    assert str(work.root) not in states["P02"]["error"]
    assert states["P01"]["state"] == states["P03"]["state"] == "done"


@pytest.mark.parametrize("path", ["cases/P99", "cases/P99/mask.nii.gz", "cases/P99/slice.png",
                                  "cases/P01/mask.nii.gz?edit=1", "jobs/P99", "rounds/1",
                                  "cases/P01/secret.nii.gz", "nothing"])  # fmt: skip
def test_what_is_not_there_is_told_in_one_form(room, path):
    status = 422 if "secret" in path else 404
    error = room.get(path, status).json()["error"]
    assert set(error) == {"message", "where", "remedy"}
    assert error["message"]


def test_the_report_can_run_its_scripts_and_reach_nothing(room):
    answer = room.get("cases/P01/report.html")
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("sandbox allow-scripts; default-src 'none'")
    assert "connect-src" not in policy
    assert "P01" in answer.text


def test_the_api_is_described_without_a_word_from_elsewhere(room):
    page = room.get("docs").text
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
    described = room.get("openapi.json").json()
    for path in ("/cases", "/cases/{case_id}/mask", "/next", "/rounds", "/jobs/{job_id}/events"):
        assert f"/api/v1{path}" in described["paths"]
        assert f"/api/v1{path}" in page
    assert json.dumps(described)


def test_a_round_that_was_accepted_names_the_model_that_answers(work, models):
    folder = work.round_folder(1)
    shutil.copytree(models[0], folder / "run")
    (folder / "round.json").write_text('{"number": 1, "created": "now"}', encoding="utf-8")
    assert work.current_models() == models
    (folder / "comparison.json").write_text('{"accepted": false}', encoding="utf-8")
    assert work.current_models() == models
    (folder / "comparison.json").write_text('{"accepted": true}', encoding="utf-8")
    assert work.current_model() == folder / "run"
    assert WorkFolder(work.root, models).current_round() == 1


def test_a_damaged_upload_record_is_an_error_that_names_it(work):
    (work.upload_folder("P01") / "upload.json").write_text("[]", encoding="utf-8")
    with pytest.raises(InputError, match=r"upload\.json"):
        work.upload("P01")
