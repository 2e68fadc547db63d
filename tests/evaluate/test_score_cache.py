"""An evaluation that is interrupted is taken up: no case is scored twice, nothing else counts."""

import json
import os

import nibabel as nib
import numpy as np
import pytest

from helper import ODD_AFFINES, blob_brain
from plgg.core.errors import OutputError
from plgg.data.manifest import Case
from plgg.evaluate import score_cases
from plgg.evaluate.cohort import evaluate_predictions
from plgg.evaluate.predictions import find_prediction
from plgg.evaluate.score_cache import CACHE_FILE, ScoreCache, cache_key


@pytest.fixture
def tree(tmp_path):
    """Four patients on odd grids; predictions miss the first slice of the tumour."""
    cases = []
    for number, name in enumerate(("oblique", "thick", "lps", "coronal")):
        _, mask = blob_brain(affine=ODD_AFFINES[name], seed=number)
        data = mask.data.astype(np.uint8)
        truth = tmp_path / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(data, mask.affine), truth)
        missed = data.copy()
        missed[np.flatnonzero(data.any(axis=(1, 2)))[0]] = 0
        (tmp_path / "predictions").mkdir(exist_ok=True)
        path = tmp_path / "predictions" / f"{name}.nii.gz"
        nib.save(nib.Nifti1Image(missed, mask.affine), path)
        cases.append(Case(name, name, None, truth, "b"))
    return tmp_path / "predictions", cases, tmp_path / "out"


@pytest.fixture
def counted(monkeypatch):
    """The cases that are scored, each time that one is."""
    scored, real = [], score_cases.score_case

    def counting(case, *others):
        scored.append(case.case_id)
        return real(case, *others)

    monkeypatch.setattr(score_cases, "score_case", counting)
    return scored


class StoppedError(BaseException):
    """As Ctrl-C is."""


def stop_after(n):
    def progress(done, _):
        if done == n:
            raise StoppedError

    return progress


def evaluated(tree, **options):
    predictions, cases, out = tree
    return evaluate_predictions(predictions, cases, out=out, workers=1, **options)


def interrupted(tree, n):
    with pytest.raises(StoppedError):
        evaluated(tree, progress=stop_after(n))
    assert not (tree[2] / "summary.json").exists()


def test_an_interrupted_evaluation_is_taken_up(tree, counted):
    predictions, cases, out = tree
    whole = evaluate_predictions(predictions, cases, out=out.with_name("whole"))
    counted.clear()
    interrupted(tree, 2)
    found = evaluated(tree)
    assert counted == [case.case_id for case in cases]
    assert found == whole
    for name in ("cases.csv", "subgroups.csv", "summary.json"):
        assert (out / name).read_bytes() == (out.with_name("whole") / name).read_bytes()
    assert not (out / CACHE_FILE).exists()


def test_a_line_that_was_cut_off_or_altered_is_passed_over(tree, counted):
    _, _, out = tree
    interrupted(tree, 3)
    path = out / CACHE_FILE
    first, second, third = path.read_text().split("\n\n")
    record = json.loads(second)
    record["scores"]["dice"] = 1.0
    path.write_text("\n\n".join([first, json.dumps(record), third[: len(third) // 2]]))
    counted.clear()
    found = evaluated(tree)
    assert counted == ["thick", "lps", "coronal"]
    assert all(row.dice < 1.0 for row in found.rows)


def test_another_mask_or_another_row_is_scored_anew(tree, counted):
    predictions, cases, out = tree
    interrupted(tree, 3)
    path = predictions / "oblique.nii.gz"
    os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns + 1))
    cases[1] = Case("thick", "thick", None, cases[1].mask, "a")
    counted.clear()
    found = evaluate_predictions(predictions, cases, out=out, workers=1)
    assert counted == ["oblique", "thick", "coronal"]
    assert found.rows[1].marker == "a"


def test_local_workers_give_the_same_and_take_up_the_same(tree, counted):
    predictions, cases, out = tree
    here = evaluate_predictions(predictions, cases, out=out.with_name("here"))
    interrupted(tree, 1)
    counted.clear()
    assert evaluate_predictions(predictions, cases, out=out, workers=2) == here
    # They were scored in other processes, and the kept one not at all.
    assert counted == []
    assert not (out / CACHE_FILE).exists()


def test_a_file_that_plgg_did_not_write_is_not_added_to(tree):
    predictions, cases, out = tree
    out.mkdir()
    other = out.with_name("other.txt")
    other.write_text("mine")
    (out / CACHE_FILE).symlink_to(other)
    with pytest.raises(OutputError, match=r"scores\.jsonl"):
        evaluated(tree)
    kept = ScoreCache(out / CACHE_FILE)
    key = cache_key(cases[0], find_prediction(predictions, "oblique"))
    with pytest.raises(OutputError, match="could not be written"):
        kept.add(key, score_cases.score_case(cases[0], find_prediction(predictions, "oblique")))
    assert other.read_text() == "mine"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_in_its_place_is_refused_and_not_waited_for(tree):
    predictions, cases, out = tree
    out.mkdir()
    os.mkfifo(out / CACHE_FILE)
    with pytest.raises(OutputError, match=CACHE_FILE):
        evaluate_predictions(predictions, cases, out=out, workers=1)
