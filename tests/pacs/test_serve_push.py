"""`plgg serve --push`: a case's objects go to the PACS from its page, once, and only if allowed."""

import json
import shutil

import nibabel as nib
import numpy as np
import pytest
from browser import Page, chromium
from orthanc_server import Orthanc, require_orthanc
from served import TOKEN, served
from studies import SECRET, everything_written, same_points, uid_of

from dicom_seg import by_highdicom, points
from helper import write_nifti
from plgg.core.errors import ConfigError
from plgg.core.output import READING_ROOM, output_folder
from plgg.data.dicom.objects import own_objects
from plgg.pacs.archive import PacsLink
from plgg.pacs.pull import pull
from plgg.pacs.retry import ONCE
from plgg.serve.options import ServeOptions
from plgg.serve.queue import JobQueue
from plgg.serve.work import WorkFolder
from program import one_line, plgg

CASE = "oblique-lps"


@pytest.fixture
def root(predicted, model, tmp_path):
    """The work folder of a reading room with one case that was DICOM, and one of NIfTI."""
    folder = tmp_path / "work"
    with output_folder(folder, READING_ROOM):
        WorkFolder(folder, (model,)).make()
    shutil.copytree(predicted[CASE].case, folder / "cases" / CASE)
    plain = folder / "cases" / "plain"
    shutil.copytree(predicted[CASE].case, plain, ignore=shutil.ignore_patterns("*.dcm"))
    record = json.loads((plain / "result.json").read_text())
    (plain / "result.json").write_text(json.dumps(record | {"case_id": "plain"}))
    return folder


@pytest.fixture
def pacs(orthanc):
    orthanc.clear()
    return PacsLink(orthanc.url, retries=ONCE)


@pytest.fixture
def room(root, model, pacs):
    with served(root, model, dicomweb=pacs, push=True) as opened:
        yield opened


def pushed(room, case=CASE, **asked):
    """Push, and wait for the end of the job."""
    answer = room.ask("POST", f"cases/{case}/push", 202, **asked)
    assert answer.headers["location"] == f"/api/v1/jobs/{answer.json()['job']['id']}"
    return answer.json(), room.wait(answer.json()["job"]["id"])


def uids(folder):
    return sorted(uid_of(path) for path in own_objects(folder))


def audited(room):
    path = room.room.work.root / "audit.jsonl"
    found = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return [
        {name: one.get(name) for name in ("what", "who", "case", "edit")}
        for one in found
        if one["what"] in ("push", "pushed", "push failed")
    ]


def correct(room, case=CASE):
    """Save the model's mask with a piece taken out; returns its file's array and affine."""
    path = room.room.work.case_folder(case) / "mask.nii.gz"
    image = nib.load(path)
    data = (np.asarray(image.dataobj) > 0).astype(np.uint8)
    data[: data.shape[0] // 2] = 0
    assert data.any()
    sent = write_nifti(room.room.work.root.parent / "drawn.nii.gz", data, image.affine)
    etag = room.get(f"cases/{case}").json()["etag"]
    room.ask(
        "PUT", f"cases/{case}/mask", 201, content=sent.read_bytes(), headers={"If-Match": etag}
    )
    return data, image.affine


def test_the_models_mask_is_sent_once(orthanc, room, root):
    before = room.get(f"cases/{CASE}").json()
    assert (before["dicom"], before["push"]) == (True, None)
    headers = {"X-Plgg-User": "AB"}
    answer, job = pushed(room, headers=headers)
    assert (answer["edit"], answer["objects"]) == (0, ["segmentation.dcm", "measurements.dcm"])
    assert (job["state"], job["outcome"]) == ("done", "2 objects sent, 0 were there already")
    assert orthanc.objects() == uids(root / "cases" / CASE)
    again = pushed(room)[1]
    assert (again["state"], again["outcome"]) == ("done", "0 objects sent, 2 were there already")
    assert orthanc.objects() == uids(root / "cases" / CASE)
    assert room.get(f"cases/{CASE}").json()["push"]["id"] == again["id"]
    # The prediction is none of these jobs' business.
    assert room.get(f"cases/{CASE}").json()["state"] == "done"
    of = {"case": CASE, "edit": 0}
    assert audited(room) == [
        {"what": "push", "who": "AB", **of},
        {"what": "pushed", "who": "", **of},
        {"what": "push", "who": "", **of},
        {"what": "pushed", "who": "", **of},
    ]
    told = everything_written(root)
    assert not SECRET.search(told), SECRET.search(told)


def test_the_newest_correction_is_sent_and_is_in_place(orthanc, room, root, pacs, tmp_path):
    data, affine = correct(room)
    answer, job = pushed(room)
    assert (answer["edit"], job["edit"], job["state"]) == (1, 1, "done")
    edit = root / "cases" / CASE / "edits" / "0001"
    assert orthanc.objects() == uids(edit)
    pull(pacs, str(by_series(edit)[0]), tmp_path / "back")
    (file,) = (tmp_path / "back").rglob(f"{uid_of(edit / 'segmentation.dcm')}.dcm")
    same_points(by_highdicom(file), points(data, affine))
    # The model's own, where it is asked for; both are one study.
    assert pushed(room, json={"edit": 0})[0]["edit"] == 0
    assert orthanc.objects() == sorted([*uids(edit), *uids(root / "cases" / CASE)])


def by_series(folder):
    from dicom_series import read_header

    header = read_header(folder / "segmentation.dcm")
    return header.StudyInstanceUID, header.SeriesInstanceUID


def test_who_may_not_send_does_not(orthanc, root, model, pacs):
    with served(root, model, dicomweb=pacs) as room:
        assert room.get("info").json()["push"] is False
        error = room.ask("POST", f"cases/{CASE}/push", 403).json()["error"]
        assert "--push" in error["remedy"]
    with served(root, model) as room:
        room.ask("POST", f"cases/{CASE}/push", 404)
    with served(root, model, dicomweb=pacs, push=True) as room:
        assert room.get("info").json()["push"] is True
        with room.other() as stranger:
            assert stranger.post(f"/api/v1/cases/{CASE}/push").status_code == 401
        elsewhere = {"Origin": "https://elsewhere.example"}
        room.ask("POST", f"cases/{CASE}/push", 403, headers=elsewhere)
        room.ask("POST", f"cases/{CASE}/push", 403, headers={"Sec-Fetch-Site": "cross-site"})
        assert room.room.queue.all() == []
        assert audited(room) == []
    assert orthanc.objects() == []


def test_what_cannot_be_sent_is_refused(orthanc, room):
    error = room.ask("POST", "cases/plain/push", 409).json()["error"]
    assert "no DICOM object" in error["message"]
    assert room.get("cases/plain").json()["dicom"] is False
    room.ask("POST", "cases/nobody/push", 404)
    room.ask("POST", "cases/..%2f..%2fetc/push", 404)
    room.ask("POST", f"cases/{CASE}/push", 404, json={"edit": 7})
    for wrong in ({"edit": -1}, {"edit": "x"}, {"to": "elsewhere"}, [1]):
        room.ask("POST", f"cases/{CASE}/push", 422, json=wrong)
    assert room.room.queue.all() == []
    assert orthanc.objects() == []


def test_a_case_that_is_being_predicted_waits(root, model, pacs):
    with served(root, model, dicomweb=pacs, push=True) as room:
        # Nobody does the jobs of this room.
        room.room.runner.stop()
        queue = room.room.queue
        job = queue.add("predict", case=CASE)
        assert "queued" in room.ask("POST", f"cases/{CASE}/push", 409).json()["error"]["message"]
        queue.cancel(job.id)
        first, second = (
            room.ask("POST", f"cases/{CASE}/push", 202).json()["job"]["id"] for _ in range(2)
        )
        assert first == second
        assert [one["what"] for one in audited(room)] == ["push"]


def test_a_job_that_a_killed_server_had_begun_is_done_once(orthanc, root, model, pacs):
    queue = JobQueue(root / "jobs")
    job = queue.add("push", case=CASE, edit=0)
    assert queue.take(0.0).state == "running"
    orthanc.send(root / "cases" / CASE / "segmentation.dcm")
    with served(root, model, dicomweb=pacs, push=True) as room:
        done = room.wait(job.id)
    assert (done["state"], done["outcome"]) == ("done", "1 objects sent, 1 were there already")
    assert orthanc.objects() == uids(root / "cases" / CASE)


def test_a_job_of_a_room_that_might_push_is_not_done_by_one_that_may_not(
    orthanc, root, model, pacs
):
    job = JobQueue(root / "jobs").add("push", case=CASE, edit=0)
    with served(root, model, dicomweb=pacs) as room:
        done = room.wait(job.id)
        assert done["state"] == "failed"
        assert "Open the room with --push" in done["error"]
        assert [one["what"] for one in audited(room)] == ["push failed"]
    assert orthanc.objects() == []


def test_a_pacs_that_is_away_is_one_line_and_it_is_sent_later(root, model, tmp_path):
    require_orthanc()
    (tmp_path / "orthanc").mkdir()
    server = Orthanc(tmp_path / "orthanc").start()
    link = PacsLink(server.url, retries=ONCE, seconds=10.0)
    try:
        with served(root, model, dicomweb=link, push=True) as room:
            server.kill()
            job = pushed(room)[1]
            assert job["state"] == "failed"
            assert "does not answer" in job["error"]
            assert "\n" not in job["error"]
            assert room.get(f"cases/{CASE}").json()["push"]["error"] == job["error"]
            server.start()
            assert pushed(room)[1]["outcome"] == "2 objects sent, 0 were there already"
            assert server.objects() == uids(root / "cases" / CASE)
    finally:
        server.kill()


def test_an_object_that_cannot_be_sent_is_told(room, root):
    """The job says which."""
    (root / "cases" / CASE / "measurements.dcm").write_bytes(b"no DICOM")
    job = pushed(room)[1]
    assert job["state"] == "failed"
    assert "measurements.dcm was refused" in job["error"]


def test_it_is_described(room):
    operation = room.get("openapi.json").json()["paths"]["/api/v1/cases/{case_id}/push"]["post"]
    assert {"202", "403", "404", "409", "429"} <= set(operation["responses"])
    assert "to the PACS" in operation["description"] + operation["summary"]
    page = room.get("docs").text
    assert "/cases/{case_id}/push" in page


def test_there_must_be_a_pacs(model, tmp_path):
    with pytest.raises(ConfigError, match="no PACS to send to"):
        ServeOptions(work=tmp_path, models=(model,), push=True).work_folder()
    said = one_line(plgg("serve", tmp_path / "w", "--model", model, "--push", status=2))
    assert "--dicomweb URL" in said


def test_from_the_page(orthanc, room, root):
    with chromium() as browser:
        page = Page(browser, room)
        page.log_in(TOKEN)
        page.open_case(CASE)
        button, said = page.tab.locator("[data-action=push]"), page.tab.locator("#pushed")
        said.get_by_text("Not sent yet").wait_for()
        button.click()
        page.tab.get_by_role("button", name="Do not send").click()
        assert room.room.queue.all() == []
        button.click()
        page.tab.get_by_role("button", name="Send", exact=True).click()
        said.get_by_text("2 objects sent").wait_for()
        assert orthanc.objects() == uids(root / "cases" / CASE)
        orthanc.kill()
        try:
            button.click()
            page.tab.get_by_role("button", name="Send", exact=True).click()
            said.get_by_text("does not answer").wait_for()
        finally:
            orthanc.start()
        assert page.complaints == []
        assert page.leaves_this_machine() == []
