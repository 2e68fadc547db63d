"""The scripts of docs/scale.md as they stand there, with stand-ins for SLURM's own programs."""

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from plgg import api
from plgg.data.store import Store
from plgg.phantom.settings import phantom_settings

PAGE = Path(__file__).parents[2] / "docs" / "scale.md"
SCRIPTS = dict(re.findall(r"```sh file=(\S+)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.S))
(SUBMISSION,) = re.findall(r"```sh\n([^`]*sbatch[^`]*)```", PAGE.read_text(encoding="utf-8"))
BASH = shutil.which("bash") or "bash"
SETTINGS = "--set grid.spacing_mm=8 --set preprocess.registration=centre"
# A command of SLURM's: what it does here.
STAND_INS = {
    "plgg": f'exec "{sys.executable}" -m plgg "$@" {SETTINGS}',
    "scontrol": "hostname",
    "srun": 'while [ "${1#--}" != "$1" ]; do shift; done\n'
    'if [ "$1" = hostname ]; then echo 127.0.0.1; else exec "$@"; fi',
}
pytestmark = pytest.mark.skipif(os.name == "nt", reason="scripts of a shell")


@pytest.fixture
def place(tmp_path):
    """A folder with the scripts, and the environment that SLURM gives them."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, does in STAND_INS.items():
        (programs / name).write_text(f"#!/bin/sh\n{does}\n")
        (programs / name).chmod(0o755)
    for name, script in SCRIPTS.items():
        (tmp_path / name).write_text(script)
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    environment = os.environ | {
        "PATH": path,
        "MANIFEST": str(tmp_path / "patients" / "manifest.csv"),
        "STORE": str(tmp_path / "store"),
        "SLURM_CPUS_PER_TASK": "1",
    }
    return tmp_path, environment


def test_the_scripts_are_scripts(place):
    folder, environment = place
    assert set(SCRIPTS) == {"array.sh", "whole.sh", "ray.sh"}
    for name in SCRIPTS:
        subprocess.run([BASH, "-n", name], cwd=folder, env=environment, check=True)


def test_the_parts_are_submitted_before_the_whole_which_waits_for_them(place):
    folder, environment = place
    told = folder / "told"
    (folder / "bin" / "sbatch").write_text(f'#!/bin/sh\necho "$@" >> "{told}"\necho 4711\n')
    (folder / "bin" / "sbatch").chmod(0o755)
    subprocess.run([BASH, "-e", "-c", SUBMISSION], cwd=folder, env=environment, check=True)
    assert told.read_text().splitlines() == [
        "--parsable array.sh",
        "--dependency=afterany:4711 whole.sh",
    ]
    assert all((folder / line.split()[-1]).is_file() for line in told.read_text().splitlines())


@pytest.mark.slow
def test_a_job_array_makes_a_store(place):
    folder, environment = place
    api.phantom(folder / "patients", phantom_settings(n_patients=4, spacing_mm=4.0, seed=2))
    tasks = [
        subprocess.Popen(
            [BASH, "array.sh"],
            cwd=folder,
            env=environment | {"SLURM_ARRAY_TASK_ID": str(n), "SLURM_ARRAY_TASK_COUNT": "2"},
        )
        for n in (1, 2)
    ]
    assert [task.wait(timeout=500) for task in tasks] == [0, 0]
    assert not (folder / "store" / "cohort.json").exists()
    stored = {p: p.stat().st_mtime_ns for p in folder.glob("store/cases/*/case.json")}
    assert len(stored) == 4
    subprocess.run([BASH, "whole.sh"], cwd=folder, env=environment, check=True)
    assert len(Store(folder / "store").cohort.cases) == 4
    assert {p: p.stat().st_mtime_ns for p in stored} == stored


@pytest.mark.slow
def test_ray_within_an_allocation_makes_a_store(place):
    pytest.importorskip("ray", reason="Ray is an extra")
    folder, environment = place
    api.phantom(folder / "patients", phantom_settings(n_patients=2, spacing_mm=4.0, seed=2))
    slurm = {"SLURM_JOB_ID": str(os.getpid()), "SLURM_NNODES": "1", "SLURM_JOB_NODELIST": "here"}
    # The token of this cluster is its own.
    slurm |= {"HOME": str(folder)}
    job = subprocess.Popen(
        [BASH, "ray.sh"], cwd=folder, env=environment | slurm, start_new_session=True
    )
    try:
        assert job.wait(timeout=500) == 0
        assert len(Store(folder / "store").cohort.cases) == 2
    finally:  # As SLURM does when a job has ended.
        left = [p for p in psutil.process_iter() if _is_of(p, job.pid)]
        family = [*left, *(child for p in left for child in p.children(recursive=True))]
        for process in family:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)
        psutil.wait_procs(family, timeout=500)
        job.wait()
    assert (folder / ".ray" / "auth_token").is_file()


def _is_of(process, session):
    try:
        return os.getsid(process.pid) == session
    except OSError:
        return False
