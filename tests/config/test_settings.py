"""Settings: presets, `key=value`, JSON and back, and what is refused."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plgg.config import PRESETS, Config, config_from_json, preset, with_settings
from plgg.config.load import known_keys
from plgg.core.errors import ConfigError


def test_paper_is_the_published_method():
    paper = preset("paper")
    assert paper == Config()
    assert paper.patches.size == (128, 128, 112)
    assert paper.patches.batch == 4
    assert paper.optimiser.learning_rate == 1e-4
    assert paper.optimiser.epochs == 400
    assert paper.loss.marker_weight == 0.3
    assert paper.grid.spacing_mm == 1.0


def test_small_is_paper_made_small():
    small, paper = preset("small"), preset("paper")
    assert small.grid.spacing_mm == 2.0
    assert small.model.init_filters < paper.model.init_filters
    assert small.loss == paper.loss
    # No smaller a part of the head than the paper's patch: 128×128×112 mm.
    assert all(
        side * small.grid.spacing_mm >= wanted
        for side, wanted in zip(small.patches.size, paper.patches.size, strict=True)
    )


def test_no_such_preset_names_those_there_are():
    with pytest.raises(ConfigError, match=r"'better'.*paper or small or best"):
        preset("better")


@pytest.mark.parametrize("name", PRESETS)
def test_json_round_trip(name):
    config = preset(name)
    assert config_from_json(config.model_dump_json(), where="x") == config


def test_settings_are_json_or_plain_text():
    config = with_settings(
        preset("paper"),
        ["loss.marker_weight = 0.5", "loss.dice_over=batch", "patches.size=[64, 32, 16]"],
    )
    assert config.loss.marker_weight == 0.5
    assert config.loss.dice_over == "batch"
    assert config.patches.size == (64, 32, 16)
    # What was not named stays.
    assert config.optimiser == preset("paper").optimiser


def test_the_last_of_two_settings_wins_and_the_preset_is_untouched():
    assert with_settings(preset("paper"), ["seed=1", "seed=2"]).seed == 2
    assert preset("paper").seed == 0


def test_patch_and_body_change_together():
    # Five levels halve four times, so sides must be multiples of 16.
    deep = ["model.blocks_down=[1,1,1,1,1]", "model.blocks_up=[1,1,1,1]"]
    assert with_settings(preset("paper"), deep).model.divisor == 16
    with pytest.raises(ConfigError, match="multiples of 16"):
        with_settings(preset("paper"), [*deep, "patches.size=[64,64,56]"])


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("loss.marker_wieght=0.5", "no setting is called.*Did you mean loss.marker_weight"),
        ("learning_rate=1", "Did you mean optimiser.learning_rate"),
        ("loss=1", "no setting is called 'loss'"),
        ("zzzzzz=1", "plgg info"),
        ("loss.marker_weight", "not key=value"),
        ("loss.marker_weight=-1", "loss.marker_weight.*greater than or equal to 0"),
        ("patches.tumour_share=1.5", "patches.tumour_share.*less than or equal to 1"),
        ("patches.size=[20,24,24]", "multiples of 8"),
        ("patches.size=[24,24]", "patches.size"),
        ("patches.augmentation.flip_axes=[0,0]", "names an axis twice"),
        ("patches.augmentation.flip_axes=[3]", "flip_axes"),
        ("inference.window=[50,50,50]", "inference.window.*multiples of 8"),
        ("patches.size=24,24,24", "patches.size"),
        ("patches.batch=0", "patches.batch"),
        ("optimiser.epochs=1.5", "optimiser.epochs"),
        ("optimiser.schedule=linear", "optimiser.schedule"),
        ("optimiser.learning_rate=Infinity", "optimiser.learning_rate"),
        ("loss.marker_weight=Infinity", "loss.marker_weight"),
        ("loss.marker_weight=NaN", "loss.marker_weight"),
        ("grid.spacing_mm=0.1", "grid.spacing_mm"),
        ("model.init_filters=12", "multiple of norm_groups"),
        ("model.blocks_up=[1,1]", "one entry fewer"),
        ("model.blocks_down=[]", "one entry fewer"),
        ("arm=both", "arm"),
        ("seed=-1", "seed"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(setting, words):
    with pytest.raises(ConfigError, match=words) as caught:
        with_settings(preset("paper"), [setting])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "run/config.json: is not JSON"),
        ("[]", "run/config.json"),
        ('{"colour": 1}', "colour.*not permitted"),
        ('{"loss": {"colour": 1}}', "loss.colour"),
    ],
)
def test_a_broken_config_file_is_named(text, words):
    with pytest.raises(ConfigError, match=words):
        config_from_json(text, where="run/config.json")


@given(st.sampled_from(known_keys()))
def test_every_key_can_be_set_to_what_it_is(key):
    config = preset("small")
    value = config.model_dump(mode="json")
    for part in key.split("."):
        value = value[part]

    assert with_settings(config, [f"{key}={json.dumps(value)}"]) == config


def test_settings_that_were_taken_out_are_passed_over_and_told(caplog):
    """Configs of earlier versions hold them; what they always were is not worth a word."""
    raw = json.loads(preset("small").model_dump_json())
    raw["loss"]["deep_weight"], raw["execution"]["compile"] = 0.5, False
    assert config_from_json(json.dumps(raw), where="old") == preset("small")
    assert not caplog.records
    raw["loss"]["deep_weight"] = 0.25
    assert config_from_json(json.dumps(raw), where="old") == preset("small")
    assert "deep_weight=0.25 of an earlier version has no effect any more" in caplog.text
    with pytest.raises(ConfigError, match="no setting is called"):
        with_settings(preset("small"), ["loss.deep_weight=0.5"])
