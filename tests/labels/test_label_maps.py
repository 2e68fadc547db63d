"""Labels in the settings, and maps of their numbers: what nests, what is refused, what is kept."""

import numpy as np
import pytest

from plgg.config import Label, preset, with_settings
from plgg.config.labels import parents, within
from plgg.core.errors import ConfigError, InputError
from plgg.data.labels import known_labels, merge_masks, region, to_label_map, unnamed_values
from plgg.data.manifest import Case
from plgg.experiment.corrections import mark_whole_tumour

WHOLE = Label(name="tumour", values=(1, 2, 3, 4))
CORE = Label(name="core", values=(1, 3))
CYST = Label(name="cyst", values=(3,))
OEDEMA = Label(name="oedema", values=(2,))
FAMILY = (WHOLE, CORE, CYST, OEDEMA)


def set_labels(text):
    return with_settings(preset("small"), [f"tasks.segmentation.labels={text}"])


def case(**columns):
    return Case("a", "a", None, columns=columns)


@pytest.mark.parametrize(
    "text",
    [
        "{tumour: [1, 2, 3, 4], core: [3, 1], cyst: 3}",
        "[{name: tumour, values: [4, 3, 2, 1]}, {name: core, values: [1, 3]},"
        " {name: cyst, values: [3]}]",
    ],
)
def test_labels_may_be_written_in_two_ways(text):
    config = set_labels(text)
    assert config.labels == (WHOLE, CORE, CYST)
    assert config.n_outlines == 3
    again = type(config).model_validate(config.model_dump(mode="json"))
    assert again == config


def test_without_labels_there_is_one_outline():
    assert preset("paper").labels == ()
    assert preset("paper").n_outlines == 1


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("{a: [1, 2], b: [1, 2]}", "the first label is the whole tumour"),
        ("{a: 1, b: 2}", "the first label is the whole tumour"),
        ("{a: [1, 2, 3], b: [1, 2], c: [2, 3]}", "overlap"),
        ("{a: [1, 2, 3], b: 1, c: [1, 2]}", "overlap"),
        ("{a: [1, 2], b: 0}", "greater than or equal to 1"),
        ("{a: [1, 2], b: []}", "at least 1 item"),
        ("{a: [1, 2], B: 1}", "small letters"),
        ("{a: [1, 2], marker: 1}", "meaning of its own"),
        ("{a: [1, 2], p_x: 1}", "meaning of its own"),
        ("[{name: a, values: [1, 2]}, {name: a, values: 1}]", "twice"),
    ],
)
def test_what_does_not_nest_is_refused(text, fault):
    with pytest.raises(ConfigError, match=fault):
        set_labels(text)


def test_labels_are_of_the_segmentation_alone():
    tasks = "tasks={segmentation: segmentation, grade: {kind: classification, labels: {a: 1}}}"
    with pytest.raises(ConfigError, match="segmentation alone"):
        with_settings(preset("small"), [tasks])


def test_a_label_knows_what_it_lies_within():
    assert parents(FAMILY) == (-1, 0, 1, 0)
    assert within(FAMILY, 0) == (0, 1, 2, 3)
    assert within(FAMILY, 1) == (1, 2)


def test_a_map_tells_every_region():
    rng = np.random.default_rng(0)
    values = rng.integers(0, 6, (7, 8, 9))
    numbers = to_label_map(values, FAMILY, [label.name for label in FAMILY])
    for place, label in enumerate(FAMILY):
        assert np.array_equal(region(numbers, FAMILY, place), np.isin(values, label.values))
    assert unnamed_values(values, FAMILY) == [5.0]
    assert not numbers[values == 5].any()


def test_overlapping_masks_become_nested_ones():
    """However they lie: inner ones stay within outer ones, and later ones win."""
    rng = np.random.default_rng(1)
    masks = [rng.random((6, 7, 8)) < share for share in (0.7, 0.6, 0.6, 0.6)]
    numbers = merge_masks(masks, FAMILY)
    found = [region(numbers, FAMILY, place) for place in range(4)]
    assert np.array_equal(found[0], masks[0])
    assert not (found[1] & ~found[0]).any()
    assert not (found[2] & ~found[1]).any()
    assert not (found[3] & found[1]).any()
    assert np.array_equal(found[3], masks[3] & masks[0])
    again = merge_masks(found, FAMILY)
    assert np.array_equal(again, numbers)


def test_a_mask_of_the_whole_tumour_alone_is_told_by_the_manifest():
    assert known_labels(case(), FAMILY) == ("tumour", "core", "cyst", "oedema")
    assert known_labels(case(mask_labels="cyst; core"), FAMILY) == ("tumour", "core", "cyst")
    alone = known_labels(case(mask_labels="tumour"), FAMILY)
    numbers = to_label_map(np.array([0, 1, 255]), FAMILY, alone)
    assert numbers.tolist() == [0, 1, 1]
    with pytest.raises(InputError, match="names the label 'necrosis'"):
        known_labels(case(mask_labels="necrosis"), FAMILY)


def test_a_known_label_within_an_unknown_one_is_kept():
    numbers = to_label_map(np.array([0, 1, 2, 3, 4]), FAMILY, ("tumour", "cyst"))
    assert region(numbers, FAMILY, 2).tolist() == [False, False, False, True, False]


def test_a_mask_of_no_label_is_refused():
    with pytest.raises(InputError, match="none of these is a value of the label core"):
        to_label_map(np.array([0, 2, 255]), (CORE, CYST), ("core", "cyst"))
    assert not to_label_map(np.zeros(3), FAMILY, ("tumour", "core", "cyst", "oedema")).any()


def test_a_correction_tells_the_whole_tumour_alone():
    """The pen draws no cyst: a corrected mask of ones must not say that there is none."""
    corrected = mark_whole_tumour(case(grade="2"), FAMILY)
    assert known_labels(corrected, FAMILY) == ("tumour",)
    assert corrected.columns["grade"] == "2"
    told = case(**{"Mask labels": "tumour core"})
    assert mark_whole_tumour(told, FAMILY) is told
    plain = case()
    assert mark_whole_tumour(plain, ()) is plain
    assert mark_whole_tumour(plain, (WHOLE,)) is plain
