"""Trained nnU-Net results as a model: nothing of them is run, and geometry stays intact."""

import json
import pickle
import sys
import zipfile

import nibabel as nib
import numpy as np
import pytest
import torch

from helper import ODD_AFFINES, write_case
from nnunet_results import checkpoint_of, dataset_of, plans_of, results
from plgg import api
from plgg.config import GridConfig, PreprocessConfig
from plgg.core.errors import CheckpointError, ConfigError, RunError
from plgg.data.nnunet import NnunetExport, part_of_fold, read_nnunet_export
from plgg.data.result import read_result
from plgg.data.split import Split
from plgg.predict import nnunet_member
from plgg.predict.engines.nnunet_checkpoint import load_nnunet_checkpoint
from plgg.predict.engines.nnunet_plans import Description
from plgg.predict.options import PredictOptions
from program import one_line, plgg
from tiny import tiny_store

PREPROCESS = PreprocessConfig(registration="centre", stripping="none")
SLICES = GridConfig(kind="slices", spacing_mm=4.0)
ATLAS = GridConfig(spacing_mm=4.0)
SPLIT = Split(train=("a", "b"), validation=("c",), test=("d", "e"), k=0, seed=0)


def exported(grid):
    made = NnunetExport(channels=("flair",), grid=grid, preprocess=PREPROCESS, splits=(SPLIT,))
    return made.model_dump(mode="json")


@pytest.fixture
def plain(monkeypatch):
    """Blobs have no anatomy to register, of which a network of unknown scans says nothing."""
    monkeypatch.setattr(nnunet_member, "GATE_SETTINGS", PREPROCESS)


def dice_on_scan(out, case, mask_path, scan_path):
    """Dice with the truth; the grid must be the scan's."""
    scan, mask = nib.load(scan_path), nib.load(out / case / "mask.nii.gz")
    probability = nib.load(out / case / "probability.nii.gz")
    truth = np.asarray(nib.load(mask_path).dataobj) > 0
    found = np.asarray(mask.dataobj) > 0
    for image in (mask, probability):
        assert image.shape == scan.shape
        np.testing.assert_allclose(image.affine, scan.affine, atol=1e-4)
    return 2 * (found & truth).sum() / (found.sum() + truth.sum())


@pytest.mark.usefixtures("plain")
@pytest.mark.parametrize(
    ("grid", "dimensions", "affine"),
    [
        (SLICES, 2, "oblique-lps"),
        (SLICES, 3, "sagittal"),
        (ATLAS, 2, "coronal"),
        (None, 2, "oblique-lps"),
        (None, 3, "thick"),
    ],
)
def test_a_scan_however_it_lies_is_outlined_where_it_is_bright(tmp_path, grid, dimensions, affine):
    export = grid and exported(grid)
    model = results(tmp_path / "model", dimensions=dimensions, export=export, spacing_mm=4.2)
    scan, mask = write_case(tmp_path, "odd", affine=ODD_AFFINES[affine])
    options = PredictOptions(pages=False)
    (outcome,) = api.predict([scan], model=model, out=tmp_path / "out", options=options)
    assert outcome.reason is None
    assert dice_on_scan(tmp_path / "out", outcome.case_id, mask, scan) > 0.85


def test_the_command_says_what_is_not_known_and_folds_answer_together(tmp_path):
    model = results(tmp_path / "model", export=exported(SLICES), folds=(0, 1))
    scan, mask = write_case(tmp_path, "odd", affine=ODD_AFFINES["sagittal"])
    plgg("predict", scan, "--model", model, "--out", tmp_path / "out")
    assert dice_on_scan(tmp_path / "out", "odd_flair", mask, scan) > 0.85
    result = read_result(tmp_path / "out" / "odd_flair" / "result.json")
    assert result.marker is None
    assert result.volume_interval is None
    assert result.familiarity is None
    assert result.volume_ml == pytest.approx(24, rel=0.15)
    assert [one.split for one in result.models] == [0, 1]
    assert result.uncertainty.n_views == 2
    assert "names no marker" in result.note
    assert "as it is" not in result.note
    page = (tmp_path / "out" / "odd_flair" / "report.html").read_text("utf-8")
    assert "names no marker" in page


@pytest.mark.usefixtures("plain")
def test_a_network_of_unknown_scans_is_given_the_scan_as_it_is_and_that_is_told(tmp_path):
    model = results(tmp_path / "model")
    scan, _ = write_case(tmp_path, "odd")
    image = nib.load(scan)
    found = api.segment(image.get_fdata(), image.affine, model=model)
    assert found.mask.shape == image.shape
    options = PredictOptions(pages=False)
    (outcome,) = api.predict([scan], model=model / "fold_0", out=tmp_path / "o", options=options)
    assert "as it is" in outcome.result.note
    assert outcome.result.volume_ml == pytest.approx(found.volume_ml)


def test_what_nnunet_cannot_do_is_refused(tmp_path):
    model = results(tmp_path / "model", export=exported(SLICES), folds=(0, 1))
    scan, _ = write_case(tmp_path, "odd")
    words = ("predict", scan, "--model", model, "--out", tmp_path / "out")
    assert "does not run on onnx" in one_line(plgg(*words, "--engine", "onnx", status=2))
    assert "fold_0" in one_line(plgg(*words, "--part", "test", status=2))
    assert part_of_fold(model / "fold_0", "test") == ("d", "e")
    with pytest.raises(RunError, match="which patients"):
        part_of_fold(model / "fold_1", "test")
    for setting, said in (
        ("inference.memory_gib=1", "windows of its own"),
        ("inference.zooms=[1, 1.25]", "the size of its training"),
    ):
        options = PredictOptions(pages=False, settings=(setting,))
        (outcome,) = api.predict([scan], model=model, out=tmp_path / "out", options=options)
        assert said in outcome.reason


def test_without_nnunetv2_the_remedy_is_told(tmp_path, monkeypatch):
    model = results(tmp_path / "model", export=exported(SLICES))
    scan, _ = write_case(tmp_path, "odd")
    monkeypatch.setitem(sys.modules, "nnunetv2.inference.predict_from_raw_data", None)
    with pytest.raises(ConfigError, match=r"pip install \"plgg\[nnunet\]\""):
        api.predict([scan], model=model, out=tmp_path / "out")


def test_a_folder_of_something_else_is_refused(tmp_path):
    scan, _ = write_case(tmp_path, "odd")
    inner = tmp_path / "Dataset501_x" / "nnUNetTrainer__nnUNetPlans__2d"
    inner.mkdir(parents=True)
    with pytest.raises(CheckpointError, match="nnUNetTrainer__nnUNetPlans__2d"):
        api.predict([scan], model=inner.parent, out=tmp_path / "out")
    with pytest.raises(CheckpointError, match="no checkpoint"):
        api.predict([scan], model=inner, out=tmp_path / "out")
    (inner / "plans.json").write_text(json.dumps(plans_of(2, spacing_mm=4)))
    (inner / "dataset.json").write_text(json.dumps(dataset_of()))
    with pytest.raises(RunError, match="no fold_K"):
        api.predict([scan], model=inner, out=tmp_path / "out")
    (inner / "fold_0").mkdir()
    with pytest.raises(CheckpointError, match="no such checkpoint"):
        api.predict([scan], model=inner, out=tmp_path / "out")


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (exec, (f"open({str(self.path)!r}, 'w').close()",))


def test_no_code_of_a_checkpoint_is_run(tmp_path):
    path, done = tmp_path / "checkpoint_final.pth", tmp_path / "done"
    weights = {"a": torch.zeros(2)}
    torch.save(checkpoint_of(weights), path)
    assert load_nnunet_checkpoint(path).mirror_axes == (0, 1)
    for place in ("init_args", "network_weights", "logging"):
        torch.save(checkpoint_of(weights) | {place: Harmful(done)}, path)
        with pytest.raises(CheckpointError, match="more than weights"):
            load_nnunet_checkpoint(path)
    path.write_bytes(pickle.dumps(Harmful(done)))
    with pytest.raises(CheckpointError, match="no checkpoint of PyTorch"):
        load_nnunet_checkpoint(path)
    assert not done.exists()


def test_a_checkpoint_that_unpacks_to_more_is_not_read(tmp_path):
    plain, packed = tmp_path / "plain.pth", tmp_path / "packed.pth"
    torch.save(checkpoint_of({"a": torch.zeros(1000)}), plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, old.read(name))
    with pytest.raises(CheckpointError, match="packed"):
        load_nnunet_checkpoint(packed)


@pytest.mark.parametrize(
    "changed",
    [
        {"network_weights": {}},
        {"network_weights": [1]},
        {"network_weights": {"a": torch.zeros(1).expand(10**9)}},
        {"init_args": {}},
        {"inference_allowed_mirroring_axes": (7,)},
        {"current_epoch": -1},
    ],
)
def test_a_checkpoint_of_something_else_is_refused(tmp_path, changed):
    path = tmp_path / "checkpoint_final.pth"
    torch.save(checkpoint_of({"a": torch.zeros(2)}) | changed, path)
    with pytest.raises(CheckpointError, match="no checkpoint of nnU-Net"):
        load_nnunet_checkpoint(path)


def described(tmp_path, place=(), value=None):
    """Plans and data set, with one entry changed, as they are read."""
    files = {"plans": plans_of(2, spacing_mm=4.0), "dataset": dataset_of()}
    configuration = files["plans"]["configurations"]["2d"]
    own = {**files, "2d": configuration, "net": configuration["architecture"]}
    own["kw"] = own["net"]["arch_kwargs"]
    if place:
        own[place[0]][place[1]] = value
    for name, record in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record))
    return Description(tmp_path).require_configuration(configuration)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("net", "network_class_name"), "antigravity.fly"),
        (("net", "_kw_requires_import"), ["kernel_sizes"]),
        (("kw", "conv_op"), "os.system"),
        (("kw", "features_per_stage"), [10**9] * 2),
        (("kw", "n_stages"), 10**9),
        (("kw", "norm_op_kwargs"), {"device": "cuda"}),
        (("2d", "preprocessor_name"), "MyPreprocessor"),
        (("2d", "resampling_fn_data"), "system"),
        (("2d", "patch_size"), [1024, 1024, 1024]),
        (("2d", "spacing"), [1e-9, 1e-9]),
        (("2d", "spacing"), [1.0, 1.0, 1.0]),
        (("2d", "previous_stage"), "3d_lowres"),
        (("plans", "label_manager"), "MyLabels"),
        (("plans", "image_reader_writer"), "MyReader"),
        (("plans", "transpose_backward"), [2, 1, 0]),
        (("dataset", "labels"), {"background": 0, "whole": [1, 2]}),
        (("dataset", "labels"), {"background": 1, "tumour": 0}),
        (("dataset", "channel_names"), {}),
    ],
)
def test_plans_may_name_nothing_but_nnunets_own(tmp_path, place, value):
    described(tmp_path)
    with pytest.raises(RunError):
        described(tmp_path, place, value)


def test_how_scans_were_prepared_is_read_or_refused(tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps(dataset_of()))
    assert read_nnunet_export(tmp_path) is None
    (tmp_path / "dataset.json").write_text(json.dumps(dataset_of(exported(ATLAS))))
    assert read_nnunet_export(tmp_path).grid == ATLAS
    (tmp_path / "plgg.json").write_text(json.dumps(exported(SLICES)))
    assert read_nnunet_export(tmp_path).grid == SLICES
    (tmp_path / "plgg.json").write_text(json.dumps({**exported(SLICES), "splits": "none"}))
    with pytest.raises(RunError, match="how its scans were prepared"):
        read_nnunet_export(tmp_path)


def test_of_a_store_a_network_of_unknown_scans_has_nothing_to_look_at(tmp_path):
    model = results(tmp_path / "model")
    tiny_store(tmp_path / "store", 1)
    (outcome,) = api.predict([tmp_path / "store"], model=model, out=tmp_path / "out")
    assert outcome.reason is not None


def test_results_without_their_data_set_s_record_are_called_so(tmp_path):
    model = tmp_path / "model"
    (model / "fold_0").mkdir(parents=True)
    (model / "plans.json").write_text("{}")
    for folder in (model, model / "fold_0"):
        with pytest.raises(CheckpointError, match=r"model: holds nnU-Net's plans.json, but no"):
            api.predict([tmp_path], model=folder, out=tmp_path / "out")
