"""The benchmarks of scale and against nnU-Net: their stores, rows and words, on tiny cohorts."""

import importlib
import json
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from plgg.core.errors import ConfigError
from plgg.core.files import sha256
from plgg.data.ensemble_folder import EnsembleRecord, write_ensemble
from plgg.data.manifest import read_manifest
from plgg.data.split import make_split
from plgg.data.store import Store
from runs import SHALLOW, make_run
from tiny import SETTINGS, SMALL_SHAPE, hand_split, tiny_config, tiny_store

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark_named(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    return importlib.import_module


@pytest.fixture
def started(monkeypatch, capsys):
    def start(module, *arguments):
        monkeypatch.setattr(sys, "argv", [module.__name__, *map(str, arguments)])
        module.main()
        return capsys.readouterr().out

    return start


def test_a_store_is_filled_up_with_copies_that_are_other_patients(tmp_path, benchmark_named):
    scaling = benchmark_named("scaling")
    made = tiny_store(tmp_path / "made", 5)
    store = Store(scaling.make_store(tmp_path, 12, 5, tiny_config()))
    cases = store.cohort.cases
    assert len({case.patient_id for case in cases}) == len({case.case_id for case in cases}) == 12
    split = make_split(cases, k=0, seed=0)
    assert len(split.train) + len(split.validation) + len(split.test) == 12
    for number, case in enumerate(cases):
        original = f"P{number % 5:02d}"
        assert np.array_equal(store.image(case.case_id), made.image(original))
        assert np.array_equal(store.mask(case.case_id), made.mask(original))
        first = made.folder / "cases" / original / "image.b2nd"
        assert not first.samefile(store.folder / "cases" / case.case_id / "image.b2nd")


def test_an_epoch_is_measured_and_rounds_become_a_row(tmp_path, benchmark_named, started):
    scaling = benchmark_named("scaling")
    tiny_store(tmp_path / "store", 8)
    settings = ("patches.size=[24,24,24]", "preprocess.stripping=none", "precision=fp32")
    chosen = [word for setting in settings for word in ("--set", setting)]
    said = started(scaling, "--store", tmp_path / "store", "--epochs", 2, *chosen)
    run = json.loads(said.splitlines()[-1])
    row = scaling.middle([run, run])
    assert (row["patients"], row["trained"]) == (8, 6)
    assert row["epoch_s"] > 0
    assert row["peak_mib"] == run["peaks_mib"][-1] >= run["peaks_mib"][0]
    assert set(scaling.COLUMNS) <= set(row)


def test_one_epoch_is_refused(benchmark_named, started, capsys):
    with pytest.raises(SystemExit):
        started(benchmark_named("scaling"), "--epochs", 1)
    assert "2 or more" in capsys.readouterr().err


def test_no_two_scans_of_a_large_cohort_are_equal(tmp_path, benchmark_named):
    scale = benchmark_named("scale")
    scale.N_MADE = 2
    scale.make_copies(tmp_path / "made", tmp_path / "cohort", 5)
    cases = read_manifest(tmp_path / "cohort" / "manifest.csv")
    assert len({sha256(case.flair) for case in cases}) == len({case.patient_id for case in cases})
    first, third = nib.load(cases[0].flair), nib.load(cases[2].flair)
    assert np.array_equal(first.affine, third.affine)
    a, b = np.asarray(first.dataobj), np.asarray(third.dataobj)
    assert np.array_equal(a > 0, b > 0)
    assert 0 < np.abs(a.astype(int) - b).max() <= 4


def test_rows_of_scale_become_ratios_and_a_table(benchmark_named):
    scale = benchmark_named("scale")
    rows = [
        {"command": "predict", "way": "ray", "patients": n} | dict.fromkeys(scale.NUMBERS, 10.0 * f)
        for n, f in ((50, 1.0), (1000, 1.5))
    ]
    (ratio,) = scale.ratios(rows)
    assert {ratio[name] for name in scale.NUMBERS[1:]} == {1.5}
    found = {"rows": rows, "ratios": [ratio], "machine": {"cores": 2}}
    assert scale.table(found).splitlines()[-1].split()[:3] == ["predict", "ray", "ratio"]


@pytest.mark.parametrize("python", [sys.executable, "no/such/python"])
def test_without_nnunet_the_benchmark_says_so_in_one_line(python, benchmark_named, started):
    nnunet = benchmark_named("nnunet")
    if nnunet.has_nnunet(python):
        pytest.skip("nnunetv2 is installed here")
    said = started(nnunet, "--nnunet-python", python)
    assert said.count("\n") == 1
    assert said.startswith(f"skipped: {python} has no nnunetv2")


def test_plgg_is_timed_as_nnunet_is(tmp_path, benchmark_named):
    nnunet = benchmark_named("nnunet")
    tiny_store(tmp_path / "store", 4)
    found = nnunet.ours(tmp_path / "store", tiny_config("arm=single"), repeats=1)
    assert (found["patch"], found["batch"]) == ([24, 24, 24], 2)
    for part in nnunet.PARTS:
        assert len(found[part]["wall"]) == len(found[part]["processor"]) >= 1
        assert min(found[part]["wall"]) > 0


def test_simulated_rounds_are_one_table_of_gains_by_patient(tmp_path, benchmark_named, started):
    rounds = benchmark_named("rounds")
    seed = tmp_path / "seed-0"
    (seed / "entropy").mkdir(parents=True)
    (seed / "start.json").write_text(json.dumps({"dice": [0.5, 0.6, 0.7]}))
    found = {"dice": [0.6, 0.7, 0.8], "accepted": True}
    (seed / "entropy" / "1.json").write_text(json.dumps(found))
    (seed / "entropy" / "2.json").write_text(json.dumps(found | {"accepted": False}))
    said = started(rounds, "no.csv", "none", tmp_path, "--only-table").splitlines()
    assert said[2] == "| 0 | 0.600 | 0.600 | 0.600 | 0.600 |"
    assert said[3] == "| 1 | 0.700 (+0.100 ± 0.000) |  |  |  |"
    assert "rejected" in said[4]


def test_simulated_rounds_take_their_patients_out_of_one_store(tmp_path, benchmark_named):
    rounds = benchmark_named("rounds")
    whole = tiny_store(tmp_path / "whole", 5)
    part = rounds.substore(whole, tmp_path / "part", ["P03", "P01"])
    assert sorted(part.by_id) == ["P01", "P03"]
    assert np.array_equal(part.mask("P03"), whole.mask("P03"))
    assert rounds.substore(whole, tmp_path / "part", ["P04"]).by_id == part.by_id


def test_presets_are_trained_until_they_reach_the_dice_or_run_out_of_time(
    tmp_path, benchmark_named, started
):
    equal_dice = benchmark_named("equal_dice")
    store = tiny_store(tmp_path / "store", 9, shape=SMALL_SHAPE).folder
    settings = (
        *SETTINGS,
        "patches.size=[16,16,16]",
        "model.blocks_down=[1,1]",
        "model.blocks_up=[1]",
    )
    chosen = [word for setting in settings for word in ("--set", setting)]
    both = (f"small={store}", f"paper={store}", "--json", *chosen)
    found = json.loads(started(equal_dice, *both, "--dice", 0))
    assert found["presets"]["small"]["epochs"] == found["presets"]["paper"]["epochs"] == 1
    minutes = [found["presets"][name]["minutes"] for name in ("small", "paper")]
    assert all(one > 0 for one in minutes)
    assert found["ratios"]["paper/small"] > 0
    late = json.loads(started(equal_dice, *both, "--dice", 1, "--minutes", 0))
    assert late["ratios"] == {}
    assert late["presets"]["small"]["minutes"] is None
    bound = equal_dice.ratios(
        {"best": {"minutes": 2.0}, "small": {"minutes": None, "course": [[5.0, 0.1]]}}
    )
    assert bound == {"ratios": {"small/best": 2.5}, "at_least": ["small"]}


def test_stores_of_other_patients_are_not_compared(tmp_path, benchmark_named):
    equal_dice = benchmark_named("equal_dice")
    stores = [tiny_store(tmp_path / str(n), n, shape=SMALL_SHAPE) for n in (8, 9)]
    with pytest.raises(ConfigError, match="other cases"):
        equal_dice.common_split(stores, 0)


def test_stages_of_a_raw_head_add_up(benchmark_named):
    raw_head = benchmark_named("raw_head")
    spent = {
        "imports": (3.0, 3.5),
        "models": (0.5, 0.5),
        "read and prepare": (10.0, 8.0),
        "brain": (5.0, 4.0),
        "gates": (1.0, 1.0),
        "network": (4.0, 2.0),
        "back to the native grid": (0.1, 0.1),
        "measures": (0.2, 0.2),
        "scan": (15.0, 11.0),
    }
    stages = raw_head.parts(dict(spent))
    assert stages["reading, atlas"] == pytest.approx((4.0, 3.0))
    assert stages["files, page"] == pytest.approx((0.7, 0.7))
    assert sum(cpu for cpu, _ in stages.values()) == pytest.approx(3.0 + 0.5 + 15.0)
    run = {**stages, raw_head.WHOLE: (20.0, 16.0)}
    slow = {name: (2 * cpu, 2 * wall) for name, (cpu, wall) in run.items()}
    found = raw_head.summary({"this": [run, run, slow], "other": [slow]})
    assert found["seconds"]["this"]["rest"][0] == pytest.approx(1.5)
    assert found["ratios"]["brain"] == found["ratios"][raw_head.WHOLE] == 2.0
    assert found["shares"]["brain"] == pytest.approx(0.25)


def test_every_rule_is_scored_on_predictions_that_are_there(tmp_path, benchmark_named, started):
    thresholds = benchmark_named("thresholds")
    truth = np.zeros((8, 8, 8), np.uint8)
    truth[2:6, 2:6, 2:6] = 1
    rows = ["patient_id,case_id,flair,mask,marker"]
    for name, likely in (("a", 0.42), ("b", 0.9), ("c", None)):
        nib.save(nib.Nifti1Image(truth, np.eye(4)), tmp_path / f"{name}.nii.gz")
        rows.append(f"{name},{name},{name}.nii.gz,{name}.nii.gz,")
        if likely:
            (tmp_path / "out" / name).mkdir(parents=True)
            probability = np.where(truth, likely, 0.0).astype(np.float32)
            probability[3, 3, 3] = 0.9
            path = tmp_path / "out" / name / "probability.nii.gz"
            nib.save(nib.Nifti1Image(probability, np.eye(4)), path)
    (tmp_path / "manifest.csv").write_text("\n".join(rows))
    said = started(thresholds, tmp_path / "out", tmp_path / "manifest.csv")
    assert said.startswith("2 scans")
    table = {row.split("|")[1].strip(): row for row in said.splitlines() if "±" in row}
    assert table.keys() == {str(rule) for rule in thresholds.RULES}
    assert "1.0000" in table["0.4"]
    assert "1.0000" in table["expected-dice"]
    # At a half one voxel of the 64 is found.
    assert f"{(2 / 65 + 1) / 2:.4f}" in table["0.5"]


def test_every_choice_of_sizes_is_scored_out_of_fold(tmp_path, benchmark_named, started):
    zooms = benchmark_named("zooms")
    store = tiny_store(tmp_path / "store", 4, shape=SMALL_SHAPE, no_mask=("P03",))
    names = ("fold-0", "fold-1")
    for name, cases in zip(names, (("P00", "P01"), ("P02", "P03")), strict=True):
        run = make_run(tmp_path / "ensemble" / name, *SHALLOW)
        split = hand_split(store, validation=cases, test=())
        (run / "split.json").write_text(split.model_dump_json())
    write_ensemble(tmp_path / "ensemble", EnsembleRecord(members=names, folds=2))
    said = started(zooms, tmp_path / "ensemble", store.folder)
    assert said.startswith("3 scans")
    rows = [row.split("|")[1:-1] for row in said.splitlines() if "±" in row]
    assert [row[0].strip() for row in rows] == [
        *(", ".join(map(str, choice)) for choice in zooms.CHOICES),
        "1.0, 1.25, as predicted",
    ]
    assert rows[0][3].strip() == "+0.0000 ± 0.0000"
    # A network that sees volumes has no slices to leave out.
    assert rows[-1][1:5] == rows[zooms.CHOICES.index(zooms.TAKEN)][1:5]
    assert float(rows[zooms.CHOICES.index((1.0, 1.5))][5]) == pytest.approx(3.25)


def test_a_marker_that_shows_in_a_feature_is_named_and_one_that_does_not_is_not(benchmark_named):
    forests = benchmark_named("marker_forest")
    rng = np.random.default_rng(0)
    marker = np.arange(60) % 3
    table = rng.normal(size=(60, len(forests.RADIOMICS_INPUTS)))
    table[:, forests.RADIOMICS_INPUTS.index("shell_3mm")] += 4.0 * marker
    patient = np.array([f"P{number // 2}" for number in range(60)])
    cohort = forests.Cohort(table, table + 0.01, marker, np.arange(60) % 5, patient)
    folds = forests.redrawn(cohort, 0)
    assert set(folds) == set(range(5))
    assert all(len(set(folds[patient == one])) == 1 for one in patient)

    def auc(name):
        said = forests.answers(forests.WAYS[name], cohort, folds, 0)
        assert np.allclose(said.sum(axis=1), 1.0)
        return forests.macro_auc(marker, said)

    assert auc("forest (ships)") > 0.95
    assert auc("without the shells around the tumour") < 0.75
