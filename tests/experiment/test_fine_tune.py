"""A round of learning: it teaches, it refuses to get worse, it touches nothing, it goes on."""

import shutil

import numpy as np
import pytest

from correcting import CONFIG, a_round, contents, trained, write_patients
from plgg import api
from plgg.core.errors import ConfigError, InputError, RunError
from plgg.core.progress import Silent
from plgg.data.calibration import read_calibration
from plgg.data.ensemble_folder import member_runs, read_ensemble
from plgg.data.nifti.image import read_volume
from plgg.data.run_folder import read_split
from plgg.data.store import Store
from plgg.evaluate.rounds import PatientChange, compare_parts, read_comparison, verdict
from plgg.experiment import fine_tune as room
from plgg.experiment.corrections import held_out_patients
from plgg.experiment.tuning import oversampled
from plgg.metrics.overlap import hard_dice
from plgg.model.checkpoint import load_checkpoint
from plgg.predict.member import load_member
from runs import calibrate, make_run, marker_rule

N = 6
ROUGH = (
    "grid.spacing_mm=8",
    "model.blocks_down=[1,1,1]",
    "model.blocks_up=[1,1]",
    "patches.size=[16,20,16]",
)


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """A model of bright tumours, its store, and six patients whose tumours are dark."""
    folder = tmp_path_factory.mktemp("corrections")
    model, store = trained(folder)
    return model, store, write_patients(folder / "dark", N, dark=True, first=50)


@pytest.fixture(scope="module")
def alone(before, tmp_path_factory):
    """A round without the store; the model before and after it, byte by byte."""
    model, _, manifest = before
    was = contents(model)
    out = tmp_path_factory.mktemp("alone")
    return a_round(model, manifest, out), out, was == contents(model)


@pytest.fixture(scope="module")
def with_store(before, tmp_path_factory):
    """A round with the store, whether model and store are as they were, and who was learnt from."""
    model, store, manifest = before
    was = contents(model), contents(store)
    out = tmp_path_factory.mktemp("with-store")
    learnt, real = set(), room.tune

    def watched(old, joined, corrected, run, **more):
        real(old, joined, corrected, run, **more)
        learnt.update(read_split(run)["train"])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(room, "tune", watched)
        found = a_round(model, manifest, out, store=store)
    return found, out, was == (contents(model), contents(store)), learnt


def test_corrections_that_teach_something_new_are_learnt(alone):
    found, out, _ = alone
    assert found.accepted
    assert found.dice_before < 0.1
    assert found.dice_after > 0.5
    assert (found.n_training, found.n_validation, found.n_rehearsed) == (4, 2, 0)
    assert read_comparison(out) == found


def test_the_old_model_and_its_store_are_as_they_were(alone, with_store):
    assert alone[2]
    assert with_store[2]


def test_who_is_held_out_is_never_learnt_from(before, alone, with_store):
    model, _, _ = before
    assert [change.patient_id for change in alone[0].patients] == ["P50", "P53"]
    assert set(alone[0].trained_on) == {"P51", "P52", "P54", "P55"}
    found, _, _, learnt = with_store
    split = read_split(model)
    assert learnt == {*found.trained_on, *split["train"]}
    compared = {case for change in found.patients for case in change.cases}
    assert compared == {"P50", "P53", *split["validation"]}
    assert not compared & learnt


def test_the_new_model_predicts_what_the_comparison_says(alone, before, tmp_path):
    found, out, _ = alone
    _, _, manifest = before
    scan = manifest.parent / "P50.nii.gz"
    (outcome,) = api.predict([scan], model=out / "run", out=tmp_path)
    predicted = read_volume(tmp_path / "P50" / "mask.nii.gz").data > 0
    truth = read_volume(manifest.parent / "P50_mask.nii.gz").data > 0
    told = {change.patient_id: change.dice_after for change in found.patients}["P50"]
    assert hard_dice(predicted, truth) == pytest.approx(told, abs=1e-5)
    assert "learnt from 4 corrected patients" in outcome.result.note
    card = (out / "run" / "model_card.md").read_text()
    assert "Learning from corrections" in card


def test_without_the_store_encoder_and_calibration_are_carried_over(alone, before):
    _, out, _ = alone
    model, _, _ = before
    (new,) = member_runs([out / "run"])
    old, tuned = load_checkpoint(model).tensors, load_checkpoint(new).tensors
    assert old.keys() == tuned.keys()
    moved = {name for name in old if not old[name].equal(tuned[name])}
    encoder = {name for name in old if "convInit" in name or "down_layers" in name}
    assert moved
    assert encoder
    assert not moved & encoder
    assert read_calibration(new).mask == read_calibration(model).mask


@pytest.fixture(scope="module")
def handed_on(before, tmp_path_factory):
    """A multitask model as it is installed: half precision, no split, no store."""
    folder = tmp_path_factory.mktemp("handed-on")
    atlas = Store(before[1]).cohort.settings.atlas_sha256
    run = make_run(folder / "run", *ROUGH, f"preprocess.atlas_sha256={atlas}")
    width = load_member(run, calibrated=False).engine.run(np.zeros((1, 16, 16, 16), np.float32))
    random = np.random.default_rng(0)
    references = random.normal(size=(12, width.features.size)).tolist()
    calibrate(run, marker=marker_rule(temperature=1.5), references=references, far=100.0)
    api.export_model(run, folder / "model", name="shipped", about="Made of noise.")
    return folder / "model"


def test_the_marker_of_an_installed_model_answers_as_before(handed_on, before, tmp_path):
    _, _, manifest = before
    found = a_round(handed_on, manifest, tmp_path)
    (old,) = member_runs([handed_on])
    new = tmp_path / "run" / "fold-0"
    assert found.accepted, found.reason
    tensors = load_checkpoint(old).tensors, load_checkpoint(new).tensors
    for name, value in tensors[0].items():
        if "heads.marker" in name:
            assert tensors[1][name].equal(value)
    was, now = read_calibration(old), read_calibration(new)
    assert (now.marker, now.mask) == (was.marker, was.mask)
    assert len(now.familiarity.references) == len(was.familiarity.references) + 4
    record = read_ensemble(tmp_path / "run")
    assert record.name == "shipped"
    assert record.about == "Made of noise. Since then it has learnt from 4 corrected patients."
    assert len(record.learnt_from) == 4


def test_with_the_store_old_patients_are_rehearsed_and_calibrate_anew(with_store, before):
    found, out, *_ = with_store
    model, _, _ = before
    assert found.accepted
    split = read_split(model)
    assert found.n_rehearsed == len(split["train"])
    parts = {part.part: part for part in found.parts}
    assert parts["held-out"].dice_after > 0.5
    assert parts["validation"].n == len(split["validation"])
    (new,) = member_runs([out / "run"])
    assert read_split(new) == split
    assert read_calibration(new).mask.n == len(split["validation"])


def test_a_second_round_goes_on_from_the_first(with_store, before, tmp_path):
    _, first, *_ = with_store
    _, store, manifest = before
    found = a_round(first / "run", manifest, tmp_path / "second", store=store)
    parts = {part.part: part for part in found.parts}
    assert parts["held-out"].dice_before == pytest.approx(
        {part.part: part for part in with_store[0].parts}["held-out"].dice_after
    )


def test_who_taught_the_model_is_not_compared(alone, before, tmp_path):
    """Held out are two patients whom the first round has learnt from."""
    _, first, _ = alone
    _, _, manifest = before
    assert len(read_ensemble(first / "run").learnt_from) == 4
    with pytest.raises(InputError, match="there are 4 and 0"):
        a_round(first / "run", manifest, tmp_path / "out", held_out=["P51", "P52"])


def test_a_scan_by_two_names_is_not_compared_after_it_was_learnt_from(before, tmp_path):
    model, _, _ = before
    manifest = write_patients(tmp_path / "twins", 4, first=90)
    shutil.copyfile(manifest.parent / "P90.nii.gz", manifest.parent / "P91.nii.gz")
    with pytest.raises(InputError, match="there are 2 and 1; without P90: is held out"):
        a_round(model, manifest, tmp_path / "out")


def test_wrong_corrections_are_rejected_and_the_old_model_stays(before, tmp_path):
    model, _, _ = before
    was = contents(model)
    shifted = (71, 72, 74, 75)
    manifest = write_patients(tmp_path / "wrong", N, first=70, shifted=shifted)
    found = a_round(model, manifest, tmp_path / "out")
    assert not found.accepted
    assert found.difference < -0.3
    assert "worse" in found.reason
    assert "The old model stays" in found.reason
    assert not (tmp_path / "out" / "run").exists()
    assert contents(model) == was


def test_what_is_wrong_in_all_corrections_alike_is_rejected_by_the_old_patients(before, tmp_path):
    """Learnt well, it pleases the held-out ones; only patients of the store can tell."""
    model, store, _ = before
    manifest = write_patients(tmp_path / "wrong", N, first=70, inverted=True)
    found = a_round(model, manifest, tmp_path / "out", store=store)
    parts = {part.part: part for part in found.parts}
    assert parts["held-out"].difference > 0
    assert parts["validation"].difference < -0.05
    assert not found.accepted
    assert "worse" in found.reason
    assert not (tmp_path / "out" / "run").exists()


class StoppedError(Exception):
    pass


class Stopping(Silent):
    """Ends the process, as it were, when a certain job begins."""

    def __init__(self, label):
        self.label = label

    def task(self, label):
        if label == self.label:
            raise StoppedError
        return super().task(label)


def test_a_round_that_was_stopped_goes_on_to_the_same_numbers(before, alone, tmp_path):
    model, _, manifest = before
    was = contents(model)
    for label in ("preparing corrected scans", "comparing both models"):
        with pytest.raises(StoppedError):
            a_round(model, manifest, tmp_path / "out", watch=Stopping(label))
        assert read_comparison(tmp_path / "out") is None
        assert not (tmp_path / "out" / "run").exists()
    runs = [*(tmp_path / "out" / "training").glob("tuning-*/checkpoints/last.json")]
    trained_at = [path.stat().st_mtime_ns for path in runs]
    assert trained_at
    seen = []

    class Looking(Silent):
        def task(self, label):
            if label == "comparing both models":
                seen.extend(path.stat().st_mtime_ns for path in runs)
            return super().task(label)

    found = a_round(model, manifest, tmp_path / "out", watch=Looking())
    assert seen == trained_at, "what was learnt is not learnt again"
    assert found.patients == alone[0].patients
    assert not (tmp_path / "out" / "training").exists()
    assert contents(model) == was


def test_the_same_call_again_gives_what_is_there(alone, before):
    found, out, _ = alone
    model, _, manifest = before
    was = contents(out)
    assert a_round(model, manifest, out) == found
    assert contents(out) == was


def test_another_round_in_the_same_folder_is_refused(alone, before):
    _, out, _ = alone
    model, _, manifest = before
    with pytest.raises(RunError, match="held_out"):
        a_round(model, manifest, out, held_out=["P51", "P52"])
    with pytest.raises(RunError, match="settings"):
        api.fine_tune(model, manifest, out, workers=0)


@pytest.mark.parametrize(("n", "missing"), [(1, 3), (2, 2), (3, 1)])
def test_too_few_corrections_are_one_refusal_that_says_how_many_are_missing(
    before, tmp_path, n, missing
):
    model, _, _ = before
    manifest = write_patients(tmp_path / "few", n, first=80)
    with pytest.raises(InputError, match=f"Correct {missing} more patient") as caught:
        a_round(model, manifest, tmp_path / "out")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_a_scan_that_cannot_be_used_is_left_out_and_named(before, tmp_path):
    model, _, _ = before
    manifest = write_patients(tmp_path / "some", N, first=80)
    (manifest.parent / "P81.nii.gz").write_bytes(b"nothing")
    found = a_round(model, manifest, tmp_path / "out")
    assert list(found.left_out) == ["P81"]
    assert found.n_training == 3
    for name in ("P82", "P84"):
        (manifest.parent / f"{name}.nii.gz").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"there are 1 and 2; without P81: .*Correct 1 more"):
        a_round(model, manifest, tmp_path / "fewer")


def test_a_model_is_what_it_is(before, tmp_path):
    model, _, manifest = before
    for setting in ("model.init_filters=16", "init.frozen_stages=0", "grid.spacing_mm=4"):
        with pytest.raises(ConfigError, match="cannot be set in a round"):
            api.fine_tune(model, manifest, tmp_path / "out", settings=[setting], workers=0)
    assert not (tmp_path / "out").exists()


def test_a_store_of_another_kind_is_refused(before, tmp_path):
    model, _, manifest = before
    other = CONFIG.model_copy(update={"grid": CONFIG.grid.model_copy(update={"spacing_mm": 6.0})})
    api.preprocess(manifest, tmp_path / "store", other, workers=0)
    with pytest.raises(ConfigError, match="the store"):
        a_round(model, manifest, tmp_path / "out", store=tmp_path / "store")


def change(difference, *, part="held-out", number=0):
    return PatientChange(
        patient_id=f"P{number}",
        part=part,
        cases=(f"P{number}",),
        dice_before=0.5,
        dice_after=0.5 + difference,
        difference=difference,
    )


@pytest.mark.parametrize(
    ("differences", "accepted"),
    [
        ((0.1, 0.1), True),
        ((0.0, 0.0), True),
        # A mean of -0.005 with a standard error of 0.01, then of 0.0025.
        ((-0.015, 0.005), True),
        ((-0.0075, -0.0025), False),
        # So large an error could excuse any loss.
        ((-0.4, 0.1), False),
    ],
)
def test_a_model_is_accepted_unless_it_is_worse_by_more_than_its_error(differences, accepted):
    changes = [change(value, number=n) for n, value in enumerate(differences)]
    assert verdict(compare_parts(changes))[0] is accepted


def test_gains_on_the_corrected_do_not_pay_for_losses_on_the_others():
    gained = [change(0.3 + 0.01 * n, number=n) for n in range(3)]
    lost = [change(-0.1 - 0.01 * n, part="validation", number=9 + n) for n in range(3)]
    parts = compare_parts([*gained, *lost])
    assert [part.part for part in parts] == ["all", "held-out", "validation"]
    assert parts[0].difference > 0
    accepted, reason = verdict(parts)
    assert not accepted
    assert "old training" in reason


def test_every_third_patient_is_held_out_and_keeps_so_as_more_come(before):
    _, _, manifest = before
    cases = room.read_manifest_with_warnings(manifest)
    assert held_out_patients(cases, ()) == {"P50", "P53"}
    assert held_out_patients(cases[:4], ()) == {"P50", "P53"}
    with pytest.raises(ConfigError, match="no scan of the manifest"):
        held_out_patients(cases, ["nobody"])


def test_corrected_scans_are_half_of_a_lesson():
    names = oversampled([f"old-{n}" for n in range(10)], ["a", "b"])
    assert sum(name in {"a", "b"} for name in names) == 10
    assert oversampled([], ["a", "b"]) == ("a", "b")


def test_the_store_of_corrections_holds_their_masks_voxel_by_voxel(alone, before):
    _, out, _ = alone
    _, _, manifest = before
    store = Store(out / "store")
    for case in room.read_manifest_with_warnings(manifest):
        kept, given = read_volume(store.truth_path(case.case_id)), read_volume(case.mask)
        assert np.array_equal(kept.data > 0, given.data > 0)
        np.testing.assert_allclose(kept.affine, given.affine)
