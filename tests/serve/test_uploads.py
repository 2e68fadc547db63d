"""Scans that come in: NIfTI, zips and DICOM folders, kept whole under safe names, or refused."""

import errno
import gzip
import io
import struct
import zipfile

import nibabel as nib
import numpy as np
import pytest

from dicom_series import write_series
from helper import blob_brain, make_affine, write_nifti
from plgg.core.volume import Volume
from plgg.data.budget import scan_limit
from plgg.data.scan import open_scan
from plgg.predict.source import find_scans
from plgg.serve.errors import RequestError
from plgg.serve.uploads import Patient, UploadedFile, save_upload
from plgg.serve.work import WorkFolder

VOXELS = 10**6
HEAD = blob_brain()[0]


@pytest.fixture
def empty(tmp_path):
    """A reading room without a case; nothing here predicts."""
    work = WorkFolder(tmp_path / "work", ())
    work.make()
    return work


@pytest.fixture(scope="module")
def nifti(tmp_path_factory):
    return write_nifti(
        tmp_path_factory.mktemp("n") / "x.nii.gz", HEAD.data, HEAD.affine
    ).read_bytes()


@pytest.fixture(scope="module")
def dicom(tmp_path_factory):
    """Files of a series, whose headers and folders are called after a person."""
    head = Volume(np.round(HEAD.data).astype(np.int16), HEAD.affine)
    folder = tmp_path_factory.mktemp("d") / "Leakname"
    write_series(folder, head)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {f"Leakname/{path.name}": path.read_bytes() for path in files}


def keep(work, files, case_id=None, *, voxels=VOXELS, others=None, **patient):
    given = [UploadedFile(name, io.BytesIO(data)) for name, data in files.items()]
    further = {key: UploadedFile(*pair) for key, pair in (others or {}).items()}
    return save_upload(work, given, Patient(case_id, **patient), others=further, voxels=voxels)


def zipped(files, **options):
    raw = io.BytesIO()
    with zipfile.ZipFile(raw, "w", zipfile.ZIP_DEFLATED, **options) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return raw.getvalue()


def refused(work, files, status, case_id=None, **more):
    """Refused with this status, and nothing of it is left."""
    before = sorted(work.uploads.iterdir())
    with pytest.raises(RequestError) as error:
        keep(work, files, case_id, **more)
    assert error.value.status == status, error.value
    assert sorted(work.uploads.iterdir()) == before
    assert str(work.root) not in f"{error.value}"
    return error.value


def test_a_nifti_file_is_kept_byte_for_byte(empty, nifti):
    record = keep(empty, {"Zoë (1).nii.gz": nifti}, age_years=7.5, sex="F")
    assert (record.case_id, record.scan, record.kind) == ("Zoe_1", "Zoe_1.nii.gz", "nifti")
    assert empty.scan("Zoe_1").read_bytes() == nifti
    assert empty.upload("Zoe_1") == record
    assert (record.age_years, record.sex) == (7.5, "F")


@pytest.mark.parametrize("name", ["x.nii", "x.nii.gz", "X.NII.GZ"])
@pytest.mark.parametrize("packed", [True, False])
def test_whether_it_is_packed_says_the_file_not_its_name(empty, nifti, name, packed):
    record = keep(empty, {name: nifti if packed else gzip.decompress(nifti)})
    assert record.scan.endswith(".nii.gz" if packed else ".nii")
    assert np.array_equal(open_scan(empty.scan(record.case_id)).volume.data, HEAD.data)


@pytest.mark.parametrize(
    "name",
    ["../../evil.nii.gz", "..\\..\\evil.nii.gz", "/etc/evil.nii.gz", "C:\\evil.nii.gz",
     "....nii.gz",
     "<script>alert(1)</script>.nii.gz", "con.nii.gz", "a\x00b.nii.gz", "\u202egz.nii.gz",
     "a" * 300 + ".nii.gz", ".plgg-new-0123456789abcdef.x.nii.gz", "summary.csv.nii.gz",
     "x.zip.nii.gz", "x.nii.gz.nii.gz", " .nii.gz"],
)  # fmt: skip
def test_no_name_of_a_file_leads_anywhere(empty, nifti, name):
    record = keep(empty, {name: nifti})
    assert [path.name for path in empty.uploads.iterdir()] == [record.case_id]
    inside = sorted(path.name for path in (empty.uploads / record.case_id).iterdir())
    assert inside == sorted([record.scan, "upload.json"])
    assert empty.has_case(record.case_id)
    # What `plgg predict` will call it is what it is called here.
    (scan,) = find_scans([empty.scan(record.case_id)])
    assert scan.case_id == record.case_id


@pytest.mark.parametrize(
    "case_id",
    ["../x", "a/b", "a\\b", ".", "..", ".x", "", "x" * 101, "nul", "x.", "x y", "<b>", "a\nb",
     "x.nii", "x.nii.gz", "x.zip", "x.dcm", "summary.csv", "é"],
)  # fmt: skip
def test_ids_that_could_name_something_else_are_refused(empty, nifti, case_id):
    refused(empty, {"x.nii.gz": nifti}, 422, case_id)


def test_there_is_each_case_once(empty, nifti):
    keep(empty, {"x.nii.gz": nifti}, "P01")
    assert refused(empty, {"x.nii.gz": nifti}, 409, "P01").where == "P01"
    refused(empty, {"x.nii.gz": nifti}, 409, "p01")
    names = [keep(empty, {"p01.nii.gz": nifti}).case_id for _ in range(3)]
    assert names == ["p01-2", "p01-3", "p01-4"]


def test_a_dicom_folder_is_kept_without_the_names_of_its_files(empty, dicom):
    junk = {"Leakname/notes.txt": b"Leakname", "Leakname/.DS_Store": b"\0"}
    record = keep(empty, dicom | junk)
    assert record.kind == "dicom"
    assert record.case_id.startswith("scan-")
    files = sorted(empty.scan(record.case_id).iterdir())
    assert len(files) == len(dicom)
    assert sorted(path.read_bytes() for path in files) == sorted(dicom.values())
    for path in empty.uploads.rglob("*"):
        assert "Leak" not in str(path.relative_to(empty.root))
    assert "Leak" not in (empty.upload_folder(record.case_id) / "upload.json").read_text("utf-8")
    found = open_scan(empty.scan(record.case_id)).volume
    assert np.isclose(np.abs(found.data).sum(), np.abs(np.round(HEAD.data)).sum(), rtol=1e-3)
    (scan,) = find_scans([empty.scan(record.case_id)])
    assert (scan.case_id, scan.kind) == (record.case_id, "dicom")


def test_a_zip_of_dicom_is_kept_as_it_is(empty, dicom):
    packed = zipped(dicom | {"../../evil.dcm": next(iter(dicom.values()))})
    record = keep(empty, {"Leakname.zip": packed}, "P01")
    assert empty.scan("P01").read_bytes() == packed
    assert record.scan == "P01.zip"
    assert [path.name for path in empty.root.parent.iterdir()] == ["work"]
    assert keep(empty, {"Leakname.zip": packed}).case_id == f"scan-{record.digest[:8]}"


def test_of_a_zip_with_one_nifti_that_is_kept(empty, nifti):
    packed = zipped(
        {"a/../b/Head.nii.gz": nifti, "a/readme.txt": b"x", "__MACOSX/._Head.nii.gz": b""}
    )
    record = keep(empty, {"x.zip": packed})
    assert (record.case_id, record.scan) == ("Head", "Head.nii.gz")
    assert empty.scan("Head").read_bytes() == nifti
    refused(empty, {"x.zip": zipped({"a.nii.gz": nifti, "b.nii.gz": nifti})}, 422)


def lying_zip(n_bytes):
    """A zip whose member says that it is small."""
    raw = bytearray(zipped({"a.nii": b"\0" * n_bytes}))
    for mark, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", raw, raw.index(mark) + at, 1000)
    return bytes(raw)


def test_zip_bombs_are_refused_before_they_go_off(empty):
    bomb = zipped({"a.dcm": b"\0" * 2**25}, compresslevel=9)
    assert len(bomb) < 2**16
    with scan_limit(0.001):
        assert "unpacked" in refused(empty, {"x.zip": bomb}, 413).what
    assert refused(empty, {"x.zip": lying_zip(2**22)}, 422).what == "is damaged"
    many = zipped({f"{number}.dcm": b"" for number in range(20_001)})
    assert refused(empty, {"x.zip": many}, 413).what == "holds 20001 files"


@pytest.mark.parametrize(
    ("name", "data", "status"),
    [
        ("x.zip", b"PK\x03\x04 broken", 422),
        ("x.zip", zipped({}), 415),
        ("x.zip", zipped({"a.txt": b"x"}), 415),
        ("x.exe", b"MZ\0\0", 415),
        ("x.dcm", b"\0" * 200, 415),
        ("x", b"", 415),
        ("x.nii", b"", 422),
        ("x.nii.gz", b"\x1f\x8b\x08 broken", 422),
        ("x.nii", b"\0" * 400, 422),
        ("x.nii", b"<html>", 422),
    ],
)
def test_what_is_no_scan_is_refused(empty, name, data, status):
    refused(empty, {name: data}, status)


def test_a_scan_of_too_many_voxels_is_refused_by_its_header(empty, nifti):
    assert "36×40×32 voxels" in refused(empty, {"x.nii.gz": nifti}, 413, voxels=46_079).what
    keep(empty, {"x.nii.gz": nifti}, voxels=46_080)
    header = nib.Nifti1Header()
    header.set_data_shape((30000, 30000, 30000))
    header["vox_offset"] = 352
    huge = header.binaryblock + b"\0" * 4
    assert refused(empty, {"x.nii": huge}, 413).status == 413
    refused(empty, {"x.zip": zipped({"x.nii": huge})}, 413)


def test_several_niftis_are_no_one_scan_but_sequences_have_fields(empty, nifti):
    refused(empty, {"a.nii.gz": nifti, "b.nii.gz": nifti}, 422)
    refused(empty, {}, 422)
    record = keep(empty, {"a.nii.gz": nifti}, "P01", others={"t2": ("b.nii.gz", io.BytesIO(nifti))})
    assert record.others == {"t2": "P01_t2.nii.gz"}
    assert (empty.upload_folder("P01") / "P01_t2.nii.gz").read_bytes() == nifti
    bad = {"t2": ("b.dcm", io.BytesIO(b"x"))}
    refused(empty, {"a.nii.gz": nifti}, 422, "P02", others=bad)


def test_an_upload_over_http_is_queued_and_what_it_says_is_checked(room, nifti):
    room.room.queue.close()  # so that the job waits
    for wrong in ({"age": "-1"}, {"age": "nan"}, {"age": "old"}, {"sex": "x"}, {"id": "P01/.."}):
        room.ask("POST", "cases", 422, files={"files": ("x.nii.gz", nifti)}, data=wrong)
    room.ask("POST", "cases", 409, files={"files": ("x.nii.gz", nifti)}, data={"id": "P01"})
    said = {"id": "New", "age": "7", "sex": "f"}
    told = room.ask("POST", "cases", 202, files={"files": ("x.nii.gz", nifti)}, data=said).json()
    assert told["case"]["state"] == "queued"
    assert told["job"]["case"] == "New"
    record = room.room.work.upload("New")
    assert (record.age_years, record.sex) == (7.0, "F")
    assert len(room.get("jobs").json()["jobs"]) == 1


def test_an_affine_of_any_kind_comes_through(empty, tmp_path):
    affine = make_affine((1.0, 2.0, 3.0), axes="LPS", turn_degrees=(10, 20, 30), shape=(9, 8, 7))
    path = write_nifti(tmp_path / "o.nii", np.ones((9, 8, 7), np.float32), affine)
    record = keep(empty, {"o.nii": path.read_bytes()})
    assert np.allclose(nib.load(empty.scan(record.case_id)).affine, affine, atol=1e-5)


def test_a_full_disk_is_told_and_leaves_nothing(room, nifti, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("plgg.serve.uploads.shutil.copyfileobj", full)
    files = {"files": ("x.nii.gz", nifti)}
    error = room.ask("POST", "cases", 507, files=files).json()["error"]
    assert error["message"] == "could not be written (no space left on device)"
    assert not list(room.room.work.uploads.glob(".plgg-*"))
    assert not room.get("jobs").json()["jobs"]
