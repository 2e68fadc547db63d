"""The recipes of CONTRIBUTING.md, built into a package that is installed; the commands find it."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from plgg.config import preset, with_settings
from plgg.config.base import SEQUENCES, TITLES
from plgg.core.errors import ConfigError
from plgg.data.manifest import read_manifest, write_manifest
from plgg.data.run_folder import read_config
from plgg.data.store import Store, read_record
from plgg.evaluate.evaluation import read_evaluation
from plgg.phantom.cohort import make_cohort
from plgg.phantom.settings import phantom_settings
from plgg.preprocess.cohort import preprocess_cohort
from plgg.tasks.segmentation import Segmentation
from program import one_line, plgg

CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"
RECIPES = dict(
    re.findall(
        r"```\w+ file=([\w.]+)\n(.*?)```", CONTRIBUTING.read_text(encoding="utf-8"), re.DOTALL
    )
)
TINY = (
    "grid.spacing_mm=8",
    "preprocess.registration=centre",
    "preprocess.stripping=none",
    "model.init_filters=8",
    "model.blocks_down=[1,1]",
    "model.blocks_up=[1]",
    "patches.size=[16,16,16]",
    "optimiser.epochs=1",
    "validate_every=1",
)
CHOSEN = (
    "channels=[flair,t1]",
    "loss.segmentation=tversky",
    "model.backbone=slices",
    "tasks={segmentation: segmentation, age_years: absolute}",
)


def install(folder, name="mine", files=RECIPES):
    """Build a wheel of the package and unpack it into a folder of installed packages."""
    project, site = folder / f"{name}-source", folder / "site"
    (project / name).mkdir(parents=True)
    (project / name / "__init__.py").touch()
    for file, code in files.items():
        place = project if file.endswith(".toml") else project / name
        (place / file).write_text(code, encoding="utf-8")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder / "wheels")],
        cwd=project,
        check=True,
        capture_output=True,
    )
    (wheel,) = (folder / "wheels").glob(f"{name}-*.whl")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(site)
    return site


@contextmanager
def installed(site):
    """Processes that are started within find the package there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(site), prepend=os.pathsep)
        yield


def settings(*names):
    return [word for name in names for word in ("--set", name)]


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return install(tmp_path_factory.mktemp("packages"))


@pytest.fixture(scope="module")
def patients(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patients")
    make_cohort(
        folder, phantom_settings(n_patients=6, spacing_mm=4.0, seed=3, sequences=("flair", "t1"))
    )
    return folder


@pytest.fixture(scope="module")
def done(site, patients, tmp_path_factory):
    """What the commands made of the recipes, one after the other; nothing imports the package."""
    folder, manifest = tmp_path_factory.mktemp("recipes"), patients / "manifest.csv"
    store, run, one = (folder / name for name in ("store", "run", "one"))
    (scan, *_) = cases = read_manifest(manifest)
    # Before the package is there: its gate has judged none of these cases.
    preprocess_cohort(cases, store, with_settings(preset("small"), [*TINY, CHOSEN[0]]))
    with installed(site):
        cohort = ("preprocess", manifest, store, "--workers", 1, *settings(*TINY, CHOSEN[0]))
        plgg(*cohort, fresh=True)
        train = ("train", store, "--run", run, "--preset", "small", *settings(*TINY, *CHOSEN))
        plgg(*train, fresh=True)
        said = ("--model", run, "--out", one, "--no-report")
        plgg("predict", scan.flair, "--t1", scan.others["t1"], *said, fresh=True)
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    with (run / "evaluation" / "test" / "cases.csv").open(encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    (result,) = one.glob("*/result.json")
    return {
        "store": store,
        "run": run,
        "train": json.loads(lines[-1])["train"],
        "rows": rows,
        "again": read_evaluation(run / "evaluation" / "test").rows,
        "result": json.loads(result.read_text(encoding="utf-8")),
    }


def test_every_recipe_has_code():
    groups = tomllib.loads(RECIPES["pyproject.toml"])["project"]["entry-points"]
    assert set(groups) == {
        f"plgg.{kind}" for kind in ("losses", "backbones", "tasks", "metrics", "gates")
    }
    named = {value for entries in groups.values() for value in entries.values()}
    assert {f"{value.split('.')[1].split(':')[0]}.py" for value in named} == set(RECIPES) - {
        "pyproject.toml"
    }
    assert len(CONTRIBUTING.read_text(encoding="utf-8").splitlines()) <= 200


def test_a_loss_is_trained_on(done):
    assert 0 < done["train"]["segmentation"] < 1.01
    assert read_config(done["run"]).loss.segmentation == "tversky"


def test_a_backbone_is_trained_and_written(done):
    (weights,) = (done["run"] / "checkpoints").glob("best-*.safetensors")
    tensors = load_file(weights)
    names = {n.partition("backbone.")[2].partition(".")[0] for n in tensors if "backbone." in n}
    assert names == {"fine", "coarse", "up"}


def test_a_task_is_learnt_told_and_scored(done):
    assert done["train"]["age_years"] > 0
    assert done["result"]["tasks"]["age_years"]["kind"] == "absolute"
    for row in done["rows"]:
        told, truth = float(row["age_years:value"]), float(row["age_years:truth"])
        assert float(row["age_years:error"]) == pytest.approx(abs(told - truth), abs=1e-3)


def test_a_metric_is_a_column_and_is_read_back(done):
    for row, again in zip(done["rows"], done["again"], strict=True):
        dice, jaccard = float(row["dice"]), float(row["metric_jaccard"])
        assert jaccard == pytest.approx(dice / (2 - dice), abs=1e-5)
        assert again.metrics["jaccard"] == pytest.approx(jaccard, abs=1e-5)


def test_a_gate_is_asked_in_preprocessing_and_prediction(done):
    """In worker processes, and of cases that were stored before it was installed."""
    gates = {verdict["gate"]: verdict for verdict in done["result"]["quality"]["verdicts"]}
    assert gates["flatness"]["status"] == "good"
    assert list(gates)[:3] == ["brain-volume", "field-of-view", "flatness"]
    store = Store(done["store"])
    for case_id in store.by_id:
        asked = [v.gate for v in read_record(done["store"], case_id).quality.verdicts]
        assert asked[:3] == ["brain-volume", "field-of-view", "flatness"]


def test_a_channel_is_fed_and_told(done):
    assert read_config(done["run"]).channels == ("flair", "t1")
    assert set(done["result"]["input"]["sequences"]) == {"flair", "t1"}


def test_every_channel_is_read_and_stored(tmp_path):
    assert set(TITLES) == set(SEQUENCES)
    make_cohort(tmp_path, phantom_settings(n_patients=1, spacing_mm=4.0, sequences=("flair", "t1")))
    manifest = tmp_path / "manifest.csv"
    (case,) = read_manifest(manifest)
    for name in SEQUENCES:
        if name not in {"flair", "t1"}:
            case.others[name] = Path(shutil.copy(case.others["t1"], tmp_path / f"{name}.nii.gz"))
    write_manifest(manifest, [case], scan_ids={})
    (read,) = read_manifest(manifest)
    assert set(read.sequences(SEQUENCES)) == set(SEQUENCES)
    config = with_settings(preset("small"), [*TINY, f"channels=[{','.join(SEQUENCES)}]"])
    preprocess_cohort([read], tmp_path / "store", config)
    store = Store(tmp_path / "store")
    codes = store.channels(case.case_id, config.channels)
    assert len(codes) == len(SEQUENCES)
    t1 = codes[SEQUENCES.index("t1")]
    assert t1.any()
    for name, channel in zip(SEQUENCES[1:], codes[1:], strict=True):
        assert np.array_equal(channel, t1), name


def test_an_unknown_loss_is_refused():
    config = with_settings(preset("small"), ["loss.segmentation=nothing"])
    with pytest.raises(ConfigError, match="no loss of the outline is called 'nothing'"):
        Segmentation(config.loss)


BROKEN = {
    "pyproject.toml": """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "broken"
version = "2.1"

[project.entry-points."plgg.gates"]
away = "broken.gate:away"
""",
    "gate.py": "from nowhere_at_all import away\n",
}


def test_a_gate_that_cannot_be_loaded_is_one_line(patients, tmp_path):
    with installed(install(tmp_path, "broken", BROKEN)):
        ended = plgg(
            "preprocess", patients / "manifest.csv", tmp_path / "store", "--workers", 1,
            *settings(*TINY), status=2, fresh=True,
        )  # fmt: skip
    assert one_line(ended) == (
        "plgg: the package broken 2.1: the gate 'away' cannot be loaded (ModuleNotFoundError: "
        "No module named 'nowhere_at_all'). Mend or uninstall the package broken 2.1."
    )
