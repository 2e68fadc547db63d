"""Engines: what they call themselves, and that nothing is ever reported from here."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from plgg.core.errors import ConfigError
from plgg.model.checkpoint import load_checkpoint
from plgg.model.device import Runtime, choose_runtime
from plgg.model.network import build_network
from plgg.predict.engines import exported as silent
from plgg.predict.engines.load import ENGINES, load_engine, torch_engine
from runs import make_run
from tiny import tiny_config

CPU = torch.device("cpu")


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize("arm", ["single", "multitask"])
def test_pytorch_gives_arrays_of_fixed_types(arm, bf16):
    model = tiny_config().model
    network = build_network(model, n_classes=4, arm=arm, seed=0).eval()
    engine = torch_engine(network, Runtime(CPU, bf16))
    assert engine.name == f"pytorch, cpu, {'bf16' if bf16 else 'fp32'}"
    assert engine.divisors == (model.divisor,) * 3
    image = np.random.default_rng(0).standard_normal((16, 8, 24))
    # Whatever the type and however it lies.
    answer = engine(image[::-1])
    assert (answer.segmentation.shape, answer.segmentation.dtype) == ((16, 8, 24), np.float32)
    assert (answer.features.shape, answer.features.dtype) == (
        (model.init_filters * model.divisor // model.stem,),
        np.float32,
    )
    if arm == "single":
        assert answer.marker is None
    else:
        assert (answer.marker.shape, answer.marker.dtype) == ((4,), np.float64)


def test_a_run_is_loaded_by_the_engines_name(tmp_path):
    run = make_run(tmp_path)
    engine = load_engine("pytorch", run, load_checkpoint(run))
    assert engine.name == f"pytorch, {choose_runtime('fp32').device.type}, fp32"
    assert list(ENGINES) == ["pytorch", "onnx", "openvino"]


def test_what_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ConfigError, match=r'pip install "plgg\[onnx\]"'):
        silent.import_onnxruntime()
    monkeypatch.setitem(sys.modules, "onnxscript", None)
    with pytest.raises(ConfigError, match=r"onnxscript is not installed"):
        silent.require_onnx()


WATCHED = """
import sys
seen = []

def watch(event, arguments):
    if event.startswith(("socket.connect", "socket.getaddrinfo", "urllib")):
        seen.append((event, str(arguments)))

sys.addaudithook(watch)
from plgg.predict.engines import exported as silent
runtime = silent.import_onnxruntime()
runtime.SessionOptions()
openvino = silent.import_openvino()
openvino.Core().available_devices
assert "openvino_telemetry" not in sys.modules
assert not seen, seen
"""


def test_nothing_is_reported_by_the_engines(tmp_path):
    """Both would leave an identifier in the home folder, and send it."""
    kept = {k: v for k, v in os.environ.items() if k not in {"CI", "ORT_DISABLE_TELEMETRY"}}
    environment = kept | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", WATCHED], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    left = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert not {name for name in left if "matplotlib" not in name and "fontlist" not in name}


def only(monkeypatch, *, cuda=False, mps=False):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)


def test_the_device_is_cuda_then_mps_then_the_processor(monkeypatch):
    only(monkeypatch, cuda=True, mps=True)
    assert choose_runtime().name == "cuda bf16"
    only(monkeypatch, mps=True)
    assert choose_runtime().name == "mps fp32"
    only(monkeypatch)
    assert choose_runtime().device == CPU
    assert choose_runtime("bf16").name == "cpu bf16"


def test_mps_has_no_bf16(monkeypatch):
    only(monkeypatch, mps=True)
    with pytest.raises(ConfigError, match="fp32 only"):
        choose_runtime("bf16")
