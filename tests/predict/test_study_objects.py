"""Predictions of DICOM come with objects for their study, and corrections with their own."""

import shutil
from dataclasses import replace

import numpy as np
import pydicom
import pytest
from highdicom.sr import srread
from pydicom.sr.codedict import codes

from dicom_seg import assert_in_place
from dicom_series import write_series
from helper import ODD_AFFINES, blob_brain, write_case
from plgg import api
from plgg.core.errors import InputError, OutputError
from plgg.core.files import sha256
from plgg.data.dicom.objects import own_objects
from plgg.data.nifti.image import read_volume, write_volume
from plgg.data.result import read_result
from plgg.measure.diameters import diameters
from plgg.predict.options import PredictOptions
from plgg.report.case.page import prediction_of
from plgg.report.case.pdf import case_figures, make_scan_view
from program import plgg
from runs import make_run
from study_objects import (
    MUST_CARRY,
    SECRETS,
    dcmtk,
    dsrdump,
    lacking_modules,
    secrets_in,
    texts,
    words_of_pdf,
)

ALL = PredictOptions(rtstruct=True, pdf=True, pages=False)
PLAIN = PredictOptions(pages=False)
DICOM = ["segmentation.dcm", "measurements.dcm", "rtstruct.dcm", "report.dcm"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scan") / "study"
    write_series(folder, blob_brain(affine=ODD_AFFINES["oblique-lps"])[0], tags=SECRETS)
    return folder


def predict(series, run, out, options=ALL):
    (outcome,) = api.predict([series], model=run, out=out, options=options)
    assert outcome.reason is None
    return out / outcome.case_id


@pytest.fixture(scope="module")
def command(series, run, tmp_path_factory):
    """The folder that the command leaves, and what it says."""
    out = tmp_path_factory.mktemp("out")
    done = plgg("predict", series, "--model", run, "--out", out, "--rtstruct", "--pdf")
    return out, f"{done.out}{done.err}"


@pytest.fixture(scope="module")
def case(command):
    return command[0] / "study"


def names(folder):
    return [path.name for path in own_objects(folder)]


def read(path):
    return pydicom.dcmread(path)


def volume_of(folder):
    (group,) = srread(folder / "measurements.dcm").content.get_volumetric_roi_measurement_groups()
    (measured,) = group.get_measurements(name=codes.SCT.Volume)
    return measured.value


def test_everything_that_was_asked_for_is_there_and_fits_together(case, series):
    assert names(case) == DICOM
    objects = [read(path) for path in own_objects(case)]
    source = read(next(series.iterdir()))
    for one in objects:
        assert one.StudyInstanceUID == source.StudyInstanceUID
        assert (one.PatientName, one.PatientID) == (source.PatientName, source.PatientID)
        assert lacking_modules(one) == []
    assert len({one.SOPInstanceUID for one in objects}) == 4
    assert len({one.SeriesInstanceUID for one in objects} | {source.SeriesInstanceUID}) == 5
    assert [one.Modality for one in objects] == ["SEG", "SR", "RTSTRUCT", "DOC"]
    assert volume_of(case) == read_result(case / "result.json").volume_ml
    dsrdump(case / "measurements.dcm")
    listed = read_result(case / "result.json").files
    assert set(DICOM[:3]) <= set(listed)
    assert all(sha256(case / name) == digest for name, digest in listed.items())


def test_the_document_is_the_pdf_to_the_byte(case, tmp_path):
    held, pdf = read(case / "report.dcm"), (case / "report.pdf").read_bytes()
    assert held.EncapsulatedDocument[: held.EncapsulatedDocumentLength] == pdf
    assert pdf.startswith(b"%PDF-")
    sources = {one.ReferencedSOPInstanceUID for one in held.SourceInstanceSequence}
    assert read(case / "segmentation.dcm").SOPInstanceUID in sources
    assert (held.MIMETypeOfEncapsulatedDocument, held.BurnedInAnnotation) == (
        "application/pdf", "NO",
    )  # fmt: skip
    dcmtk("dcm2pdf", case / "report.dcm", tmp_path / "out.pdf")
    assert (tmp_path / "out.pdf").read_bytes() == pdf
    words = words_of_pdf(pdf)
    assert "For research use only." in words
    assert case.name not in words


def test_nothing_but_the_objects_says_who_it_is(command, case):
    folder, said = case, [command[1]]
    said += [(folder / name).read_text() for name in ("result.json", "report.html")]
    said += [
        (command[0] / "summary.csv").read_text(),
        words_of_pdf((folder / "report.pdf").read_bytes()),
    ]
    view = make_scan_view(read_volume(folder / "mask.nii.gz"), _maps(folder))
    for figure in case_figures(read_result(folder / "result.json"), view):
        said += [text.get_text() for text in figure.texts]
    for one in said:
        assert not [secret for secret in SECRETS.values() if secret in one]
    for path in own_objects(folder):
        found = read(path)
        assert secrets_in("\n".join(texts(found))) == []
        plain = [one for one in found.iterall() if one.VR not in ("SQ", "UI", "OB", "OW")]
        assert {one.keyword for one in plain if secrets_in(str(one.value))} <= MUST_CARRY


def _maps(folder):
    return prediction_of(folder, read_volume(folder / "mask.nii.gz"))


def test_options_add_what_is_missing_and_keep_the_rest(series, run, tmp_path):
    folder = predict(series, run, tmp_path, PLAIN)
    assert names(folder) == DICOM[:2]
    before = {name: read(folder / name).SOPInstanceUID for name in DICOM[:2]}
    predict(series, run, tmp_path, replace(PLAIN, rtstruct=True))
    assert names(folder) == DICOM[:3]
    assert {name: read(folder / name).SOPInstanceUID for name in DICOM[:2]} == before
    kept = (folder / "segmentation.dcm").stat().st_mtime_ns
    predict(series, run, tmp_path, replace(PLAIN, rtstruct=True))
    assert (folder / "segmentation.dcm").stat().st_mtime_ns == kept
    (folder / "measurements.dcm").unlink()
    predict(series, run, tmp_path, PLAIN)
    assert names(folder) == DICOM[:2]


def test_a_repeat_elsewhere_gives_the_same_objects(case, series, run, tmp_path):
    again = predict(series, run, tmp_path)
    for one, two in zip(own_objects(case), own_objects(again), strict=True):
        assert read(one).SOPInstanceUID == read(two).SOPInstanceUID
        assert read(one).SeriesInstanceUID == read(two).SeriesInstanceUID
    assert (again / "report.pdf").read_bytes() == (case / "report.pdf").read_bytes()
    mirrored = predict(
        series, run, tmp_path / "b", replace(ALL, settings=("inference.mirror=true",))
    )
    for one, two in zip(own_objects(case), own_objects(mirrored), strict=True):
        assert read(one).SOPInstanceUID != read(two).SOPInstanceUID


def test_a_nifti_scan_gets_the_pdf_alone(run, tmp_path):
    path = write_case(tmp_path, "odd", affine=ODD_AFFINES["sagittal"])[0]
    folder = predict(path, run, tmp_path / "out")
    assert names(folder) == []
    assert (folder / "report.pdf").read_bytes().startswith(b"%PDF-")


def corrected(case, folder, seed=0):
    mask = read_volume(case / "mask.nii.gz")
    data = np.zeros(mask.shape, dtype=np.bool_)
    data[4 + seed : 9, 5:12, 4:8] = True
    data[5, 6, 8] = True
    folder.mkdir(parents=True, exist_ok=True)
    write_volume(folder / "mask.nii.gz", mask.with_data(data))
    return folder / "mask.nii.gz", mask.with_data(data)


def test_a_corrected_mask_is_a_new_seg_that_says_what_it_follows(case, tmp_path):
    path, mask = corrected(case, tmp_path)
    before = {one.name: sha256(one) for one in case.iterdir()}
    written = api.write_correction(case, path, out=tmp_path / "edit", number=3)
    assert [one.name for one in written] == DICOM[:2]
    assert {one.name: sha256(one) for one in case.iterdir()} == before
    assert_in_place(tmp_path / "edit" / "segmentation.dcm", mask)
    base, new = (read(one / "segmentation.dcm") for one in (case, tmp_path / "edit"))
    assert new.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"
    assert new.SegmentSequence[0].TrackingUID == base.SegmentSequence[0].TrackingUID
    assert new.SOPInstanceUID != base.SOPInstanceUID
    assert new.SeriesInstanceUID != base.SeriesInstanceUID
    (source,) = new.SourceImageSequence
    assert source.ReferencedSOPInstanceUID == base.SOPInstanceUID
    assert "Edit 3" in new.DerivationDescription
    assert new.DerivationCodeSequence[0].CodeValue == "113076"
    referred = [one.SeriesInstanceUID for one in new.ReferencedSeriesSequence]
    assert base.SeriesInstanceUID in referred
    assert new.ContentCreatorName == "plgg^"
    assert lacking_modules(new) == []


def test_the_report_of_a_correction_is_of_the_corrected_mask(case, tmp_path):
    path, mask = corrected(case, tmp_path)
    api.write_correction(case, path, out=tmp_path / "edit", number=1)
    dsrdump(tmp_path / "edit" / "measurements.dcm")
    assert volume_of(tmp_path / "edit") == pytest.approx(
        mask.data.sum() * mask.voxel_volume_ml, abs=1e-4
    )
    report = srread(tmp_path / "edit" / "measurements.dcm")
    groups = {one.tracking_identifier: one for one in report.content.get_image_measurement_groups()}
    (longest,) = groups["Tumour"].get_measurements(name=codes.SCT.LongAxis)
    assert longest.value == diameters(mask).largest_mm
    # The marker and the interval were those of the model's own outline.
    assert "Genetic marker" not in groups
    assert "conformal" not in "\n".join(texts(report))
    (before,) = report.PredecessorDocumentsSequence
    old = before.ReferencedSeriesSequence[0].ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert old == read(case / "measurements.dcm").SOPInstanceUID


def test_each_correction_has_its_own_uids_and_names_a_reader_only_if_told(case, tmp_path):
    uids = set()
    for name, seed, number, reader in (
        ("a", 0, 1, None), ("b", 1, 1, None), ("c", 0, 2, None), ("d", 0, 1, "Müller^J=x\\y"),
    ):  # fmt: skip
        path, _ = corrected(case, tmp_path / name, seed)
        out = tmp_path / name / "edit"
        api.write_correction(case, path, out=out, number=number, reader=reader)
        found = [read(one) for one in own_objects(out)]
        uids |= {one.SOPInstanceUID for one in found}
        creator = "MüllerJxy^" if reader else "plgg^"
        assert found[0].ContentCreatorName == creator
        assert "Müller" not in "\n".join(texts(found[1]))
    assert len(uids) == 8
    path, _ = corrected(case, tmp_path / "again", 0)
    api.write_correction(case, path, out=tmp_path / "again" / "edit", number=1)
    assert {read(one).SOPInstanceUID for one in own_objects(tmp_path / "again" / "edit")} <= uids


def test_a_correction_is_refused_where_it_does_not_fit(case, tmp_path):
    path, mask = corrected(case, tmp_path)
    with pytest.raises(OutputError, match="already"):
        api.write_correction(case, path, out=case, number=1)
    with pytest.raises(InputError, match="is no prediction"):
        api.write_correction(tmp_path, path, out=tmp_path / "x", number=1)
    moved = tmp_path / "moved.nii.gz"
    affine = mask.affine.copy()
    affine[0, 3] += 3
    write_volume(moved, type(mask)(mask.data, affine))
    with pytest.raises(InputError, match="grid"):
        api.write_correction(case, moved, out=tmp_path / "x", number=1)
    other = tmp_path / "other"
    write_series(other, blob_brain(affine=ODD_AFFINES["oblique-lps"])[0])
    with pytest.raises(InputError, match="another study"):
        api.write_correction(case, path, out=tmp_path / "x", number=1, scan=other)
    assert not (tmp_path / "x").exists() or not list((tmp_path / "x").iterdir())


@pytest.mark.parametrize("raw", [b"", b"\0" * 500, b"DICM" * 99])
def test_a_damaged_base_is_told_in_a_line(case, raw, tmp_path):
    folder = tmp_path / "case"
    shutil.copytree(case, folder)
    whole = (case / "segmentation.dcm").read_bytes()
    (folder / "segmentation.dcm").write_bytes(raw or whole[:300])
    path, _ = corrected(case, tmp_path)
    with pytest.raises(InputError, match="cannot be read as the DICOM object"):
        api.write_correction(folder, path, out=tmp_path / "edit", number=1)
