"""The page in a real browser: upload, correction, stale saves, rounds, and the grid drawn on."""

import gzip
import io
import shutil

import doing
import nibabel as nib
import numpy as np
import pytest
from browser import VIEW, Page, chromium
from PIL import Image
from served import TOKEN, served

from correcting import trained, write_patients
from helper import ODD_AFFINES, blob_brain, write_nifti
from plgg import api
from plgg.core.files import make_folder, write_json
from plgg.core.output import READING_ROOM, output_folder
from plgg.core.volume import Volume
from plgg.evaluate.rounds import PatientChange, RoundComparison
from plgg.measure.diameters import diameters
from plgg.predict.options import PredictOptions
from plgg.serve import runner
from plgg.serve.edits import save_edit
from plgg.serve.records import RoundRecord, now
from plgg.serve.uploads import Patient, UploadedFile, save_upload
from plgg.serve.views import make_view
from plgg.serve.work import WorkFolder


@pytest.fixture(scope="module")
def browser():
    with chromium() as opened:
        yield opened


@pytest.fixture
def page(browser, room):
    opened = Page(browser, room)
    opened.log_in(TOKEN)
    yield opened
    opened.tab.close()


@pytest.fixture(scope="module")
def still(browser, template, tmp_path_factory):
    """One page for tests that save nothing."""
    root = shutil.copytree(template.root, tmp_path_factory.mktemp("still") / "work")
    with served(root, *template.models) as room:
        opened = Page(browser, room)
        opened.log_in(TOKEN)
        yield opened
        opened.tab.close()


def saved_mask(room, name):
    """The newest mask as the server has it, with its affine."""
    image = nib.Nifti1Image.from_bytes(_unpacked(room.get(f"cases/{name}/mask.nii.gz").content))
    return np.asarray(image.dataobj), image.affine


def _unpacked(content):
    return gzip.decompress(content)


def save_elsewhere(room, name, mask):
    """Save a mask as another client would."""
    like = nib.Nifti1Image.from_bytes(_unpacked(room.get(f"cases/{name}/mask.nii.gz").content))
    etag = room.get(f"cases/{name}").json()["etag"]
    body = nib.Nifti1Image(mask.astype(np.uint8), like.affine, like.header).to_bytes()
    room.ask("PUT", f"cases/{name}/mask", 201, content=body, headers={"If-Match": f'"{etag}"'})


def test_a_story_from_upload_to_correction(page, room, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "do", doing.when_told)
    assert "token" not in page.tab.url
    page.tab.locator("tbody tr").nth(2).wait_for()
    assert page.tab.locator("tbody tr").count() == 3
    name = _upload(page, tmp_path)
    before, affine = saved_mask(room, name)
    np.testing.assert_array_equal(page.drawing, before)
    drawn = _draw_undo_and_draw(page, before)
    page.tab.keyboard.press("Control+s")
    page.tab.locator(".note", has_text="Saved as mask 1").wait_for()
    after, kept = saved_mask(room, name)
    np.testing.assert_array_equal(after, drawn)
    np.testing.assert_array_equal(kept, affine)
    mine = _save_what_is_stale(page, name, before, tmp_path)
    page.tab.locator("[data-action='next']").click()
    page.wait_for_case("P0")
    page.open_case(name)
    page.tab.reload()
    page.wait_for_case(name)
    np.testing.assert_array_equal(page.drawing, mine)
    assert page.tab.locator(".edits li").count() == 4
    assert page.leaves_this_machine() == []
    assert page.complaints == []


def _upload(page, folder):
    """Upload a head, watch its job, and open the case."""
    head, _ = blob_brain(affine=ODD_AFFINES["sagittal"], seed=8)
    path = write_nifti(folder / "<b>New head.nii.gz", head.data, head.affine)
    page.tab.set_input_files("input[aria-label='Choose scans']", str(path))
    page.tab.locator("tr[data-case*='New_head'] progress").wait_for()
    (page.room.room.work.root / "go").touch()
    row = page.tab.locator("tr[data-case*='New_head'][data-state='done']")
    row.wait_for()
    name = row.get_attribute("data-case")
    row.locator("a").click()
    page.wait_for_case(name)
    return name


def _draw_undo_and_draw(page, before):
    """Erase, undo, redo, and draw a little back."""
    page.tab.keyboard.press("2")
    page.tab.keyboard.press("t")
    assert page.tab.locator("#saved").inner_text() == "All saved"
    page.stroke("e", by=(40, 20))
    erased = page.drawing
    assert erased.sum() < before.sum()
    page.tab.locator("#saved", has_text="Not saved yet").wait_for()
    page.tab.keyboard.press("Control+z")
    np.testing.assert_array_equal(page.drawing, before)
    page.tab.keyboard.press("Control+Shift+z")
    np.testing.assert_array_equal(page.drawing, erased)
    page.stroke("p", by=(0, 0))
    drawn = page.drawing
    assert erased.sum() < drawn.sum() < before.sum()
    return drawn


def _save_what_is_stale(page, name, other, folder):
    """Save after someone else has: refused, nothing lost, and saved at last as the next edit."""
    save_elsewhere(page.room, name, other)
    page.stroke("e", by=(-5, 3))
    mine = page.drawing
    page.tab.keyboard.press("Control+s")
    page.tab.get_by_role("button", name="Go on drawing").click()
    np.testing.assert_array_equal(page.drawing, mine)
    np.testing.assert_array_equal(saved_mask(page.room, name)[0], other)
    page.tab.keyboard.press("Control+s")
    with page.tab.expect_download() as download:
        page.tab.get_by_role("button", name="Download mine").click()
    np.testing.assert_array_equal(np.asarray(nib.load(_at(download, folder)).dataobj), mine)
    page.tab.keyboard.press("Control+s")
    page.tab.get_by_role("button", name="Save mine after it").click()
    page.tab.locator(".note", has_text="Saved as mask 3").wait_for()
    np.testing.assert_array_equal(saved_mask(page.room, name)[0], mine)
    return mine


def _at(download, folder):
    path = folder / download.value.suggested_filename
    download.value.save_as(path)
    return path


def test_a_newer_mask_can_be_loaded_and_undo_brings_the_drawing_back(page, room):
    page.open_case("P01")
    page.tab.keyboard.press("2")
    page.stroke("e")
    mine, other = page.drawing, np.zeros_like(page.drawing)
    other[4:9, 5:11, 6:10] = 1
    save_elsewhere(room, "P01", other)
    page.tab.keyboard.press("Control+s")
    page.tab.get_by_role("button", name="Load the newer").click()
    page.tab.locator(".edits li", has_text="no name").wait_for()
    np.testing.assert_array_equal(page.drawing, other)
    page.tab.keyboard.press("Control+z")
    np.testing.assert_array_equal(page.drawing, mine)


def test_what_is_not_saved_is_not_left_without_asking(page):
    page.open_case("P01")
    page.tab.keyboard.press("2")
    page.stroke("e")
    drawn = page.drawing
    page.tab.locator("a.back").click()
    page.tab.get_by_role("button", name="Stay").click()
    page.tab.wait_for_url("**/#/case/P01")
    np.testing.assert_array_equal(page.drawing, drawn)
    page.tab.locator("a.back").click()
    page.tab.get_by_role("button", name="Save and leave").click()
    page.tab.locator("tr[data-case='P01'] .tag", has_text="yes").wait_for()
    np.testing.assert_array_equal(saved_mask(page.room, "P01")[0], drawn)


ACTIVE = "document.activeElement.getBoundingClientRect()"


def test_every_stop_of_the_keyboard_on_the_work_list_can_be_seen(page):
    page.tab.locator("input[type='search']").focus()
    stops = []
    while page.js("document.activeElement.closest('tbody')") is None:
        stops.append(page.js(f"{ACTIVE}.width * {ACTIVE}.height"))
        assert len(stops) < 40
        page.tab.keyboard.press("Tab")
    assert min(stops) > 100


def test_the_keyboard_stays_on_its_case_when_a_job_draws_the_list_anew(page, tmp_path):
    head, _ = blob_brain(affine=ODD_AFFINES["ras"], seed=9)
    path = write_nifti(tmp_path / "Another.nii.gz", head.data, head.affine)
    page.tab.locator("tr[data-case='P02'] a").focus()
    page.tab.set_input_files("input[aria-label='Choose scans']", str(path))
    page.tab.locator("tr[data-case*='Another']").wait_for()
    assert page.js("document.activeElement.closest('tr')?.dataset.case") == "P02"


def test_checks_and_volumes_are_told_in_the_words_of_the_report(page, room):
    found = room.get("cases/P01").json()
    told = page.tab.locator("tr[data-case='P01']").inner_text()
    assert " mL" in told
    for verdict in found["verdicts"]:
        if verdict["verdict"] != "good" and verdict["name"] != "familiarity":
            assert verdict["name"].replace("-", " ") in told


def test_the_change_of_the_diameters_is_that_of_their_product(page):
    page.open_case("P01")
    page.js(f"""() => {{
        const {{ voxels, grid }} = {VIEW}.drawing;
        const half = grid.size[0] / 2;
        voxels.forEach((_, n) => {{ if (n % grid.size[0] < half) voxels[n] = 0; }});
        {VIEW}.drawing.commit('halving');
    }}""")
    page.tab.locator("#saved", has_text="Not saved yet").wait_for()
    row = page.tab.locator(".measures tr", has_text="Axial")
    before, now, change = row.locator("td").all_inner_texts()
    product = [float(a) * float(b) for a, b in (text.split(" × ") for text in (before, now))]
    told = float(change.replace("−", "-").removesuffix(" %"))
    assert product[1] != product[0]
    assert told == pytest.approx(100 * (product[1] / product[0] - 1), abs=1.0)


def test_a_round_says_beforehand_how_many_patients_it_needs(page, room):
    page.tab.goto(f"{room.url}/#/rounds")
    page.tab.locator("p", has_text="a round needs 4 patients").wait_for()
    assert page.tab.locator("[data-action='round']").is_disabled()


def test_an_outline_of_a_doubtful_scan_says_so_where_it_is_drawn(page, room):
    cases = {case["id"]: case["verdicts"] for case in room.get("cases").json()["cases"]}
    said = {
        name: [v["message"] for v in found if v["verdict"] != "good"]
        for name, found in cases.items()
    }
    assert any(said.values())
    for name, messages in said.items():
        page.open_case(name)
        notes = page.tab.locator(".bar .doubt").all_inner_texts()
        assert len(notes) == bool(messages)
        assert all(message in notes[0] for message in messages)


@pytest.mark.parametrize(
    ("accepted", "verdict"),
    [(True, "accepted"), (False, "not accepted: the old model stays")],
)
def test_a_round_is_shown_with_its_verdict(page, room, work, models, accepted, verdict):
    """A round on the disk as its worker leaves it; learning itself is tested in test_rounds."""
    folder = make_folder(work.round_folder(1))
    write_json(folder / "round.json", RoundRecord(number=1, created=now()).model_dump(mode="json"))
    shutil.copytree(models[0], folder / "run")
    change = {"dice_before": 0.7, "dice_after": 0.75, "difference": 0.05}
    patient = PatientChange(patient_id="P01", part="held-out", cases=("P01",), **change)
    comparison = RoundComparison(
        accepted=accepted,
        reason="As it was judged.",
        n_training=3,
        n_rehearsed=0,
        n_validation=1,
        standard_error=None,
        parts=(),
        patients=(patient,),
        trained_on=("P02",),
        **change,
    )
    write_json(folder / "comparison.json", comparison.model_dump(mode="json"))
    page.tab.goto(f"{room.url}/#/rounds")
    card = page.tab.locator("article[data-round='1'][data-state='done']")
    assert card.locator(".tag").inner_text() == verdict
    assert "As it was judged." in card.inner_text()
    assert card.locator("tbody tr", has_text="P01").inner_text().split() == [
        *("P01", "0.700", "0.750", "+0.050"),
    ]


def test_a_round_under_way_is_shown_and_cancelled(page, room, monkeypatch):
    """It needs one patient more than there are, which its worker would be the first to say."""
    monkeypatch.setattr(runner, "do", doing.slowly)
    for name in ("P01", "P02", "P03"):
        mask, _ = saved_mask(room, name)
        mask[: mask.shape[0] // 2] = 0
        save_elsewhere(room, name, mask)
    assert room.client.post("/api/v1/rounds").is_success
    page.tab.goto(f"{room.url}/#/rounds")
    card = page.tab.locator("article[data-round='1']")
    card.locator("progress").wait_for()
    card.get_by_role("button", name="Cancel").click()
    page.tab.locator("article[data-round='1'][data-state='cancelled']").wait_for()
    assert room.get("rounds").json()["rounds"][0]["state"] == "cancelled"


NAMES = ("P50", "P51", "P52", "P53", "P54")


@pytest.fixture(scope="module")
def dark(tmp_path_factory):
    """A reading room of dark tumours, corrected, whose model has seen bright ones alone."""
    folder = tmp_path_factory.mktemp("dark")
    model, _ = trained(folder)
    scans = write_patients(folder / "scans", len(NAMES), dark=True, first=50).parent
    work = WorkFolder(folder / "work", (model,), options=PredictOptions(pages=False))
    with output_folder(make_folder(work.root), READING_ROOM):
        work.make()
        for name in NAMES:
            with (scans / f"{name}.nii.gz").open("rb") as file:
                given = UploadedFile(f"{name}.nii.gz", file)
                save_upload(work, [given], Patient(name), voxels=10**8)
            api.predict([work.scan(name)], out=work.cases, model=work.models, options=work.options)
            make_view(work, name)
            sent = shutil.copyfile(scans / f"{name}_mask.nii.gz", folder / "sent")
            save_edit(work, name, sent, if_match=work.mask_sha256(name))
    return work


@pytest.mark.slow
def test_a_round_is_learnt_and_accepted(browser, dark):
    """What it shows is tested above, and learning itself in test_rounds."""
    with served(dark.root, *dark.models) as room:
        page = Page(browser, room)
        page.log_in(TOKEN)
        page.tab.goto(f"{room.url}/#/rounds")
        page.tab.locator("[data-action='round']").click()
        card = page.tab.locator("article[data-round='1'][data-state='done']")
        card.wait_for()
        assert card.locator(".tag").inner_text() == "accepted"
        found = room.get("rounds/1").json()["comparison"]
        assert found["n_training"] == 3
        assert {one["patient_id"] for one in found["patients"]} == {"P50", "P53"}
        page.tab.reload()
        card.wait_for()
        assert f"{found['dice_after']:.3f}" in card.inner_text()
        # What comes next is predicted by the new model.
        assert room.get("info").json()["rounds_accepted"] == 1
        page.tab.close()


@pytest.mark.parametrize("grid", sorted(ODD_AFFINES))
def test_what_is_pointed_at_is_what_is_drawn(still, grid):
    """A bright cube is seen where it is shown; painted there, its own voxel is in the file."""
    affine, centre = ODD_AFFINES[grid], (9, 21, 12)
    scan = np.zeros((26, 30, 28), dtype=np.int16)
    scan[8:11, 20:23, 11:14] = 1000
    mask = np.zeros(scan.shape, dtype=np.uint8)
    mask[3:9, 4:6, 20:27] = 1
    files = [list(nib.Nifti1Image(data, affine).to_bytes()) for data in (scan, mask)]
    like = nib.Nifti1Image.from_bytes(bytes(files[1]))
    still.js(SETUP, [*files, affine.tolist()])
    for plane in ("axial", "coronal", "sagittal"):
        at = still.js(
            "([mm, plane]) => window.trial.point(mm, plane)", [_world(affine, centre), plane]
        )
        assert np.hypot(*np.subtract(_brightest(still.tab), at)) < 3, plane
        drawn = still.js("(at) => window.trial.paint(at)", at)
        file = nib.Nifti1Image.from_bytes(bytes(drawn))
        np.testing.assert_array_equal(file.affine, like.affine)
        assert np.argwhere(np.asarray(file.dataobj) != mask).tolist() == [list(centre)], plane


# The viewer's own map from mm is used for where to look, and the page's for what is drawn.
SETUP = """async ([scan, mask, affine]) => {
    const { Viewer } = await import('/page/app/viewer.js');
    const { Drawing } = await import('/page/app/drawing.js');
    const { readMask, writeMask } = await import('/page/app/nifti.js');
    window.trial?.close();
    const stage = document.createElement('div');
    stage.className = 'stage trial';
    const box = { position: 'fixed', inset: '0', width: '320px', height: '320px' };
    for (const [name, value] of Object.entries(box)) stage.style.setProperty(name, value);
    const canvas = document.createElement('canvas');
    stage.append(canvas);
    document.body.append(stage);
    const viewer = await Viewer.open(canvas);
    await viewer.show(Uint8Array.from(scan).buffer, affine);
    viewer.setWindow(0, 1000);
    const like = Uint8Array.from(mask).buffer;
    const drawing = new Drawing(viewer, readMask(like));
    viewer.setOutline(false, 0);
    window.trial = {
        close() {
            viewer.close();
            stage.remove();
        },
        async point(mm, plane) {
            viewer.setLayout(plane);
            viewer.nv.scene.crosshairPos = viewer.nv.mm2frac(mm, 0, true);
            viewer.nv.drawScene();
            await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            return viewer.whereIs(viewer.crosshair, plane);
        },
        paint(at) {
            const { voxel, plane } = viewer.under(...at);
            drawing.paint({ from: voxel, to: voxel, plane, radius: 0.5, value: 1 });
            const file = Array.from(writeMask(like, drawing.toFile()));
            drawing.revert();
            return file;
        },
    };
}"""


def _world(affine, voxel):
    return (affine[:3, :3] @ voxel + affine[:3, 3]).tolist()


def _brightest(tab):
    """Middle of what is white on the canvas; crosshair and letters are not."""
    shot = Image.open(io.BytesIO(tab.locator(".trial").screenshot())).convert("RGB")
    rows, columns = np.nonzero(np.asarray(shot)[..., 2] > 200)
    return (columns.min() + columns.max() + 1) / 2, (rows.min() + rows.max() + 1) / 2


def test_tools_and_measures_on_known_shapes(page):
    """Grow finds the bright ball; between two equal discs lie discs; measures are the report's."""
    page.open_case("P02")
    scan, tumour = blob_brain(affine=ODD_AFFINES["ras"], seed=1)
    centre = np.argwhere(tumour.data).mean(axis=0).round().astype(int).tolist()
    page.js(CLEAR)
    page.js(f"(seed) => {VIEW}.drawing.grow({{ seed, tolerance: 40, radius: 60 }})", centre)
    grown = page.drawing
    assert 2 * (grown & tumour.data).sum() / (grown.sum() + tumour.data.sum()) > 0.97
    measures = page.js(f"{VIEW}.drawing.measures")
    assert measures["volumeMl"] == pytest.approx(grown.sum() * 4.5**3 / 1000)

    page.js(CLEAR)
    page.js(DISCS, [centre[:2], 8, 13])
    slices = page.drawing
    for at in range(8, 14):
        np.testing.assert_array_equal(slices[..., at], slices[..., 8])
    assert slices.sum() == 6 * slices[..., 8].sum() > 6

    one = np.zeros_like(slices)
    one[..., 8] = slices[..., 8]
    known = diameters(Volume(one, scan.affine))
    measures = page.js(f"{VIEW}.drawing.measures")
    assert measures["diameters"]["largest"] == pytest.approx(known.largest_mm, abs=1e-3)
    assert measures["diameters"]["across"] == pytest.approx(known.perpendicular_mm, abs=1e-3)


CLEAR = f"() => {{ {VIEW}.drawing.voxels.fill(0); {VIEW}.drawing.commit('clearing'); }}"
DISCS = f"""([[x, y], low, high]) => {{
    const drawing = {VIEW}.drawing;
    for (const z of [low, high]) {{
        drawing.paint({{ from: [x, y, z], to: [x, y, z], plane: 'axial', radius: 20, value: 1 }});
        drawing.commit('pen', {{ plane: 'axial', slices: [z] }});
    }}
    return drawing.interpolate('axial');
}}"""
WITHOUT_WEBGL = """
    const get = HTMLCanvasElement.prototype.getContext;
    HTMLCanvasElement.prototype.getContext = function (kind, ...more) {
        return kind === 'webgl2' ? null : get.call(this, kind, ...more);
    };
"""


def test_without_webgl_the_slices_can_be_looked_at(browser, room):
    page = Page(browser, room)
    page.tab.add_init_script(WITHOUT_WEBGL)
    page.log_in(TOKEN)
    page.tab.goto(f"{room.url}/#/case/P01")
    page.tab.locator(".reason", has_text="no WebGL 2").wait_for()
    for image in page.tab.locator(".slices figure img").all():
        image.wait_for()
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 10
    page.tab.locator("input[type=range]").first.press("ArrowRight")
    page.tab.locator("figure img[alt='axial slice 18 of 32']").wait_for()
    assert page.leaves_this_machine() == []
    page.tab.close()


UNNAMED = """() => {
    const controls = 'button, a[href], input, select, canvas, progress, img';
    const isNamed = (one) => one.getAttribute('aria-label') || one.textContent.trim()
        || one.labels?.length || one.hasAttribute('alt') || one.closest('label');
    return [...document.querySelectorAll(controls)].filter((one) => !isNamed(one))
        .map((one) => one.outerHTML);
}"""


def test_every_control_has_a_name_for_screen_readers(page):
    assert page.js(UNNAMED) == []
    page.open_case("P02")
    assert page.js(UNNAMED) == []
    page.tab.keyboard.press("?")
    page.tab.locator("dialog.help", has_text="Shortcuts").wait_for()
    page.tab.keyboard.press("Escape")
    page.tab.locator("canvas").focus()
    place = page.js(f"{VIEW}.viewer.crosshair")
    page.tab.keyboard.press("PageUp")
    assert page.js(f"{VIEW}.viewer.crosshair") == [*place[:2], place[2] + 1]
