"""What is said where a package is not installed, and that deepbet does without pandas."""

import json
import subprocess
import sys

import pytest

from plgg.core.errors import ConfigError
from plgg.data.atlas.download import ARCHIVES, fetch
from plgg.train.distributed import join_process_group

# Hides packages from the import system as if they were not there.
HIDDEN = """
import json, sys
from importlib.machinery import PathFinder

hidden = set(sys.argv[1].split(","))
find = PathFinder.find_spec


def find_spec(name, path=None, target=None):
    return None if name in hidden else find(name, path, target)


PathFinder.find_spec = find_spec
sys.meta_path[:] = [finder for finder in sys.meta_path if finder is not PathFinder] + [PathFinder]

import numpy as np

from plgg.core.errors import PlggError
from plgg.core.volume import Volume
from plgg.data.atlas.template import template_map
from plgg.preprocess.skull_stripping import brain_by_deepbet

points = np.indices((48, 48, 48)) - 24
head = Volume(100.0 * (np.square(points).sum(axis=0) < 400).astype(np.float32), np.eye(4))
told = {}
for name, call in (
    ("template", lambda: template_map("t1").data.shape),
    ("brain", lambda: brain_by_deepbet(head).shape),
):
    try:
        told[name] = call()
    except PlggError as error:
        told[name] = str(error)
told["left"] = sorted(hidden & set(sys.modules))
print(json.dumps(told))
"""


def without(*packages):
    done = subprocess.run(
        [sys.executable, "-c", HIDDEN, ",".join(packages)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_template_and_brain_need_neither_pandas_nor_a_desktop_toolkit():
    told = without("pandas", "customtkinter", "requests", "lxml")
    assert told["template"] == [197, 233, 189]
    # A ball is no head: what matters is that the network answered.
    assert told["brain"] == [48, 48, 48] or "deepbet found no brain" in told["brain"]
    assert told["left"] == []


def test_what_is_lacking_is_named_with_what_installs_it():
    told = without("nilearn", "deepbet")
    assert "pip install --no-deps nilearn" in told["template"]
    assert "pip install --no-deps deepbet" in told["brain"]


def test_a_download_without_pooch_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)
    with pytest.raises(ConfigError, match=r'pip install "plgg\[atlas\]"'):
        fetch(ARCHIVES, tmp_path / "sri24", read=lambda folder: folder)
    assert not [*tmp_path.glob("sri24/*")]


def test_several_devices_without_fabric_are_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(ConfigError, match=r'pip install "plgg\[distributed\]"'):
        join_process_group("fp32", devices=2)
