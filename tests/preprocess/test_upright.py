"""Heads that their headers turn: laid right side up, restored exactly, and never called good."""

from dataclasses import replace
from functools import cache, reduce

import numpy as np
import pytest
from brains import corner_error_mm, frame, laid_on, moved, phantom, phantom_frame, turn, view
from scipy.spatial.transform import Rotation

from helper import make_affine, write_nifti
from plgg import api
from plgg.config import Config, GridConfig, PreprocessConfig
from plgg.core.volume import Volume, apply_affine, index_map, inverse
from plgg.data.atlas.template import template_brain
from plgg.data.nifti.image import read_volume
from plgg.data.quality import Attempt, Verdict
from plgg.metrics.overlap import hard_dice
from plgg.preprocess import assessment
from plgg.preprocess.normalise import restore
from plgg.preprocess.pipeline import RejectedScanError, preprocess_scan
from plgg.preprocess.register import CHAINS, register
from plgg.preprocess.registration.turns import cube_turns, likely_turns, named, posture, turned
from plgg.preprocess.resample import resample
from plgg.preprocess.setup import route_for

# What a header does to a head, and how it then lies.
TURNS = {
    "upside-down-facing-back": ([("x", 180)], "upside down"),
    "upside-down": ([("y", 180)], "upside down"),
    "back-to-front": ([("z", 180)], "back to front"),
    "on-its-back": ([("x", 90)], "on its face or on its back"),
    "on-its-side": ([("y", 90)], "on its side"),
    "facing-sideways": ([("z", 90)], "facing sideways"),
    "exchanged": ([("x", 90), ("z", 90)], "on its"),
}


def header_of(name):
    """The matrix, made when a test asks and not when they are collected, and the words."""
    turns, words = TURNS[name]
    return reduce(np.matmul, (turn(*one) for one in turns)), words


MIRROR = np.diag([1.0, 1.0, -1.0, 1.0])


def mask_on(mask, shape, affine):
    share = resample(mask.data > 0, index_map(mask.affine, affine), shape)
    return Volume((share >= 0.5).astype(np.uint8), affine)


@cache
def thick_and_oblique():
    """Voxels of 2×1×5 mm in an odd order, turned by up to 20°: the scanner's grid, not the head."""
    flair, mask = phantom()
    shape = (110, 230, 40)
    affine = make_affine((2.0, 1.0, 5.0), axes="PSR", turn_degrees=(20, -12, 8), shape=shape)
    affine[:3, 3] += view().frame.centre_mm
    return laid_on(flair, shape, affine), mask_on(mask, shape, affine)


SCANS = {"phantom": phantom, "thick-oblique": thick_and_oblique}


@cache
def route(model="rigid", *, atlas="built-in", stripping="none"):
    wanted = PreprocessConfig(registration=model, stripping=stripping, atlas=atlas)
    return route_for(Config(grid=GridConfig(spacing_mm=4.0), preprocess=wanted))


def said(quality):
    return {verdict.gate: verdict for verdict in quality.verdicts}


@cache
def straight(name, model):
    """Where registration lays a scan whose header is right."""
    registered = register(frame(SCANS[name]()[0]), view(), CHAINS[model][:1])
    return registered.aligned.atlas_from_native


def assert_laid_right(name, model, header, preprocessed, *, words):
    """Upright as a good header would have it, restored exactly, and doubted for its header."""
    flair, mask = SCANS[name]()
    verdicts = said(preprocessed.quality)
    assert preprocessed.quality.status == verdicts["header-orientation"].status == "doubtful"
    assert f"puts this head {words}" in verdicts["header-orientation"].message
    assert "left and right may be exchanged" in verdicts["header-orientation"].message
    assert verdicts["orientation"].status == "good"
    assert verdicts["rotation"].status == "good"
    # Of the attempts only the last is accepted, which began turned.
    *others, last = preprocessed.quality.attempts
    assert last.accepted
    assert last.start.startswith("turned-")
    assert not any(attempt.accepted for attempt in others)
    assert all(attempt.reason for attempt in others)
    # The same anatomy arrives at the same place as under the true header.
    placed = preprocessed.placed.native_to_atlas
    assert corner_error_mm(placed @ header, straight(name, model), flair) < 3.0
    # Exactly undone: points, and a mask on the native voxels.
    points = apply_affine(header @ flair.affine, np.argwhere(mask.data)[::97])
    there = apply_affine(placed, points)
    np.testing.assert_allclose(apply_affine(inverse(placed), there), points, atol=1e-8)
    back = restore(preprocessed.prepared.mask, preprocessed.prepared.placement)
    assert back.shape == flair.shape
    np.testing.assert_array_equal(back.affine, header @ flair.affine)
    assert hard_dice(back.data >= 0.5, mask.data > 0) > 0.85


@pytest.mark.parametrize("name", TURNS)
def test_the_turn_that_undoes_a_header_is_the_likeliest(name):
    header, words = header_of(name)
    (likely,) = likely_turns(turned(phantom_frame(), header), view(), 1)
    np.testing.assert_allclose((likely @ header)[:3, :3], np.eye(3), atol=1e-9)
    assert posture(likely[:3, :3].round()).startswith(words)


def test_a_turn_moves_the_brain_about_its_own_centre_and_mirrors_nothing():
    head = phantom_frame()
    for likely in likely_turns(head, view(), 23):
        np.testing.assert_allclose(turned(head, likely).centre_mm, head.centre_mm, atol=1e-6)
        assert np.linalg.det(likely[:3, :3]) == pytest.approx(1.0)


def test_the_24_turns_are_all_and_each_is_named():
    turns = list(cube_turns())
    assert len({tuple(one.ravel()) for one in turns}) == len(turns) == 24
    np.testing.assert_array_equal(turns[0], np.eye(3))
    flipped = named(header_of("upside-down")[0][:3, :3].round())
    assert flipped == "turned by 180° about the front-back axis"
    assert named(header_of("exchanged")[0][:3, :3].round()) == "with its axes exchanged"


def test_a_head_that_its_header_puts_upside_down_is_laid_upright_and_doubted(monkeypatch):
    # The chain's other steps do not mend it either, and take their time.
    monkeypatch.setitem(CHAINS, "rigid", CHAINS["rigid"][:1])
    flair, mask = phantom()
    header, words = header_of("upside-down")
    preprocessed = preprocess_scan(moved(flair, header), moved(mask, header), route())
    assert_laid_right("phantom", "rigid", header, preprocessed, words=words)


def test_an_upright_head_whose_orientation_is_doubtful_stays_as_it_lies(monkeypatch):
    """Turns are tried, none is better, and each attempt says why it was not taken."""
    monkeypatch.setitem(CHAINS, "rigid", CHAINS["rigid"][:1])
    monkeypatch.setattr(assessment, "_MAX_TURNS", 1)
    real = assessment.orientation

    def doubted(aligned):
        found = real(aligned)
        return found.model_copy(update={"status": "doubtful"}) if found.status == "good" else found

    monkeypatch.setattr(assessment, "orientation", doubted)
    flair, _ = phantom()
    quality = preprocess_scan(flair, None, route()).quality
    assert quality.status == "doubtful"
    assert "header-orientation" not in said(quality)
    first, *turns = quality.attempts
    assert first.accepted
    assert turns
    assert not any(one.accepted for one in turns)
    assert all(one.reason and one.start.startswith("turned-") for one in turns)


def test_attempts_that_a_doubtful_orientation_speaks_against_say_so():
    verdict = Verdict(
        gate="orientation", status="doubtful", value=1.2, limits="", message="almost as well turned"
    )
    attempt = Attempt(engine="greedy", model="affine", start="mass", seconds=1.0, accepted=True)
    found = assessment.ScanAssessment(None, verdicts=(verdict,), attempts=(attempt,))
    (refused,) = assessment._rejected_attempts(found)  # noqa: SLF001
    assert not refused.accepted
    assert refused.reason == "almost as well turned"


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_a_flipped_header_is_never_good():
    """Upright again by a turn, it is a mirror image, which nobody can tell from a head."""
    flair, mask = phantom()
    preprocessed = preprocess_scan(moved(flair, MIRROR), moved(mask, MIRROR), route())
    assert preprocessed.quality.status == "doubtful"
    assert (
        "left and right may be exchanged"
        in said(preprocessed.quality)["header-orientation"].message
    )
    # What was estimated is still a turn: nothing is mirrored on the way.
    assert np.linalg.det(preprocessed.placed.native_to_atlas[:3, :3]) > 0


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", TURNS)
def test_however_a_thick_oblique_scan_is_turned_it_arrives_upright(name):
    flair, mask = thick_and_oblique()
    header, words = header_of(name)
    preprocessed = preprocess_scan(moved(flair, header), moved(mask, header), route("affine"))
    assert_laid_right("thick-oblique", "affine", header, preprocessed, words=words)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("name", ["upside-down", "on-its-side"])
def test_what_is_no_flair_is_refused_however_it_lies(name):
    flair, _ = phantom()
    header, _ = header_of(name)
    inside = template_brain(flair.shape, flair.affine).data
    noise = np.random.default_rng(0).normal(300.0, 60.0, flair.shape) * (flair.data != 0)
    for data in (inside, noise.astype(np.float32)):
        with pytest.raises(RejectedScanError) as refused:
            preprocess_scan(moved(flair.with_data(data), header), None, route("affine"))
        assert "header-orientation" not in said(refused.value.quality)


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("axis", "degrees"), [("x", 90), ("y", 90), ("z", 180)])
def test_a_patient_whose_header_is_turned_is_outlined_alike(shared_data, tmp_path, axis, degrees):
    """Back to front, too, where the head fits the atlas well enough not to be refused."""
    whole = shared_data / "tcga-lgg" / "images" / "TCGA_DU_8164_flair.nii.gz"
    flair = read_volume(whole)
    header = np.eye(4)
    header[:3, :3] = Rotation.from_euler(axis, degrees, degrees=True).as_matrix().round()
    path = write_nifti(tmp_path / "turned.nii.gz", flair.data, header @ flair.affine)
    masks = []
    for one in (whole, path):
        (outcome,) = api.predict([one], out=tmp_path / "out")
        masks.append(read_volume(tmp_path / "out" / outcome.case_id / "mask.nii.gz").data > 0)
        quality = outcome.result.quality
        assert ("header-orientation" in said(quality)) == (one == path)
    assert hard_dice(*masks) > 0.995


@pytest.mark.slow
@pytest.mark.real
@pytest.mark.timeout(3600)
def test_a_raw_head_upside_down_is_laid_upright_and_restored_exactly(shared_data):
    flair = read_volume(shared_data / "raw-flair" / "patient01_study1_FLAIR.nii.gz")
    where = route("affine", atlas=str(shared_data / "sri24"), stripping="auto")
    straight = preprocess_scan(flair, None, where)
    header = np.eye(4)
    header[:3, :3] = Rotation.from_euler("y", 180, degrees=True).as_matrix().round()
    ball = np.zeros(flair.shape, np.uint8)
    brain = np.argwhere(straight.placed.brain)
    i, j, k = brain[len(brain) // 3]
    ball[i - 8 : i + 9, j - 8 : j + 9, k - 2 : k + 3] = 1
    preprocessed = preprocess_scan(
        moved(flair, header), moved(flair.with_data(ball), header), where
    )
    assert straight.quality.status == "good"
    assert preprocessed.quality.status == "doubtful"
    assert "puts this head upside down" in said(preprocessed.quality)["header-orientation"].message
    seen = replace(flair, data=straight.placed.brain)
    gap = corner_error_mm(
        preprocessed.placed.native_to_atlas @ header, straight.placed.native_to_atlas, seen
    )
    assert gap < 3.0
    assert hard_dice(preprocessed.placed.brain, straight.placed.brain) > 0.98
    back = restore(preprocessed.prepared.mask, preprocessed.prepared.placement)
    np.testing.assert_array_equal(back.affine, header @ flair.affine)
    assert hard_dice(back.data >= 0.5, ball > 0) > 0.8
