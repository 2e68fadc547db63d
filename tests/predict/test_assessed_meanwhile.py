"""Networks that look while a scan's place is sought: the same answer, whatever comes of it."""

import os
import signal
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
import torch

from helper import make_affine, write_nifti
from plgg import api
from plgg.api import prediction
from plgg.core.environment import cores
from plgg.core.errors import RunError
from plgg.core.volume import index_map
from plgg.data.result import read_result
from plgg.model.device import spare_one_core
from plgg.phantom.patient import make_scan
from plgg.phantom.settings import phantom_settings
from plgg.predict.ensemble import Ensemble, build_ensemble
from plgg.predict.member import load_member
from plgg.predict.scan import Predictor
from plgg.predict.source import find_scans
from plgg.preprocess import assessment_process as assessment_module
from plgg.preprocess.assessment_process import AssessmentProcess, AssessmentReply
from plgg.preprocess.brain_extraction import BrainExtraction
from plgg.preprocess.pipeline import RejectedScanError
from plgg.preprocess.resample import resample
from program import plgg
from runs import make_run
from tiny import tiny_store

REGISTERED = ("preprocess.registration=affine", "preprocess.stripping=auto")
GRIDS = {
    "slices": ("grid.kind=slices", "grid.spacing_mm=5", *REGISTERED),
    "atlas": ("grid.spacing_mm=4", *REGISTERED),
}


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    """A stripped head in thick, oblique slices."""
    whole, _ = make_scan(phantom_settings(), 0, "other", scan=0)
    shape = (80, 90, 30)
    affine = make_affine((2.6, 2.6, 6.0), axes="LPS", turn_degrees=(9, -6, 4), shape=shape)
    points = np.argwhere(whole.data != 0).mean(axis=0)
    affine[:3, 3] += (whole.affine @ [*points, 1.0])[:3]
    there = index_map(whole.affine, affine)
    inside = resample(whole.data != 0, there, shape) >= 0.5
    data = np.where(inside, np.maximum(resample(whole.data, there, shape), 1.0), 0.0)
    return write_nifti(
        tmp_path_factory.mktemp("scan") / "head.nii.gz", data.astype(np.int16), affine
    )


@pytest.fixture(scope="module", params=list(GRIDS))
def run(request, tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"), *GRIDS[request.param])


@pytest.fixture(scope="module")
def slices_run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("slices"), *GRIDS["slices"])


@pytest.fixture
def beside():
    """The process, ended whatever becomes of the test: else this one would wait for it."""
    assessor = AssessmentProcess()
    yield assessor
    assessor.kill()


class Watched:
    """Networks that say how often they look, and at how many voxels."""

    def __init__(self, monkeypatch, predictor):
        self.looks = []
        asked = predictor.networks.answer

        def answer(codes, **known):
            self.looks.append(codes)
            return asked(codes, **known)

        monkeypatch.setattr(type(predictor.networks), "answer", lambda _, *a, **k: answer(*a, **k))


def predicted(run, path, out, assessor=None):
    predictor = Predictor(build_ensemble([load_member(run)]))
    predictor.assessor = assessor
    (scan,) = find_scans([path])
    predictor.predict(scan, out)
    return out / scan.case_id


def said(folder):
    """What a result says, but for what time and threads make of it."""
    result = read_result(folder / "result.json").model_dump(mode="json")
    for gone in ("seconds", "files"):
        del result[gone]
    del result["quality"]["seconds"]
    for attempt in result["quality"]["attempts"]:
        del attempt["seconds"]
    return rounded(result)


def rounded(value):
    if isinstance(value, float):
        return round(value, 5)
    if isinstance(value, dict):
        return {name: rounded(one) for name, one in value.items()}
    return [rounded(one) for one in value] if isinstance(value, list | tuple) else value


def same_images(one, other):
    for name in ("mask.nii.gz", "probability.nii.gz", "uncertainty.nii.gz"):
        a, b = (nib.load(folder / name) for folder in (one, other))
        assert np.array_equal(a.affine, b.affine)
        # Threads add in another order: by a step of the file at most.
        assert np.abs(a.get_fdata() - b.get_fdata()).max() <= (0 if name[0] == "m" else 1 / 255)


def test_the_result_is_that_of_one_process(beside, run, path, tmp_path):
    found = predicted(run, path, tmp_path / "beside", beside)
    assert beside.pid is not None
    here = predicted(run, path, tmp_path / "here")
    same_images(found, here)
    assert said(found) == said(here)
    steps = read_result(found / "result.json").quality.seconds
    assert {"brain", "bias field", "registration", "gates", "resampling"} <= steps.keys()


def test_slices_are_looked_at_once(beside, slices_run, path, tmp_path, monkeypatch):
    predictor = Predictor(build_ensemble([load_member(slices_run)]))
    watched = Watched(monkeypatch, predictor)
    predictor.assessor = beside
    predictor.predict(find_scans([path])[0], tmp_path)
    assert len(watched.looks) == 1


def test_one_scan_of_a_fresh_command_is_registered_beside_its_networks(
    slices_run, path, tmp_path, monkeypatch
):
    """And in no other case."""
    answers = []
    answer = AssessmentProcess.result

    def counted(self):
        answers.append(answer(self))
        return answers[-1]

    monkeypatch.setattr(AssessmentProcess, "result", counted)
    monkeypatch.setattr(assessment_module, "cores", lambda: 2)
    monkeypatch.setattr(assessment_module, "_FREE_GIB", 0.0)
    monkeypatch.setattr(prediction, "_is_first_prediction", lambda: True)
    threads = torch.get_num_threads()
    (outcome,) = api.predict([path], model=slices_run, out=tmp_path / "one")
    assert outcome.reason is None
    assert [one.atlas for one in answers] == ["built-in"]
    assert torch.get_num_threads() == threads
    monkeypatch.setattr(prediction, "_is_first_prediction", lambda: False)
    api.predict([path], model=slices_run, out=tmp_path / "two")
    assert len(answers) == 1


def test_what_is_one_scan(path, tmp_path):
    store = tiny_store(tmp_path / "store", n=1)
    one = prediction._is_one_scan  # noqa: SLF001
    assert one([path], 1)
    assert not one([path, path], 1)
    assert not one([path], 2)
    assert not one([tmp_path / "manifest.csv"], 1)
    assert not one([store.folder], 1)


def test_networks_leave_a_core_and_take_it_back():
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with spare_one_core():
            assert torch.get_num_threads() == max(1, min(3, cores() - 1))
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


class Otherwise:
    """Finds less of a brain than there was when the networks looked."""

    def __init__(self, assessor):
        self.assessor = assessor
        self.brain = None

    def submit(self, request):
        return self.assessor.submit(request)

    def result(self):
        found = self.assessor.result()
        self.brain = found.assessment.placed.brain.copy()
        self.brain[: self.brain.shape[0] // 2 - 8] = False
        assessment = replace(
            found.assessment,
            stripped=BrainExtraction(self.brain, "none", "a part of it"),
            placed=replace(found.assessment.placed, brain=self.brain),
        )
        return AssessmentReply(assessment, found.atlas, found.seconds)


def test_slices_that_the_scan_turns_out_not_to_have_count_for_nothing(
    beside, slices_run, path, monkeypatch
):
    predictor = Predictor(build_ensemble([load_member(slices_run)]))
    watched = Watched(monkeypatch, predictor)
    predictor.assessor = Otherwise(beside)
    (scan,) = find_scans([path])
    found, _ = predictor.predict_in_memory(scan)
    assert len(watched.looks) == 2
    assert watched.looks[1] is found.loaded.image
    assert not np.array_equal(watched.looks[0], watched.looks[1])
    placement = found.loaded.prepared.placement
    anew = predictor.networks.answer(watched.looks[1], slice_mm=placement.slice_mm)
    np.testing.assert_allclose(found.box.tumour, anew.tumour, atol=1e-5)


def test_a_process_that_is_killed_costs_nothing_but_time(beside, slices_run, path, tmp_path):
    os.kill(beside.pid, signal.SIGKILL)
    lost = predicted(slices_run, path, tmp_path / "lost", beside)
    assert beside.pid is None
    assert said(lost) == said(predicted(slices_run, path, tmp_path / "here"))


def test_a_scan_that_is_refused_is_refused_in_the_same_words(beside, slices_run, path, tmp_path):
    """A head of twice the size, as its header says."""
    image = nib.load(path)
    affine = image.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    giant = write_nifti(tmp_path / "giant.nii.gz", np.asarray(image.dataobj), affine)
    words = []
    for one in (beside, None):
        with pytest.raises(RejectedScanError, match="brain") as refused:
            predicted(slices_run, giant, tmp_path / "out", one)
        words.append(str(refused.value))
    assert words[0] == words[1]
    assert not (tmp_path / "out" / "giant").exists()


def test_a_scan_that_is_no_brain_is_refused_in_the_same_words(beside, slices_run, tmp_path):
    """Its slices cannot be made, which is not what is wrong with it."""
    rng = np.random.default_rng(0)
    shape = (60, 60, 40)
    sparse = (rng.integers(50, 300, shape) * (rng.random(shape) < 0.02)).astype(np.int16)
    bad = write_nifti(tmp_path / "bad.nii.gz", sparse, np.diag([3.0, 3.0, 4.0, 1.0]))
    words = []
    for one in (beside, None):
        with pytest.raises(RejectedScanError) as refused:
            predicted(slices_run, bad, tmp_path / "out", one)
        words.append(str(refused.value))
    assert words[0] == words[1]


def test_a_refusal_is_told_before_what_the_networks_lack(
    beside, slices_run, path, tmp_path, monkeypatch
):
    image = nib.load(path)
    affine = image.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    giant = write_nifti(tmp_path / "giant.nii.gz", np.asarray(image.dataobj), affine)

    def no_memory(*_, **__):
        raise RunError("there is not enough memory")

    monkeypatch.setattr(Ensemble, "answer", no_memory)
    with pytest.raises(RejectedScanError, match="brain"):
        predicted(slices_run, giant, tmp_path / "out", beside)
    with pytest.raises(RunError, match="not enough memory"):
        predicted(slices_run, path, tmp_path / "out", beside)
    beside.kill()


def test_the_program_itself_says_the_same_from_a_fresh_start(slices_run, path, tmp_path):
    for name, fresh in (("fresh", True), ("warm", False)):
        plgg("predict", path, "--model", slices_run, "--out", tmp_path / name, fresh=fresh)
    same_images(tmp_path / "fresh" / "head", tmp_path / "warm" / "head")
    assert said(tmp_path / "fresh" / "head") == said(tmp_path / "warm" / "head")
