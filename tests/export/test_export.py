"""Exports answer as PyTorch does, at any size, and belong to one checkpoint."""

import json
import shutil

import numpy as np
import pytest

from plgg.config import InferenceConfig
from plgg.core.errors import ConfigError, OutputError, RunError
from plgg.core.files import sha256
from plgg.export import run as export_module
from plgg.export.run import FORMATS, ExportedNetwork, export_run
from plgg.model.checkpoint import load_checkpoint
from plgg.model.network import marker_alone
from plgg.predict.engine import FILE, ExportRecord
from plgg.predict.engines.load import load_engine
from plgg.predict.member import load_member
from plgg.predict.whole_brain import predict_box
from plgg.train.run import train
from runs import CLASSES, SHALLOW, make_run
from tiny import SMALL_SHAPE, blob_case, hand_split, tiny_config, tiny_store

ENGINES = ("onnx", "openvino")
KINDS = (*ENGINES, "monai-bundle")


@pytest.mark.parametrize("kind", KINDS)
def test_an_export_says_what_it_was_made_from(exported, kind):
    made = exported.made[kind]
    assert made.path == exported.run / "export" / kind
    record = ExportRecord.model_validate(json.loads((made.path / FILE).read_text()))
    assert record == made.record
    assert record.checkpoint_sha256 == exported.checkpoint.meta.sha256
    assert record.classes == CLASSES
    assert record.divisor == 4
    assert (made.path / record.model).is_file()
    written = {p for p in made.path.rglob("*") if p.is_file() and p.name != FILE}
    assert {made.path / name for name in record.files} == written
    assert all(sha256(made.path / name) == digest for name, digest in record.files.items())
    assert set(made.largest_difference) == {"tumour", "marker", "features"}
    assert max(made.largest_difference.values()) < 1e-3
    assert len(record.boxes) == 2


@pytest.mark.parametrize("name", ENGINES)
@pytest.mark.parametrize("shape", [(4, 8, 8), (24, 32, 16), (21, 45, 30)])
def test_an_engine_answers_as_pytorch_does(exported, name, shape):
    codes = blob_case(shape)[0]
    settings = InferenceConfig(mirror=True)
    tasks = exported.checkpoint.meta.restored_tasks()
    expected = predict_box(
        load_engine("pytorch", exported.run, exported.checkpoint), codes, settings, tasks=tasks
    )
    engine = load_engine(name, exported.run, exported.checkpoint)
    found = predict_box(engine, codes, settings, tasks=tasks)
    assert engine.name.startswith(f"{name}, cpu")
    assert found.tumour.shape == shape
    np.testing.assert_allclose(found.tumour, expected.tumour, atol=1e-3)
    np.testing.assert_allclose(found.marker, expected.marker, atol=1e-4)
    np.testing.assert_allclose(found.features, expected.features, rtol=1e-3, atol=1e-3)
    assert found.marker.dtype == np.float64


def test_further_tasks_are_exported_as_well(tmp_path):
    store = tiny_store(
        tmp_path / "store",
        n=6,
        shape=SMALL_SHAPE,
        ages=(3, 5, 8, 11, 14, 2),
        columns={"grade": ["1", "2", "3"] * 2},
    )
    config = tiny_config(
        "tasks={segmentation: segmentation, marker: classification, grade: classification, "
        "age_years: regression}",
        *SHALLOW,
        "optimiser.epochs=1",
    )
    train(store, tmp_path / "run", config, hand_split(store))
    wanted = load_member(tmp_path / "run", calibrated=False)
    codes, settings = blob_case((21, 30, 16))[0], InferenceConfig()
    expected = predict_box(wanted.engine, codes, settings, tasks=wanted.tasks)
    for kind in KINDS:
        made = export_run(tmp_path / "run", None, kind)
        differences = made.largest_difference
        assert set(differences) == {"tumour", "features", "marker", "grade", "age_years"}
        assert made.record.tasks["grade"].classes == ("1", "2", "3")
    for name in ENGINES:
        member = load_member(tmp_path / "run", engine=name, calibrated=False)
        found = predict_box(member.engine, codes, settings, tasks=member.tasks)
        assert set(found.tasks) == {"marker", "grade", "age_years"}
        for task, values in expected.tasks.items():
            np.testing.assert_allclose(found.tasks[task], values, rtol=1e-3, atol=1e-3)


def test_an_engine_may_use_windows(exported):
    codes = blob_case((24, 32, 16))[0]
    settings = InferenceConfig(window=(16, 16, 16))
    tumours = [
        predict_box(load_engine(name, exported.run, exported.checkpoint), codes, settings).tumour
        for name in ("pytorch", "onnx")
    ]
    np.testing.assert_allclose(*tumours, atol=1e-3)


def test_nothing_of_the_makers_folders_is_in_an_export(exported):
    """The exporter would write the path of every source file into the model."""
    for made in exported.made.values():
        for path in (p for p in made.path.rglob("*") if p.is_file()):
            content = path.read_bytes()
            assert b"site-packages" not in content
            assert str(exported.run).encode() not in content


def test_a_guided_decoder_answers_as_pytorch_does(tmp_path):
    guided = ("model.marker.guides_outline=true", "model.blocks_down=[1,1]", "model.blocks_up=[1]")
    made = export_run(make_run(tmp_path, *guided), None, "onnx")
    assert set(made.largest_difference) == {"tumour", "features", "marker"}


def test_the_single_arm_has_no_marker(tmp_path):
    made = export_run(make_run(tmp_path, "arm=single"), None, "monai-bundle")
    assert set(made.largest_difference) == {"tumour", "features"}


def copied(exported, tmp_path):
    return shutil.copytree(exported.run, tmp_path / "run")


@pytest.mark.parametrize("name", ENGINES)
def test_an_export_of_another_checkpoint_is_refused(exported, tmp_path, name):
    run = copied(exported, tmp_path)
    other = export_module.load_checkpoint(make_run(run, seed=5))
    with pytest.raises(RunError, match=f"another checkpoint.*plgg export .* --format {name}"):
        load_engine(name, run, other)


@pytest.mark.parametrize("name", ENGINES)
def test_an_altered_export_is_refused(exported, tmp_path, name):
    run = copied(exported, tmp_path)
    with (run / "export" / name / exported.made[name].record.model).open("ab") as file:
        file.write(b" ")
    with pytest.raises(RunError, match="not as it was written"):
        load_engine(name, run, exported.checkpoint)


def test_a_record_that_cannot_be_read_is_refused(exported, tmp_path):
    run = copied(exported, tmp_path)
    (run / "export" / "onnx" / FILE).write_text("{}")
    with pytest.raises(RunError, match="does not fit this version"):
        load_engine("onnx", run, exported.checkpoint)
    shutil.copy(run / "export" / "openvino" / FILE, run / "export" / "onnx" / FILE)
    with pytest.raises(RunError, match="is an export to openvino, not onnx"):
        load_engine("onnx", run, exported.checkpoint)


def test_a_run_that_was_not_exported_says_how_to(exported, tmp_path):
    with pytest.raises(RunError, match=r"not exported to onnx.*plgg export .* --format onnx"):
        load_engine("onnx", tmp_path, exported.checkpoint)


def test_unknown_names_are_refused(exported, tmp_path):
    with pytest.raises(ConfigError, match="Choose one of pytorch, onnx, openvino"):
        load_engine("tensorrt", exported.run, exported.checkpoint)
    with pytest.raises(ConfigError, match="onnx, openvino, monai-bundle, plgg-model"):
        export_run(exported.run, tmp_path / "out", "tflite")


def test_a_network_that_answers_otherwise_is_not_kept(tmp_path, monkeypatch):
    run = make_run(tmp_path / "run")

    def wrong(checkpoint, network, folder):
        written = FORMATS["monai-bundle"](checkpoint, network, folder)

        def answer(image):
            outputs = written.run(image)
            return outputs | {"segmentation": outputs["segmentation"] + np.float32(0.5)}

        return ExportedNetwork(written.model, answer)

    monkeypatch.setattr(export_module, "FORMATS", {"monai-bundle": wrong})
    with pytest.raises(RunError, match=r"differs from PyTorch by 0\.1\d* in tumour; 0\.003"):
        export_run(run, None, "monai-bundle")
    assert list((run / "export").iterdir()) == []


def test_not_a_number_is_not_near():
    with pytest.raises(RunError, match="nan in marker"):
        export_module.require_near({"tumour": 0.0, "marker": float("nan")}, "onnx")


def test_differences_are_in_probability_and_in_shares():
    def outputs(logit, feature, named):
        arrays = ([[logit]], [[feature, 200.0]], [[named, 0.0]])
        return dict(zip(("segmentation", "features", "marker"), map(np.array, arrays), strict=True))

    one, other = outputs(0.0, 10.0, 0.0), outputs(np.log(3.0), 9.0, np.log(1.5))
    largest = export_module.largest_difference([one, one], [one, other], marker_alone(2))
    assert largest == pytest.approx({"tumour": 0.25, "features": 1 / 200, "marker": 0.1})


def test_a_folder_that_is_no_export_is_left_alone(tmp_path):
    run = make_run(tmp_path / "run")
    out = tmp_path / "precious"
    out.mkdir()
    (out / "thesis.txt").write_text("x")
    with pytest.raises(OutputError, match="is no export"):
        export_run(run, out, "monai-bundle")
    assert (out / "thesis.txt").read_text() == "x"
    again = [export_run(run, tmp_path / "out", "monai-bundle").record for _ in range(2)]
    assert again[0] == again[1]


def test_a_network_of_two_sequences_is_exported_and_answers_alike(tmp_path):
    run = make_run(
        tmp_path / "run",
        "model.blocks_down=[1,1,1]",
        "model.blocks_up=[1,1]",
        "channels=[flair,t2]",
    )
    made = export_run(run, None, "onnx")
    assert max(made.largest_difference.values()) < 1e-3
    engine = load_engine("onnx", run, load_checkpoint(run, "best"))
    assert engine.n_channels == 2
    image = np.random.default_rng(0).standard_normal((2, 24, 24, 24), dtype=np.float32)
    ours = load_engine("pytorch", run, load_checkpoint(run, "best"))(image)
    np.testing.assert_allclose(engine(image).segmentation, ours.segmentation, atol=2e-3)
    with pytest.raises(ConfigError, match="a MONAI bundle reads one image"):
        export_run(run, None, "monai-bundle")
