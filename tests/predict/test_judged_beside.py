"""Networks that look while a scan's place is sought: the same answer, whatever comes of it."""

import os
import signal
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from helper import make_affine, write_nifti
from plgg.core.volume import index_map
from plgg.data.result import read_result
from plgg.phantom.patient import make_scan
from plgg.phantom.settings import phantom_settings
from plgg.predict.ensemble import ensemble
from plgg.predict.member import load_member
from plgg.predict.scan import Predictor
from plgg.predict.source import find_scans
from plgg.preprocess.brain_extraction import Stripped
from plgg.preprocess.judging import Answer, Judging
from plgg.preprocess.pipeline import RejectedScanError
from plgg.preprocess.resample import resample
from program import plgg
from runs import make_run

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


class Watched:
    """Networks that say how often they look, and at how many voxels."""

    def __init__(self, monkeypatch, predictor):
        self.looks = []
        asked = predictor.networks.answer

        def answer(codes, **known):
            self.looks.append(codes)
            return asked(codes, **known)

        monkeypatch.setattr(type(predictor.networks), "answer", lambda _, *a, **k: answer(*a, **k))


def predicted(run, path, out, judging=None):
    predictor = Predictor(ensemble([load_member(run)]))
    predictor.judging = judging
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


def test_the_result_is_that_of_one_process(run, path, tmp_path):
    judging = Judging()
    try:
        beside = predicted(run, path, tmp_path / "beside", judging)
        assert judging.pid is not None
    finally:
        judging.kill()
    here = predicted(run, path, tmp_path / "here")
    same_images(beside, here)
    assert said(beside) == said(here)
    steps = read_result(beside / "result.json").quality.seconds
    assert {"brain", "bias field", "registration", "gates", "resampling"} <= steps.keys()


def test_slices_are_looked_at_once(slices_run, path, tmp_path, monkeypatch):
    predictor = Predictor(ensemble([load_member(slices_run)]))
    watched = Watched(monkeypatch, predictor)
    predictor.judging = Judging()
    try:
        predictor.predict(find_scans([path])[0], tmp_path)
    finally:
        predictor.judging.kill()
    assert len(watched.looks) == 1


class Otherwise:
    """Finds less of a brain than there was when the networks looked."""

    def __init__(self, judging):
        self.judging = judging
        self.brain = None

    def ask(self, question):
        return self.judging.ask(question)

    def answer(self):
        found = self.judging.answer()
        self.brain = found.judged.placed.brain.copy()
        self.brain[: self.brain.shape[0] // 2 - 8] = False
        judged = replace(
            found.judged,
            stripped=Stripped(self.brain, "none", "a part of it"),
            placed=replace(found.judged.placed, brain=self.brain),
        )
        return Answer(judged, found.atlas, found.seconds)


def test_slices_that_the_scan_turns_out_not_to_have_count_for_nothing(
    slices_run, path, monkeypatch
):
    predictor = Predictor(ensemble([load_member(slices_run)]))
    watched = Watched(monkeypatch, predictor)
    own = Judging()
    predictor.judging = Otherwise(own)
    try:
        (scan,) = find_scans([path])
        found, _ = predictor.answer(scan)
    finally:
        own.kill()
    assert len(watched.looks) == 2
    assert watched.looks[1] is found.loaded.image
    assert not np.array_equal(watched.looks[0], watched.looks[1])
    placement = found.loaded.prepared.placement
    anew = predictor.networks.answer(watched.looks[1], slice_mm=placement.slice_mm)
    np.testing.assert_allclose(found.box.tumour, anew.tumour, atol=1e-5)


def test_a_process_that_is_killed_costs_nothing_but_time(slices_run, path, tmp_path):
    judging = Judging()
    os.kill(judging.pid, signal.SIGKILL)
    lost = predicted(slices_run, path, tmp_path / "lost", judging)
    assert judging.pid is None
    assert said(lost) == said(predicted(slices_run, path, tmp_path / "here"))


def test_a_scan_that_is_refused_is_refused_in_the_same_words(slices_run, path, tmp_path):
    """A head of twice the size, as its header says."""
    image = nib.load(path)
    affine = image.affine @ np.diag([2.0, 2.0, 2.0, 1.0])
    giant = write_nifti(tmp_path / "giant.nii.gz", np.asarray(image.dataobj), affine)
    words = []
    judging = Judging()
    for one in (judging, None):
        with pytest.raises(RejectedScanError, match="brain") as refused:
            predicted(slices_run, giant, tmp_path / "out", one)
        words.append(str(refused.value))
    judging.kill()
    assert words[0] == words[1]
    assert not (tmp_path / "out" / "giant").exists()


def test_the_program_itself_says_the_same_from_a_fresh_start(slices_run, path, tmp_path):
    for name, fresh in (("fresh", True), ("warm", False)):
        plgg("predict", path, "--model", slices_run, "--out", tmp_path / name, fresh=fresh)
    same_images(tmp_path / "fresh" / "head", tmp_path / "warm" / "head")
    assert said(tmp_path / "fresh" / "head") == said(tmp_path / "warm" / "head")
