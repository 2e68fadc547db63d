"""The BIDS App end to end: a valid dataset in, a valid derivative dataset out, no scan dropped."""

import csv
import hashlib
import json
from contextlib import contextmanager
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest
from bids_study import copy_of, issues_of, write_bids

from helper import ODD_AFFINES
from plgg.bids import derive
from plgg.bids.dataset import read_dataset
from plgg.bids.derive import write_derivatives
from plgg.bids.group import summarise_group
from plgg.bids.request import BidsRequest
from plgg.core import files
from plgg.core.errors import OutputError
from plgg.core.files import temporary_name
from plgg.core.output import PREDICTIONS, output_folder
from plgg.data.result import read_result
from program import plgg
from runs import make_run

ODD = "sub-01/ses-1/anat/sub-01_ses-1_FLAIR.nii.gz"
THICK = "sub-01/ses-2/anat/sub-01_ses-2_acq-3d_run-2_FLAIR.nii.gz"
SAGITTAL = "sub-02/anat/sub-02_rec-norm_FLAIR.nii.gz"
T2 = "sub-02/anat/sub-02_T2w.nii.gz"
BROKEN = "sub-03/anat/sub-03_FLAIR.nii.gz"
SCANS = {ODD: "oblique-lps", THICK: "thick", SAGITTAL: "sagittal", BROKEN: "ras"}


def hashes(root, *, without="derivatives"):
    return {
        path.relative_to(root).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(root.rglob("*"))
        if path.is_file() and path.relative_to(root).parts[0] != without
    }


def made(out):
    """When each file was written, but those that say only that plgg was here."""
    return {
        path.relative_to(out).as_posix(): path.stat().st_mtime_ns
        for path in out.rglob("*")
        if path.is_file() and not path.name.startswith(".plgg")
        and path.name not in ("dataset_description.json", "README", ".bidsignore")
    }  # fmt: skip


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bids")
    root = write_bids(
        folder / "study",
        [*((path, ODD_AFFINES[name]) for path, name in SCANS.items()),
         (T2, ODD_AFFINES["sagittal"]), ("sub-04/anat/sub-04_T1w.nii.gz", ODD_AFFINES["ras"])],
        ages=[("sub-01", 7)],
    )  # fmt: skip
    assert issues_of(root) == []
    content = (root / BROKEN).read_bytes()
    (root / BROKEN).write_bytes(content[: len(content) // 2])
    make_run(folder / "run", 'channels=["flair","t2"]')
    return root


@pytest.fixture(scope="module")
def derived(study):
    """The participant level, all at once, and then the group level."""
    out = study / "derivatives" / "plgg"
    before = hashes(study)
    run = study.parent / "run"
    done = plgg("bids", study, out, "participant", "--model", run, status=1)
    lines = [line for line in done.err.splitlines() if line.startswith("plgg: ")]
    assert len(lines) == 1
    assert lines[0].startswith("plgg: sub-03: sub-03/anat/sub-03_FLAIR.nii.gz: ")
    assert "left out: sub-04" in done.out
    assert hashes(study) == before
    # Of the one participant with two sessions.
    assert [path.name for path in out.glob("reports/*_timeline.html")] == ["sub-01_timeline.html"]
    plgg("bids", study, out, "group", status=1)
    return out


def test_derivatives_are_valid_bids(derived):
    assert issues_of(derived) == []
    # Of all there is to warn of, only that nobody has put the authors in.
    assert issues_of(derived, severity="warning", leave=("TOO_FEW_AUTHORS",)) == []
    said = json.loads((derived / "dataset_description.json").read_text())
    assert said["DatasetType"] == "derivative"
    assert said["GeneratedBy"][0]["Name"] == "plgg"
    assert said["SourceDatasets"] == [{"URL": "../.."}]


@pytest.mark.parametrize("path", [ODD, THICK, SAGITTAL])
def test_masks_and_probabilities_lie_on_the_scans_own_voxels(study, derived, path):
    native = nib.load(study / path)
    stem = path.removesuffix("_FLAIR.nii.gz")
    images = {}
    for suffix in ("mask", "probseg"):
        image = images[suffix] = nib.load(derived / f"{stem}_desc-plgg_{suffix}.nii.gz")
        assert image.shape == native.shape
        np.testing.assert_array_equal(image.affine, native.affine)
        np.testing.assert_allclose(image.get_qform(), native.affine, atol=1e-3)
    mask, probability = (images[name].get_fdata() for name in ("mask", "probseg"))
    assert set(np.unique(mask)) == {0, 1}
    np.testing.assert_array_equal(mask > 0, probability >= 0.5)


def test_a_sidecar_says_what_was_measured_and_where_it_comes_from(study, derived):
    stem = derived / ODD.removesuffix("_FLAIR.nii.gz")
    said = json.loads(stem.with_name(f"{stem.name}_desc-plgg_mask.json").read_text())
    source = f"bids:raw:{ODD}"
    assert (said["Type"], said["Sources"], said["SpatialReference"]) == ("Lesion", [source], source)
    found = said["plgg"]
    mask = nib.load(stem.with_name(f"{stem.name}_desc-plgg_mask.nii.gz"))
    ml = np.asanyarray(mask.dataobj).sum() * abs(np.linalg.det(mask.affine[:3, :3])) / 1000
    assert found["volume_ml"] == pytest.approx(ml, rel=1e-4)
    assert found["age_years"] == 7
    assert found["quality"]["status"] in ("good", "doubtful")
    assert found["input_sha256"] == hashlib.sha256((study / ODD).read_bytes()).hexdigest()
    assert len(found["models"][0]["sha256"]) == 64
    assert "For research use only" in said["Description"]


def test_a_model_that_takes_t2_is_given_it(derived):
    said = json.loads((derived / "sub-02/anat/sub-02_rec-norm_desc-plgg_mask.json").read_text())
    assert said["Sources"] == [f"bids:raw:{path}" for path in (SAGITTAL, T2)]


def test_no_path_of_this_machine_goes_into_the_derivatives(study, derived):
    for path in derived.rglob("*"):
        kept = "sourcedata" in path.parts or path.name.startswith(".plgg")
        if path.is_file() and not kept and path.suffix != ".gz":
            assert str(study.parent) not in path.read_text()


def test_the_group_table_has_every_scan(derived):
    with (derived / "desc-plgg_measurements.tsv").open(newline="") as handle:
        rows = {row["scan"]: row for row in csv.DictReader(handle, delimiter="\t")}
    assert {name: row["status"] for name, row in rows.items()} == {
        "sub-01_ses-1": "done",
        "sub-01_ses-2_acq-3d_run-2": "done",
        "sub-02_rec-norm": "done",
        "sub-03": "failed",
        "sub-04": "left out",
    }
    assert rows["sub-01_ses-2_acq-3d_run-2"]["session_id"] == "ses-2"
    assert float(rows["sub-02_rec-norm"]["volume_ml"]) > 0
    assert rows["sub-03"]["volume_ml"] == "n/a"
    assert rows["sub-03"]["reason"].startswith("sub-03/anat/sub-03_FLAIR.nii.gz: ")
    meaning = json.loads((derived / "desc-plgg_measurements.json").read_text())
    assert set(meaning) == set(rows["sub-03"])
    page = (derived / "group.html").read_text()
    assert 'href="reports/sub-01_ses-1.html"' in page
    assert (derived / "reports" / "sub-01_ses-1.html").is_file()
    assert "sub-03" in page


def test_the_sessions_of_a_participant_are_a_timeline(derived):
    with (derived / "desc-plgg_responses.tsv").open(newline="") as handle:
        rows = list(csv.DictReader(handle, delimiter="\t"))
    assert [(row["session_id"], row["days"]) for row in rows] == [
        ("ses-1", "n/a"),
        ("ses-2", "n/a"),
    ]
    assert rows[0]["response"] == "baseline"
    assert "sub-01_ses-2_acq-3d_run-2" in (derived / "reports/sub-01_timeline.html").read_text()
    assert 'href="reports/sub-01_timeline.html"' in (derived / "group.html").read_text()


def test_the_same_command_again_makes_nothing(study, derived):
    before = made(derived)
    labels = ["--participant-label", "01", "sub-02", "--session_label", "2"]
    run = study.parent / "run"
    done = plgg("bids", study, derived, "participant", *labels, "--model", run, "--json")
    assert list(done.json()) == ["sub-01_ses-2_acq-3d_run-2"]
    assert made(derived) == before


@pytest.fixture
def again(derived, tmp_path):
    """A copy of the dataset with its derivatives, the request of one participant, and its scan."""
    root = copy_of(derived.parents[1], tmp_path / "study")
    request = BidsRequest(root, root / "derivatives" / "plgg", participants=("02",))
    (scan,) = read_dataset(root, participants=("02",)).scans
    result = read_result(request.work("sub-02") / scan.name / "result.json")
    return request, scan, result


def test_a_mask_that_somebody_corrected_is_not_replaced(again):
    request, scan, result = again
    mask = request.out / scan.derivative("mask.nii.gz")
    write_derivatives(request, scan, result)
    mask.write_bytes(b"corrected by hand")
    with pytest.raises(OutputError, match="was altered since, or plgg did not write it"):
        write_derivatives(request, scan, result)
    assert mask.read_bytes() == b"corrected by hand"
    mask.unlink()
    assert [one.status for one in summarise_group(request, dataset_of(request))] == ["failed"]
    write_derivatives(request, scan, result)
    assert [one.status for one in summarise_group(request, dataset_of(request))] == ["done"]


def dataset_of(request):
    return read_dataset(request.root, participants=request.participants)


@pytest.mark.parametrize("n_written", range(4))
def test_a_process_that_is_killed_while_it_writes_is_made_good(again, monkeypatch, n_written):
    """Another result takes the place of the first; the machine stops after some of its files."""
    request, scan, result = again
    other = result.model_copy(update={"note": "Another model.", "threshold": 0.25})
    with monkeypatch.context() as patch:
        _stop_after(patch, n_written)
        with pytest.raises(KeyboardInterrupt):
            write_derivatives(request, scan, other)
    (found,) = summarise_group(request, dataset_of(request))
    assert found.status == ("done" if n_written == 0 else "not predicted")
    write_derivatives(request, scan, other)
    for suffix in ("mask.json", "probseg.json"):
        said = json.loads((request.out / scan.derivative(suffix)).read_text())
        assert "Another model." in said["Description"]
    assert not list(request.out.rglob(".plgg-new-*"))
    (found,) = summarise_group(request, dataset_of(request))
    assert found.status == "done"


def test_what_a_killed_process_began_to_write_is_cleared(again):
    request, scan, result = again
    mask = request.out / scan.derivative("mask.nii.gz")
    left, others = (
        temporary_name(mask),
        temporary_name(mask.with_name("sub-09_desc-plgg_mask.nii.gz")),
    )
    for path in (left, others):
        path.write_bytes(b"half")
    mask.unlink()
    write_derivatives(request, scan, result)
    assert mask.is_file()
    assert not left.exists()
    assert others.exists()


def _stop_after(patch, n_written):
    """The first write is that of the record."""
    real, count = files.atomic_write, iter(range(100))

    @contextmanager
    def stopping(path):
        if next(count) >= n_written:
            raise KeyboardInterrupt
        with real(path) as aside:
            yield aside

    patch.setattr(derive, "atomic_write", stopping)
    patch.setattr(files, "atomic_write", stopping)


def test_a_scan_that_left_the_dataset_stays_in_the_table(again):
    request, scan, _ = again
    everybody = replace(request, participants=())
    scan.case.flair.unlink()
    found = {one.name: one for one in summarise_group(everybody, dataset_of(everybody))}
    assert found[scan.name].status == "done"
    assert found[scan.name].reason == "no longer in the dataset"
    assert "no longer in the dataset" in (request.out / "desc-plgg_measurements.tsv").read_text()


def test_a_participant_that_another_process_holds_fails_and_is_left_alone(study, derived):
    before = made(derived)
    with output_folder(derived / "sourcedata/plgg/sub-02", PREDICTIONS):
        run = study.parent / "run"
        done = plgg("bids", study, derived, "participant", "--participant-label", "02",
                    "--model", run, status=1)  # fmt: skip
    assert "is in use by" in done.err
    assert made(derived) == before
