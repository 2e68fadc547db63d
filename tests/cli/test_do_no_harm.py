"""Whatever folder is named for the output, what was there before keeps its bytes."""

import json
import os
from contextlib import contextmanager

import numpy as np
import pytest

from dicom_series import write_series
from helper import blob_brain, make_affine, write_csv, write_nifti
from plgg.core.lock import LOCK, locked
from plgg.core.volume import Volume
from program import one_line, plgg
from runs import SHALLOW, make_run
from tiny import tiny_store

AFFINE = make_affine((4.5, 4.5, 4.5))
REMEDIES = ("Choose another output folder.", "Move it away", "Use another folder", "Name ")
TINY = ("--preset", "small", "--epochs", 1, "--set", "grid.spacing_mm=4")
NOTES = "left frontal, ask Dr. Meyer\n"


def contents(folder):
    """Every file below a folder and its bytes; links as where they lead to."""
    return {
        path.relative_to(folder).as_posix(): (
            str(path.readlink()) if path.is_symlink() else path.read_bytes()
        )
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


@contextmanager
def untouched(folder):
    """Nothing below the folder is changed, and nothing is added."""
    before = contents(folder)
    yield
    assert contents(folder) == before


@contextmanager
def kept(folder):
    """Nothing that was below the folder is changed; something may be added."""
    before = contents(folder)
    yield
    after = contents(folder)
    assert {name: after.get(name) for name in before} == before


def refused(*command, cwd=None):
    """The one line with which a command is refused; it ends with what to do."""
    line = one_line(plgg(*command, status=2, cwd=cwd))
    assert any(remedy in line for remedy in REMEDIES), line
    return line


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("model") / "run", *SHALLOW, "grid.spacing_mm=8")


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tiny_store(tmp_path_factory.mktemp("cohort") / "store").folder


@pytest.fixture(scope="module")
def brain():
    flair, mask = blob_brain((36, 40, 32), AFFINE)
    return flair.data.astype(np.float32), mask.data.astype(np.uint8)


def add_patient(folder, brain):
    """A patient's folder as people keep it: scan, mask and notes."""
    folder.mkdir(parents=True)
    write_nifti(folder / "flair.nii.gz", brain[0], AFFINE)
    write_nifti(folder / "mask.nii.gz", brain[1], AFFINE)
    (folder / "notes.txt").write_text(NOTES)


@pytest.fixture
def data(tmp_path, brain):
    """`data/manifest.csv` of one patient in `data/P01`."""
    add_patient(tmp_path / "data" / "P01", brain)
    rows = "P01,P01/flair.nii.gz,P01/mask.nii.gz"
    write_csv(tmp_path / "data" / "manifest.csv", "patient_id,flair,mask", rows)
    return tmp_path / "data"


@pytest.fixture
def study(tmp_path, brain):
    """`study`, a DICOM series, with a report beside the slices."""
    head = np.rint(brain[0]).clip(0, 30000).astype(np.uint16)
    write_series(tmp_path / "study", Volume(head, AFFINE))
    (tmp_path / "study" / "report.pdf").write_text(NOTES)
    return tmp_path / "study"


def test_a_study_in_the_working_folder_is_never_replaced_by_its_prediction(study, run, tmp_path):
    with untouched(tmp_path):
        line = refused("predict", "study", "--model", run, "--out", ".", cwd=tmp_path)
        assert "study" in line
        refused("predict", study, "--model", run, "--out", tmp_path)


def test_a_folder_within_the_study_takes_the_prediction_beside_the_slices(study, run):
    with kept(study):
        plgg("predict", study, "--model", run, "--out", study, "--no-report")
    assert (study / "study" / "mask.nii.gz").is_file()


@pytest.mark.parametrize("out", ["data", "link", "data/../data", "data/."])
def test_scans_beside_their_manifest_are_never_replaced(out, data, run, tmp_path):
    (tmp_path / "link").symlink_to(data)
    with untouched(tmp_path):
        line = refused("predict", data / "manifest.csv", "--model", run, "--out", tmp_path / out)
    assert "P01" in line


def test_a_patients_folder_that_is_a_link_is_never_replaced(data, run, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "P01").symlink_to(data / "P01")
    with untouched(tmp_path):
        refused("predict", data / "manifest.csv", "--model", run, "--out", tmp_path / "out")


def test_a_cohort_is_not_preprocessed_into_its_own_cases(data, tmp_path):
    (data / "P01").rename(tmp_path / "P01")
    (tmp_path / "cases").mkdir()
    (tmp_path / "P01").rename(tmp_path / "cases" / "P01")
    rows = "P01,cases/P01/flair.nii.gz,cases/P01/mask.nii.gz"
    write_csv(tmp_path / "manifest.csv", "patient_id,flair,mask", rows)
    with untouched(tmp_path):
        assert "cases" in refused("preprocess", "manifest.csv", ".", cwd=tmp_path)


def make_notes(out):
    out.mkdir(parents=True)
    (out / "notes.txt").write_text(NOTES)


def make_tool(out):
    """As another tool would leave its result, under names of plgg's."""
    out.mkdir(parents=True)
    (out / "mask.nii.gz").write_bytes(b"drawn by hand")
    (out / "result.json").write_text('{"dice": 0.9}')


def make_file(out):
    out.parent.mkdir(parents=True)
    out.write_text(NOTES)


@pytest.mark.parametrize("make", [make_notes, make_tool, make_file])
def test_what_somebody_keeps_where_a_case_would_go_is_kept(make, data, run, tmp_path):
    make(tmp_path / "out" / "P01")
    with untouched(tmp_path):
        line = refused("predict", data / "manifest.csv", "--model", run, "--out", tmp_path / "out")
    assert "P01" in line


def test_notes_and_a_corrected_mask_in_a_prediction_are_kept_and_the_others_are_done(
    brain, run, tmp_path
):
    """Both cases are to be made again, as other settings are asked for."""
    rows = []
    for name in ("P01", "P02", "P03"):
        add_patient(tmp_path / "data" / name, brain)
        rows.append(f"{name},{name}/flair.nii.gz")
    manifest = write_csv(tmp_path / "data" / "manifest.csv", "patient_id,flair", *rows)
    out = tmp_path / "out"
    more = ("--model", run, "--out", out, "--no-report")
    for row in rows:
        # One by one they are predicted without a process of their own.
        one = write_csv(tmp_path / "data" / "one.csv", "patient_id,flair", row)
        plgg("predict", one, *more)
    command = ["predict", manifest, *more]
    (out / "P01" / "notes.txt").write_text(NOTES)
    (out / "P02" / "mask.nii.gz").write_bytes(b"corrected by hand")
    old = (out / "P03" / "result.json").read_bytes()
    with kept(out / "P01"), kept(out / "P02"), kept(tmp_path / "data"):
        done = plgg(*command, "--set", "inference.threshold=0.4", status=1)
    lines = [line for line in done.err.splitlines() if line.startswith("plgg: ")]
    assert [line.split(":")[1].strip() for line in lines] == ["P01", "P02"]
    assert all("Move it away, or choose another output folder" in line for line in lines)
    assert "notes.txt" in lines[0]
    assert "altered" in lines[1]
    assert (out / "P03" / "result.json").read_bytes() != old


def test_a_prediction_into_a_run_or_a_store_lies_beside_what_is_there(brain, run, store, tmp_path):
    write_nifti(tmp_path / "S00.nii.gz", brain[0], AFFINE)
    for folder in (run, store):
        with kept(folder):
            plgg(
                "predict",
                tmp_path / "S00.nii.gz",
                *("--model", run, "--out", folder, "--no-report"),
            )
        assert (folder / "S00" / "result.json").is_file()


@pytest.mark.parametrize(("place", "name"), [("run", "checkpoints"), ("store", "cases")])
def test_a_scan_called_as_a_part_of_plgg_s_folder_replaces_none(
    place, name, brain, run, store, tmp_path
):
    write_nifti(tmp_path / f"{name}.nii.gz", brain[0], AFFINE)
    folder = {"run": run, "store": store}[place]
    with untouched(folder):
        refused("predict", tmp_path / f"{name}.nii.gz", "--model", run, "--out", folder)


def test_a_real_cohort_is_never_overwritten_by_a_synthetic_one(data, tmp_path):
    with untouched(tmp_path):
        assert "manifest.csv" in refused("phantom", data.name, "--patients", 1, cwd=tmp_path)


def test_images_of_a_real_cohort_are_never_overwritten(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "P001.nii.gz").write_bytes(b"a scan")
    with untouched(tmp_path):
        assert "images" in refused("phantom", tmp_path, "--patients", 1)


def test_a_synthetic_cohort_may_be_made_again_in_its_own_folder(tmp_path):
    command = ["phantom", tmp_path, "--patients", 1, "--spacing-mm", 4]
    plgg(*command)
    with untouched(tmp_path):
        plgg(*command)


@pytest.mark.parametrize("name", ["summary.json", "cases.csv", "figures/1.svg"])
def test_an_evaluation_overwrites_nothing_of_anybodys(name, data, tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "P01.nii.gz").write_bytes((data / "P01" / "mask.nii.gz").read_bytes())
    somebodys = tmp_path / "paper" / name
    somebodys.parent.mkdir(parents=True)
    somebodys.write_text('{"mine": true}')
    command = ["evaluate", tmp_path / "masks", data / "manifest.csv"]
    with untouched(tmp_path):
        line = refused(*command, "--out", tmp_path / "paper")
    assert name.split("/")[0] in line


@pytest.mark.parametrize("name", ["config.json", "metrics.jsonl", "checkpoints/mine.pt"])
def test_a_training_overwrites_nothing_of_anybodys(name, store, tmp_path):
    somebodys = tmp_path / "thesis" / name
    somebodys.parent.mkdir(parents=True)
    somebodys.write_text('{"mine": true}\n')
    with untouched(tmp_path), untouched(store):
        line = refused("train", store, "--run", tmp_path / "thesis", *TINY)
    assert "thesis" in line


@pytest.mark.parametrize(
    "name", ["experiment.json", "about.txt", "report.html", "split-0/notes.txt"]
)
def test_an_experiment_overwrites_nothing_of_anybodys(name, store, tmp_path):
    somebodys = tmp_path / "thesis" / name
    somebodys.parent.mkdir(parents=True)
    somebodys.write_text('{"mine": true}\n')
    with untouched(tmp_path), untouched(store):
        line = refused("experiment", store, "--out", tmp_path / "thesis", "--splits", 1, *TINY)
    assert "thesis" in line


def test_a_training_into_its_store_is_refused_or_beside_it(store):
    with kept(store):
        somebodys = store / "config.json"
        somebodys.write_text("{}")
        refused("train", store, "--run", store, *TINY)
        somebodys.unlink()


def test_an_export_replaces_nothing_but_an_export(run, data, tmp_path):
    command = ["export", run, "--format", "onnx", "--out"]
    with untouched(tmp_path), untouched(run):
        refused(*command, data)
        refused(*command, run)
        refused(*command, run.parent)
        refused(*command, data / "manifest.csv")


def test_a_manifest_overwrites_no_other_file(data, tmp_path):
    (tmp_path / "thesis.csv").write_text("mine\n")
    command = ["manifest", "folder", data.name, "--out"]
    with untouched(tmp_path):
        refused(*command, "thesis.csv", cwd=tmp_path)
        refused(*command, "data/P01/flair.nii.gz", cwd=tmp_path)
        refused(*command, "data/P01", cwd=tmp_path)


@pytest.mark.parametrize(
    "out", ["thesis.docx", "data/P01/flair.nii.gz", "data/P01/mask.nii.gz", "labels.csv", "pipe"]
)
def test_a_manifest_takes_the_place_of_a_manifest_alone_even_if_told_to(out, data, tmp_path):
    (tmp_path / "thesis.docx").write_text("mine\n")
    (tmp_path / "labels.csv").write_text("patient_id,flair,marker\nP01,yes,v600e\n")
    os.mkfifo(tmp_path / "pipe")
    command = ["manifest", "folder", data.name, "--labels", "labels.csv", "--overwrite", "--out"]
    with untouched(tmp_path):
        refused(*command, out, cwd=tmp_path)
    assert (tmp_path / "pipe").is_fifo()
    plgg(*command, "other.csv", cwd=tmp_path)
    plgg(*command, "other.csv", cwd=tmp_path)


def test_a_table_that_is_read_is_never_written_over(data, run, tmp_path):
    manifest = (data / "manifest.csv").read_text().replace("P01/", f"{data}/P01/")
    for name, command in (
        ("summary.csv", ["predict", "{}", "--model", run, "--out"]),
        ("cases.csv", ["evaluate", tmp_path, "{}", "--out"]),
    ):
        out = tmp_path / name.split(".")[0]
        kinds = ["predictions", "evaluation"]
        out.mkdir()
        (out / ".plgg.json").write_text(
            json.dumps({"format": "plgg-output", "version": 1, "kinds": kinds})
        )
        (out / name).write_text(manifest)
        words = [out / name if word == "{}" else word for word in command]
        with untouched(tmp_path):
            assert name in refused(*words, out)


def test_a_scan_called_as_the_table_beside_the_predictions_is_refused(data, run, tmp_path):
    scan = (data / "P01" / "flair.nii.gz").rename(data / "summary.csv.nii.gz")
    with untouched(tmp_path):
        line = one_line(plgg("predict", scan, "--model", run, "--out", tmp_path / "o", status=2))
    assert "Rename the file" in line


def test_a_folder_that_another_process_writes_into_is_refused(data, run, store, tmp_path):
    manifest, out = data / "manifest.csv", tmp_path / "out"
    commands = [
        ["predict", manifest, "--model", run, "--out", out],
        ["preprocess", manifest, out, "--set", "grid.spacing_mm=4"],
        ["train", store, "--run", out, *TINY],
        ["phantom", out, "--patients", 1],
    ]
    with locked(out), untouched(data):
        for command in commands:
            line = one_line(plgg(*command, status=2))
            assert f"process {os.getpid()}" in line, line
            assert "Wait until it has ended" in line
    assert [path.name for path in out.iterdir()] == [LOCK]
