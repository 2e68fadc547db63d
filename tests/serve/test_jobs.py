"""The queue: on the disk, one process a job, within limits; a crash costs no job."""

import json
import time
from datetime import UTC, datetime, timedelta

import doing
import nibabel as nib
import numpy as np
import psutil
import pytest
from served import PATIENCE, served

from helper import write_nifti
from plgg.core.files import sha256
from plgg.core.progress import Step
from plgg.predict.options import PredictOptions
from plgg.serve import queue as queue_module
from plgg.serve import runner
from plgg.serve.cases import CaseList
from plgg.serve.errors import RequestError
from plgg.serve.queue import MOST_ATTEMPTS, JobQueue
from plgg.serve.records import Job, JobProgress
from plgg.serve.uploads import Patient, UploadedFile, save_upload
from plgg.serve.worker import JobWatch, predict_case


@pytest.fixture
def queue(tmp_path):
    opened = JobQueue(tmp_path, most=3)
    opened.load()
    return opened


def again(tmp_path):
    """The queue as another server finds it."""
    opened = JobQueue(tmp_path)
    opened.load()
    return opened


def test_jobs_are_given_out_in_their_order_and_are_on_the_disk(queue, tmp_path):
    first, second = queue.add("predict", case="P01"), queue.add("round", number=1)
    assert queue.take(0).id == first.id
    assert queue.take(0).id == second.id
    assert queue.take(0) is None
    queue.end(first.id)
    queue.end(second.id, "was bad", refused=True)
    found = again(tmp_path)
    assert [job.state for job in found.all()] == ["done", "failed"]
    assert found.get(second.id).error == "was bad"
    assert found.of_case("P01").id == first.id
    assert found.of_round(1).id == second.id
    assert found.of_case("P02") is None


def put_away(folder, days, number, **said):
    """The file of a job that was queued so many days ago."""
    then = datetime.now(UTC) - timedelta(days=days)
    name = f"{then:%Y%m%d-%H%M%S}{number:06d}-{number:08x}"
    job = Job(id=name, kind="predict", created=then.isoformat(), **{"state": "done"} | said)
    path = folder / f"{name}.json"
    path.write_text(job.model_dump_json())
    return path


def test_old_finished_jobs_go_and_nothing_else_does(tmp_path, monkeypatch):
    old = [put_away(tmp_path, 31, n, case="P01") for n in range(3)]
    failed = put_away(tmp_path, 40, 3, case="P02", state="failed")
    waits = put_away(tmp_path, 50, 4, case="P03", state="queued")
    recent = [put_away(tmp_path, 29, n, case="P01") for n in range(5, 9)]
    foreign = tmp_path / f"{old[0].stem[:-1]}f.json"
    foreign.write_text(old[0].read_text())
    notes = tmp_path / "notes.json"
    notes.write_text("{}")
    found = again(tmp_path)
    # The newest of a case stays, however old: it says what became of it.
    kept = [waits, failed, *recent]
    assert sorted(job.id for job in found.all()) == sorted(path.stem for path in kept)
    assert set(tmp_path.iterdir()) == {*kept, foreign, notes}
    assert found.of_case("P02").id == failed.stem
    monkeypatch.setattr(queue_module, "KEEP_FINISHED", 2)
    found = again(tmp_path)
    assert set(tmp_path.iterdir()) == {waits, failed, *recent[1:], foreign, notes}
    assert found.take(0).id == waits.stem


def test_the_newest_job_of_a_case_counts(queue):
    queue.add("predict", case="P01")
    newest = queue.add("predict", case="P01")
    assert queue.of_case("P01") == newest


def test_what_was_running_waits_again_but_not_for_ever(queue, tmp_path):
    job = queue.add("predict", case="P01")
    for attempt in range(1, MOST_ATTEMPTS + 1):
        assert queue.take(0).attempts == attempt
        queue = again(tmp_path)  # as after kill -9
    assert queue.get(job.id).state == "failed"
    assert str(MOST_ATTEMPTS) in queue.get(job.id).error


def test_a_server_that_is_asked_to_end_counts_no_attempt(queue):
    job = queue.add("predict", case="P01")
    queue.take(0)
    queue.again(job.id, counted=False)
    assert queue.get(job.id).attempts == 0
    assert queue.get(job.id).state == "queued"


def test_a_cancelled_job_stays_cancelled(queue):
    job = queue.add("predict", case="P01")
    queue.take(0)
    queue.cancel(job.id)
    queue.end(job.id)
    queue.again(job.id)
    queue.tell(job.id, JobProgress(label="late", done=1, total=1))
    assert queue.get(job.id).state == "cancelled"
    assert queue.get(job.id).progress is None
    with pytest.raises(RequestError) as refused:
        queue.cancel(job.id)
    assert refused.value.status == 409


def test_too_many_jobs_are_refused(queue):
    for number in range(3):
        queue.add("predict", case=f"P0{number}")
    with pytest.raises(RequestError) as refused:
        queue.add("predict", case="P09")
    assert refused.value.status == 429
    assert refused.value.headers["Retry-After"]


def test_a_job_that_cannot_be_read_costs_no_other(queue, tmp_path, caplog):
    job = queue.add("predict", case="P01")
    (tmp_path / "20260101-000000000000-00000000.json").write_text("{", encoding="utf-8")
    record = json.loads((tmp_path / f"{job.id}.json").read_text(encoding="utf-8"))
    (tmp_path / "x.json").write_text(json.dumps(record | {"case": "../.."}), encoding="utf-8")
    assert [one.id for one in again(tmp_path).all()] == [job.id]
    assert caplog.text.count("is no job") == 2


def test_how_far_a_job_is_is_told_now_and_then(tmp_path):
    watch = JobWatch(tmp_path / "progress")
    with watch.training("fine-tuning") as listen:
        for step in range(1, 21):
            listen(Step(epoch=2, epochs=2, step=step, steps=20, losses={}))
    found = json.loads((tmp_path / "progress").read_text(encoding="utf-8"))
    assert found == {"label": "fine-tuning", "done": 40, "total": 40}
    assert [path.name for path in tmp_path.iterdir()] == ["progress"]


@pytest.fixture
def doing_(monkeypatch):
    """Let the processes of jobs do something else."""

    def choose(name):
        monkeypatch.setattr(runner, "do", getattr(doing, name))

    return choose


def predict(room, case_id="P01"):
    return room.ask("POST", f"cases/{case_id}/predict", 202).json()["job"]["id"]


def workers():
    """Processes that were started to work and live."""
    return [one for one in psutil.Process().children() if works(one)]


def works(process):
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False


def until(true, seconds=PATIENCE):
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def events_of(room, job_id):
    with room.client.stream("GET", f"/api/v1/jobs/{job_id}/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in answer.iter_lines() if line.startswith("data: ")]
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@pytest.mark.parametrize(
    ("what", "state", "error"),
    [
        ("quickly", "done", None),
        ("refuse", "failed", "holds no brain. Look at it."),
        ("fail", "failed", "is broken. Mend it."),
        ("crash", "failed", "unexpected ZeroDivisionError: one two"),
        ("die_once", "done", None),
    ],
)
def test_a_job_ends_as_its_process_says(room, doing_, what, state, error):
    doing_(what)
    job = room.wait(predict(room))
    assert (job["state"], job["error"]) == (state, error)
    assert job["attempts"] == (2 if what == "die_once" else 1)
    assert room.get("cases/P01").json()["state"] == "done"  # what was predicted before stays
    until(lambda: not workers())


def test_a_process_that_always_dies_is_given_up(room, doing_):
    doing_("die")
    job = room.wait(predict(room))
    assert job["state"] == "failed"
    assert job["attempts"] == MOST_ATTEMPTS


def test_events_tell_progress_and_end_with_the_cancelled_job(room, doing_):
    doing_("slowly")
    running = predict(room)
    waiting = predict(room, "P02")
    until(lambda: (room.get(f"jobs/{running}").json()["progress"] or {}).get("done") == 3)
    assert room.ask("DELETE", f"jobs/{waiting}").json()["state"] == "cancelled"
    assert room.ask("DELETE", f"jobs/{running}").json()["state"] == "cancelled"
    told = events_of(room, running)
    assert told[-1]["state"] == "cancelled"
    until(lambda: not workers())
    assert [job["state"] for job in room.get("jobs").json()["jobs"]] == ["cancelled"] * 2
    room.ask("DELETE", f"jobs/{running}", 409)
    what = [json.loads(line)["what"] for line in audit(room)]
    assert what == ["predict", "predict", "cancel", "cancel"]


def audit(room):
    return (room.room.work.root / "audit.jsonl").read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize(
    ("what", "limits", "reason"),
    [
        ("slowly", {"case_minutes": 0.03}, "longer than 0.03 minutes"),
        ("eat", {"case_gib": 0.7}, "more than 0.7 GiB"),
    ],
)
def test_a_job_beyond_its_limits_is_stopped(work, doing_, what, limits, reason):
    doing_(what)
    with served(work.root, *work.models, predict=PredictOptions(**limits)) as room:
        job = room.wait(predict(room))
        assert job["state"] == "failed"
        assert reason in job["error"]
        until(lambda: not workers())


def test_a_server_that_ends_leaves_its_job_for_the_next(work, doing_):
    doing_("slowly")
    with served(work.root, *work.models) as room:
        job_id = predict(room)
        until(lambda: room.get(f"jobs/{job_id}").json()["state"] == "running")
    assert not workers()
    record = json.loads((work.jobs / f"{job_id}.json").read_text(encoding="utf-8"))
    assert (record["state"], record["attempts"]) == ("queued", 0)
    doing_("quickly")
    with served(work.root, *work.models) as room:
        assert room.wait(job_id)["state"] == "done"


def test_what_was_uploaded_or_asked_for_and_not_queued_is_queued_at_the_start(work, doing_):
    doing_("quickly")
    for path in work.case_folder("P02").iterdir():
        path.unlink()
    work.case_folder("P02").rmdir()
    work.round_folder(1).mkdir()
    record = {"number": 1, "created": "now"}
    (work.round_folder(1) / "round.json").write_text(json.dumps(record), encoding="utf-8")
    with served(work.root, *work.models) as room:
        jobs = room.get("jobs").json()["jobs"]
        assert [(job["kind"], job["case"], job["round"]) for job in jobs] == [
            ("predict", "P02", None),
            ("round", None, 1),
        ]
        for job in jobs:
            assert room.wait(job["id"])["state"] == "done"
        # A job that says it is done is not the result.
        assert room.get("cases/P02").json()["state"] == "failed"


def save(room, work, case_id, tmp_path):
    base = nib.load(work.mask(case_id))
    body = write_nifti(tmp_path / "m.nii.gz", np.zeros(base.shape, np.uint8), base.affine)
    etag = {"If-Match": f'"{work.mask_sha256(case_id)}"'}
    room.ask("PUT", f"cases/{case_id}/mask", 201, content=body.read_bytes(), headers=etag)


def test_rounds_learn_from_corrected_cases_one_at_a_time(room, work, doing_, tmp_path):
    doing_("slowly")
    room.ask("POST", "rounds", 409)
    save(room, work, "P02", tmp_path)
    save(room, work, "P01", tmp_path)
    assert work.corrected() == ["P02", "P01"]
    room.ask("POST", "rounds", 422, json={"cases": ["P03"]})
    room.ask("POST", "rounds", 422, json={"cases": ["../P01"]})
    asked = room.ask("POST", "rounds", 202, json={"cases": ["P01"]}).json()
    assert asked["round"] == 1
    room.ask("POST", "rounds", 409)
    found = room.get("rounds/1").json()
    assert found["state"] in ("queued", "running")
    assert found["accepted"] is None
    assert work.round_record(1).cases == ("P01",)
    room.ask("DELETE", f"jobs/{asked['job']['id']}")
    assert room.get("rounds").json()["rounds"][0]["state"] == "cancelled"
    assert room.ask("POST", "rounds", 202).json()["round"] == 2
    assert work.round_record(2).cases is None


def noise(tmp_path):
    data = np.random.default_rng(0).normal(0, 1, (40, 40, 40)).astype(np.float32)
    return write_nifti(tmp_path / "noise.nii.gz", data, np.diag([4.0, 4, 4, 1]))


def test_an_upload_is_predicted_as_plgg_predict_would(work, scans):
    """The one test in which the networks work in a job's process."""
    with served(work.root, *work.models) as room:
        files = {"files": ("P01.nii.gz", scans["P01"].read_bytes())}
        told = room.ask("POST", "cases", 202, files=files, data={"id": "again", "age": "7"})
        assert told.headers["Location"] == "/api/v1/cases/again"
        job = told.json()["job"]
        events = events_of(room, job["id"])
        assert [one["state"] for one in events][-1] == "done"
        assert "predicting" in {one["progress"]["label"] for one in events if one["progress"]}
        case = room.get("cases/again").json()
        assert case["state"] == "done"
        assert case["result"]["age_years"] == 7
        assert sha256(work.mask("again")) == sha256(work.mask("P01"))
        assert not (work.cases / "summary.csv").exists()


def test_a_scan_without_a_brain_is_refused_and_says_why(work, tmp_path):
    path = noise(tmp_path)
    with path.open("rb") as file:
        save_upload(work, [UploadedFile("noise.nii.gz", file)], Patient(), voxels=10**8)
    found = predict_case(work, "noise", JobWatch(tmp_path / "progress"))
    assert found.refused
    assert "raw head" in found.error
    assert str(work.root) not in found.error
    queue = JobQueue(work.jobs)
    job = queue.add("predict", case="noise")
    queue.take(0)
    queue.end(job.id, found.error, refused=True)
    case = CaseList(work, queue).get("noise")
    assert (case.state, case.error) == ("refused", found.error)
    assert predict_case(work, "nobody", JobWatch(tmp_path / "progress")).error


def test_ids_of_jobs_are_no_paths():
    for name in ("../audit", "x", "20260101-000000000000-0000000g", ""):
        with pytest.raises(ValueError, match="id"):
            Job(id=name, kind="predict", created="now")
