"""Labels of the mask as nnU-Net's regions: what is exported, what is refused, what is predicted."""

import json

import nibabel as nib
import numpy as np
import pytest
from labelled import LABELS, labelled_store
from scipy.ndimage import binary_erosion

from helper import ODD_AFFINES, blob_brain
from nnunet_results import results
from plgg import api
from plgg.config import GridConfig, Label, PreprocessConfig
from plgg.core.errors import ConfigError, RunError
from plgg.data.labels import region
from plgg.data.nifti.image import read_volume, write_volume
from plgg.data.nnunet import NnunetExport, nnunet_labels, read_nnunet_export
from plgg.data.split import Split
from plgg.data.store import Store
from plgg.data.store_writing import write_cohort
from plgg.metrics.overlap import hard_dice
from plgg.predict.engines.nnunet_plans import Description
from plgg.predict.options import PredictOptions
from program import one_line, plgg

NESTED = (
    Label(name="tumour", values=(1, 2, 3, 4)),
    Label(name="core", values=(1, 3)),
    Label(name="cyst", values=(3,)),
    Label(name="oedema", values=(4,)),
)


@pytest.fixture
def store(tmp_path):
    return labelled_store(tmp_path / "store", n=8, whole_alone=("P02", "P05"))


def read(folder, name):
    return json.loads((folder / name).read_text("utf-8"))


def test_a_store_with_labels_is_written_as_regions(store, tmp_path):
    plgg("export", "nnunet", store.folder, tmp_path / "raw", "--splits", 2)
    data = tmp_path / "raw" / "Dataset500_plgg"
    dataset = read(data, "dataset.json")
    assert dataset["labels"] == {"background": 0, "tumour": [1, 2], "cyst": [2]}
    assert dataset["regions_class_order"] == [1, 2]
    names = [f"P{n:02d}" for n in range(8) if n not in (2, 5)]
    assert [path.name for path in sorted((data / "labelsTr").iterdir())] == [
        f"{name}.nii.gz" for name in names
    ]
    for name in names:
        label = np.asarray(nib.load(data / "labelsTr" / f"{name}.nii.gz").dataobj)
        np.testing.assert_array_equal(label, store.labels(name))
        assert set(np.unique(label)) == {0, 1, 2}
    assert read_nnunet_export(data).labels == LABELS


def test_a_mask_that_tells_less_is_left_out_and_named(store, tmp_path):
    """What it does not tell would be taught as absent."""
    said = plgg("export", "nnunet", store.folder, tmp_path / "raw", "--splits", 2).out
    assert "does not tell all labels, left out: P02, P05" in said
    data = tmp_path / "raw" / "Dataset500_plgg"
    parts = [part for split in read(data, "splits_final.json") for part in split.values()]
    used = {name for part in (*parts, *read(data, "splits_test.json")) for name in part}
    assert used
    assert not used & {"P02", "P05"}
    made = api.export_nnunet(store.folder, tmp_path / "again", splits=1)
    assert (made.left_out, made.partly, made.cases) == ((), ("P02", "P05"), 6)


def test_what_nnunet_cannot_be_told_is_one_line(store, tmp_path):
    def told(*labels):
        write_cohort(store.folder, store.cohort.model_copy(update={"labels": labels}))
        return one_line(plgg("export", "nnunet", store.folder, tmp_path / "raw", status=2))

    other = Label(name="oedema", values=(2, 3))
    assert "neither nested nor disjoint" in told(Label(name="t", values=(1, 2)), other)
    assert "means something else" in told(LABELS[0], Label(name="ignore", values=(2,)))
    alone = labelled_store(tmp_path / "alone", n=5, whole_alone=[f"P{n:02d}" for n in range(5)])
    with pytest.raises(ConfigError, match="tells all its labels"):
        api.export_nnunet(alone.folder, tmp_path / "raw")
    assert not (tmp_path / "raw").exists()


def test_one_label_is_written_as_before(store, tmp_path):
    """The record, too, so that versions before there were labels read it."""
    write_cohort(store.folder, store.cohort.model_copy(update={"labels": LABELS[:1]}))
    made = api.export_nnunet(Store(store.folder).folder, tmp_path / "raw", splits=1)
    dataset = read(made.folder, "dataset.json")
    assert dataset["labels"] == {"background": 0, "tumour": 1}
    assert "regions_class_order" not in dataset
    assert "labels" not in dataset["plgg"]
    assert made.cases == 8


@pytest.mark.parametrize("labels", [LABELS, NESTED], ids=["two", "nested"])
def test_nnunets_own_code_makes_of_the_regions_the_map_again(labels):
    handling = pytest.importorskip(
        "nnunetv2.utilities.label_handling.label_handling",
        reason='nnunetv2 is absent: pip install "plgg[nnunet]"',
    )
    said = json.loads(json.dumps(nnunet_labels(labels)))
    manager = handling.LabelManager(said["labels"], said["regions_class_order"])
    assert manager.has_regions
    numbers = np.random.default_rng(0).integers(0, len(labels) + 1, (6, 7, 8))
    regions = [region(numbers, labels, place) for place in range(len(labels))]
    assert [tuple(one) for one in manager.foreground_regions] == [
        tuple(said["labels"][label.name]) for label in labels
    ]
    probability = np.stack(regions).astype(np.float32)
    found = manager.convert_probabilities_to_segmentation(probability)
    np.testing.assert_array_equal(found, numbers)


def exported(labels=LABELS, kind="slices"):
    """What an export of such a store says of itself."""
    made = NnunetExport(
        channels=("flair",),
        labels=labels,
        grid=GridConfig(kind=kind, spacing_mm=4.0),
        preprocess=PreprocessConfig(registration="centre", stripping="none"),
        splits=(Split(train=("a",), validation=("b",), test=("c",), k=0, seed=0),),
    )
    return made.model_dump(mode="json")


def bright_core(affine):
    """A brain whose tumour has a brighter core, and both truths."""
    flair, mask = blob_brain(affine=affine)
    tumour = mask.data > 0
    reach = np.linalg.norm(affine[:3, :3], axis=0)
    core = binary_erosion(tumour, iterations=max(1, round(7.0 / reach.max())))
    return flair.with_data(flair.data - 20.0 * (tumour & ~core) + 40.0 * core), tumour, core


@pytest.mark.parametrize(
    ("kind", "dimensions", "affine"),
    [("slices", 2, "oblique-lps"), ("slices", 3, "sagittal"), ("atlas", 2, "coronal")],
)
def test_a_network_of_regions_outlines_each_where_it_is(tmp_path, kind, dimensions, affine):
    model = results(
        tmp_path / "model", dimensions=dimensions, export=exported(kind=kind), folds=(0, 1)
    )
    scan, tumour, core = bright_core(ODD_AFFINES[affine])
    write_volume(tmp_path / "scan.nii.gz", scan)
    (outcome,) = api.predict([tmp_path / "scan.nii.gz"], model=model, out=tmp_path / "out")
    assert outcome.reason is None
    case = tmp_path / "out" / "scan"
    numbers = read_volume(case / "labels.nii.gz")
    np.testing.assert_allclose(numbers.affine, scan.affine, atol=1e-4)
    assert hard_dice(numbers.data > 0, tumour) > 0.85
    assert hard_dice(numbers.data == 2, core) > 0.7
    np.testing.assert_array_equal(numbers.data > 0, read_volume(case / "mask.nii.gz").data > 0)
    whole, cyst = outcome.result.labels
    assert (whole.name, cyst.name, cyst.values) == ("tumour", "cyst", (2,))
    ml = float((numbers.data == 2).sum()) * numbers.voxel_volume_ml
    assert cyst.volume_ml == pytest.approx(ml, rel=1e-3)
    assert read_volume(case / "probability_cyst.nii.gz").data.max() > 0.9
    assert "Labels of the mask" in (case / "report.html").read_text("utf-8")


def test_regions_that_no_export_tells_are_refused(tmp_path):
    model = results(tmp_path / "model", export=exported())
    dataset = read(model, "dataset.json")

    def refused(**changed):
        (model / "dataset.json").write_text(json.dumps({**dataset, **changed}))
        scan = tmp_path / "scan.nii.gz"
        write_volume(scan, blob_brain()[0])
        options = PredictOptions(pages=False)
        with pytest.raises(RunError) as told:
            api.predict([scan], model=model, out=tmp_path / "out", options=options)
        return str(told.value)

    assert "not those of an export" in refused(plgg=None)
    other = nnunet_labels((LABELS[0], Label(name="core", values=(2,))))
    assert "was written of" in refused(**other)
    swapped = {"background": 0, "cyst": [2], "tumour": [1, 2]}
    assert "was written of" in refused(labels=swapped)
    assert "was written of" in refused(regions_class_order=[2, 1])
    (model / "dataset.json").write_text(json.dumps(dataset))
    assert Description(model, LABELS).n_regions == 2
    (model / "dataset.json").write_text(json.dumps({**dataset, **nnunet_labels(LABELS[:1])}))
    with pytest.raises(RunError, match="was written of"):
        Description(model, LABELS)
    plain = {key: value for key, value in dataset.items() if key != "regions_class_order"}
    (model / "dataset.json").write_text(json.dumps({**plain, **nnunet_labels(LABELS[:1])}))
    assert Description(model, LABELS[:1]).n_regions == 0
