"""The recipes of CONTRIBUTING.md, each a file of a package beside plgg, used from end to end."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import plgg
from plgg.config import preset, with_settings
from plgg.config.base import SEQUENCES, TITLES
from plgg.core.errors import ConfigError
from plgg.core.registry import register
from plgg.data.manifest import read_manifest, write_manifest
from plgg.data.store import Store
from plgg.phantom.cohort import make_cohort
from plgg.phantom.settings import phantom_settings
from plgg.preprocess.cohort import preprocess_cohort
from plgg.tasks.segmentation import Segmentation

CONTRIBUTING = Path(__file__).parents[1] / "CONTRIBUTING.md"
RECIPES = dict(
    re.findall(
        r"```python file=(\w+\.py)\n(.*?)```",
        CONTRIBUTING.read_text(encoding="utf-8"),
        re.DOTALL,
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
DRIVER = """
import csv, json, sys
from pathlib import Path

from mine import backbone, channel, gate, loss, metric, task
from plgg import api
from plgg.phantom.settings import phantom_settings

def read_names(run):
    from plgg.model.checkpoint import load_checkpoint

    return sorted(load_checkpoint(run, "best").network().backbone.state_dict())


folder, settings = Path(sys.argv[1]), json.loads(sys.argv[2])
tasks = "tasks={segmentation: segmentation, age_years: absolute}"
chosen = ["loss.segmentation=tversky", "model.backbone=slices", tasks]
config = api.configure("small", settings=[*settings, *chosen])
cases = api.phantom(folder / "patients", phantom_settings(n_patients=6, spacing_mm=4.0, seed=3))
manifest = folder / "patients" / "manifest.csv"
cohort = api.preprocess(manifest, folder / "store", config, workers=0)
api.train(folder / "store", folder / "run", config)
(outcome,) = api.predict([cases[0].flair], model=folder / "run", out=folder / "one")
lines = (folder / "run" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
with (folder / "run" / "evaluation" / "test" / "cases.csv").open(encoding="utf-8") as handle:
    rows = list(csv.DictReader(handle))
evaluation = api.evaluate(folder / "run" / "predictions" / "test", manifest)
print(json.dumps({
    "failed": len(cohort.failed),
    "parameters": read_names(folder / "run"),
    "train": json.loads(lines[-1])["train"],
    "rows": rows,
    "read": [row.metrics for row in evaluation.rows],
    "result": outcome.result.model_dump(mode="json"),
    "channels": config.channels + channel.config.channels,
}))
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    """What a program with all recipes imported found, in a process of its own."""
    folder = tmp_path_factory.mktemp("recipes")
    package = folder / "packages" / "mine"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    for name, code in RECIPES.items():
        (package / name).write_text(code, encoding="utf-8")
    source = str(Path(plgg.__file__).parents[1])
    paths = os.pathsep.join([str(package.parent), source])
    ran = subprocess.run(
        [sys.executable, "-c", DRIVER, str(folder), json.dumps(TINY)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout.splitlines()[-1])


def test_every_recipe_has_code():
    assert {"loss.py", "task.py", "metric.py", "gate.py", "backbone.py", "channel.py"} <= set(
        RECIPES
    )
    assert len(CONTRIBUTING.read_text(encoding="utf-8").splitlines()) <= 200


def test_a_loss_is_trained_on(done):
    assert 0 < done["train"]["segmentation"] < 1.01


def test_a_backbone_is_trained_and_read_back(done):
    assert {name.partition(".")[0] for name in done["parameters"]} == {"fine", "coarse", "up"}


def test_a_task_is_learnt_told_and_scored(done):
    assert done["train"]["age_years"] > 0
    assert done["result"]["tasks"]["age_years"]["kind"] == "absolute"
    for row in done["rows"]:
        told, truth = float(row["age_years:value"]), float(row["age_years:truth"])
        assert float(row["age_years:error"]) == pytest.approx(abs(told - truth), abs=1e-3)


def test_a_metric_is_a_column_and_is_read_back(done):
    for row, read in zip(done["rows"], done["read"], strict=True):
        dice, jaccard = float(row["dice"]), float(row["metric_jaccard"])
        assert jaccard == pytest.approx(dice / (2 - dice), abs=1e-5)
        assert read["jaccard"] == pytest.approx(jaccard, abs=1e-5)


def test_a_gate_is_asked_in_preprocessing_and_prediction(done):
    assert done["failed"] == 0
    gates = {verdict["gate"]: verdict for verdict in done["result"]["quality"]["verdicts"]}
    assert gates["flatness"]["status"] == "good"
    assert list(gates)[:3] == ["brain-volume", "field-of-view", "flatness"]


def test_a_channel_is_read_stored_and_fed(done, tmp_path):
    """Every name of a sequence, not those alone for which there is a phantom."""
    assert "t1" in done["channels"]
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


def test_a_name_is_taken_once():
    registry = {}
    register(registry, "one", len, what="metric")
    register(registry, "one", len, what="metric")
    with pytest.raises(ConfigError, match="'one' is there"):
        register(registry, "one", max, what="metric")
    with pytest.raises(ConfigError, match="may not be called"):
        register(registry, "No name", max, what="metric")


def test_an_unknown_loss_is_refused():
    config = with_settings(preset("small"), ["loss.segmentation=nothing"])
    with pytest.raises(ConfigError, match="no loss of the outline is called 'nothing'"):
        Segmentation(config.loss)
