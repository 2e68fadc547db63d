"""QC pictures: what is drawn where, that anything can be drawn, and how little work it is."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from helper import ODD_AFFINES, blob_brain
from plgg.core.errors import OutputError
from plgg.core.volume import Volume
from plgg.data.nifti.image import read_volume
from plgg.data.quality import Attempt, Quality, Verdict
from plgg.preprocess.brain_extraction import brain_mask
from plgg.preprocess.grid import sri24_grid
from plgg.preprocess.qc_card import drawable, notes, registration_line, wrapped
from plgg.preprocess.qc_overlay import (
    PLANES,
    Panels,
    centre,
    cropped_to_head,
    cuts_of,
    draw_case,
    draw_failed,
    grey,
    plane,
    upright,
    window,
)
from plgg.preprocess.registration.start import centre_on_atlas
from plgg.preprocess.resample import resample
from work import calls

BLUE, ORANGE, GREEN = (0x4D, 0xB8, 0xFF), (0xFF, 0xA6, 0x2B), (0x19, 0xE3, 0x7D)


def quality(status="good", message="it fits", **changes):
    verdict = Verdict(
        gate="brain-overlap", status=status, value=0.9, limits="0.90 or more", message=message
    )
    fields = {
        "status": status,
        "verdicts": (verdict,),
        "attempts": (
            Attempt(engine="greedy", model="affine", start="mass", seconds=3.0, accepted=True),
        ),
        "stripping": "deepbet",
        "atlas": "SRI24",
        "seconds": {"brain": 4.0, "registration": 3.25},
    }
    return Quality(**(fields | changes))


def ball(shape, middle, radius):
    points = np.moveaxis(np.indices(shape), 0, -1)
    return np.linalg.norm(points - np.array(middle), axis=-1) <= radius


def panels(*, tumour=True, shift=0):
    """Two balls of brains; the scan's one `shift` voxels to the left; a tumour on its left."""
    shape = (48, 56, 40)
    atlas_brain = ball(shape, (22, 28, 20), 15)
    brain = np.roll(atlas_brain, shift, axis=0)
    mask = ball(shape, (30, 24, 22), 4)
    random = np.random.default_rng(0)
    scan = (100 + 60 * mask + random.normal(0, 3, shape)).astype(np.float32) * brain
    return Panels(scan, brain, mask if tumour else None, 50.0 * atlas_brain, atlas_brain, 4.0)


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def places(path, colour, *, slack=40):
    """Pixels (row, column) near a colour, below the words and above the legend."""
    image = pixels(path)
    rows, columns = np.nonzero((np.abs(image - colour).max(axis=-1) <= slack)[70:-40])
    return np.stack([rows + 70, columns], axis=-1)


def test_the_patients_left_is_on_the_right_and_front_and_top_are_up():
    data = np.zeros((4, 5, 6))
    data[3, 0, 5] = 1.0  # Leftmost, foremost, topmost.
    cuts = (3, 0, 5)
    spots = {name: np.argwhere(plane(data, axis, cuts)).tolist() for axis, name, _ in PLANES}
    assert spots == {"axial": [[0, 3]], "coronal": [[0, 3]], "sagittal": [[0, 0]]}


def test_planes_pass_the_tumours_centre_of_mass():
    box = cropped_to_head(panels())
    offset = np.array((30, 24, 22)) - np.array(cuts_of(box))
    # The crop moves all; the tumour's centre lies where it is cut.
    assert box.tumour[tuple(cuts_of(box))]
    assert (offset >= 0).all()
    assert cuts_of(panels()) == (30, 24, 22)
    assert cuts_of(panels(tumour=False)) == (22, 28, 20)


def test_an_empty_array_is_cut_in_its_middle():
    assert centre(np.zeros((5, 6, 1), dtype=bool)) == (2, 3, 0)


@pytest.mark.parametrize("scale", [1.0, 1e-30, 1e30])
def test_grey_levels_do_not_depend_on_the_unit(scale):
    data = np.linspace(1.0, 2.0, 1000, dtype=np.float32).reshape(10, 10, 10)
    where = np.ones(data.shape, dtype=bool)
    scaled = data * np.float32(scale)
    level = grey(scaled, where, window(scaled, where))
    assert np.allclose(level, grey(data, where, window(data, where)), atol=1e-4)
    assert (level.min(), level.max()) == (0.0, 1.0)


def test_the_background_of_a_z_scored_scan_is_black():
    random = np.random.default_rng(1)
    where = ball((20, 20, 20), (10, 10, 10), 7)
    data = np.where(where, random.normal(0, 1, where.shape), 0)
    level = grey(data, where, window(data, where))
    assert level[~where].max() == 0.0
    assert 0.3 < np.median(level[where]) < 0.7


def test_the_picture_shows_both_brains_and_the_tumour_on_scan_and_atlas(tmp_path):
    path = tmp_path / "case.png"
    draw_case(path, panels(shift=5), title="one", quality=quality())
    middle = len(pixels(path)) / 2
    for colour in (BLUE, ORANGE, GREEN):
        rows = places(path, colour)[:, 0]
        assert (rows < middle).sum() > 50
        assert (rows > middle).sum() > 50


def test_a_scan_shifted_to_the_left_is_drawn_further_right(tmp_path):
    path = tmp_path / "case.png"
    draw_case(path, panels(shift=6), title="one", quality=quality())
    axial = pixels(path).shape[1] * 0.3

    def middle(colour):
        columns = places(path, colour)[:, 1]
        return np.ptp(columns[columns < axial]) / 2 + columns.min()

    assert middle(BLUE) > middle(ORANGE) + 20


def test_without_a_tumour_none_is_drawn_or_named(tmp_path):
    path = tmp_path / "case.png"
    draw_case(path, panels(tumour=False), title="one", quality=quality())
    assert len(places(path, GREEN)) == 0


@pytest.mark.parametrize("empty", ["brain", "tumour", "atlas_brain", "both", "full"])
def test_masks_that_are_empty_or_full_are_drawn(tmp_path, empty):
    fields = vars(panels())
    none = np.zeros_like(fields["brain"])
    changes = {
        "both": {"brain": none, "atlas_brain": none},
        "full": {"brain": ~none, "tumour": ~none},
    }.get(empty, {empty: none})
    draw_case(tmp_path / "case.png", Panels(**(fields | changes)), title="", quality=quality())
    assert (tmp_path / "case.png").is_file()


def test_equal_cases_are_equal_files_and_nothing_is_left_aside(tmp_path):
    for name in ("a.png", "b.png"):
        draw_case(tmp_path / "qc" / name, panels(), title="one", quality=quality())
    assert (tmp_path / "qc/a.png").read_bytes() == (tmp_path / "qc/b.png").read_bytes()
    assert sorted(p.name for p in (tmp_path / "qc").iterdir()) == ["a.png", "b.png"]


def test_a_place_that_cannot_be_written_to_is_named(tmp_path):
    (tmp_path / "qc").write_text("a file, not a folder")
    with pytest.raises(OutputError, match="cannot write here"):
        draw_case(tmp_path / "qc" / "a.png", panels(), title="one", quality=quality())


def test_what_is_not_good_is_written_out_the_failed_first():
    verdicts = tuple(
        Verdict(gate=gate, status=status, value=None, limits="", message=f"{gate} is {status}")
        for gate, status in (("a", "good"), ("b", "doubtful"), ("c", "failed"))
    )
    told = notes(quality("failed", verdicts=verdicts))
    assert told == ["✘ c: c is failed", "▲ b: b is doubtful"]
    assert notes(quality("failed", verdicts=verdicts), said="the reason: c is failed") == told[1:]


def test_how_it_was_made_is_told_in_a_line():
    assert registration_line(quality()) == (
        "atlas SRI24 · greedy, affine, start mass · skull taken off by deepbet · 7.2 s"
    )
    untried = quality(attempts=(), seconds={}, stripping="none")
    assert registration_line(untried) == "atlas SRI24 · 0 attempts · came stripped"


def test_words_are_wrapped_and_their_number_bounded():
    lines = wrapped(["✘ " + "word " * 40, "x" * 400, *["line"] * 20])
    assert len(lines) == 9
    assert max(len(text) for text, _ in lines) <= 130
    assert lines[0][1] == lines[1][1] != lines[-1][1]


def test_characters_without_a_glyph_become_boxes():
    assert drawable("a\tb\n 脑 \ud800 é $x$") == "a b □ □ é $x$"


NAMES = ["", "$\\frac{1}{$ <b>&\\ %\n\t", "脑 🧠" + "x" * 500]


@pytest.mark.parametrize("words", NAMES)
def test_any_words_can_be_drawn(tmp_path, words):
    draw_case(tmp_path / "a.png", panels(), title=words, quality=quality("doubtful", words))
    draw_failed(tmp_path / "b.png", None, title=words, reason=words, quality=quality("failed"))
    assert (tmp_path / "a.png").is_file()
    assert (tmp_path / "b.png").is_file()


@pytest.mark.parametrize("name", ODD_AFFINES)
def test_a_native_scan_is_drawn_upright_however_it_lies(name):
    _, mask = blob_brain(affine=ODD_AFFINES[name])
    image = upright(mask)
    # The tumour lies right of, before and above the middle; axes run to left, back and top.
    middle = (np.array(image.shape) - 1) / 2
    spot = (np.argwhere(image > 0.25).mean(axis=0) - middle) * [-1, -1, 1]
    size_mm = (np.abs(mask.affine[:3, :3]) @ mask.shape).max() / 160
    assert 160 <= max(image.shape) <= 161
    assert np.linalg.norm(spot * size_mm - (22.0, 15.0, 12.0)) < 3.0


SCANS = {
    "noise": np.random.default_rng(0).normal(size=(20, 24, 18)),
    "empty": np.zeros((20, 24, 18)),
    "constant": np.full((20, 24, 18), 7.0),
    "no-number": np.full((20, 24, 18), np.nan),
    "infinite": np.where(np.indices((9, 9, 9)).sum(axis=0) % 2, np.inf, -np.inf),
    "huge": np.linspace(-3e38, 3e38, 1000, dtype=np.float32).reshape(10, 10, 10),
    "tiny": np.ones((1, 1, 1)),
    "slice": np.arange(400.0).reshape(20, 20, 1),
    "needle": np.arange(300.0).reshape(1, 1, 300),
    "mask": np.eye(8, dtype=bool)[..., None] * np.ones(8, dtype=bool),
    "no-voxel": np.zeros((0, 4, 4)),
}


SPACINGS = ((1.0, 1.0, 1.0), (0.01, 0.02, 9.0), (4e3, 1e-2, 50.0))
ODD = [("noise", SPACINGS[1]), ("noise", SPACINGS[2]), *((name, SPACINGS[0]) for name in SCANS)]


@pytest.mark.parametrize(("name", "spacing_mm"), ODD)
def test_any_scan_can_be_drawn_as_failed(tmp_path, name, spacing_mm):
    path = tmp_path / "failed.png"
    volume = Volume(SCANS[name], np.diag([*spacing_mm, 1.0]))
    draw_failed(path, volume, title=name, reason="it is odd", quality=None)
    assert pixels(path).shape[1] == 880
    assert 150 < len(pixels(path)) < 1200


def test_a_scan_that_cannot_be_read_gets_a_card(tmp_path):
    draw_failed(tmp_path / "a.png", None, title="gone", reason="no such file", quality=None)
    assert pixels(tmp_path / "a.png").shape == (202, 880, 3)


def real_panels(folder: Path, row: dict[str, str], spacing_mm: float) -> Panels:
    flair, mask = (read_volume(folder / "tcga-lgg" / row[key]) for key in ("flair", "mask"))
    spgr, tissues = (read_volume(folder / "sri24" / f"{n}.nii.gz") for n in ("spgr", "tissues"))
    grid = sri24_grid(spacing_mm)
    brain = brain_mask(flair.data)
    to_atlas = centre_on_atlas(brain, flair.affine, grid)

    def carry(data, affine, matrix):
        return resample(data, np.linalg.inv(matrix @ affine) @ grid.affine, grid.shape)

    return Panels(
        scan=carry(flair.data, flair.affine, to_atlas),
        brain=carry(brain, flair.affine, to_atlas) >= 0.5,
        tumour=carry(mask.data > 0, mask.affine, to_atlas) >= 0.5,
        atlas=carry(spgr.data, spgr.affine, np.eye(4)),
        atlas_brain=carry(tissues.data > 0, tissues.affine, np.eye(4)) >= 0.5,
        spacing_mm=spacing_mm,
    )


@pytest.mark.real
def test_a_real_patient_is_drawn_with_the_work_of_a_small_one(shared_data, tmp_path):
    with (shared_data / "tcga-lgg" / "manifest.csv").open() as handle:
        row = next(csv.DictReader(handle))

    def draw(view):
        draw_case(tmp_path / "case.png", view, title=row["patient_id"], quality=quality())

    view = real_panels(shared_data, row, 2.0)
    draw(panels())
    small, real = calls(lambda: draw(panels())), calls(lambda: draw(view))
    # That is 0.3 s: nothing loops over voxels.
    assert real < 1.2 * small < 1_000_000
    for colour in (BLUE, ORANGE, GREEN):
        assert len(places(tmp_path / "case.png", colour)) > 200


@pytest.mark.real
def test_every_raw_head_can_be_drawn_as_failed(shared_data, tmp_path):
    for path in sorted((shared_data / "raw-flair").glob("*.nii.gz")):
        volume = read_volume(path)
        draw_failed(tmp_path / "a.png", volume, title=path.name, reason="a trial", quality=None)
        image = upright(volume)
        # Something bright is in the middle, nothing at the outermost corner of the grid.
        assert image[tuple(n // 2 for n in image.shape)] > 0
        assert np.isfinite(image).all()
