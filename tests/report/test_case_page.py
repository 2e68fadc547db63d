"""The page of one scan: each picture the right way round, and every kind of result told."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest
from make_case import QUALITY, diameters_of, make_case, marker, write_prediction

from helper import ODD_AFFINES, make_affine
from plgg.core.errors import InputError
from plgg.core.volume import Volume
from plgg.data.nifti.image import read_volume
from plgg.data.result import Change, Uncertainty
from plgg.report.case.page import write_case_report

CARD = """# Model card

| measure | value |
|---|---:|
| AUC | 0.71 |

<script>alert(1)</script> ![x](https://example.org/x.png) <img src="https://example.org/y.png">
"""


def page_of(folder, *, grid="ras", model_card=None, prior=None, **changes):
    """Text of the page of a made-up prediction."""
    folder, scan, _ = make_case(folder, grid=grid, **changes)
    path = write_case_report(folder, scan, model_card=model_card, prior=prior)
    return path.read_text(encoding="utf-8")


def section(html, name):
    """Text of one section without its tags."""
    found = re.search(rf'<section id="{name}".*?</section>', html, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", found.group(0)).split()) if found else None


class Addresses(HTMLParser):
    """Everything that a page's tags load; links are followed only by people."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        places = ("src", "srcset", "href", "data", "poster", "action")
        self.found += [value for name, value in attrs if name in places and tag != "a"]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    return page_of(tmp_path_factory.mktemp("full") / "P01", model_card=CARD)


def test_the_headline_tells_volume_diameters_marker_and_verdicts(full):
    told = section(full, "summary")
    for words in ("90 % interval", "24.", "BRAF fusion", "74 %, calibrated"):
        assert words in told
    assert re.search(r"\d+ × \d+ mm", told)
    assert "Flagged brain volume" in told
    assert told.count("A brain of 2382 mL is implausible at 50 years.") == 1
    assert "at 50 years. Check the voxel size in the header." in told
    # What is measured in mL is as doubtful as the voxel size.
    assert "mL and mm rest on a voxel size that is in doubt" in told
    assert "For research use only.</strong> Not a medical device." in full


def test_certainty_gates_and_provenance_are_told(full):
    assert "Expected Dice 0.87" in section(full, "certainty")
    assert "Brain volume flagged 2382 880 to 1890 mL the brain in mL" in section(full, "certainty")
    assert "Training distribution good 0.8" in section(full, "certainty")
    told = section(full, "provenance")
    for words in ("ab" * 32, "cd" * 32, "ef" * 32, "torch, cpu, bf16", "target_risk 0.2", "5.1 s"):
        assert words in told


def test_clinical_bars_stand_beside_the_networks(full):
    told = section(full, "marker")
    assert "BRAF fusion 74 % 50 %" in told
    assert "age 9 years, sex F" in told


def test_nothing_is_fetched_and_the_card_is_not_obeyed(full):
    assert "default-src 'none'; img-src data:" in full
    reader = Addresses()
    reader.feed(full)
    assert len(reader.found) > 10
    assert {one.partition(":")[0] for one in reader.found} == {"data"}
    assert "url(" not in full
    assert "@import" not in full
    assert "<img" not in full
    assert "<script>alert" not in full
    assert "AUC" in section(full, "provenance")


def test_folders_are_not_told(tmp_path):
    change = Change(
        prior="/very/secret/visit1",
        volume_ml=20.0,
        difference_ml=4.0,
        percent=20.0,
        product_percent=None,
        beyond_error=None,
    )
    html = page_of(tmp_path / "P01", change=change)
    assert "secret" not in html
    assert "P01_flair.nii.gz" in html
    assert "visit1 20.0 mL" in section(html, "course")


def test_names_from_data_are_escaped(tmp_path):
    html = page_of(tmp_path / "P", patient_id="<i>&'</i>", warnings=("<b>bold</b>",))
    assert "<i>&'" not in html
    assert "<b>bold" not in html
    assert "&lt;i&gt;&amp;&#39;&lt;/i&gt;" in html


def test_a_withheld_marker_is_said_to_be_withheld(tmp_path):
    html = page_of(tmp_path / "P", marker=marker(withheld=True, calibrated=False, clinical=False))
    assert "Genetic marker Withheld Its confidence is 74%" in section(html, "summary")
    assert "A biopsy is needed to know." in section(html, "marker")
    assert "Not calibrated" in section(html, "marker")
    assert "alone" not in section(html, "marker")


def test_a_page_without_tumour_marker_or_verdicts_is_whole(tmp_path):
    html = page_of(
        tmp_path / "P",
        empty=True,
        marker=None,
        quality=None,
        familiarity=None,
        volume_interval=None,
        uncertainty=Uncertainty(expected_dice=None, n_views=1, agreement=None),
        warnings=(),
        with_uncertainty=False,
    )
    assert "no tumour was found" in section(html, "summary")
    assert "Not judged" in section(html, "summary")
    assert section(html, "marker") is None
    assert section(html, "course") is None
    assert "No slice holds tumour." in section(html, "slices")
    assert 'value="uncertainty"' not in html
    assert 'class="outline"' not in html


def test_a_volume_in_plausible_voxels_is_plain_and_tells_its_parts(tmp_path):
    told = section(page_of(tmp_path / "P", quality=None, warnings=()), "summary")
    assert "mL, in one piece" in told
    assert "voxel size" not in told


def test_networks_of_an_ensemble_are_folded_away_and_a_single_one_is_not(tmp_path):
    folder, scan, _ = make_case(tmp_path / "P")
    assert 'class="networks"' not in write_case_report(folder, scan).read_text(encoding="utf-8")
    record = json.loads((folder / "result.json").read_text(encoding="utf-8"))
    record["models"] *= 2
    (folder / "result.json").write_text(json.dumps(record), encoding="utf-8")
    told = section(write_case_report(folder, scan).read_text(encoding="utf-8"), "provenance")
    assert "The 2 networks of the model" in told
    assert told.count("cd" * 32) == 2


def test_the_course_shows_earlier_volumes_with_their_intervals(tmp_path):
    first = Change(
        prior="visit0",
        volume_ml=10.0,
        difference_ml=14.0,
        percent=140.0,
        product_percent=None,
        beyond_error=None,
    )
    prior, *_ = make_case(tmp_path / "visit1", change=first)
    second = first.model_copy(
        update={"prior": "visit1", "volume_ml": 24.0, "beyond_error": False, "percent": 0.4}
    )
    told = section(page_of(tmp_path / "P", change=second, prior=prior), "course")
    assert told.index("visit0 10.0 mL") < told.index("visit1 24.0 mL (90 % interval")
    assert told.index("visit1 24.0 mL") < told.index("P01 (this scan)")
    assert "within the measurement&#39;s error" in told


@pytest.mark.parametrize("grid", ODD_AFFINES)
def test_every_grid_gives_a_page_with_its_right_on_the_left(tmp_path, grid):
    html = page_of(tmp_path / "P", grid=grid)
    alts = re.findall(r'<figure><svg[^>]* aria-label="([^"]+)"', html.replace("\n", ""))
    assert {alt.split()[0] for alt in alts} == {"Axial", "Coronal", "Sagittal"}
    for alt in alts[:3]:
        left = "A" if alt.startswith("Sagittal") else "R"
        upper = "A" if alt.startswith("Axial") else "S"
        assert re.search(rf"left edge {left}.*upper edge {upper}", alt)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 3, 1), (5, 4, 3)])
@pytest.mark.parametrize("value", [0.0, 7.0, np.nan])
def test_tiny_and_constant_scans_have_a_page(tmp_path, shape, value):
    scan = Volume(np.full(shape, value, np.float32), np.eye(4))
    mask = Volume(np.zeros(shape, np.uint8), np.eye(4))
    mask.data[0, 0, 0] = 1
    folder = write_prediction(tmp_path / "P", mask, diameters=diameters_of(mask))
    assert write_case_report(folder, scan).stat().st_size > 10_000


def test_a_scan_on_another_grid_is_refused(tmp_path):
    folder, scan, _ = make_case(tmp_path / "P")
    with pytest.raises(InputError, match=r"mask\.nii\.gz.*scan's grid"):
        write_case_report(folder, Volume(scan.data, ODD_AFFINES["las"]))
    (folder / "mask.nii.gz").unlink()
    with pytest.raises(InputError, match=r"mask\.nii\.gz"):
        write_case_report(folder, scan)
    assert not (folder / "report.html").exists()


def test_the_same_files_give_the_same_bytes_and_leave_nothing_behind(tmp_path):
    folder, scan, _ = make_case(tmp_path / "P")
    before = {path.name for path in folder.iterdir()}
    first = write_case_report(folder, scan).read_bytes()
    assert write_case_report(folder, scan).read_bytes() == first
    assert {path.name for path in folder.iterdir()} == before | {"report.html"}


def test_the_page_of_a_full_scan_is_small(tmp_path):
    shape = (240, 240, 155)
    affine = make_affine((1.0, 1.0, 1.0), shape=shape)
    steps = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in shape], indexing="ij"))
    inside = np.square(steps / 0.65).sum(axis=0) < 1
    noise = np.random.default_rng(0).normal(100.0, 12.0, shape)
    scan = Volume(np.where(inside, noise, 0.0).astype(np.float32), affine)
    offset = np.array([0.2, 0.1, 0.1])[:, None, None, None]
    mask = Volume((np.linalg.norm(steps - offset, axis=0) < 0.2).astype(np.uint8), affine)
    folder = write_prediction(tmp_path / "P", mask)
    path = write_case_report(folder, scan)
    assert path.stat().st_size < 6_000_000


@pytest.mark.real
def test_raw_heads_have_a_page(shared_data, tmp_path):
    for path in sorted((shared_data / "raw-flair").glob("*.nii.gz")):
        scan = read_volume(path)
        mask = Volume(np.zeros(scan.shape, np.uint8), scan.affine)
        mask.data[tuple(slice(n // 2, n // 2 + 5) for n in scan.shape)] = 1
        quality = QUALITY.model_copy(update={"stripping": "deepbet"})
        page = write_case_report(
            write_prediction(tmp_path / path.name, mask, quality=quality), scan
        )
        assert page.stat().st_size < 6_000_000
        assert "may show a face" in page.read_text(encoding="utf-8")


# How long what must happen may take says something of the machine.
MILLISECONDS = 300_000


@pytest.mark.skipif(shutil.which("chromium") is None, reason="no browser: chromium is absent")
def test_a_browser_draws_the_viewer_and_the_surface(tmp_path):
    folder, scan, _ = make_case(tmp_path / "P", grid="thick")
    page = write_case_report(folder, scan)
    sync = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    complaints = []
    with sync.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox"], timeout=MILLISECONDS
        )
        tab = browser.new_page()
        tab.set_default_timeout(MILLISECONDS)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.goto(page.as_uri())
        # Images are unpacked beside the page's own clock: what must come is waited for.
        tab.locator("html.live").wait_for()
        tab.locator(".viewer").wait_for()
        tab.locator(".surface").wait_for()
        told = tab.locator(".viewer output").all_inner_texts()
        browser.close()
    assert len(told) == 3
    assert all(re.fullmatch(r"slice \d+", text) for text in told)
    assert complaints == []
