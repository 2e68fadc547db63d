"""What an image may take is judged from its header, whatever that says."""

import numpy as np
import pytest

from plgg.config import ExecutionConfig, with_settings
from plgg.config.schema import Config
from plgg.core.errors import ConfigError, InputError
from plgg.data.budget import (
    DEFAULT_LIMIT_BYTES,
    current_limit_bytes,
    require_affordable,
    scan_limit,
)


@pytest.mark.parametrize("shape", [(240, 240, 155), (1024, 1024, 512), (1, 1, 1, 1, 1)])
def test_heads_are_affordable(shape):
    assert require_affordable(shape, 4, where="x") == np.prod(shape) * 4


@pytest.mark.parametrize(
    "shape",
    [
        (1024, 1024, 513),
        (65535, 65535, 1),
        (512, 512, 2_000_000_000),
        np.array([2**31 - 1] * 3, dtype=np.int32),  # must not wrap around
        [2**62] * 7,
        (2**31 + 1,),
    ],
)
def test_what_is_too_large_is_refused_in_one_line(shape):
    with pytest.raises(InputError, match=r"^x: its header declares .* at most 2 GiB") as caught:
        require_affordable(shape, 4, where="x")
    assert "--scan-gib" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("shape", [(0, 4, 5), (3, -4, 5), (-3, -4, 5), (), (-1,)])
def test_a_size_that_is_none_is_refused(shape):
    with pytest.raises(InputError, match="none at all"):
        require_affordable(shape, 4, where="x")


def test_no_bytes_are_affordable():
    assert require_affordable((0,), 1, where="x") == 0


def test_the_limit_is_a_setting_and_holds_within_its_block_only():
    with scan_limit(4.0):
        assert require_affordable((1024, 1024, 1024), 4, where="x") == 4 * 2**30
        with scan_limit(0.001), pytest.raises(InputError, match=r"0\.001 GiB"):
            require_affordable((240, 240, 155), 4, where="x")
    assert current_limit_bytes() == DEFAULT_LIMIT_BYTES == ExecutionConfig().scan_gib * 2**30
    assert with_settings(Config(), ["execution.scan_gib=8"]).execution.scan_gib == 8


@pytest.mark.parametrize("value", ["0", "-1", "1e9", "NaN"])
def test_a_limit_that_is_none_is_refused(value):
    with pytest.raises(ConfigError, match="scan_gib"):
        with_settings(Config(), [f"execution.scan_gib={value}"])
