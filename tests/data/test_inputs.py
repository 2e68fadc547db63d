"""What a network sees: a slice's own channels first, then its neighbours', nothing beyond ends."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from plgg.config import preset, with_settings
from plgg.data.inputs import FLAIR, Inputs, neighbour_offsets, stack_neighbours
from plgg.data.store_arrays import OUTSIDE, decode


@pytest.mark.parametrize(
    ("n", "distance_mm", "slice_mm", "expected"),
    [
        (0, 5.5, 2.0, (0,)),
        (1, 5.5, 2.0, (0, -3, 3)),
        (1, 5.5, 5.0, (0, -1, 1)),
        (2, 5.5, 2.75, (0, -2, 2, -4, 4)),
        # A slice never is its own neighbour, however far apart slices lie.
        (1, 5.5, 40.0, (0, -1, 1)),
        (3, 1.0, 8.0, (0, -1, 1, -2, 2, -3, 3)),
    ],
)
def test_known_offsets(n, distance_mm, slice_mm, expected):
    assert neighbour_offsets(n, distance_mm, slice_mm) == expected
    assert Inputs(neighbours=n, neighbour_mm=distance_mm).offsets(slice_mm) == expected


@given(st.integers(0, 8), st.floats(0.5, 20.0), st.floats(0.5, 20.0))
def test_laws_of_offsets(n, distance_mm, slice_mm):
    offsets = neighbour_offsets(n, distance_mm, slice_mm)
    assert offsets[0] == 0
    assert len(offsets) == len(set(offsets)) == 1 + 2 * n
    before, behind = np.array(offsets[1::2]), np.array(offsets[2::2])
    assert np.array_equal(before, -behind)
    step = behind[0] if n else 1
    assert np.array_equal(behind, step * np.arange(1, n + 1))
    # The nearest whole number of slices, or one.
    if n:
        assert abs(step * slice_mm - distance_mm) <= slice_mm / 2 + 1e-9 or step == 1


@pytest.mark.parametrize(("settings", "n_inputs"), [((), 3), (("model.neighbours=2",), 5)])
def test_the_settings_say_what_is_seen(settings, n_inputs):
    config = with_settings(preset("best"), settings)
    inputs = Inputs.of(config)
    assert inputs.channels == config.channels
    assert len(inputs.channels) * len(inputs.offsets(5.0)) == config.n_inputs == n_inputs


def test_the_paper_sees_one_image():
    assert Inputs.of(preset("paper")) == FLAIR
    assert FLAIR.offsets(1.0) == (0,)


IMAGES = arrays.arrays(
    st.sampled_from([np.int8, np.float32]),
    st.tuples(*[st.integers(1, n) for n in (3, 3, 3, 6)]),
    elements=st.integers(-100, 100),
)
OFFSETS = st.lists(st.integers(-8, 8), max_size=5).map(lambda later: (0, *later))


@given(IMAGES, OFFSETS, st.integers(-128, 127))
def test_every_channel_is_a_slice_of_its_own(image, offsets, outside):
    """Offset-major: all sequences of the slice at hand, then all of the next offset, …"""
    seen = stack_neighbours(image, offsets, outside=outside)
    n_channels, *_, n_slices = image.shape
    assert seen.shape == (n_channels * len(offsets), *image.shape[1:])
    assert seen.dtype == image.dtype
    for number, offset in enumerate(offsets):
        for channel in range(n_channels):
            for k in range(n_slices):
                found = seen[number * n_channels + channel, ..., k]
                if 0 <= k + offset < n_slices:
                    assert np.array_equal(found, image[channel, ..., k + offset])
                else:
                    assert (found == outside).all()


@given(IMAGES, OFFSETS)
def test_the_image_is_not_changed(image, offsets):
    before = image.copy()
    seen = stack_neighbours(image, offsets, outside=OUTSIDE)
    assert np.array_equal(image, before)
    assert np.array_equal(seen[: len(image)], image)


@given(IMAGES, st.integers(0, 2), st.integers(1, 3))
def test_an_image_upside_down_swaps_the_neighbours(image, n, step):
    offsets = neighbour_offsets(n, float(step), 1.0)
    swapped = tuple(-offset for offset in offsets)
    expected = stack_neighbours(image, offsets)[..., ::-1]
    assert np.array_equal(stack_neighbours(image[..., ::-1], swapped), expected)


def test_decoded_codes_beyond_the_ends_are_zero_as_outside_is():
    """Shifting codes and decoding are one, whichever comes first."""
    codes = np.random.default_rng(0).integers(-127, 128, (2, 3, 3, 5)).astype(np.int8)
    offsets = (0, -2, 2)
    one = decode(stack_neighbours(codes, offsets, outside=OUTSIDE))
    assert np.array_equal(one, stack_neighbours(decode(codes), offsets))


def test_without_neighbours_nothing_is_copied():
    image = np.zeros((1, 2, 2, 2), np.float32)
    assert stack_neighbours(image, (0,)) is image


@pytest.mark.parametrize("slice_mm", [1.1, 2.2, 11 / 3])
def test_the_last_bits_of_a_distance_do_not_choose_the_neighbours(slice_mm):
    """5.5 mm lie just between two slices."""
    near = [slice_mm * (1 + bits * 2.0**-50) for bits in range(-8, 9)]
    assert len({neighbour_offsets(1, 5.5, one) for one in near}) == 1
