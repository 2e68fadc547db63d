"""`plgg serve --dicomweb`: studies are listed and opened, by the API and by the page."""

import json

import pytest
from browser import Page, chromium
from orthanc_server import Orthanc, free_port
from served import served
from studies import SECRET, everything_written, make_study

from plgg.core.errors import ConfigError
from plgg.pacs.archive import PacsLink
from plgg.pacs.records import study_key
from plgg.pacs.retry import ONCE
from plgg.serve.options import ServeOptions
from program import one_line, plgg


@pytest.fixture(scope="module")
def web_room(orthanc, model, tmp_path_factory):
    from orthanc_server import PASSWORD, USER

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PLGG_PACS_USER", USER)
        patch.setenv("PLGG_PACS_PASSWORD", PASSWORD)
        link = PacsLink(orthanc.url, retries=ONCE)
        with served(tmp_path_factory.mktemp("room") / "work", model, dicomweb=link) as opened:
            yield opened


def test_a_study_is_listed_opened_and_a_case(orthanc, web_room, tmp_path):
    room = web_room
    study = make_study(tmp_path / "made", tags={"PatientID": "S1"})
    orthanc.send(*study.files)
    (found,) = room.get("studies?patient=S1").json()["studies"]
    assert (found["uid"], found["case"]) == (study.uid, None)
    assert found["series"][0]["n_instances"] == len(study.files)
    opened = room.ask("POST", f"studies/{study.uid}", 202).json()
    key = study_key(study.uid)
    assert opened["id"] == key == opened["job"]["case"]
    twice = room.ask("POST", f"studies/{study.uid}", 202).json()
    assert twice["job"]["id"] == opened["job"]["id"]
    job = room.wait(opened["job"]["id"])
    assert job["state"] == "done", job
    case = room.get(f"cases/{key}").json()
    assert (case["state"], case["result"]["input"]["kind"]) == ("done", "dicom")
    again = room.ask("POST", f"studies/{study.uid}", 200).json()
    assert again["case"]["state"] == "done"
    assert room.get("studies?patient=S1").json()["studies"][0]["case"] == key
    # The records, the log of who did what, the report: of the patient they say nothing.
    told = everything_written(room.room.work.root)
    assert not SECRET.search(told), SECRET.search(told)
    assert key in told


def test_what_is_no_flair_is_refused_by_name(orthanc, web_room, tmp_path):
    study = make_study(
        tmp_path / "made", echo_ms=9.0, inversion_ms=None, tags={"SeriesDescription": "T1 ax"}
    )
    orthanc.send(*study.files[:9])
    job = web_room.ask("POST", f"studies/{study.uid}", 202).json()["job"]
    job = web_room.wait(job["id"])
    assert (job["state"], job["refused"]) == ("failed", True)
    assert "none of its 1 MR series" in job["error"]
    assert not web_room.room.work.has_case(study_key(study.uid))


def test_what_cannot_be_is_refused(web_room):
    assert web_room.get("info").json()["pacs"] is True
    for uid in ("..%2f..%2fetc", "1.2.x", "1" * 65, "1..2"):
        assert web_room.client.post(f"/api/v1/studies/{uid}").status_code in (404, 422)
    web_room.get("studies?date=yesterday", 422)
    web_room.get("studies?limit=0", 422)
    with web_room.other() as stranger:
        assert stranger.get("/api/v1/studies").status_code == 401
        assert stranger.post("/api/v1/studies/1.2.3").status_code == 401
    job = web_room.ask("POST", "studies/1.2.3", 202).json()["job"]
    assert "no such study" in web_room.wait(job["id"])["error"]


def test_a_pacs_that_is_away_is_told(model, tmp_path):
    link = PacsLink(f"http://127.0.0.1:{free_port()}/x", retries=ONCE)
    with served(tmp_path / "work", model, dicomweb=link) as room:
        error = room.get("studies", 502).json()["error"]
        assert "does not answer" in error["message"]
        assert error["remedy"]


def test_a_room_without_a_pacs_has_no_studies(model, tmp_path):
    with served(tmp_path / "work", model) as room:
        room.get("studies", 404)
        room.ask("POST", "studies/1.2.3", 404)
        assert room.get("info").json()["pacs"] is False


def test_another_machine_is_reached_by_tls_alone(model, tmp_path):
    link = PacsLink("http://pacs.example/dicom-web")
    with pytest.raises(ConfigError, match="unencrypted"):
        ServeOptions(work=tmp_path, models=(model,), dicomweb=link).work_folder()
    said = one_line(
        plgg("serve", tmp_path / "w", "--model", model, "--dicomweb", link.url, status=2)
    )
    assert "--insecure" in said


@pytest.mark.slow
def test_from_the_page(orthanc, web_room, tmp_path):
    study = make_study(tmp_path / "made", seed=3, tags={"PatientID": "S9"})
    other = make_study(tmp_path / "other", seed=4, tags={"PatientID": "S8"})
    orthanc.send(*study.files, *other.files[:2])
    key = study_key(study.uid)
    with chromium() as browser:
        page = Page(browser, web_room)
        page.tab.goto(f"{web_room.url}/#token=of-this-test")
        page.tab.locator("details.pacs summary").click()
        page.tab.get_by_label("Patient ID").fill("S9")
        page.tab.get_by_role("button", name="Search").click()
        row = page.tab.locator(f"tr[data-study='{study.uid}']")
        row.wait_for()
        assert page.tab.locator("tr[data-study]").count() == 1
        row.get_by_role("button", name="Open").click()
        page.tab.locator(f"tr[data-case='{key}'][data-state='done']").wait_for()
        assert page.complaints == []
        assert all(
            request.startswith((web_room.url, "blob:", "data:")) for request in page.requests
        )


@pytest.mark.slow
def test_a_server_that_was_killed_goes_on_with_the_study(orthanc, model, tmp_path):
    """The job of a study that was being fetched when the server ended is done by the next one."""
    study = make_study(tmp_path / "made", seed=5)
    orthanc.send(*study.files)
    link = PacsLink(orthanc.dimse, retries=ONCE)
    key = study_key(study.uid)
    with served(tmp_path / "work", model, dicomweb=link) as room:
        opened = room.ask("POST", f"studies/{study.uid}", 202).json()["job"]
    record = json.loads((tmp_path / "work" / "jobs" / f"{opened['id']}.json").read_text())
    assert record["state"] == "queued"
    with served(tmp_path / "work", model, dicomweb=link) as room:
        assert room.wait(opened["id"])["state"] == "done"
        assert room.get(f"cases/{key}").json()["state"] == "done"
        record = json.loads((tmp_path / "work" / "jobs" / f"{opened['id']}.json").read_text())
        assert record["study"] is None


def test_the_extra_is_asked_for(monkeypatch, model, tmp_path):
    monkeypatch.setattr("plgg.core.extras.find_spec", lambda _name: None)
    link = PacsLink("http://127.0.0.1:1/x")
    with pytest.raises(ConfigError, match="dicomweb-client is not installed"):
        ServeOptions(work=tmp_path, models=(model,), dicomweb=link).work_folder()


def test_orthanc_is_what_it_says(orthanc):
    """The harness itself: the plugin is loaded, and it wants a password."""
    assert isinstance(orthanc, Orthanc)
    with orthanc.rest as client:
        assert "dicom-web" in client.get("/plugins").json()
        assert client.get("/system", auth=None).status_code in (200, 401)
