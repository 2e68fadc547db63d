"""The tutorials, followed as they stand: each block in its order, in one folder.

`plgg` is a fork of one program (`program.py`), so that its start is not paid for each command.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from doc_pages import ROOT, blocks
from pydicom.uid import generate_uid

import plgg as package
from dicom_series import write_series
from helper import ODD_AFFINES, blob_brain
from plgg.cli.app import app
from program import plgg
from runs import make_run

TUTORIALS = ROOT / "docs" / "tutorials"
SOURCE = str(Path(package.__file__).parents[1])


def commands_of(text):
    """The commands of a block, each a line; one that ends in a backslash goes on in the next."""
    joined = re.sub(r"\\\n\s*", "", text)
    return [line for line in map(str.strip, joined.splitlines()) if line and line[0] != "#"]


def do(command, folder):
    words = shlex.split(command, comments=True)
    if words[0] == "plgg":
        return plgg(*words[1:], cwd=folder).out
    if words[0] == "python":
        words[0] = sys.executable
    paths = os.pathsep.join([SOURCE, str(folder)])
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def follow(page, folder, **variables):
    """Write the files and run the commands of a page; gives what each command printed."""
    printed = {}

    def filled(command):
        return re.sub(r"\$([A-Z]+)", lambda found: shlex.quote(variables[found[1]]), command)

    for block in blocks(TUTORIALS / page):
        if block.file:
            path = folder / block.file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "sh" and "no-run" not in block.words:
            commands = commands_of(block.text)
            printed |= {command: do(filled(command), folder) for command in commands}
    return printed


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    return tmp_path_factory.mktemp("reader")


@pytest.fixture(scope="module")
def own_cohort(place):
    return follow("own-cohort.md", place)


@pytest.fixture(scope="module")
def auxiliary_task(own_cohort, place):
    assert own_cohort, "it goes on from there"
    return follow("auxiliary-task.md", place)


def printed_by(printed, beginning):
    return next(text for command, text in printed.items() if command.startswith(beginning))


def test_a_cohort_of_ones_own_becomes_a_page(own_cohort, place):
    assert "0 errors" in printed_by(own_cohort, "plgg check")
    for left in (
        "store/qc.html",
        "run/model_card.md",
        "predictions/phantom-001/report.html",
        "predictions/phantom-001/mask.nii.gz",
        "predictions/phantom-001/result.json",
    ):
        assert (place / left).stat().st_size, left
    listed = (place / "listed.csv").read_text(encoding="utf-8").splitlines()
    assert len(listed) == 7
    assert "Dice" in printed_by(own_cohort, "plgg evaluate")


def test_an_auxiliary_task_of_ones_own_is_learnt_and_told(auxiliary_task, place):
    assert re.fullmatch(r"-?\d+\.\d years", auxiliary_task["python learn.py"].splitlines()[-1])
    head = (place / "log-age/evaluation/test/cases.csv").read_text(encoding="utf-8")
    assert "age_years:factor" in head.splitlines()[0]
    assert '"age_years"' in (place / "log-age/metrics.jsonl").read_text(encoding="utf-8")


@pytest.fixture
def pacs(tmp_path, monkeypatch):
    """A real Orthanc with one study on it, and the study's UID."""
    helpers = ROOT / "tests" / "pacs"
    if "pacs" not in typer.main.get_command(app).commands:
        pytest.skip("this version has no plgg pacs")
    if not (helpers / "orthanc_server.py").is_file():
        pytest.skip("the tests have no Orthanc")
    monkeypatch.syspath_prepend(helpers)
    import orthanc_server as orthanc

    orthanc.require_orthanc()
    monkeypatch.setenv("PLGG_PACS_USER", orthanc.USER)
    monkeypatch.setenv("PLGG_PACS_PASSWORD", orthanc.PASSWORD)
    (tmp_path / "server").mkdir()
    server = orthanc.Orthanc(tmp_path / "server")
    try:
        server.start()
        flair, _ = blob_brain(affine=ODD_AFFINES["oblique-lps"])
        uids = [generate_uid() for _ in range(3)]
        server.send(*write_series(tmp_path / "series", flair, uids=uids))
        yield server, uids[0]
    finally:
        server.kill()


def test_a_study_of_a_pacs_becomes_a_page_and_goes_back(pacs, tmp_path):
    server, study = pacs
    make_run(tmp_path / "run")
    printed = follow("pacs-to-report.md", tmp_path, PACS=server.url, STUDY=study)
    assert study in printed_by(printed, "plgg pacs find")
    assert (tmp_path / "predictions" / "case-1" / "report.html").stat().st_size
    assert server.objects("SEG")


def test_every_tutorial_has_blocks_that_run():
    for page in TUTORIALS.glob("*.md"):
        assert any(block.language == "sh" and not block.words for block in blocks(page)), page
