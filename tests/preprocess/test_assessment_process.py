"""Scans that are judged in a process of their own: as here, and here where it cannot be."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import cache

import numpy as np
import psutil
import pytest
from brains import laid_on, moved, phantom, turn, view

from helper import make_affine
from plgg.config import Config, GridConfig
from plgg.core.errors import InputError
from plgg.core.progress import Clock
from plgg.preprocess import assessment_process as module
from plgg.preprocess.assessment_process import (
    AssessmentProcess,
    AssessmentRequest,
    assess,
    assessment_process,
)
from plgg.preprocess.brain_extraction import find_brain
from plgg.preprocess.gates.scan import GATES
from plgg.preprocess.pipeline import ResamplingTarget, early_slices, resample_scan
from plgg.preprocess.setup import route_for

CONFIG = Config().model_copy(update={"grid": GridConfig(kind="slices", spacing_mm=2.5)})


@cache
def oblique():
    """A phantom in voxels of 3×2×6 mm, their axes in an odd order and turned."""
    shape = (74, 116, 34)
    affine = make_affine((3.0, 2.0, 6.0), axes="PSR", turn_degrees=(14, -9, 6), shape=shape)
    affine[:3, 3] += view().frame.centre_mm
    return laid_on(phantom()[0], shape, affine)


def request_of(scan, config=CONFIG):
    gates = frozenset(GATES.load_all())
    return AssessmentRequest(scan, config, "flair", 9.0, find_brain(scan), gates=gates)


def here(asked):
    return assess(asked).assessment


@pytest.fixture(scope="module")
def beside():
    assessor = AssessmentProcess()
    yield assessor
    assessor.kill()


@pytest.fixture
def assessor():
    """One that a test may kill; ended whatever becomes of it, else this process would wait."""
    own = AssessmentProcess()
    yield own
    own.kill()


@pytest.mark.parametrize("lies", ["as its header says", "on its back"])
def test_it_finds_what_is_found_here(beside, lies):
    scan = oblique() if lies == "as its header says" else moved(oblique(), turn("x", 90))
    asked = request_of(scan)
    assert beside.submit(asked)
    there, found = beside.result(), here(asked)
    assert there.atlas == "built-in"
    assert there.assessment.verdicts == found.verdicts
    assert np.array_equal(there.assessment.placed.native_to_atlas, found.placed.native_to_atlas)
    assert np.array_equal(there.assessment.placed.brain, found.placed.brain)
    assert there.assessment.placed.method == found.placed.method
    assert {"bias field", "registration", "gates"} <= there.seconds.keys()


def test_what_a_scan_is_refused_for_comes_across(beside):
    config = CONFIG.model_copy(
        update={"preprocess": CONFIG.preprocess.model_copy(update={"atlas_sha256": "0" * 64})}
    )
    assert beside.submit(request_of(oblique(), config))
    with pytest.raises(InputError, match="is not the atlas"):
        beside.result()
    assert beside.submit(request_of(oblique()))
    assert beside.result().assessment.placed is not None


def test_a_process_that_is_killed_leaves_the_scan_to_this_one(assessor):
    assert assessor.submit(request_of(oblique()))
    os.kill(assessor.pid, signal.SIGKILL)
    assert assessor.result() is None
    assert not assessor.submit(request_of(oblique()))
    assert assessor.result() is None


def test_an_answer_that_nobody_waited_for_is_not_taken_for_another(assessor):
    assert assessor.submit(request_of(oblique()))
    assert not assessor.submit(request_of(moved(oblique(), turn("x", 90))))
    assert assessor.result() is None


def test_a_gate_that_a_script_registered_is_not_passed_over(assessor):
    """The other process does not know it, and says so."""
    asked = request_of(oblique())
    assert assessor.submit(replace(asked, gates=asked.gates | {"mine"}))
    assert assessor.result() is None
    assert assessor.pid is None


def test_what_fails_there_for_no_reason_of_the_scan_is_told_here(assessor, capfd):
    broken = replace(request_of(oblique()), sequence=None, age_years="nine")
    assert assessor.submit(broken)
    assert assessor.result() is None
    assert "Traceback" not in capfd.readouterr().err
    with pytest.raises(ValueError, match="nine"):
        assess(broken)


def test_what_cannot_be_sent_is_judged_here(assessor):
    asked = replace(request_of(oblique()), sequence=lambda: None)
    assert not assessor.submit(asked)
    assert assessor.result() is None


def test_nobody_is_waited_for_who_was_not_asked(assessor):
    assert assessor.result() is None
    assessor.kill()
    assert assessor.result() is None


def test_a_scan_is_handed_over_while_the_process_starts(assessor):
    began = time.monotonic()
    assert assessor.submit(request_of(oblique()))
    asked = time.monotonic() - began
    assert assessor.result().assessment.placed is not None
    # It starts for seconds, whatever the machine; handing over takes a moment.
    assert asked < (time.monotonic() - began) / 3
    assessor.kill()


def test_none_is_started_in_a_process_that_works_for_another(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 2)
    monkeypatch.setattr(module, "_FREE_GIB", 0.0)
    monkeypatch.setattr(module.multiprocessing, "parent_process", lambda: object())
    with assessment_process() as assessor:
        assert assessor is None


def test_where_no_process_can_be_started_there_is_none(monkeypatch):
    def full(*_):
        raise OSError("out of processes")

    monkeypatch.setattr(module, "cores", lambda: 2)
    monkeypatch.setattr(module, "_FREE_GIB", 0.0)
    monkeypatch.setattr(module, "Worker", full)
    with assessment_process() as assessor:
        assert assessor is None


def test_a_scan_that_is_too_large_to_send_is_judged_here(beside, monkeypatch):
    monkeypatch.setattr(module, "_MOST_BYTES", 1000)
    assert not beside.submit(request_of(oblique()))


def test_the_process_ends_with_the_block(monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 2)
    monkeypatch.setattr(module, "_FREE_GIB", 0.0)
    pids = []

    def interrupted():
        with assessment_process() as assessor:
            pids.append(assessor.pid)
            assert psutil.pid_exists(assessor.pid)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not psutil.pid_exists(pids[0])


@pytest.mark.parametrize(
    ("cores", "gib", "wanted"), [(1, 0.0, True), (2, 1e9, True), (2, 0, False)]
)
def test_without_room_there_is_none(monkeypatch, cores, gib, wanted):
    monkeypatch.setattr(module, "cores", lambda: cores)
    monkeypatch.setattr(module, "_FREE_GIB", gib)
    with assessment_process(wanted=wanted) as assessor:
        assert assessor is None


def test_early_slices_are_those_that_come_later():
    """To the bit, wherever the brain is found to lie; and they go back to the same place."""
    scan = oblique()
    asked = request_of(scan)
    found = here(asked)
    target = ResamplingTarget.of(route_for(CONFIG))
    early = early_slices(scan, asked.stripped.brain, target)
    kept = resample_scan(scan, None, found, target, atlas="", clock=Clock(), early=early).prepared
    anew = resample_scan(scan, None, found, target, atlas="", clock=Clock()).prepared
    assert kept.image is early.prepared.image
    assert np.array_equal(kept.image, anew.image)
    early = early.prepared
    assert kept.placement == anew.placement
    assert early.placement.native_spacing_mm == pytest.approx(anew.placement.native_spacing_mm)
    np.testing.assert_allclose(
        early.placement.native_from_box(), anew.placement.native_from_box(), atol=1e-9
    )


def test_early_slices_of_a_head_that_is_turned_count_for_nothing():
    """Those of another brain neither."""
    scan = oblique()
    asked = request_of(scan)
    early = early_slices(scan, asked.stripped.brain, ResamplingTarget.of(route_for(CONFIG)))
    placed = here(asked).placed
    assert early.is_valid_for(placed)
    assert not early.is_valid_for(replace(placed, turn=turn("z", 180)))
    assert not early.is_valid_for(replace(placed, brain=placed.brain[::-1]))


def test_a_script_that_forgets_it_ends_all_the_same():
    script = "from plgg.preprocess.assessment_process import AssessmentProcess; AssessmentProcess()"
    done = subprocess.run([sys.executable, "-c", script], timeout=100, check=False)
    assert done.returncode == 0
