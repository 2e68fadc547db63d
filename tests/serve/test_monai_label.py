"""MONAI Label's protocol: its own client, and what the extensions of 3D Slicer and OHIF ask."""

import gzip
import io
import json
import shutil
from pathlib import Path

import doing
import nibabel as nib
import numpy as np
import pydicom
import pytest
from monai_client import client_module, connected
from served import TOKEN, served

from dicom_series import write_series
from helper import ODD_AFFINES, blob_brain, write_nifti
from plgg import api
from plgg.core.files import sha256
from plgg.data.nifti.image import read_volume
from plgg.serve import runner
from plgg.serve.monai_label import router
from plgg.serve.nrrd import read_nrrd, write_nrrd
from plgg.serve.uploads import Patient, UploadedFile, save_upload

# MONAI Label's client closes neither its sockets nor its files.
pytestmark = pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")


def model_mask(work, case_id):
    return read_volume(work.case_folder(case_id) / "mask.nii.gz")


def corrected(work, case_id, tmp_path, name="label.nii.gz"):
    """A mask with a box more than the model's, saved as a file; and its voxels."""
    mask = model_mask(work, case_id)
    data = (mask.data > 0).astype(np.uint8)
    data[2:5, 3:6, 4:6] = 1
    label = mask.with_data(data)
    path = tmp_path / name
    if name.endswith(".nrrd"):
        path.write_bytes(write_nrrd(label, segment="tumour"))
    else:
        write_nifti(path, data, label.affine)
    return path, data


def newest(work, case_id):
    return read_volume(work.mask(case_id)).data


@pytest.fixture
def client(room, tmp_path):
    return connected(room.url, TOKEN, tmp_path)


# The client itself.


def test_the_client_logs_in_by_the_token_alone(room, tmp_path):
    module = client_module()
    stranger = module.MONAILabelClient(room.url, str(tmp_path))
    assert stranger.auth_enabled()
    assert not stranger.auth_valid_token()
    for ask in (
        stranger.info,
        stranger.datastore,
        stranger.train_stop,
        lambda: stranger.next_sample("random", {}),
        lambda: stranger.infer("plgg", "P01", {}),
    ):
        with pytest.raises(module.MONAILabelClientException, match="401"):
            ask()
    with pytest.raises(module.MONAILabelClientException):
        stranger.auth_token("anyone", "guess")
    stranger.update_auth(stranger.auth_token("anyone", TOKEN))
    assert stranger.auth_valid_token()
    assert stranger.info()["models"]


def test_the_client_is_told_models_labels_and_strategies(client):
    info = client.info()
    assert info["models"]["plgg"]["type"] == "segmentation"
    assert info["models"]["plgg"]["labels"] == {"tumour": 1}
    assert info["labels"] == ["tumour"]
    assert set(info["strategies"]) == {"entropy", "agreement", "out-of-distribution", "random"}
    assert info["datastore"] == {
        "total": 3,
        "completed": 0,
        "label_tags": {"original": 3, "final": 0},
    }
    # 3D Slicer's extension takes a server that says this for one of another age.
    assert "config" not in info


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".seg.nrrd"])
def test_the_client_gets_the_mask_voxel_for_voxel(client, work, ending):
    file, params = client.infer("plgg", "P01", {"result_extension": ending})
    assert file.endswith(ending)
    mask = model_mask(work, "P01")
    raw = Path(file).read_bytes()
    found = read_nrrd(raw).volume if raw.startswith(b"NRRD") else nib.load(file)
    data = found.data if hasattr(found, "data") else np.asarray(found.dataobj)
    assert np.array_equal(data, mask.data)
    assert np.allclose(found.affine, mask.affine, atol=1e-5)
    assert params["label_names"] == {"tumour": 1}


def test_the_client_saves_a_label_and_goes_on(client, work, tmp_path):
    """The same client object: it names the length of the last upload with all that follows."""
    before = sha256(work.case_folder("P01") / "mask.nii.gz")
    path, data = corrected(work, "P01", tmp_path)
    named = {"label_info": [{"name": "tumour", "idx": 1}]}
    saved = client.save_label("P01", str(path), params=named)
    assert saved["image"] == "P01"
    assert saved["edit"] == 1
    assert np.array_equal(newest(work, "P01"), data)
    assert work.edits("P01")[0].who == "reader-1"
    assert sha256(work.case_folder("P01") / "mask.nii.gz") == before
    assert client.info()["datastore"]["completed"] == 1
    objects = client.datastore()["objects"]
    assert set(objects["P01"]["labels"]) == {"original", "final"}
    assert set(objects["P02"]["labels"]) == {"original"}
    assert objects["P01"]["labels"]["original"]["info"]["params"]["label_names"] == {"tumour": 1}
    assert np.array_equal(np.asarray(nib.load(client.download_label("P01", "final")).dataobj), data)
    original = Path(client.download_label("P01", "original"))
    assert sha256(original) == before


def test_after_a_large_label_the_client_still_gets_an_answer(client, work, tmp_path):
    """MONAI Label's client then sends GET with the length of two megabytes, and none of them."""
    mask = model_mask(work, "P02")
    label = tmp_path / "label.nrrd"
    noise = np.random.default_rng(0).integers(0, 2, (16, *mask.shape)).astype("<u2")
    header = write_nrrd(mask.with_data(mask.data.astype(np.uint16)), packed=False)
    head = header.partition(b"\n\n")[0].replace(b"dimension: 3", b"dimension: 4")
    head = head.replace(b"sizes: ", b"sizes: 16 ").replace(b"directions: ", b"directions: none ")
    names = b"\nSegment0_Name:=tumour"
    names += b"".join(b"\nSegment%d_Name:=other-%d" % (i, i) for i in range(1, 16))
    label.write_bytes(head + names + b"\n\n" + noise.tobytes(order="F"))
    assert label.stat().st_size > 2**20
    saved = client.save_label("P02", str(label))
    assert len(saved["ignored_segments"]) == 15
    assert np.array_equal(newest(work, "P02"), noise[0])
    assert client.info()["datastore"]["completed"] == 1
    assert client.train_stop() is None


def test_next_samples_are_given_until_none_is_left(client, work, tmp_path):
    seen = set()
    for _ in range(3):
        sample = client.next_sample("entropy", {})
        assert sample["id"] not in seen
        seen.add(sample["id"])
        # On this machine the extension opens the file itself.
        volume = read_volume(Path(sample["path"]))
        assert volume.shape == model_mask(work, sample["id"]).shape
        assert sample["checksum"] == f"SHA256:{sha256(Path(sample['path']))}"
        path, _ = corrected(work, sample["id"], tmp_path, "label.seg.nrrd")
        client.save_label(sample["id"], str(path))
    assert seen == {"P01", "P02", "P03"}
    assert client.next_sample("random", {}) == {}


def test_a_session_is_a_case_named_after_its_bytes(room, work, tmp_path):
    scan, _ = blob_brain(affine=ODD_AFFINES["coronal"], seed=9)
    path = write_nifti(tmp_path / "tmpab12.nii.gz", scan.data, scan.affine)
    # A client each, as in 3D Slicer: one that is used again sends headers of its last request.
    session = connected(room.url, TOKEN, tmp_path).create_session(str(path))["session_id"]
    room.ask("DELETE", f"jobs/{room.room.queue.of_case(session).id}")
    again = connected(room.url, TOKEN, tmp_path)
    assert again.create_session(str(path))["session_id"] == session
    assert again.get_session(session)["name"] == session
    again.remove_session(session)
    assert work.has_case(session)
    file, params = again.infer("plgg", "", {"result_extension": ".nrrd"}, session_id="P01")
    assert params["image"] == "P01"
    assert np.array_equal(
        read_nrrd(Path(file).read_bytes()).volume.data, model_mask(work, "P01").data
    )


def test_a_label_of_a_new_scan_waits_for_its_prediction(client, work, tmp_path):
    """As 3D Slicer submits: the image under the volume's name, then its label at once."""
    scan, tumour = blob_brain(affine=ODD_AFFINES["sagittal"], seed=8)
    path = write_nifti(tmp_path / "tmpcd34.nii.gz", scan.data, scan.affine)
    label = write_nifti(tmp_path / "label.nii.gz", tumour.data, tumour.affine)
    client.upload_image(str(path), "Zoe FLAIR (1)")
    saved = client.save_label("Zoe FLAIR (1)", str(label))
    assert saved["image"] == "Zoe_FLAIR_1"
    assert np.array_equal(newest(work, "Zoe_FLAIR_1"), tumour.data)
    # Submitted again: the same scan is no other case.
    assert client.upload_image(str(path), "Zoe FLAIR (1)") == {"image": "Zoe_FLAIR_1"}


def test_training_starts_is_told_and_stops(client, work, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "do", doing.slowly)
    module = client_module()
    with pytest.raises(module.MONAILabelClientException, match="404"):
        client.train_status()
    with pytest.raises(module.MONAILabelClientException, match="no case was corrected"):
        client.train_start("plgg", {})
    path, _ = corrected(work, "P01", tmp_path)
    client.save_label("P01", str(path))
    task = client.train_start("plgg", {"max_epochs": 1})
    assert task["status"] in ("SUBMITTED", "RUNNING")
    assert client.train_status(check_if_running=True)
    assert client.train_status()["id"] == task["id"]
    stopped = client.train_stop()
    assert stopped["status"] == "STOPPED"
    # 3D Slicer shows the last detail, and needs one.
    assert stopped["details"][-1]
    assert not client.train_status(check_if_running=True)


# As the extensions ask.


def test_ohif_reads_the_mask_from_one_answer(room, work):
    """OHIF 3: bare voxels of 8 bits, in the scan's order, behind a header of text."""
    asked = {"result_extension": ".nrrd", "result_dtype": "uint8", "result_compress": False}
    sent = {"params": (None, json.dumps(asked))}
    mask = model_mask(work, "P03")
    answer = room.ask("POST", "/infer/plgg?image=P03&output=image", files=sent)
    header, _, raw = answer.content.partition(b"\n\n")
    assert b"encoding: raw" in header
    assert np.array_equal(np.frombuffer(raw, np.uint8), mask.data.ravel(order="F"))
    # Older ones take all parts as text, by the names of these headers.
    asked["result_dtype"] = "uint16"
    sent = {"params": (None, json.dumps(asked))}
    answer = room.ask("POST", "/infer/plgg?image=P03&output=all", files=sent)
    boundary = answer.headers["content-type"].partition("boundary=")[2]
    parts = [part for part in answer.content.decode().split(f"--{boundary}") if part.strip()]
    told = next(part for part in parts if "Content-Type: application/json" in part)
    told = json.loads(told[told.index("{") : told.rindex("}") + 1])
    label, *centre = told["centroids"]["tumour"]
    assert label == 1
    assert np.allclose(centre, np.argwhere(mask.data).mean(axis=0), atol=0.01)
    image = next(part for part in parts if "Content-Type: application/octet-stream" in part)
    binary = image.split("\r\n\r\n")[1]
    raw = bytes(map(ord, binary[: binary.rindex("\r\n")]))
    assert np.array_equal(read_nrrd(raw).volume.data, mask.data)


def test_ohif_saves_bare_voxels(room, work, tmp_path):
    _, data = corrected(work, "P02", tmp_path)
    sent = {
        "params": (None, json.dumps({"label_info": [{"name": "tumour"}]})),
        "label": ("label.bin", data.tobytes(order="F")),
    }
    room.ask("PUT", "/datastore/label?image=P02", files=sent)
    assert np.array_equal(newest(work, "P02"), data)


def test_infer_begins_with_the_newest_correction_or_the_model(room, work, tmp_path):
    path, data = corrected(work, "P01", tmp_path)
    room.ask("PUT", "/datastore/label?image=P01", files={"label": path.read_bytes()})
    for begin, expected in (("newest", data), ("model", model_mask(work, "P01").data)):
        sent = {"params": (None, json.dumps({"start_from": begin}))}
        raw = room.ask("POST", "/infer/plgg?image=P01&output=image", files=sent).content
        found = nib.Nifti1Image.from_bytes(gzip.decompress(raw))
        assert np.array_equal(np.asarray(found.dataobj), expected)


def test_a_sheared_scan_is_given_as_nrrd(room, work):
    view = work.view_folder("P02") / "view.json"
    record = json.loads(view.read_text())
    affine = np.array(record["affine"])
    affine[0, 2] += 0.05 * affine[2, 2]
    volume = read_volume(work.view_folder("P02") / "volume.nii.gz")
    write_nifti(work.view_folder("P02") / "volume.nii.gz", volume.data, affine)
    view.write_text(json.dumps(record | {"affine": affine.tolist()}))
    answer = room.get("/datastore/image?image=P02")
    assert 'filename="P02.nrrd"' in answer.headers["content-disposition"]
    found = read_nrrd(answer.content).volume
    assert np.allclose(found.affine, affine, atol=1e-5)
    assert np.array_equal(found.data, volume.data)
    sent = {"params": (None, json.dumps({"result_extension": ".nii.gz"}))}
    assert room.ask("POST", "/infer/plgg?image=P02&output=image", files=sent).content[:4] == b"NRRD"


@pytest.mark.parametrize(
    ("method", "path", "status", "said"),
    [
        ("POST", "/infer/other?image=P01", 404, "there is no model"),
        ("POST", "/infer/plgg?image=P09", 404, "no such image"),
        ("POST", "/infer/plgg?image=..%2F..%2Fetc", 404, "no such image"),
        ("POST", "/infer/plgg?image=P01&output=dicom_seg", 422, "DICOM"),
        ("GET", "/datastore/image?image=%2E%2E", 404, "no such image"),
        ("GET", "/datastore/image?image=", 404, "no such image"),
        ("GET", "/datastore/label?label=P01&tag=final", 404, "not corrected"),
        ("GET", "/datastore/label?label=P01&tag=..%2F0001", 422, "tag"),
        ("POST", "/activelearning/first", 422, "strategy"),
        ("GET", "/session/P09", 404, "no such image"),
        ("POST", "/train/other", 404, "there is no model"),
        ("DELETE", "/datastore/?id=P01", 405, ""),
        ("GET", "/train/?check_if_running=true", 404, "no training"),
    ],
)
def test_what_is_not_there_is_said_in_a_line(room, method, path, status, said):
    assert said in room.ask(method, path, status).text


@pytest.mark.parametrize("change", ["moved", "other shape", "fractions", "no image", "original"])
def test_no_label_of_the_case_is_saved(room, work, tmp_path, change):
    path, data = corrected(work, "P01", tmp_path)
    affine, status, tag = model_mask(work, "P01").affine.copy(), 422, "final"
    if change == "moved":
        affine[0, 3] += 1.0
    if change == "original":
        status, tag = 409, "original"
    data = data[1:, :, :-1] if change == "other shape" else data
    write_nifti(path, data * 0.4 if change == "fractions" else data, affine * 1.0)
    if change == "other shape":
        # Where it is marked it would reach beyond the case.
        affine[:3, 3] -= affine[:3, 0] * 40
        write_nifti(path, data, affine)
    if change == "no image":
        path.write_bytes(b"no image at all")
    answer = room.ask(
        "PUT", f"/datastore/label?image=P01&tag={tag}", status, files={"label": path.read_bytes()}
    )
    assert answer.json()["error"]["message"]
    assert not work.edits("P01")
    assert not list(work.uploads.glob(".plgg-*"))


def test_every_path_wants_the_token_but_the_way_to_it(room):
    asked = [(method, route.path) for route in router.routes for method in route.methods]
    assert len(asked) > 20
    with room.other() as stranger:
        for method, path in asked:
            named = path.format(model="plgg", strategy="random", session_id="P01")
            status = stranger.request(method, named).status_code
            assert status == (200 if (method, path) == ("GET", "/auth/") else 401), (method, path)


def test_without_a_token_none_is_asked_for(work):
    with served(work.root, *work.models, token=None) as room:
        assert room.get("/auth/").json()["enabled"] is False
        told = room.ask("POST", "/auth/token", data={"username": "a", "password": "b"}).json()
        assert told == {"access_token": None, "token_type": None}


def test_the_log_names_cases_and_no_one(room, work, tmp_path):
    shutil.copy(work.scan("P01"), tmp_path / "Jane Doe.nii.gz")
    with (tmp_path / "Jane Doe.nii.gz").open("rb") as file:
        room.ask("PUT", "/datastore/?image=P07", files={"file": ("Jane Doe.nii.gz", file)})
    log = room.get("/logs/?lines=5").text
    assert "predict P07" in log
    assert "Jane" not in log
    assert "Jane" not in (work.root / "audit.jsonl").read_text()


def test_a_dicom_series_is_found_by_its_uid_and_answered_as_seg(work, tmp_path):
    scan, _ = blob_brain(affine=ODD_AFFINES["oblique-lps"], seed=4)
    write_series(tmp_path / "series", scan)
    files = [path for path in sorted((tmp_path / "series").rglob("*")) if path.is_file()]
    given = [UploadedFile(path.name, io.BytesIO(path.read_bytes())) for path in files]
    save_upload(work, given, Patient("D01"), voxels=10**8)
    api.predict([work.scan("D01")], out=work.cases, model=work.models)
    uid = str(pydicom.dcmread(files[0]).SeriesInstanceUID)
    with served(work.root, *work.models) as room:
        sent = {"params": (None, json.dumps({"result_extension": ".nrrd"}))}
        raw = room.ask("POST", f"/infer/plgg?image={uid}&output=image", files=sent).content
        assert np.array_equal(read_nrrd(raw).volume.data, model_mask(work, "D01").data)
        seg = room.ask("POST", f"/infer/plgg?image={uid}&output=dicom_seg").content
    header = pydicom.dcmread(io.BytesIO(seg))
    assert header.Modality == "SEG"
    assert header.ReferencedSeriesSequence[0].SeriesInstanceUID == uid
