"""A reading room learns: who is held out, what a round is of, which model answers afterwards."""

import shutil
from functools import partial

import numpy as np
import pytest

from correcting import LESSON, contents, trained, write_patients
from plgg import api
from plgg.core.errors import InputError, RunError
from plgg.core.files import make_folder, write_json
from plgg.core.progress import Silent
from plgg.data.manifest import read_manifest
from plgg.data.nifti.image import read_volume
from plgg.data.store import Store
from plgg.evaluate.rounds import read_comparison
from plgg.predict.options import PredictOptions
from plgg.serve import rounds
from plgg.serve.edits import save_edit
from plgg.serve.records import RoundRecord, now
from plgg.serve.rounds import HELD_OUT, held_out, run_round
from plgg.serve.uploads import Patient, UploadedFile, save_upload
from plgg.serve.work import WorkFolder

NAMES = [f"P{number}" for number in range(50, 56)]


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A model of bright tumours, and a reading room of six dark ones, predicted."""
    folder = tmp_path_factory.mktemp("reading")
    model, _ = trained(folder)
    scans = write_patients(folder / "dark", len(NAMES), dark=True, first=50).parent
    work = WorkFolder(folder / "work", (model,), options=PredictOptions(pages=False))
    work.make()
    for name in NAMES:
        add(work, name, scans / f"{name}.nii.gz")
    return work, scans


def add(work, name, scan):
    """Upload a scan and predict it."""
    with scan.open("rb") as file:
        save_upload(work, [UploadedFile(scan.name, file)], Patient(name), voxels=10**8)
    api.predict([work.scan(name)], out=work.cases, model=work.models, options=work.options)


def correct(work, name, mask):
    sent = shutil.copyfile(mask, work.root.with_name("sent"))  # as a body: it is moved
    save_edit(work, name, sent, if_match=work.mask_sha256(name), who="AB", minutes=1.0)


def ask(work, number, cases=None):
    folder = make_folder(work.round_folder(number))
    record = RoundRecord(number=number, created=now(), cases=cases)
    write_json(folder / "round.json", record.model_dump(mode="json"))


@pytest.fixture
def room(begun, tmp_path, monkeypatch):
    """A copy of it; a round learns more than it does by itself, and in this process."""
    work, scans = begun
    shutil.copytree(work.root, tmp_path / "work")
    quick = partial(api.fine_tune, settings=LESSON, workers=0)
    monkeypatch.setattr(rounds.api, "fine_tune", quick)
    return WorkFolder(tmp_path / "work", work.models, options=work.options), scans


def corrected(room, names=NAMES):
    work, scans = room
    for name in names:
        correct(work, name, scans / f"{name}_mask.nii.gz")
    return work


def test_corrections_become_the_model_that_answers(room):
    work = corrected(room)
    was, (model,) = contents(work.cases), work.models
    model_was = contents(model)
    ask(work, 1)
    run_round(work, 1, Silent())
    comparison = work.comparison(1)
    assert comparison["accepted"] is True
    assert comparison["dice_after"] > 0.5 > comparison["dice_before"]
    assert [one["patient_id"] for one in comparison["patients"]] == ["P50", "P53"]
    assert work.current_model() == work.round_folder(1) / "run"
    assert contents(work.cases) == was, "predictions and edits are never altered"
    assert contents(model) == model_was
    scan = work.scan("P50")
    (outcome,) = api.predict([scan], out=work.root / "again", model=work.current_model())
    assert outcome.result.volume_ml > 1.0
    _require_learnt_as_saved(work, room[1])


def _require_learnt_as_saved(work, scans):
    """Every voxel that was saved is the one that was learnt from."""
    store = Store(work.round_folder(1) / "store")
    for case in read_manifest(work.round_folder(1) / "manifest.csv"):
        assert case.flair.resolve() == work.scan(case.case_id).resolve()
        learnt = read_volume(store.truth_path(case.case_id))
        saved = read_volume(work.mask(case.case_id))
        given = read_volume(scans / f"{case.case_id}_mask.nii.gz")
        assert np.array_equal(learnt.data > 0, saved.data > 0)
        assert np.array_equal(learnt.data > 0, given.data > 0)
        np.testing.assert_allclose(learnt.affine, given.affine, atol=1e-4)


def test_every_third_case_is_held_out_for_ever(room):
    work = corrected(room, NAMES[:2])
    assert held_out(work) == {"P50"}
    corrected(room, NAMES[2:4])
    assert held_out(work) == {"P50", "P53"}
    # A second correction, or another one before it by name, changes nothing.
    correct(work, "P51", room[1] / "P52_mask.nii.gz")
    corrected(room, NAMES[4:])
    assert held_out(work) == {"P50", "P53"}


def test_a_scan_that_was_uploaded_twice_is_one_patient(room):
    work, scans = room
    add(work, "A-twin", scans / "P50.nii.gz")
    corrected(room, NAMES[:1])
    correct(work, "A-twin", scans / "P50_mask.nii.gz")
    corrected(room, NAMES[1:3])
    assert held_out(work) == {"P50", "A-twin"}


def test_the_record_of_who_is_held_out_is_not_guessed(room):
    work = corrected(room)
    held_out(work)
    (work.rounds / HELD_OUT).write_text("{")
    ask(work, 1)
    with pytest.raises(RunError, match="who is held out"):
        run_round(work, 1, Silent())


def test_too_few_corrections_are_refused_and_the_model_stays(room):
    work = corrected(room, NAMES[:3])
    ask(work, 1)
    with pytest.raises(InputError, match="Correct 1 more patient"):
        run_round(work, 1, Silent())
    assert work.comparison(1) is None
    assert work.current_models() == work.models


def test_cases_that_were_not_asked_for_are_not_learnt_from_but_held_out_ones_compare(room):
    work = corrected(room)
    ask(work, 1, cases=("P51", "P52"))
    run_round(work, 1, Silent())
    found = read_comparison(work.round_folder(1))
    assert set(found.trained_on) == {"P51", "P52"}
    assert {one.patient_id for one in found.patients} == {"P50", "P53"}


class StoppedError(Exception):
    pass


class Stopping(Silent):
    def task(self, label):
        if label == "comparing both models":
            raise StoppedError
        return super().task(label)


def test_a_stopped_round_goes_on_with_what_it_began_with(room):
    work = corrected(room, NAMES[:5])
    ask(work, 1)
    with pytest.raises(StoppedError):
        run_round(work, 1, Stopping())
    assert work.current_models() == work.models
    corrected(room, NAMES[5:])
    correct(work, "P51", room[1] / "P52_mask.nii.gz")
    run_round(work, 1, Silent())
    found = read_comparison(work.round_folder(1))
    assert set(found.trained_on) == {"P51", "P52", "P54"}
    # Once it has ended it is the model in force, and another call leaves all as it is.
    was = contents(work.round_folder(1))
    run_round(work, 1, Silent())
    assert contents(work.round_folder(1)) == was


def test_a_second_round_begins_with_the_first_ones_model_and_scans(room, monkeypatch):
    work = corrected(room, NAMES[:5])
    ask(work, 1)
    run_round(work, 1, Silent())
    first = read_comparison(work.round_folder(1))
    corrected(room, NAMES[5:])
    ask(work, 2)
    seen, real = [], rounds.api.fine_tune

    def looking(models, manifest, out, **more):
        seen.append((tuple(models), {path.name for path in (out / "store" / "cases").iterdir()}))
        return real(models, manifest, out, **more)

    monkeypatch.setattr(rounds.api, "fine_tune", looking)
    run_round(work, 2, Silent())
    assert seen == [((work.round_folder(1) / "run",), set(NAMES[:5]))]
    second = read_comparison(work.round_folder(2))
    assert second.dice_before == pytest.approx(first.dice_after, abs=1e-5)
    assert "P55" in second.trained_on
