"""Laws of registration, with the real engines on one phantom and the built-in atlas."""

from dataclasses import replace
from functools import cache

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from brains import about_brain, corner_error_mm, frame, laid_on, phantom, phantom_frame, view
from scipy.spatial.transform import Rotation

from helper import make_affine
from plgg.core.volume import Volume, apply_affine
from plgg.preprocess import register as chain
from plgg.preprocess.register import IDENTITY_STEP, RegistrationStep, register
from plgg.preprocess.registration.start import STARTS

# Where a header may wrongly put a head, and what a head may differ by.
TURN = Rotation.from_euler("xyz", (14.0, -9.0, 6.0), degrees=True).as_matrix()
AFFINE = (RegistrationStep("greedy", "mass", ("affine",)),)


@cache
def wrong():
    """The header of a head that lies wrongly; made when a test asks, not at collection."""
    matrix = about_brain(TURN @ np.diag([0.92, 1.08, 1.0]))
    matrix[:3, 3] += (30.0, -20.0, 10.0)
    return matrix


def moved(volume, matrix=None):
    return Volume(volume.data, (wrong() if matrix is None else matrix) @ volume.affine)


@cache
def found(name="straight"):
    """The phantom, differently laid, by the first step of the chain."""
    flair = LAID[name]()
    return flair, register(frame(flair), view(), AFFINE)


def odd():
    """Axes exchanged and flipped in data and header alike."""
    flair, _ = phantom()
    order = np.array([[2, -1], [0, 1], [1, -1]])
    image = nib.Nifti1Image(flair.data, flair.affine).as_reoriented(order)
    return Volume(np.ascontiguousarray(image.dataobj), image.affine)


def thick_and_oblique():
    """Voxels of 2×1×5 mm, turned by up to 20°."""
    flair, _ = phantom()
    shape = (110, 230, 40)
    affine = make_affine((2.0, 1.0, 5.0), axes="PSR", turn_degrees=(20, -12, 8), shape=shape)
    affine[:3, 3] += view().frame.centre_mm
    return laid_on(flair, shape, affine)


LAID = {
    "straight": lambda: phantom()[0],
    "moved": lambda: moved(phantom()[0]),
    "odd": odd,
    "thick-oblique": thick_and_oblique,
}


def to_atlas(name):
    return found(name)[1].aligned.atlas_from_native


def dice(one, other):
    return 2.0 * (one & other).sum() / (one.sum() + other.sum())


def test_a_known_affine_in_the_header_is_found_again():
    _, registered = found("moved")
    assert [attempt.accepted for attempt in registered.attempts] == [True]
    assert registered.method == "greedy-affine-mass"
    assert corner_error_mm(to_atlas("moved") @ wrong(), to_atlas("straight"), phantom()[0]) < 3.0


@pytest.mark.parametrize("name", ["odd", "thick-oblique"])
def test_however_a_scan_lies_it_arrives_at_the_same_place(name):
    flair, registered = found(name)
    straight = found()[1]
    assert dice(registered.aligned.brain, straight.aligned.brain) > 0.96
    # From the voxels of one, over the atlas, to the voxels of the other: the same landmarks.
    brain = np.argwhere(flair.data != 0)
    voxels = brain[:: len(brain) // 50]
    world = apply_affine(flair.affine, voxels)
    there = np.linalg.inv(to_atlas("straight")) @ to_atlas(name)
    off = apply_affine(there, world) - world
    assert np.linalg.norm(off, axis=1).max() < flair.spacing_mm.max()


def test_the_way_back_undoes_the_way_there():
    flair, _ = found("thick-oblique")
    voxels = np.argwhere(flair.data != 0)[::5000]
    there = to_atlas("thick-oblique") @ flair.affine
    back = apply_affine(np.linalg.inv(there), apply_affine(there, voxels))
    np.testing.assert_allclose(back, voxels, atol=1e-6)


def test_the_same_scan_gives_the_same_matrix_twice():
    again = register(frame(LAID["moved"]()), view(), AFFINE)
    np.testing.assert_array_equal(again.aligned.atlas_from_native, to_atlas("moved"))


def test_how_many_threads_are_used_does_not_matter():
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(2 if before == 1 else 1)
    try:
        again = register(frame(LAID["moved"]()), view(), AFFINE)
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(before)
    np.testing.assert_array_equal(again.aligned.atlas_from_native, to_atlas("moved"))


@pytest.mark.parametrize("engine", chain.ENGINES.values(), ids=chain.ENGINES)
def test_a_rigid_map_does_not_scale_and_a_similarity_scales_evenly(engine):
    large = replace(phantom_frame(), image=moved(phantom_frame().image, about_brain(1.15)))
    start = STARTS["centre"](large, view())
    rigid = engine(view().frame, large, start, "rigid")[:3, :3]
    np.testing.assert_allclose(np.linalg.svd(rigid, compute_uv=False), 1.0, atol=1e-4)
    similar = engine(view().frame, large, start, "similarity")[:3, :3]
    stretches = np.linalg.svd(similar, compute_uv=False)
    assert stretches[0] == pytest.approx(stretches[2], abs=1e-4)
    assert stretches[0] == pytest.approx(1.15, abs=0.05)


def test_the_second_engine_agrees_with_the_first():
    step = RegistrationStep("simpleitk", "mass", ("similarity", "affine"))
    other = register(frame(LAID["moved"]()), view(), (step,))
    assert other.attempts[0].accepted
    matrix = other.aligned.atlas_from_native
    assert corner_error_mm(matrix, to_atlas("moved"), LAID["moved"]()) < 5.0


def gives_up(*_):
    raise RuntimeError("the images do not overlap")


def blows_up(_fixed, _moving, start, _model):
    return start @ np.diag([65.0, 65.0, 65.0, 1.0])


def is_no_map(*_):
    return np.zeros((4, 4))


@pytest.fixture
def bad_engines(monkeypatch):
    bad = {"gives-up": gives_up, "blows-up": blows_up, "is-no-map": is_no_map}
    monkeypatch.setattr(chain, "ENGINES", chain.ENGINES | bad)
    return tuple(RegistrationStep(name, "mass", ("affine",)) for name in bad)


def test_engines_that_fail_are_recorded_and_mended_by_the_next(bad_engines):
    registered = register(frame(LAID["moved"]()), view(), (*bad_engines, *AFFINE))
    assert [attempt.accepted for attempt in registered.attempts] == [False, False, False, True]
    assert [attempt.engine for attempt in registered.attempts[:3]] == [
        step.engine for step in bad_engines
    ]
    up, blown, no_map, good = (attempt.reason for attempt in registered.attempts)
    assert up == no_map == "the engine gave up"
    assert "scaled by 0.0" in blown
    assert good == ""
    np.testing.assert_array_equal(registered.aligned.atlas_from_native, to_atlas("moved"))


def test_a_chain_of_bad_engines_is_not_usable(bad_engines):
    registered = register(phantom_frame(), view(), bad_engines)
    assert not any(attempt.accepted for attempt in registered.attempts)
    assert "failed" in {verdict.status for verdict in registered.verdicts}
    nothing = register(phantom_frame(), view(), bad_engines[:1])
    assert nothing.aligned is None


def test_the_best_of_the_doubtful_is_taken_where_none_is_good(monkeypatch):
    def tilted(degrees):
        turned = Rotation.from_euler("x", degrees, degrees=True).as_matrix()
        return lambda *_: np.linalg.inv(about_brain(turned))

    bad = {"more": tilted(41.0), "less": tilted(33.0)}
    monkeypatch.setattr(chain, "ENGINES", bad)
    # The head is turned as far, so that the outlines agree but for the difference.
    turned = about_brain(Rotation.from_euler("x", -33.0, degrees=True).as_matrix())
    head = replace(phantom_frame(), image=moved(phantom_frame().image, turned))
    registered = register(
        head, view(), [RegistrationStep(name, "mass", ("affine",)) for name in bad]
    )
    assert [attempt.accepted for attempt in registered.attempts] == [False, True]
    assert registered.method == "less-affine-mass"
    assert "is turned by 33°" in registered.attempts[1].reason


def test_a_scan_on_the_atlas_grid_is_left_as_it_lies():
    registered = register(phantom_frame(), view(), (IDENTITY_STEP, *AFFINE))
    assert registered.method == "none-identity"
    assert len(registered.attempts) == 1
    np.testing.assert_array_equal(registered.aligned.atlas_from_native, np.eye(4))


def test_a_scan_that_does_not_lie_on_the_atlas_is_not_left_so():
    registered = register(frame(LAID["moved"]()), view(), (IDENTITY_STEP,))
    assert not registered.attempts[0].accepted
