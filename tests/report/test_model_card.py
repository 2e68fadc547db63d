"""The model card: everything in it comes from the run, and nobody can be found in it."""

import json
import shutil

import pytest

from plgg.core.errors import RunError
from plgg.data.calibration import (
    Bin,
    Calibration,
    ClinicalModel,
    MarkerRule,
    MaskRule,
    RiskPoint,
    TrainingDistribution,
    VolumeRule,
    write_calibration,
)
from plgg.data.store_records import Cohort
from plgg.data.store_writing import write_cohort
from plgg.report.model_card import write_model_card

SHA = "ab" * 32
HEADINGS = (
    "Model details",
    "Intended use",
    "Factors",
    "Metrics",
    "Training and evaluation data",
    "Quantitative analyses",
    "Subgroups",
    "Calibration and abstention",
    "Ethical considerations",
    "Caveats and recommendations",
    "Provenance",
    "How to use",
)


@pytest.fixture
def run(finished, store, tmp_path):
    """A multitask run with a store and a checkpoint, without a calibration."""
    run = shutil.copytree(finished / "split-0" / "multitask", tmp_path / "multitask")
    change(run / "environment.json", store=str(store.folder))
    (run / "checkpoints").mkdir()
    record = {"sha256": SHA, "epoch": 6, "version": 2, "classes": list(store.cohort.classes)}
    (run / "checkpoints" / "best.json").write_text(json.dumps(record | {"best_dice": 0.71}))
    return run


def change(path, **record):
    path.write_text(json.dumps(json.loads(path.read_text()) | record))


def card(run):
    return write_model_card(run).read_text(encoding="utf-8")


def calibrated(run, *, sha=SHA, answer_from=0.62):
    marker = MarkerRule(
        temperature=1.37,
        target_risk=0.2,
        answer_from=answer_from,
        coverage=0.5 if answer_from else 0.0,
        risk=0.25 if answer_from else None,
        ece_before=0.31,
        ece_after=0.12,
        nll_before=1.2,
        nll_after=0.9,
        bins_before=(Bin(confidence=0.5, accuracy=0.5, n=4),),
        bins_after=(Bin(confidence=0.5, accuracy=0.5, n=4),),
        curve=(RiskPoint(threshold=0.5, coverage=1.0, risk=0.5),),
        n=4,
    )
    found = Calibration(
        model_sha256=sha,
        mask=MaskRule(threshold=0.42, smallest_ml=0.3, dice=0.81, plain_dice=0.8, n=4),
        volume=VolumeRule(log_ratio=0.6931472, level=0.9, n=4),
        marker=marker,
        clinical=ClinicalModel(
            classes=("a", "b", "c"),
            inputs=("age_years", "male"),
            means=(1.0, 0.5),
            scales=(1.0, 1.0),
            coefficients=((0.0, 0.0),) * 3,
            intercepts=(0.0,) * 3,
            n=6,
        ),
        familiarity=TrainingDistribution(
            references=((0.0,),) * 6, doubtful_above=1.0, failed_above=2.0
        ),
    )
    write_calibration(run, found)


def test_all_headings_are_there_in_order(run):
    found = [line[3:] for line in card(run).splitlines() if line.startswith("## ")]
    assert tuple(found) == HEADINGS


def test_nobody_and_no_machine_can_be_found_in_it(run, store):
    path = run / "evaluation" / "test" / "summary.json"
    missing = json.loads(path.read_text())["missing"]
    change(path, missing=[*missing, "P99"])
    calibrated(run)
    text = card(run)
    for case in (*store.by_id, "P99"):
        assert case not in text
    assert str(store.folder) not in text
    assert str(run.parent) not in text
    assert "On test: 1 scan without a prediction is in no number." in text


def test_counts_are_those_of_the_store(run, store):
    text = card(run)
    split = json.loads((run / "split.json").read_text())
    sizes = [len(split[part]) for part in ("train", "validation", "test")]
    assert f"| Scans | {' | '.join(map(str, [*sizes, sum(sizes)]))} |" in text
    markers = {m: sum(c.marker == m for c in store.cohort.cases) for m in store.cohort.classes}
    for marker, n in markers.items():
        row = next(line for line in text.splitlines() if line.startswith(f"| Marker: {marker} |"))
        assert row.endswith(f"| {n} |")
    children = sum(case.age_years < 18 for case in store.cohort.cases)
    assert f"{children} of the {sum(sizes)} scans of known age are of children" in text


def test_numbers_are_those_of_the_evaluations(run):
    text = card(run)
    for part in ("validation", "test"):
        path = run / "evaluation" / part / "summary.json"
        dice = json.loads(path.read_text())["segmentation"]["dice"]
        told = f"{dice['mean']:.3f} ({dice['ci_low']:.3f} to {dice['ci_high']:.3f})"
        assert told in text


def test_calibration_and_abstention_are_told(run):
    assert "no calibration" in card(run)
    calibrated(run)
    text = card(run)
    for said in ("0.42", "1.37", "÷ 2.00", "90%", "below a probability of 0.62", "age years, male"):
        assert said in text
    assert "other weights" not in text


def test_a_calibration_that_withholds_everything_or_is_of_other_weights_says_so(run):
    calibrated(run, sha="cd" * 32, answer_from=None)
    text = card(run)
    assert "the model abstains for every patient" in text
    assert "made for other weights" in text


def test_without_the_store_only_scored_scans_are_counted(run, tmp_path):
    change(run / "environment.json", store=str(tmp_path / "gone"))
    text = card(run)
    assert "no longer at hand" in text
    assert "|  | validation | test | all |" in text


def test_a_store_of_other_patients_is_not_taken_for_it(run, store, tmp_path):
    other = Cohort(spacing_mm=4.0, classes=(), cases=store.cohort.cases[:2])
    write_cohort(tmp_path / "other", other)
    change(run / "environment.json", store=str(tmp_path / "other"))
    assert "no longer at hand or was changed" in card(run)


def test_adults_are_no_children(run, store, tmp_path):
    cases = tuple(c.model_copy(update={"age_years": 40.0}) for c in store.cohort.cases)
    write_cohort(tmp_path / "adults", store.cohort.model_copy(update={"cases": cases}))
    change(run / "environment.json", store=str(tmp_path / "adults"))
    text = card(run)
    assert text.count("All patients of known age are adults, from 40 years.") == 2


def test_a_run_that_was_only_begun_has_a_card(run):
    for name in ("evaluation", "checkpoints"):
        shutil.rmtree(run / name)
    (run / "environment.json").unlink()
    (run / "metrics.jsonl").unlink()
    text = card(run)
    assert "has not been evaluated" in text
    assert "Who the patients were is not on record." in text
    assert "None" not in text


def test_a_folder_that_is_no_run_is_refused(tmp_path, run):
    with pytest.raises(RunError, match="not a run"):
        write_model_card(tmp_path / "nothing")
    (run / "split.json").write_text("{")
    with pytest.raises(RunError, match=r"split.json.*cannot be read"):
        write_model_card(run)
    assert not (run / "model_card.md").exists()
