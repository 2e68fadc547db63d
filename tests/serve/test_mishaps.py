"""What goes wrong in an open room: damaged records, links, a full disk, saves that cross others."""

import hashlib
import json
import shutil
import time

import pytest
from served import PATIENCE, served
from test_edits import drawn, etag_of, nifti, put

from plgg.core.errors import InputError, OutputError
from plgg.core.output import READING_ROOM, output_folder
from plgg.serve import queue as queue_module
from plgg.serve import runner
from plgg.serve.edits import save_edit
from plgg.serve.routes import cases as case_routes
from plgg.serve.routes import masks as mask_routes
from plgg.serve.views import make_view
from plgg.serve.work import WorkFolder


def states_of(room):
    """State and error of each case of the work list."""
    found = room.get("cases").json()["cases"]
    return {case["id"]: (case["state"], case["error"]) for case in found}


def save(work, tmp_path, case_id, seed=0):
    """Save a correction as another client would."""
    file = tmp_path / f"by-another-{seed}"
    file.write_bytes(nifti(tmp_path, *drawn(work, case_id, seed)))
    return save_edit(work, case_id, file, if_match=work.mask_sha256(case_id))


def test_a_damaged_record_of_an_edit_costs_no_other_case(room, work, tmp_path):
    save(work, tmp_path, "P01")
    (work.case_folder("P01") / "edits" / "0001" / "edit.json").write_text("{", encoding="utf-8")
    states = states_of(room)
    assert states["P01"][0] == "failed"
    assert "cases/P01/edits/0001/edit.json" in states["P01"][1]
    assert str(work.root) not in states["P01"][1]
    assert states["P02"] == states["P03"] == ("done", None)
    assert room.ask("POST", "next").json()["case"] in ("P02", "P03")
    put(room, "P02", nifti(tmp_path, *drawn(work, "P02")), etag_of(room, "P02"))
    room.get("/datastore/?output=all")
    # Nobody is taught without it.
    assert "edit.json" in room.ask("POST", "rounds", 422).json()["error"]["where"]


def test_a_damaged_record_of_an_upload_costs_no_other_case(work):
    (work.upload_folder("P02") / "upload.json").write_text("{", encoding="utf-8")
    with served(work.root, *work.models) as opened:
        states = states_of(opened)
    assert "upload.json" in states["P02"][1]
    assert states["P01"] == states["P03"] == ("done", None)


def test_a_case_that_is_a_link_elsewhere_costs_no_other_and_is_left_alone(work, tmp_path):
    folder, elsewhere = work.case_folder("P01"), tmp_path / "elsewhere"
    folder.rename(elsewhere)
    folder.symlink_to(elsewhere)
    left = elsewhere / "edits" / ".plgg-new-0123456789abcdef.edit"
    left.mkdir(parents=True)
    with served(work.root, *work.models) as opened:
        states = states_of(opened)
        assert "leads out of the folder" in opened.get("cases/P01", 422).text
    assert states["P01"][0] == "failed"
    assert states["P02"] == states["P03"] == ("done", None)
    assert left.is_dir()


def test_nothing_is_saved_through_a_link_in_the_place_of_the_edits(work, tmp_path):
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (work.case_folder("P01") / "edits").symlink_to(elsewhere)
    with pytest.raises(InputError, match="leads out of the folder"):
        save(work, tmp_path, "P01")
    assert not [*elsewhere.iterdir()]


def test_the_number_of_a_lost_record_is_not_given_again(work, tmp_path):
    save(work, tmp_path, "P01", 1)
    (work.case_folder("P01") / "edits" / "0001" / "edit.json").unlink()
    assert save(work, tmp_path, "P01", 2).number == 2


def test_a_mask_and_its_etag_are_of_one_edit(room, work, tmp_path, monkeypatch):
    """Somebody saves while a mask is being looked up: they must not be overwritten unseen."""
    ask = case_routes._mask_tag  # noqa: SLF001 - the moment between two looks

    def after_a_save(*of):
        save(work, tmp_path, "P01")
        return ask(*of)

    monkeypatch.setattr(case_routes, "_mask_tag", after_a_save)
    answer = room.get("cases/P01/mask.nii.gz")
    monkeypatch.undo()
    assert answer.headers["ETag"] == f'"{hashlib.sha256(answer.content).hexdigest()}"'
    body = nifti(tmp_path, *drawn(work, "P01", 5))
    put(room, "P01", body, answer.headers["ETag"].strip('"'), 409)


def test_nothing_is_saved_beneath_a_prediction_that_was_asked_for_meanwhile(
    room, work, tmp_path, monkeypatch
):
    room.room.queue.close()  # so that the job waits
    receive = mask_routes._received  # noqa: SLF001 - likewise

    async def after_another_asked(*of):
        await receive(*of)
        room.room.queue.add("predict", case="P01")

    monkeypatch.setattr(mask_routes, "_received", after_another_asked)
    put(room, "P01", nifti(tmp_path, *drawn(work, "P01")), etag_of(room, "P01"), 409)
    assert not work.edits("P01")
    assert not [*(work.case_folder("P01") / "edits").iterdir()]


@pytest.mark.parametrize("path", ["/infer/plgg?image=P01&output=json"])
def test_parameters_without_an_end_of_brackets_are_refused(room, path):
    told = room.ask("POST", path, 422, data={"params": "[" * 50_000}).json()["error"]
    assert told["where"] == "params"


def test_a_view_that_is_made_again_shows_the_newest_mask(work, tmp_path):
    def thumbnail():
        make_view(work, "P02")
        return (work.view_folder("P02") / "thumbnail.png").read_bytes()

    with output_folder(work.root, READING_ROOM):
        before = thumbnail()
        save(work, tmp_path, "P02")
        shutil.rmtree(work.view_folder("P02"))
        assert thumbnail() != before


def test_a_full_disk_stops_jobs_and_not_the_queue(work, monkeypatch):
    write, full = queue_module.write_json, []

    def write_if_there_is_space(path, record):
        if full and record["state"] in ("running", "done"):
            full.append(record["state"])
            raise OutputError("could not be written (No space left on device)", where=path)
        write(path, record)

    monkeypatch.setattr(queue_module, "write_json", write_if_there_is_space)
    monkeypatch.setattr(runner, "_FULL_SECONDS", 0.01)
    full.append("from now on")
    with served(work.root, *work.models) as opened:
        job = opened.ask("POST", "cases/P01/predict", 202).json()["job"]["id"]
        wait_for(lambda: "running" in full)
        assert opened.get(f"jobs/{job}").json()["state"] == "queued"
        full.clear()
        assert opened.wait(job)["state"] == "done"


def test_a_job_whose_end_cannot_be_written_is_ended_once_it_can(work, monkeypatch):
    write, n_refused = queue_module.write_json, []

    def write_at_the_fourth_try(path, record):
        if record["state"] in ("done", "failed") and len(n_refused) < 3:
            n_refused.append(record["state"])
            raise OutputError("could not be written (No space left on device)", where=path)
        write(path, record)

    monkeypatch.setattr(queue_module, "write_json", write_at_the_fourth_try)
    monkeypatch.setattr(runner, "_FULL_SECONDS", 0.01)
    with served(work.root, *work.models) as opened:
        job = opened.ask("POST", "cases/P01/predict", 202).json()["job"]["id"]
        assert "No space left" in opened.wait(job)["error"]
        path = WorkFolder(work.root, work.models).jobs / f"{job}.json"
        assert json.loads(path.read_text(encoding="utf-8"))["state"] == "failed"
        # The next one is done.
        assert opened.wait(opened.room.queue.add("predict", case="P01").id)["state"] == "done"


def wait_for(is_so):
    """Wait until something is so."""
    until = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)
