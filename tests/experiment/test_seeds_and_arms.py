"""Through the real program: the ready arms and a second seed, resumed, compared, predicted."""

import json

import nibabel as nib
import numpy as np
import pytest

from plgg.data.experiment_folder import read_experiment
from plgg.data.run_folder import read_config, read_split
from plgg.evaluate.compare.metric import find_metric
from plgg.evaluate.compare.results import read_scores
from program import one_line, plgg
from tiny import SETTINGS, SMALL_SHAPE, tiny_store

QUICK = ("optimiser.epochs=1", "patches.size=[16,16,16]", "model.blocks_down=[1,1]",
         "model.blocks_up=[1]", "model.init_filters=8")  # fmt: skip
# What `dense` learns is a part of what `dense-marker` does (`test_design.py`).
ARMS = ("single", "multitask", "dense-marker", "oracle")


def run(store, out, *more, seeds=None):
    settings = [word for one in (*SETTINGS, *QUICK) for word in ("--set", one)]
    number = () if seeds is None else ("--seeds", seeds)
    return plgg("experiment", store, "--out", out, "--splits", 1, *number, *settings, *more)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An experiment of one arm, and the same after it was asked for more arms and two seeds."""
    folder = tmp_path_factory.mktemp("seeds")
    # One patient's marker is unknown, another's mask.
    store = tiny_store(
        folder / "store", n=9, shape=SMALL_SHAPE, no_mask=("P03",), no_marker=("P04",)
    ).folder
    out = folder / "results"
    run(store, out, "--arms", "single")
    before = {p.relative_to(out): p.read_bytes() for p in out.rglob("cases.csv")}
    plan = json.loads((out / "experiment.json").read_text(encoding="utf-8"))
    said = run(store, out, "--arms", ",".join(ARMS), seeds=2)
    return store, out, before, plan, said


def dice(folder):
    return {c: s.value for c, s in read_scores(folder, find_metric("dice")).items()}


def test_one_seed_is_as_before_and_more_are_added_to_it(made):
    _, out, before, plan, _ = made
    assert "n_seeds" not in plan
    assert {path.parts[0] for path in before} == {"split-0"}
    assert all((out / path).read_bytes() == content for path, content in before.items())
    assert read_experiment(out).n_seeds == 2
    assert read_experiment(out).arms == ARMS


def test_seeds_differ_in_chance_alone(made):
    _, out, *_ = made
    for arm in ARMS:
        first, second = out / "split-0" / arm, out / "seed-1" / "split-0" / arm
        assert read_config(second) == read_config(first).model_copy(update={"seed": 1})
        assert read_split(second) == read_split(first)
        assert (first / "metrics.jsonl").read_text() != (second / "metrics.jsonl").read_text()


def test_the_table_is_the_mean_over_seeds_of_each_patient(made):
    _, out, *_ = made
    header, row = (out / "table1.csv").read_text(encoding="utf-8").splitlines()
    table = dict(zip(header.split(","), row.split(","), strict=True))
    for arm in ARMS:
        runs = [out / "split-0" / arm, out / "seed-1" / "split-0" / arm]
        seeds = [dice(run / "evaluation" / "validation") for run in runs]
        known = [name for name in seeds[0] if seeds[0][name] is not None]
        expected = np.mean([[of[name] for of in seeds] for name in known])
        assert float(table[f"{arm}_validation"]) == pytest.approx(expected, abs=1e-6)


def test_it_says_whether_the_marker_can_help_and_did(made):
    _, out, _, _, said = made
    comparison = json.loads((out / "comparison.json").read_text(encoding="utf-8"))
    sentence = comparison["marker"]["sentence"]
    # Of so few patients nothing can be shown, and that is what it says.
    assert "is not shown" in sentence
    assert "oracle" in sentence
    assert "learning it beside the outline" in sentence
    assert sentence in said.out.replace("\\", "")
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "Can the marker help, and did it?" in page
    assert "Chance in training, splits, patients" in page
    assert comparison["n_seeds"] == 2
    assert {one["name"] for one in comparison["spreads"]} >= {*ARMS, "oracle − single"}


def test_compare_takes_it_as_a_whole_and_by_arms(made):
    _, out, *_ = made
    whole = plgg("compare", out, "--json").json()
    assert whole["marker"]["sentence"] in plgg("compare", out).out.replace("\\", "")
    pair = plgg("compare", f"{out}:single", f"{out}:oracle", "--json").json()
    gain = next(c for c in whole["contrasts"] if (c["b"], c["part"]) == ("oracle", "test"))
    assert pair["contrasts"][0]["difference"] == pytest.approx(gain["difference"])


def test_repeating_the_command_makes_nothing_again(made):
    store, out, *_ = made
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")}
    assert len(before) >= 2 * len(ARMS) * 2
    run(store, out, "--arms", "single", seeds=1)
    assert before == {p: p.stat().st_mtime_ns for p in out.rglob("*.safetensors")}
    assert read_experiment(out).n_seeds == 2


def test_an_oracle_is_refused_where_the_marker_is_unknown(made, tmp_path):
    _, out, *_ = made
    image = np.random.default_rng(0).normal(100, 20, (48, 48, 48)).astype(np.float32)
    nib.save(nib.Nifti1Image(image, np.diag([4.0, 4.0, 4.0, 1.0])), tmp_path / "scan.nii.gz")
    oracle = out / "split-0" / "oracle"
    done = plgg(
        "predict", tmp_path / "scan.nii.gz", "--model", oracle, "--out", tmp_path / "p", status=1
    )
    assert "must be told the true marker" in done.err + done.out
    refused = plgg("export", oracle, "--format", "onnx", "--out", tmp_path / "onnx", status=2)
    assert "is not exported" in one_line(refused)


def test_an_oracle_answers_of_the_store_and_says_what_it_was_told(made, tmp_path):
    store, out, *_ = made
    oracle = out / "split-0" / "oracle"
    plgg("predict", store, "--model", oracle, "--out", tmp_path / "p", "--no-report")
    results = {p.parent.name: json.loads(p.read_text()) for p in tmp_path.glob("p/*/result.json")}
    assert len(results) == 9
    told = {name: " ".join(result["warnings"]) for name, result in results.items()}
    assert "told the true marker (bright)" in told["P00"]
    assert "told the true marker (unknown)" in told["P04"]
