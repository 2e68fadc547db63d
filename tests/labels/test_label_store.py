"""Labels on their way from a manifest into a store: geometry, what is kept, what is refused."""

import itertools
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from helper import ODD_AFFINES, SHAPE, blob_brain, make_affine, world_points
from plgg import api
from plgg.config import Label, with_settings
from plgg.core.tables import write_csv
from plgg.core.volume import Volume
from plgg.data.check.cohort import check_manifest
from plgg.data.labels import region
from plgg.data.nifti.image import read_volume, write_volume
from plgg.data.store import Store
from plgg.data.store_arrays import decode
from plgg.metrics.overlap import hard_dice
from plgg.phantom.cohort import draw_markers
from plgg.phantom.patient import make_scan
from plgg.phantom.settings import phantom_settings
from plgg.preprocess.grid import slices_grid, sri24_grid
from plgg.preprocess.normalise import normalise_scan, restore
from plgg.preprocess.registration.start import centred

FAMILY = (
    Label(name="tumour", values=(1, 2, 3)),
    Label(name="core", values=(1, 3)),
    Label(name="cyst", values=(3,)),
)
SETTING = "tasks.segmentation.labels={tumour: [1, 2, 3], core: [1, 3], cyst: 3}"
QUICK = ("grid.spacing_mm=4", "preprocess.registration=centre", "preprocess.stripping=none")
GRID = sri24_grid(4.0)
THICK = (0.9, 0.9, 6.0)
THICK_SHAPE = (196, 196, 30)
GRIDS = {name: (SHAPE, affine) for name, affine in ODD_AFFINES.items()} | {
    "thick-slices": (
        THICK_SHAPE,
        make_affine(THICK, axes="PSR", turn_degrees=(12.0, -8.0, 5.0), shape=THICK_SHAPE),
    )
}


def nested(shape, affine):
    """A brain, and numbers of a tumour with a core on one side of it and a cyst within that."""
    flair, mask = blob_brain(shape, affine)
    points = world_points(shape, flair.affine)
    where = points[mask.data > 0]
    centre, reach = where.mean(axis=0), np.linalg.norm(where - where.mean(axis=0), axis=1).max()
    away = points - centre - np.array([reach, 0.0, 0.0]) / 4
    core = (np.linalg.norm(away, axis=-1) < 0.7 * reach) & (mask.data > 0)
    cyst = (np.linalg.norm(away, axis=-1) < 0.45 * reach) & core
    return flair, mask.with_data((mask.data > 0).astype(np.uint8) + core + cyst)


@pytest.mark.parametrize("name", GRIDS)
def test_regions_come_back_to_an_odd_grid(name):
    flair, numbers = nested(*GRIDS[name])
    prepared = normalise_scan(flair, numbers, GRID, labels=FAMILY)
    found = [region(prepared.labels, FAMILY, n) for n in range(3)]
    assert np.array_equal(found[0], prepared.mask > 0)
    assert not (found[2] & ~found[1]).any()
    for place in range(3):
        back = restore(found[place].astype(np.float32), prepared.placement)
        truth = region(numbers.data, FAMILY, place)
        assert hard_dice(back.data >= 0.5, truth) > (0.9, 0.85, 0.75)[place]


def test_axis_order_does_not_matter():
    flair, numbers = nested(SHAPE, ODD_AFFINES["oblique"])
    straight = normalise_scan(flair, numbers, GRID, labels=FAMILY).labels
    for order, flips in itertools.product([(1, 2, 0), (2, 1, 0)], [(1, -1, 1), (-1, 1, -1)]):
        orientation = np.array(list(zip(order, flips, strict=True)), dtype=float)
        images = [
            nib.Nifti1Image(one.data, one.affine).as_reoriented(orientation)
            for one in (flair, numbers)
        ]
        turned = [Volume(np.ascontiguousarray(one.dataobj), one.affine) for one in images]
        assert np.mean(normalise_scan(*turned, GRID, labels=FAMILY).labels != straight) < 1e-4


def test_slices_keep_their_regions():
    """On the scan's own slices hardly a voxel changes."""
    flair, numbers = nested(*GRIDS["thick-slices"])
    grid = slices_grid(flair.with_data(flair.data > 0), 2.5)
    placed = centred(flair, GRID)
    prepared = normalise_scan(flair, numbers, grid, placed, labels=FAMILY)
    for place in range(3):
        mask = region(prepared.labels, FAMILY, place).astype(np.float32)
        back = restore(mask, prepared.placement)
        assert hard_dice(back.data >= 0.5, region(numbers.data, FAMILY, place)) > 0.85


def patients(folder):
    """Three patients: all labels, the whole tumour alone in a value of its own, one odd value."""
    flair, numbers = nested(SHAPE, ODD_AFFINES["oblique"])
    # As masks have it: 2 around, 1 in the core, 3 in the cyst.
    values = np.choose(numbers.data, [0, 2, 1, 3]).astype(np.uint8)
    odd = values.copy()
    odd[values == 2] = 7
    rows = []
    for name, mask, told in (
        ("all", values, ""),
        ("whole", (values > 0) * np.uint8(9), "tumour"),
        ("odd", odd, ""),
    ):
        write_volume(folder / f"{name}.nii.gz", flair)
        write_volume(folder / f"{name}_mask.nii.gz", numbers.with_data(mask))
        rows.append((name, f"{name}.nii.gz", f"{name}_mask.nii.gz", told))
    write_csv(folder / "manifest.csv", ("patient_id", "flair", "mask", "mask_labels"), rows)
    return folder / "manifest.csv"


@pytest.fixture
def manifest(tmp_path):
    return patients(tmp_path)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The patients, and their stores with labels and without."""
    folder = tmp_path_factory.mktemp("made")
    listed = patients(folder)
    cohort = api.preprocess(listed, folder / "labelled", config_of(SETTING), workers=0)
    assert not cohort.failed
    api.preprocess(listed, folder / "plain", config_of(), workers=0)
    return folder


def config_of(*settings):
    return with_settings(api.configure("small", settings=QUICK), settings)


def test_the_check_names_values_that_no_label_has(manifest):
    findings = check_manifest(manifest, labels=FAMILY).findings
    found = [(one.case_id, one.severity) for one in findings if one.code == "mask-values"]
    assert found == [("odd", "warning")]
    # What the whole tumour is made of does not matter where the mask tells it alone.
    assert not [one for one in findings if one.case_id == "whole" and one.code == "mask-labels"]
    told = [one.message for one in api.check(manifest, config=config_of(SETTING)).findings]
    assert any("holds 7, which no label has" in message for message in told)
    plain = [one.message for one in api.check(manifest).findings]
    assert any("every label above 0 is taken as tumour" in message for message in plain)


def test_a_store_holds_the_labels(made):
    store = Store(made / "labelled")
    assert store.cohort.labels == FAMILY
    assert store.by_id["all"].labels == ("tumour", "core", "cyst")
    assert store.by_id["whole"].labels == ("tumour",)
    assert set(np.unique(store.labels("all"))) == {0, 1, 2, 3}
    assert set(np.unique(store.labels("whole"))) == {0, 1}
    assert np.array_equal(store.mask("whole"), store.mask("all"))
    # The value that no label has is no tumour.
    assert store.mask("odd").sum() < store.mask("all").sum()
    assert any("holds 7" in warning for warning in store.by_id["odd"].mask_warnings)
    assert not store.by_id["all"].mask_warnings
    values = read_volume(made / "all_mask.nii.gz").data
    native = read_volume(store.folder / "cases" / "all" / "labels.nii.gz").data
    for place, label in enumerate(FAMILY):
        assert np.array_equal(region(native, FAMILY, place), np.isin(values, label.values))
    truth = read_volume(store.truth_path("all")).data
    assert np.array_equal(truth > 0, values > 0)
    (case,) = store.manifest_cases(["whole"])
    assert case.stored_labels.known == ("tumour",)


def test_without_labels_nothing_changes(made):
    plain, labelled = Store(made / "plain"), Store(made / "labelled")
    files = sorted(path.name for path in (plain.folder / "cases" / "all").iterdir())
    assert files == ["case.json", "image.b2nd", "mask.b2nd", "truth.nii.gz"]
    assert np.array_equal(plain.mask("all"), labelled.mask("all"))
    assert np.array_equal(plain.image("all"), labelled.image("all"))
    assert np.array_equal(plain.labels("all"), plain.mask("all"))
    assert plain.mask("odd").sum() > labelled.mask("odd").sum()


def test_a_store_follows_labels_and_manifest(manifest, tmp_path):
    """What is the same is kept; other labels, or a mask that tells less, are made anew."""
    store = tmp_path / "store"

    def again(*settings):
        cohort = api.preprocess(manifest, store, config_of(*settings), workers=0)
        kept = (store / "cases" / "all" / "case.json").stat().st_mtime_ns
        return kept, {failed.case_id: failed.reason for failed in cohort.failed}

    first, failed = again(SETTING)
    assert not failed
    text = manifest.read_text(encoding="utf-8")
    rows = {"whole_mask.nii.gz,tumour": 'whole_mask.nii.gz,"tumour, core"'}
    rows |= {"odd_mask.nii.gz,": "odd_mask.nii.gz,tumor"}
    for old, new in rows.items():
        assert old in text
        text = text.replace(old, new)
    manifest.write_text(text, encoding="utf-8")
    assert any(
        "names the label 'tumor'" in one.message
        for one in check_manifest(manifest, labels=FAMILY).findings
    )
    second, failed = again(SETTING)
    assert second == first
    # The value 9 is none of the tumour's.
    assert "which no label has, and nothing else" in failed["whole"]
    assert "names the label 'tumor'" in failed["odd"]
    third, _ = again("tasks.segmentation.labels={tumour: [1, 2, 3], cyst: 3}")
    assert third != first


def test_phantoms_label_their_cysts():
    """As the same phantoms without labels, but for the values of the mask."""
    common = {"n_patients": 3, "seed": 3, "spacing_mm": 4.0, "slice_thickness_mm": 8.0}
    plain = phantom_settings(**common)
    labelled = phantom_settings(**common, label_cysts=True)
    found = []
    for patient, marker in enumerate(draw_markers(plain)):
        flair, mask = make_scan(plain, patient, marker, scan=0)
        same, values = make_scan(labelled, patient, marker, scan=0)
        assert np.array_equal(flair.data, same.data)
        assert np.array_equal(mask.data > 0, values.data > 0)
        found.append(set(np.unique(values.data)))
    assert {0, 1, 2} in found
    assert all(values <= {0, 1, 2} for values in found)


@pytest.mark.real
def test_real_labels_go_into_a_store_and_back(shared_data, tmp_path):
    """BraTS: values 1 to 4, of which 2 is oedema."""
    rows = []
    for folder in sorted((shared_data / "brats2013").glob("brats_2013_*"))[:1]:
        flair = read_volume(folder / "Flair_subtrMeanDivStd.nii.gz")
        brain = read_volume(folder / "brainmask.nii.gz").data > 0.5
        stripped = np.where(brain, flair.data - flair.data.min() + 1, 0).astype(np.float32)
        path = tmp_path / f"{folder.name}.nii.gz"
        write_volume(path, flair.with_data(stripped))
        rows.append((folder.name, str(path), str(folder / "OTMultiClass.nii.gz")))
    write_csv(tmp_path / "manifest.csv", ("patient_id", "flair", "mask"), rows)
    setting = "tasks.segmentation.labels={tumour: [1, 2, 3, 4], core: [1, 3, 4], enhancing: 4}"
    config = config_of(setting, "grid.spacing_mm=2")
    report = check_manifest(tmp_path / "manifest.csv", labels=config.labels)
    assert not [one for one in report.findings if one.code.startswith("mask")]
    cohort = api.preprocess(tmp_path / "manifest.csv", tmp_path / "store", config, workers=0)
    assert not cohort.failed
    store = Store(tmp_path / "store")
    for name, _, mask in rows:
        values = read_volume(Path(mask)).data
        assert (decode(store.image(name)) != 0).any()
        for place, label in enumerate(config.labels):
            stored = region(store.labels(name), config.labels, place).astype(np.float32)
            back = restore(stored, store.placement(name))
            truth = np.isin(values, label.values)
            assert hard_dice(back.data >= 0.5, truth) > (0.94, 0.9, 0.75)[place], (name, label)
