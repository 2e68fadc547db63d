"""A marker's rule is fitted on outlines that are cut as those of later patients will be."""

import numpy as np
import pytest

from plgg.core.progress import Silent
from plgg.data.calibration import MaskRule
from plgg.data.nifti.image import read_volume
from plgg.data.result import read_result
from plgg.experiment import scoring
from plgg.predict.ensemble import build_ensemble
from plgg.predict.member import load_member
from plgg.predict.scan import Predictor
from runs import calibrate, make_run
from tiny import tiny_store


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("store"), 5)


def outlined(store, run, folder, monkeypatch, **rule):
    """Two networks, their raw predictions of two patients each, and how they are cut."""
    plain = {"threshold": 0.5, "smallest_ml": 0.0, "dice": None, "plain_dice": None, "n": 4}
    monkeypatch.setattr(scoring, "choose_mask_rule", lambda *_: MaskRule(**plain | rule))
    member, names = load_member(run, calibrated=False), list(store.by_id)
    asked = [(member, names[:2]), (member, names[2:4])]
    for one, own in asked:
        predictor = Predictor(build_ensemble([one]))
        scoring.predict_cases(predictor, store, own, folder / "raw", lambda *_: None)
    found = scoring.predict_with_final_mask_rule(
        store, asked, folder / "raw", folder / "new", Silent()
    )
    return found, names[:4]


@pytest.mark.parametrize("threshold", [0.3, "expected-dice"])
def test_outlines_are_cut_as_a_calibrated_network_will_cut_them(
    store, tmp_path, monkeypatch, threshold
):
    run = make_run(tmp_path / "run")
    folder, names = outlined(store, run, tmp_path, monkeypatch, threshold=threshold)
    assert folder == tmp_path / "new"
    calibrate(run, threshold=threshold)
    later = Predictor(build_ensemble([load_member(run)]))
    scoring.predict_cases(later, store, names, tmp_path / "later", lambda *_: None)
    for name in names:
        one, two = (
            read_result(path / name / "result.json") for path in (folder, tmp_path / "later")
        )
        assert one.radiomics == two.radiomics
        assert not one.marker.calibrated
        masks = [
            read_volume(path / name / "mask.nii.gz").data for path in (folder, tmp_path / "later")
        ]
        assert np.array_equal(*masks)


def test_raw_ones_are_kept_where_they_were_cut_so(store, tmp_path, monkeypatch):
    run = make_run(tmp_path / "run")
    folder, _ = outlined(store, run, tmp_path, monkeypatch)
    assert folder == tmp_path / "raw"
    assert not (tmp_path / "new").exists()


def test_a_setting_is_how_the_raw_ones_were_cut(store, tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", "inference.threshold=0.4")
    folder, _ = outlined(store, run, tmp_path, monkeypatch, threshold=0.4)
    assert folder == tmp_path / "raw"


def test_without_a_marker_nothing_is_read_from_outlines(store, tmp_path, monkeypatch):
    run = make_run(tmp_path / "run", "arm=single")
    folder, _ = outlined(store, run, tmp_path, monkeypatch, threshold=0.3)
    assert folder == tmp_path / "raw"
