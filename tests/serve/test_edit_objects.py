"""An edit of a case that was DICOM is there as DICOM, too; others are as before."""

import io
import shutil

import numpy as np
import pydicom
import pytest

from dicom_seg import assert_in_place
from dicom_series import write_series
from helper import ODD_AFFINES, blob_brain
from plgg import api
from plgg.data.dicom.objects import own_objects
from plgg.data.nifti.image import read_volume, write_volume
from plgg.predict.options import PredictOptions
from plgg.serve.edits import save_edit
from plgg.serve.uploads import Patient, UploadedFile, save_upload
from plgg.serve.work import read_edit
from study_objects import SECRETS, secrets_in

NAMES = ["segmentation.dcm", "measurements.dcm"]


@pytest.fixture
def case(work, tmp_path):
    """A case that was uploaded as DICOM and predicted."""
    write_series(tmp_path / "s", blob_brain(affine=ODD_AFFINES["oblique-lps"])[0], tags=SECRETS)
    files = sorted((tmp_path / "s").iterdir())
    given = [UploadedFile(path.name, io.BytesIO(path.read_bytes())) for path in files]
    save_upload(work, given, Patient("D01"), voxels=10**8)
    plain = PredictOptions(pages=False)
    api.predict([work.scan("D01")], out=work.cases, model=work.models, options=plain)
    return "D01"


def save(work, case_id, tmp_path, seed=0, who=""):
    base = read_volume(work.case_folder(case_id) / "mask.nii.gz")
    data = np.zeros(base.shape, dtype=np.bool_)
    data[3 + seed : 8, 4:9, 3:7] = True
    write_volume(tmp_path / "drawn.nii.gz", base.with_data(data))
    etag = work.mask_sha256(case_id)
    record = save_edit(work, case_id, tmp_path / "drawn.nii.gz", if_match=etag, who=who)
    return (
        record,
        base.with_data(data),
        work.case_folder(case_id) / "edits" / f"{record.number:04d}",
    )


def test_every_edit_has_its_own_objects(work, case, tmp_path):
    base = pydicom.dcmread(work.case_folder(case) / "segmentation.dcm")
    uids = {base.SOPInstanceUID}
    for number in (1, 2):
        record, mask, folder = save(work, case, tmp_path, number, who="Leakreader")
        assert (record.number, record.no_dicom) == (number, None)
        assert [path.name for path in own_objects(folder)] == NAMES
        assert_in_place(folder / "segmentation.dcm", mask)
        found = pydicom.dcmread(folder / "segmentation.dcm")
        assert found.SegmentSequence[0].SegmentAlgorithmType == "SEMIAUTOMATIC"
        assert found.SourceImageSequence[0].ReferencedSOPInstanceUID == base.SOPInstanceUID
        assert f"Edit {number}" in found.DerivationDescription
        uids |= {pydicom.dcmread(path).SOPInstanceUID for path in own_objects(folder)}
        # Who corrects is in the record of the reading room, and goes no further.
        assert all(b"Leakreader" not in path.read_bytes() for path in own_objects(folder))
        assert secrets_in((folder / "edit.json").read_text().replace("Leakreader", "")) == []
    assert len(uids) == 5


def test_an_edit_of_a_nifti_scan_has_none(work, tmp_path):
    record, _, folder = save(work, "P01", tmp_path)
    assert record.no_dicom is None
    assert sorted(path.name for path in folder.iterdir()) == ["edit.json", "mask.nii.gz"]


def test_a_scan_that_is_gone_costs_no_edit(work, case, tmp_path):
    shutil.rmtree(work.scan(case))
    record, mask, folder = save(work, case, tmp_path)
    assert record.no_dicom
    assert read_edit(folder) == record
    assert own_objects(folder) == []
    assert np.array_equal(read_volume(folder / "mask.nii.gz").data > 0, mask.data)
