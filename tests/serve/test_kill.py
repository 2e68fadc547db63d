"""kill -9 in the middle of anything: nothing is lost, nothing is half there, the queue goes on."""

import json
import os
import threading
import time
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from served import API, PATIENCE
from server_process import Process

from helper import ODD_AFFINES, blob_brain, write_nifti
from plgg import api
from plgg.core.files import sha256
from plgg.data.nifti.image import read_volume
from plgg.serve.records import Job
from plgg.serve.uploads import Patient, UploadedFile, save_upload
from plgg.serve.work import read_edit

MULTIPART = b'--b\r\nContent-Disposition: form-data; name="files"; filename="N.nii.gz"\r\n\r\n'


def contents(folder):
    """Every file and its hash."""
    return {path.relative_to(folder): sha256(path) for path in folder.rglob("*") if path.is_file()}


def leftovers(root):
    # Unlike `rglob`, this does not mind what goes while it is looked at.
    walked = ((Path(at), name) for at, *below in os.walk(root) for name in chain(*below))
    return [at / name for at, name in walked if name.startswith(".plgg-") and ".lock" not in name]


def mask_file(work, case_id, seed, folder):
    base = read_volume(work.case_folder(case_id) / "mask.nii.gz")
    data = (np.random.default_rng(seed).random(base.shape) < 0.1).astype(np.uint8)
    return write_nifti(folder / f"{case_id}-{seed}.nii.gz", data, base.affine).read_bytes()


def test_in_the_middle_of_an_upload_and_of_a_save(work, tmp_path):
    scan, _ = blob_brain(affine=ODD_AFFINES["las"], seed=7)
    raw = write_nifti(tmp_path / "N.nii.gz", scan.data, scan.affine).read_bytes()
    with Process(work.root, work.models) as server:
        etag = server.get("cases/P01")["etag"]
        before = contents(work.cases), contents(work.uploads)
        upload = [
            f"POST {API}/cases HTTP/1.1",
            "Content-Type: multipart/form-data; boundary=b",
        ]
        save = [f"PUT {API}/cases/P01/mask HTTP/1.1", f'If-Match: "{etag}"']
        half = [
            server.send_half(upload, MULTIPART + raw + b"\r\n--b--\r\n"),
            server.send_half(save, mask_file(work, "P01", 1, tmp_path)),
        ]
        # The mask goes to the disk as it comes.
        until = time.monotonic() + PATIENCE
        while not leftovers(work.root):
            assert time.monotonic() < until
            time.sleep(0.02)
        server.kill()
        for connection in half:
            connection.close()
    with Process(work.root, work.models) as server:
        assert [case["id"] for case in server.get("cases")["cases"]] == ["P01", "P02", "P03"]
        assert server.get("cases/P01")["edits"] == []
        assert server.get("jobs")["jobs"] == []
        assert (contents(work.cases), contents(work.uploads)) == before
        assert not leftovers(work.root)


def saved(work, case_id, told):
    """The hashes of a case's masks, which are whole; all that were told are among them."""
    folders = work.edit_folders(case_id)
    assert [int(folder.name) for folder in folders] == list(range(1, len(folders) + 1))
    found = [read_edit(folder).mask_sha256 for folder in folders]
    assert found[: len(told)] == told
    # One may have been saved whose answer was lost.
    assert len(found) - len(told) in (0, 1)
    for folder, digest in zip(folders, found, strict=True):
        assert sha256(folder / "mask.nii.gz") == digest
    return found


def test_in_the_middle_of_many_saves(work, tmp_path):
    """Whatever a client was told is saved is there; whatever is there is whole."""
    told = {case_id: [] for case_id in ("P01", "P02", "P03")}
    bodies = {name: [mask_file(work, name, seed, tmp_path) for seed in (1, 2)] for name in told}

    def save(server, case_id):
        etag, number = server.get(f"cases/{case_id}")["etag"], len(told[case_id])
        while True:
            body, headers = bodies[case_id][number % 2], {"If-Match": f'"{etag}"'}
            try:
                answer = server.client.put(
                    f"{API}/cases/{case_id}/mask", content=body, headers=headers
                )
            except Exception:  # noqa: BLE001 - the server was killed
                return
            assert answer.status_code == 201
            etag, number = answer.json()["etag"], number + 1
            told[case_id].append(etag)

    for seconds in (0.3, 0.6):
        with Process(work.root, work.models) as server:
            before = {name: len(etags) for name, etags in told.items()}
            threads = [threading.Thread(target=save, args=(server, name)) for name in told]
            for thread in threads:
                thread.start()
            until = time.monotonic() + PATIENCE
            while any(len(told[name]) == before[name] for name in told):
                assert time.monotonic() < until
                time.sleep(0.02)
            time.sleep(seconds)
            server.kill()
            for thread in threads:
                thread.join()
        told = {name: saved(work, name, etags) for name, etags in told.items()}
    with Process(work.root, work.models) as server:
        # It says where it is, then clears up, then answers.
        for case_id, etags in told.items():
            assert server.get(f"cases/{case_id}")["etag"] == etags[-1]
        assert not leftovers(work.cases)


def test_in_the_middle_of_a_job_and_behind_it_another(work, tmp_path):
    names = ("N1", "N2")
    with Process(work.root, work.models[:1]) as server:
        for seed, name in enumerate(names):
            scan, _ = blob_brain(affine=ODD_AFFINES["lps"], seed=seed)
            path = write_nifti(tmp_path / f"{name}.nii.gz", scan.data, scan.affine)
            with path.open("rb") as file:
                answer = server.client.post(f"{API}/cases", files={"files": (path.name, file)})
            assert answer.status_code == 202
        server.wait("cases/N1", lambda case: case["state"] == "running")
        server.kill()
    kept = {path.stem: json.loads(path.read_text()) for path in work.jobs.glob("*.json")}
    assert [Job.model_validate(job).case for _, job in sorted(kept.items())] == [*names]
    with Process(work.root, work.models[:1]) as server:
        case = server.wait("cases/N1", lambda case: case["state"] == "done")
        assert sha256(work.case_folder("N1") / "mask.nii.gz") == case["etag"]
        server.wait("cases/N2", lambda case: case["state"] in ("running", "done"))
        first, second = server.get("jobs")["jobs"]
        assert (first["state"], first["attempts"]) == ("done", 2)
        assert {first["id"], second["id"]} == set(kept)


def add(work, name, tmp_path):
    """A further case, predicted."""
    scan, _ = blob_brain(affine=ODD_AFFINES["las"], seed=11)
    path = write_nifti(tmp_path / f"{name}.nii.gz", scan.data, scan.affine)
    with path.open("rb") as file:
        save_upload(work, [UploadedFile(path.name, file)], Patient(name), voxels=10**8)
    api.predict([work.scan(name)], out=work.cases, model=work.models[:1])


def test_in_the_middle_of_a_round(work, tmp_path):
    add(work, "P04", tmp_path)
    with Process(work.root, work.models[:1]) as server:
        for name in ("P01", "P02", "P03", "P04"):
            etag = server.get(f"cases/{name}")["etag"]
            body = mask_file(work, name, 5, tmp_path)
            answer = server.client.put(
                f"{API}/cases/{name}/mask", content=body, headers={"If-Match": f'"{etag}"'}
            )
            assert answer.status_code == 201
        before = contents(work.cases)
        job = server.client.post(f"{API}/rounds").json()["job"]["id"]
        server.wait(f"jobs/{job}", lambda job: job["progress"] is not None)
        server.kill()
    with Process(work.root, work.models[:1]) as server:
        again = server.wait(
            f"jobs/{job}", lambda job: job["state"] == "running" and job["progress"] is not None
        )
        assert again["attempts"] == 2
        # The model that was there answers on.
        assert server.get("info")["round"] is None
        assert server.get("rounds/1")["accepted"] is None
        assert server.client.delete(f"{API}/jobs/{job}").status_code == 200
        server.wait(f"jobs/{job}", lambda job: job["state"] == "cancelled")
    assert contents(work.cases) == before


@pytest.fixture(autouse=True)
def _quiet(capfd):
    """What the servers print is not for the log."""
    yield
    capfd.readouterr()
