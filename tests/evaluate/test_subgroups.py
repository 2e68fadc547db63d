"""Subgroups, places, volumes and what results say beside their masks."""

import csv
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from plgg.core.errors import StoreError
from plgg.data.atlas.grid import BRAIN_CENTRE_MM
from plgg.data.manifest import Case
from plgg.data.nifti.image import read_volume
from plgg.evaluate.case import locate_point, score_case, tumour_location
from plgg.evaluate.evaluation import Evaluation, read_evaluation, write_evaluation
from plgg.evaluate.predictions import Prediction
from plgg.evaluate.records import CaseScores
from plgg.evaluate.subgroups import age_band, grouped, size_band
from plgg.evaluate.summary import summarise
from plgg.report.measures import measures

CLASSES = ("a", "b")


def row(number, **known):
    """A scan of which everything is known."""
    rng = np.random.default_rng(number)
    true = float(rng.uniform(1, 100))
    found = true * float(np.exp(rng.normal(0.1, 0.2)))
    p, q = rng.uniform(0.2, 0.8, 2).tolist()
    scores = {
        "case_id": f"c{number}",
        "patient_id": f"p{number}",
        "marker": CLASSES[number % 2],
        "site": "hill" if number % 3 else "harbour",
        "age_years": 2.0 + number % 16,
        "sex": "FM"[number % 2],
        "dice": float(rng.uniform(0.4, 0.9)),
        "soft_dice": 0.5,
        "hd95_mm": 3.0,
        "surface_dice": 0.5,
        "n_lesions": 1,
        "n_lesions_found": number % 4 > 0,
        "n_false_lesions": number % 5 == 0,
        "volume_ml": true,
        "predicted_volume_ml": found,
        "volume_error_ml": found - true,
        "both_empty": False,
        "side": "left",
        "region": "supratentorial",
        "volume_low_ml": found / 1.5,
        "volume_high_ml": found * 1.5,
        "volume_interval_level": 0.9,
        "withheld": max(p, 1 - p) < 0.6,
        "predicted_marker": "a" if p > 0.5 else "b",
        "probabilities": {"a": p, "b": 1 - p},
        "clinical": {"a": q, "b": 1 - q},
    }
    return CaseScores.model_validate(scores | known)


@pytest.fixture(scope="module")
def rows():
    return [row(number) for number in range(30)]


@pytest.fixture(scope="module")
def summary(rows):
    return summarise(rows, (), seed=0)


def test_bands_begin_at_their_first_number():
    ages = {0.0: "0 to 2 years", 2.99: "0 to 2 years", 3.0: "3 to 5 years", 11.9: "6 to 11 years"}
    ages |= {12.0: "12 to 17 years", 18.0: "18 to 39 years", 88.0: "60 years and older"}
    for age, band in ages.items():
        assert age_band(row(0, age_years=age)) == band
    sizes = {0.1: "under 5 mL", 5.0: "5 to 20 mL", 60.0: "60 mL and more"}
    for size, band in sizes.items():
        assert size_band(row(0, volume_ml=size)) == band
    assert age_band(row(0, age_years=None)) is None
    assert size_band(row(0, volume_ml=0.0)) is None


def test_a_group_holds_its_scans_and_their_mean(rows, summary):
    for trait in ("site", "age", "sex", "marker", "size"):
        groups = [found for found in summary.subgroups if found.group == trait]
        assert sum(found.n_scans for found in groups) == 30, trait
        for found in groups:
            dice = [r.dice for r in grouped(rows, trait)[found.level]]
            if found.n_patients < 3:
                assert found.metrics == {}
            else:
                assert found.metrics["dice"].mean == pytest.approx(np.mean(dice))
                assert found.metrics["dice"].ci_low <= found.metrics["dice"].mean
    ages = [found.level for found in summary.subgroups if found.group == "age"]
    assert ages == ["0 to 2 years", "3 to 5 years", "6 to 11 years", "12 to 17 years"]


def test_of_two_patients_only_their_number_is_told():
    few = [row(n, site="a" if n < 2 else "b") for n in range(6)]
    few.append(row(7, patient_id="p0", site="a"))
    found = {g.level: g for g in summarise(few, (), seed=0).subgroups if g.group == "site"}
    assert (found["a"].n_patients, found["a"].n_scans, found["a"].metrics) == (2, 3, {})
    assert found["b"].metrics["dice"].n == 4


def test_volumes_are_summed_up_by_their_formulas(rows, summary):
    found = summary.volumes
    errors = np.array([r.volume_error_ml for r in rows])
    logs = np.array([np.log(r.predicted_volume_ml / r.volume_ml) for r in rows])
    assert found.difference_ml.bias.value == pytest.approx(errors.mean())
    assert found.log_ratio.upper.value == pytest.approx(logs.mean() + 1.96 * logs.std(ddof=1))
    inside = np.abs(logs) <= np.log(1.5)
    assert found.coverage.value == pytest.approx(inside.mean())
    assert (found.coverage_level, found.n_with_interval, found.n_without_ratio) == (0.9, 30, 0)


def test_a_missed_tumour_has_a_difference_but_no_ratio(rows):
    missed = row(50, predicted_volume_ml=0.0, volume_error_ml=-9.0, volume_ml=9.0)
    found = summarise([*rows, missed], (), seed=0).volumes
    assert (found.difference_ml.n, found.log_ratio.n, found.n_without_ratio) == (31, 30, 1)


def test_abstention_and_baseline_are_counted(rows, summary):
    marker = summary.marker
    given = [r for r in rows if not r.withheld]
    right = np.mean([r.predicted_marker == r.marker for r in given])
    assert marker.abstention.n_withheld == 30 - len(given)
    assert marker.abstention.accuracy.value == pytest.approx(right)
    clinical = marker.clinical
    gap = clinical.network_auc.value - clinical.auc.value
    assert clinical.network_auc.value == pytest.approx(marker.auc.value)
    assert clinical.difference.value == pytest.approx(gap)
    assert clinical.difference.low < gap < clinical.difference.high
    assert sum(each.n for each in marker.reliability.bins) == 30
    assert marker.reliability.curve[-1].coverage == 1.0


def test_what_nothing_is_said_of_is_not_summed_up(rows):
    silent = {"withheld": None, "clinical": {}, "volume_low_ml": None, "volume_high_ml": None}
    found = summarise([r.model_copy(update=silent) for r in rows], (), seed=0)
    assert (found.marker.abstention, found.marker.clinical) == (None, None)
    assert (found.volumes.coverage, found.volumes.n_with_interval) == (None, 0)


def test_everything_is_read_back(rows, summary, tmp_path):
    told = Evaluation(tuple(rows), summary)
    write_evaluation(tmp_path, told)
    assert read_evaluation(tmp_path) == told
    with (tmp_path / "subgroups.csv").open() as handle:
        lines = list(csv.DictReader(handle))
    dice = next(x for x in lines if (x["level"], x["metric"]) == ("hill", "dice"))
    assert int(dice["n_patients"]) == 20
    assert float(dice["ci_low"]) < float(dice["mean"]) < float(dice["ci_high"])
    names = {measure.label for measure in measures(told.summary)}
    nominal = "Coverage of volume intervals (90% nominal)"
    assert {"Dice, median", nominal, "Clinical data alone: AUC (macro)"} < names


def test_an_evaluation_of_the_first_version_is_read(rows, summary, tmp_path):
    write_evaluation(tmp_path, Evaluation(tuple(rows), summary))
    path = tmp_path / "summary.json"
    record = json.loads(path.read_text())
    record = {k: v for k, v in record.items() if k not in ("volumes", "subgroups")} | {"version": 1}
    aucs = record["marker"]["auc_by_class"]
    record["marker"]["auc_by_class"] = {name: found["value"] for name, found in aucs.items()}
    for name in ("accuracy", "reliability", "abstention", "clinical"):
        del record["marker"][name]
    path.write_text(json.dumps(record))
    since = ("side", "region", "withheld", "volume_low_ml", "volume_high_ml")
    with (tmp_path / "cases.csv").open() as handle:
        lines = [
            {k: v for k, v in line.items() if k not in since and not k.startswith("clinical_")}
            for line in csv.DictReader(handle)
        ]
    with (tmp_path / "cases.csv").open("w", newline="") as handle:
        writer = csv.DictWriter(handle, [k for k in lines[0] if k != "volume_interval_level"])
        writer.writeheader()
        writer.writerows({k: line[k] for k in writer.fieldnames} for line in lines)
    old = read_evaluation(tmp_path)
    assert old.summary.marker.auc_by_class["a"].value == aucs["a"]["value"]
    assert old.summary.volumes is None
    assert (old.rows[3].dice, old.rows[3].side) == (rows[3].dice, None)
    assert measures(old.summary)


def test_places_of_the_head():
    def at(x, y, z):
        place = locate_point(BRAIN_CENTRE_MM + np.array([x, y, z]))
        return place.side, place.region

    assert at(30, 40, 20) == ("right", "supratentorial")
    assert at(-30, -60, 30) == ("left", "supratentorial")
    assert at(2, -35, -40) == ("midline", "infratentorial")
    assert at(-25, -45, -50) == ("left", "infratentorial")
    assert at(45, 0, -35) == ("right", "supratentorial")


def atlas(shared_data, name):
    image = nib.load(shared_data / "sri24" / f"{name}.nii.gz")
    return np.asarray(image.dataobj).squeeze(), image.affine


@pytest.mark.real
def test_the_tentorium_is_where_the_atlas_has_it(shared_data):
    tissues, affine = atlas(shared_data, "tissues")
    above = atlas(shared_data, "suptent")[0] > 0
    voxels = np.argwhere(tissues > 0)[::997]
    points = voxels @ affine[:3, :3].T + affine[:3, 3]
    told = [locate_point(point).region == "supratentorial" for point in points]
    assert np.mean(told == above[tuple(voxels.T)]) > 0.975


def stored_case(folder, registration="affine"):
    """A mask in a store whose scan lies 1000 mm off the atlas, and its case."""
    mask = np.zeros((9, 9, 9), dtype=np.uint8)
    mask[2:5, 4, 4] = 1
    centre = BRAIN_CENTRE_MM + np.array([40.0, 0.0, 20.0])
    affine = np.diag([2.0, 2.0, 2.0, 1.0])
    affine[:3, 3] = centre - 2.0 * np.array([3, 4, 4]) + 1000.0
    path = folder / "cases" / "c" / "truth.nii.gz"
    path.parent.mkdir(parents=True)
    nib.save(nib.Nifti1Image(mask, affine), path)
    move = np.eye(4)
    move[:3, 3] = -1000.0
    known = {"case_id": "c", "patient_id": "p", "marker": None, "has_mask": True, "site": None}
    known |= {"age_years": None, "sex": None, "flair": "f", "flair_sha256": "0", "shape": (9, 9, 9)}
    placed = {"native_shape": (9, 9, 9), "native_affine": affine.tolist(), "method": "test"}
    placed |= {"box_shape": (9, 9, 9), "box_affine": affine.tolist()}
    placed |= {"native_to_atlas": move.tolist()}
    record = {"case": known, "spacing_mm": 2.0, "placement": placed, "mask_sha256": None}
    record["settings"] = {"registration": registration}
    path.with_name("case.json").write_text(json.dumps(record))
    return Case("c", "p", Path("f"), path)


def test_a_mask_in_a_store_has_a_place(tmp_path):
    case = stored_case(tmp_path / "store")
    found = score_case(case, Prediction(case.mask)).scores
    assert (found.side, found.region, found.dice) == ("right", "supratentorial", 1.0)


def test_a_scan_that_was_not_registered_has_none(tmp_path):
    case = stored_case(tmp_path / "store", registration="centre")
    truth = read_volume(case.mask)
    assert tumour_location(case, truth) is None
    case.mask.with_name("case.json").unlink()
    assert tumour_location(case, truth) is None


def test_a_broken_record_is_named(tmp_path):
    case = stored_case(tmp_path / "store")
    case.mask.with_name("case.json").write_text("{")
    with pytest.raises(StoreError, match=r"case.json.*Preprocess again"):
        tumour_location(case, read_volume(case.mask))


def test_what_a_result_says_is_kept(tmp_path):
    case = stored_case(tmp_path / "store")
    result = tmp_path / "result.json"
    marker = {"probabilities": {"a": 0.7, "b": 0.3}, "predicted": "a", "withheld": True}
    marker["clinical_only"] = {"a": 0.4, "b": 0.6}
    between = {"low_ml": 0.01, "high_ml": 0.1, "level": 0.9, "n_patients": 13}
    result.write_text(json.dumps({"marker": marker, "volume_interval": between}))
    found = score_case(case, Prediction(case.mask, None, result)).scores
    assert (found.withheld, found.clinical) == (True, {"a": 0.4, "b": 0.6})
    assert (found.volume_low_ml, found.volume_high_ml) == (0.01, 0.1)
    assert found.volume_interval_level == 0.9
