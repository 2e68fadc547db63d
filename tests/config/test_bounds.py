"""No setting is without bounds: what cannot be meant is refused before anything is built."""

import json

import pytest

from plgg.config import PRESETS, config_from_json, config_from_record, with_settings
from plgg.config.load import known_keys
from plgg.core.errors import ConfigError

PLAIN = PRESETS["paper"].model_dump(mode="json")


def value_of(key):
    value = PLAIN
    for part in key.split("."):
        value = value[part]
    return value


def kinds():
    """Every setting that is a number, some numbers or a text, with values that none means."""
    for key in known_keys():
        value = value_of(key)
        if isinstance(value, bool):
            continue
        if isinstance(value, int | float):
            # A rate may be what fp32 holds: that it is too large is told by the loss.
            large = 10**39 if key == "optimiser.learning_rate" else 10**19
            yield from ((key, bad) for bad in (large, -1, "1e300", "inf", "nan", 10**5000))
        elif isinstance(value, list):
            yield from ((key, bad) for bad in ([1] * 10_000, [10**12], [[1]], [-1]))
    for key in ("inference.window", "inference.memory_gib", "inference.smallest_ml"):
        yield key, 10**12
    for key in ("preset", "preprocess.atlas", "init.run", "init.sha256"):
        yield key, "x" * 10_000


def name_of(value):
    return value if isinstance(value, str) and len(value) < 50 else type(value).__name__


@pytest.mark.parametrize(("key", "value"), list(kinds()), ids=name_of)
def test_what_cannot_be_meant_is_one_line(key, value):
    record = json.loads(json.dumps(PLAIN))
    *path, last = key.split(".")
    inner = record
    for part in path:
        inner = inner[part]
    inner[last] = value
    with pytest.raises(ConfigError) as caught:
        config_from_record(record, where="config.json")
    text = str(caught.value)
    assert text.startswith(f"config.json: {key}")
    assert "\n" not in text
    assert len(text) < 500


@pytest.mark.parametrize("name", PRESETS)
def test_presets_are_within(name):
    text = json.dumps(PRESETS[name].model_dump(mode="json"))
    assert config_from_json(text, where="here") == PRESETS[name]


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "1" * 10_000, "1e999", "NaN"])
def test_any_text_of_a_setting_is_judged(text):
    for key in ("model.init_filters", "loss.marker_weight", "patches.size", "inference.window"):
        with pytest.raises(ConfigError):
            with_settings(PRESETS["paper"], [f"{key}={text}"])
    with pytest.raises(ConfigError):
        config_from_json(text, where="config.json")
