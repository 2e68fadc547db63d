"""One pass where it fits, windows where it does not, and honest numbers for both."""

import os
import subprocess
import sys
from math import prod

import numpy as np
import pytest
import torch

from plgg.config import InferenceConfig
from plgg.core.errors import RunError
from plgg.predict.engine import Answer, Engine, Meter
from plgg.predict.memory import (
    GIB,
    HOST,
    LOST,
    container_free_bytes,
    host_free_bytes,
    largest_window,
    meter_of,
    padded,
    window_for,
)
from plgg.predict.whole_brain import predict_box
from tiny import blob_case

MIB = 2**20
WHOLE = (48, 64, 48)


def fake(*, free_gib=1.0, after_gib=None, a_voxel=1000):
    """An engine that is known to take so many bytes a voxel; counts its runs."""
    runs, left = [], [free_gib]

    def run(image):
        runs.append(image.shape)
        return Answer(image[0], {}, np.zeros(1, dtype=np.float32))

    def peak(step):
        step()
        return a_voxel * prod(runs[-1])

    meter = Meter(
        free=lambda: int(left[0] * GIB),
        peak=peak,
        release=lambda: left.__setitem__(0, after_gib or free_gib),
    )
    return Engine("fake", (8, 8, 8), run, meter), runs


def test_what_fits_is_one_pass_and_is_measured_once():
    engine, runs = fake(free_gib=100)
    for _ in range(3):
        assert window_for(engine, WHOLE, InferenceConfig()) is None
    assert len(runs) == 2
    assert all(prod(shape) < prod(WHOLE) for shape in runs)


def test_a_large_box_is_measured_on_less_than_a_tenth_of_it():
    engine, runs = fake(free_gib=100)
    window_for(engine, (150, 180, 140), InferenceConfig())
    assert sum(map(prod, runs)) < 0.1 * prod(padded((150, 180, 140), (8, 8, 8)))


def test_what_does_not_fit_is_seen_through_windows_that_do(caplog):
    engine, _ = fake(a_voxel=1000)
    need = LOST * 1000 * prod(WHOLE) / GIB
    assert window_for(engine, WHOLE, InferenceConfig(memory_gib=1.001 * need)) is None
    window = window_for(engine, WHOLE, InferenceConfig(memory_gib=0.7 * need))
    # Two thirds fit, and the axis from left to right is the first to be cut.
    assert window == (32, 64, 48)
    assert "one pass over 48×64×48 voxels needs 0.19 GiB" in caplog.text
    assert "windows of 32×64×48 instead" in caplog.text


def test_the_windows_answer_for_the_whole_box():
    engine, runs = fake(a_voxel=1000)
    codes = blob_case(WHOLE)[0]
    once = predict_box(engine, codes, InferenceConfig())
    assert once.window is None
    found = predict_box(engine, codes, InferenceConfig(memory_gib=0.1))
    assert (1, *found.window) == runs[-1] != (1, *WHOLE)
    # This engine's answer does not depend on the window, so nothing may change.
    np.testing.assert_allclose(found.tumour, once.tumour, atol=1e-6)


def test_most_of_what_is_free_may_be_used():
    need = LOST * 1000 * prod(WHOLE) / GIB
    assert window_for(fake(free_gib=1.3 * need)[0], WHOLE, InferenceConfig()) is None
    assert window_for(fake(free_gib=1.2 * need)[0], WHOLE, InferenceConfig()) is not None


def test_what_earlier_passes_have_left_counts_as_free():
    engine, _ = fake(free_gib=0.01, after_gib=100)
    assert window_for(engine, WHOLE, InferenceConfig()) is None


def test_where_not_even_a_small_window_fits_that_is_said():
    with pytest.raises(RunError, match=r"32×32×32 voxels needs .* raise inference.memory_gib"):
        window_for(fake()[0], WHOLE, InferenceConfig(memory_gib=0.001))


def test_a_window_that_is_set_is_taken_unmeasured():
    engine, runs = fake()
    settings = InferenceConfig(window=(16, 16, 16), memory_gib=0.001)
    assert window_for(engine, WHOLE, settings) == (16, 16, 16)
    assert not runs


@pytest.mark.parametrize("whole", [(144, 184, 144), (72, 96, 72), (40, 40, 160), (8, 200, 200)])
def test_windows_fit_are_as_large_as_can_be_and_cut_few_axes(whole):
    cut = []
    for share in (1.0, 0.9, 0.6, 0.35, 0.2, 0.1, 0.05):
        limit = share * prod(whole)
        window = largest_window(whole, limit, steps=(8, 8, 8), smallest=(16, 16, 16))
        if window is None:
            # Then even the smallest is too large.
            assert prod(min(n, 16) for n in whole) > limit
            continue
        assert prod(window) <= limit
        assert all(n % 8 == 0 and n <= m for n, m in zip(window, whole, strict=True))
        cut.append(sum(n < m for n, m in zip(window, whole, strict=True)))
    assert cut[0] == 0
    assert cut == sorted(cut)


def test_a_box_is_padded_to_the_next_multiple():
    assert padded((1, 8, 9), (8, 8, 8)) == (8, 8, 16)
    assert padded((5, 6, 7), (1, 1, 4)) == (5, 6, 8)


_KNOWN_STEP = """
import sys, time
from pathlib import Path
import numpy as np
import psutil
from plgg.predict import memory as host

MIB, looks, look = 2**20, [0], psutil.Process.memory_info

def counted(process):
    looks[0] += 1
    return look(process)

psutil.Process.memory_info = counted
sampled = bool(sys.argv[1:])
if sampled:
    host._RESET = Path(sys.argv[1])

def step():
    for _ in range(3):
        block = np.ones(40 * MIB, dtype=np.uint8)
        del block
    held = [np.ones(16 * MIB, dtype=np.uint8) for _ in range(4)]
    # Until the thread that looks has begun once more and come to its end, if there is one.
    until = looks[0] + 2
    while sampled and looks[0] < until:
        time.sleep(0.001)
    return sum(part[0] for part in held)

host._sampled_peak(step)
print(host.host_peak_bytes(step))
"""


@pytest.mark.parametrize("kernel", [True, False])
def test_a_step_of_known_size_is_measured_to_a_tenth(kernel, tmp_path):
    """In a process of its own: what another test's training left free would be taken again."""
    absent = () if kernel else (str(tmp_path / "absent" / "clear_refs"),)
    command = [sys.executable, "-c", _KNOWN_STEP, *absent]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert 58 * MIB < int(done.stdout) < 71 * MIB


_ESTIMATE = """
from math import prod
import numpy as np
from plgg.model.device import choose_runtime
from plgg.model.network import build_network
from plgg.predict.engines.load import torch_engine
from plgg.predict.memory import bytes_per_voxel
from tiny import tiny_config

network = build_network(tiny_config().model, n_classes=3, arm="multitask", seed=0).eval()
engine = torch_engine(network, choose_runtime("fp32"))
whole = (64, 96, 64)
print(bytes_per_voxel(engine, whole) * prod(whole))
image = np.zeros(whole, dtype=np.float32)
print(min(engine.meter.peak(lambda: engine(image)) for _ in range(2)))
"""


def test_the_estimate_errs_upwards_and_not_far():
    """In a process of its own: the peak is the whole process', other tests' threads too."""
    done = subprocess.run(
        [sys.executable, "-c", _ESTIMATE],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    )
    estimate, truth = map(float, done.stdout.split())
    # Of so small a network most is what is taken whatever the size, and that is scaled as well.
    assert truth < estimate < 10 * truth


def test_free_memory_is_what_the_machine_has():
    assert 0 < host_free_bytes() < 2**50
    assert HOST.free() > 0
    assert meter_of(torch.device("cpu")) is HOST


def group(folder, **files):
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def membership(tmp_path, line):
    (tmp_path / "cgroup").write_text(line + "\n")
    return tmp_path / "cgroup"


def test_a_container_of_the_new_kind_limits(tmp_path):
    mount = tmp_path / "fs"
    group(mount, memory__max=1000, memory__current=700, memory__stat="anon 1\ninactive_file 50")
    assert container_free_bytes(mount, membership(tmp_path, "0::/")) == 350
    group(mount / "job", memory__max="max", memory__current=10)
    assert container_free_bytes(mount, membership(tmp_path, "0::/job")) == 350
    group(mount / "job", memory__max=100)
    assert container_free_bytes(mount, membership(tmp_path, "0::/job")) == 90
    group(mount / "job", memory__current=900)
    assert container_free_bytes(mount, membership(tmp_path, "0::/job")) == 0


def test_a_container_of_the_old_kind_limits(tmp_path):
    mount = tmp_path / "fs"
    group(
        mount / "memory",
        memory__limit_in_bytes=5000,
        memory__usage_in_bytes=2000,
        memory__stat="inactive_file 1\ntotal_inactive_file 500",
    )
    # Inside a container the path is that of the host, which is not to be seen from here.
    line = "7:cpu:/\n4:memory:/docker/abc\n0::/"
    assert container_free_bytes(mount, membership(tmp_path, line)) == 3500


def test_without_a_container_nothing_limits(tmp_path):
    assert container_free_bytes(tmp_path, tmp_path / "absent") is None
    assert container_free_bytes(tmp_path, membership(tmp_path, "0::/user.slice")) is None
