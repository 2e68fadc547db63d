"""DICOM that is not one upright, complete stack is refused in one line that says what is wrong."""

import zipfile

import numpy as np
import pydicom
import pytest

from dicom_series import read_header, truncate, write_series
from helper import make_affine
from plgg.core.errors import InputError
from plgg.core.volume import Volume
from plgg.data.dicom.decode import check_lossless_jpeg
from plgg.data.dicom.find import is_dicom
from plgg.data.dicom.read import read_dicom
from plgg.data.scan import open_scan

SHAPE = (12, 10, 9)
AXIAL = make_affine((0.9, 0.9, 5.0), axes="LPS", shape=SHAPE)
DATA = np.random.default_rng(0).integers(0, 4000, SHAPE).astype(np.uint16)
VOLUME = Volume(DATA, AXIAL)


def refused(path, **options):
    with pytest.raises(InputError) as caught:
        read_dicom(path, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    assert caught.value.remedy
    return message


def moved(*, places=(), by=(0.0, 0.0, 0.0)):
    def change(dataset, k):
        if k in places:
            old = np.array(dataset.ImagePositionPatient, float)
            dataset.ImagePositionPatient = [f"{x:.6g}" for x in old + by]

    return change


def dropping(*places):
    return lambda _, k: k not in places


def setting(place, **values):
    def change(dataset, k):
        if k == place:
            for keyword, value in values.items():
                setattr(dataset, keyword, value)

    return change


TURNED = [0.8, 0.6, 0.0, -0.6, 0.8, 0.0]
FAULTS = {
    "a missing slice": (dropping(4), "1 slice is missing: 1 after slice 4 (of 8, 5.00 mm"),
    "missing slices": (dropping(1, 5, 6), "3 slices are missing: 1 after slice 1, 2 after slice 4"),
    "uneven": (moved(places=(6, 7, 8), by=(0, 0, 1.7)), "uneven (5.00 to 6.70 mm)"),
    "taken twice": (moved(places=(3,), by=(0, 0, 5.0)), "1 of 9 slices lie where another"),
    "off the line": (moved(places=(3,), by=(1.5, 0, 0)), "do not lie on one line"),
    "turned": (setting(2, ImageOrientationPatient=TURNED), "different orientations (up to 37°"),
    "other pixels": (setting(2, PixelSpacing=[0.5, 0.5]), "different pixel spacings"),
    "no position": (setting(2, ImagePositionPatient=None), "1 of 9 images do not say where"),
    "no right angle": (setting(0, ImageOrientationPatient=[1, 0, 0, 0.5, 0.9, 0]), "right angles"),
    "other frame": (setting(2, FrameOfReferenceUID="1.2.3"), "two scans are mixed"),
    "other patient": (setting(2, PatientID="P-other"), "name different patients"),
    "colour": (setting(2, PhotometricInterpretation="RGB", SamplesPerPixel=3), "colour"),
    "inverted": (setting(2, PhotometricInterpretation="MONOCHROME1"), "inverted"),
    "one slice": (dropping(*range(1, 9)), "one slice only"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_spoilt_stack_is_refused(tmp_path, name):
    change, said = FAULTS[name]
    write_series(tmp_path / "s", VOLUME, change=change)
    assert said in refused(tmp_path / "s")


@pytest.mark.parametrize("degrees", [1.0, 15.0])
def test_a_tilted_gantry_is_refused(tmp_path, degrees):
    affine = AXIAL.copy()
    affine[1, 2] += 5.0 * np.tan(np.deg2rad(degrees))
    write_series(tmp_path / "s", Volume(DATA, affine))
    assert f"{degrees:.1f}° aslant" in refused(tmp_path / "s")


def test_mixed_sizes_are_refused(tmp_path):
    def crop(dataset, k):
        if k == 2:
            dataset.Rows = 8
            dataset.PixelData = dataset.PixelData[: 8 * 12 * 2]

    write_series(tmp_path / "s", VOLUME, change=crop)
    assert "different sizes (12×8 and 12×10)" in refused(tmp_path / "s")


def test_a_mosaic_and_another_modality_are_refused(tmp_path):
    kinds = ["ORIGINAL", "PRIMARY", "M", "MOSAIC"]
    write_series(tmp_path / "m", VOLUME, image_type=kinds)
    assert "mosaics" in refused(tmp_path / "m")
    write_series(tmp_path / "c", VOLUME, tags={"Modality": "CT"})
    assert "not an MR scan" in refused(tmp_path / "c")


def test_a_file_of_many_frames_that_lie_nowhere_is_refused(tmp_path):
    taken = {"PerFrameFunctionalGroupsSequence": None, "SharedFunctionalGroupsSequence": None}
    write_series(tmp_path / "s", VOLUME, enhanced=True, tags=taken)
    assert "9 of 9 images do not say where" in refused(tmp_path / "s")


@pytest.mark.parametrize(
    "syntax", ["plain", "rle", "deflated", "jpeg-ls", "jpeg-2000", "jpeg-lossless-sv1"]
)
@pytest.mark.parametrize("keep", [0.0, 0.05, 0.3, 0.6, 0.9, 0.98])
def test_a_file_cut_short_is_refused(tmp_path, syntax, keep):
    files = write_series(tmp_path / "s", VOLUME, syntax=syntax)
    truncate(files[4], keep)
    message = refused(tmp_path / "s")
    assert "of 9 (in order of name)" in message


@pytest.mark.parametrize("keep", [0.05, 0.5, 0.9, 0.98])
def test_an_enhanced_file_cut_short_is_refused(tmp_path, keep):
    file = write_series(tmp_path / "s", VOLUME, enhanced=True)[0]
    truncate(file, keep)
    refused(file)


def test_a_file_without_pixels_is_refused(tmp_path):
    write_series(
        tmp_path / "s", VOLUME, change=lambda dataset, _: dataset.pop("PixelData", None) and None
    )
    assert "ends before its pixels" in refused(tmp_path / "s")


def test_what_is_no_dicom_is_refused(tmp_path):
    (tmp_path / "empty").mkdir()
    assert "no DICOM file" in refused(tmp_path / "empty")
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").write_text("hello")
    assert "no DICOM file" in refused(tmp_path / "text")
    (tmp_path / "a.dcm").write_bytes(b"not DICOM" * 100)
    assert "not DICOM" in refused(tmp_path / "a.dcm")
    (tmp_path / "a.zip").write_bytes(b"not zip")
    assert "zip" in refused(tmp_path / "a.zip")
    assert "no such file" in refused(tmp_path / "absent")


@pytest.mark.parametrize("suffix", [".dcm", ""])
def test_a_pointer_to_content_that_is_not_here_is_called_that(tmp_path, suffix):
    files = write_series(tmp_path / "s", VOLUME, suffix=suffix)
    files[0].write_text("/annex/objects/MD5E-s1306--0123456789abcdef.dcm\n")
    message = refused(tmp_path / "s")
    assert "of 9 (in order of name) is a git-annex pointer: its content is not here" in message
    assert "git annex get" in message
    files[0].write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    assert "Git LFS pointer" in refused(tmp_path / "s")


@pytest.mark.parametrize("syntax", ["plain", "implicit"])
@pytest.mark.parametrize("keeps_meta", [True, False])
@pytest.mark.parametrize("n_bare", [3, SHAPE[2]])
def test_slices_without_the_beginning_of_a_file_are_told_and_never_dropped(
    tmp_path, syntax, keeps_meta, n_bare
):
    paths = write_series(tmp_path / "study", VOLUME, syntax=syntax, suffix="", shuffled=False)
    for path in paths[:n_bare]:
        raw = path.read_bytes()
        path.write_bytes(raw[132:] if keeps_meta else raw[raw.index(b"\x08\0\x08\0") :])
    assert is_dicom(tmp_path / "study")
    assert "is DICOM without the beginning" in refused(tmp_path / "study")


def test_text_and_records_beside_a_study_are_passed_over(tmp_path):
    write_series(tmp_path, VOLUME)
    for name, content in {"LOCK": b"", "notes": b"\x08 hours", "x.dat": bytes(200)}.items():
        (tmp_path / name).write_bytes(content)
    assert read_dicom(tmp_path).volume.shape == SHAPE


def test_a_file_that_does_not_say_how_it_is_encoded_is_told(tmp_path):
    for path in write_series(tmp_path, VOLUME):
        dataset = read_header(path)
        del dataset.file_meta.TransferSyntaxUID
        pydicom.dcmwrite(path, dataset, implicit_vr=False, little_endian=True)
    assert "it names no transfer syntax" in refused(tmp_path)


def test_a_screenshot_under_the_series_own_identifier_is_left_aside(tmp_path):
    path = write_series(tmp_path, VOLUME)[0]
    shot = read_header(path)
    shot.file_meta.MediaStorageSOPClassUID = shot.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    shot.file_meta.MediaStorageSOPInstanceUID = shot.SOPInstanceUID = "1.2.3.4"
    del shot.ImagePositionPatient, shot.ImageOrientationPatient
    shot.save_as(tmp_path / "shot.dcm")
    found = read_dicom(tmp_path)
    assert found.volume.shape == SHAPE
    assert "the other series: 1 screenshot or report" in found.why


@pytest.mark.parametrize("name", ["study.zip", "study", "study.bin"])
def test_a_zip_is_one_by_its_contents_and_a_cut_one_is_called_damaged(tmp_path, name):
    with zipfile.ZipFile(tmp_path / name, "w") as archive:
        for path in write_series(tmp_path / "slices", VOLUME):
            archive.write(path, path.name)
    assert open_scan(tmp_path / name).volume.shape == SHAPE
    truncate(tmp_path / name, 0.9)
    with pytest.raises(InputError, match="is not a zip that can be read"):
        open_scan(tmp_path / name)


def test_a_damaged_member_of_a_zip_is_refused(tmp_path):
    files = write_series(tmp_path / "s", VOLUME)
    with zipfile.ZipFile(tmp_path / "s.zip", "w") as archive:
        for file in files:
            archive.write(file, file.name)
    raw = bytearray((tmp_path / "s.zip").read_bytes())
    raw[raw.index(b"DICM") + 400] ^= 255
    (tmp_path / "s.zip").write_bytes(raw)
    assert "damaged" in refused(tmp_path / "s.zip")


@pytest.mark.parametrize("enhanced", [False, True])
@pytest.mark.parametrize("syntax", ["plain", "rle", "jpeg-ls", "jpeg-2000", "jpeg-lossless-sv1"])
def test_flipped_bits_never_end_in_a_traceback(tmp_path, syntax, enhanced):
    small = Volume(DATA[..., :3], AXIAL)
    file = write_series(tmp_path / "s", small, enhanced=enhanced, syntax=syntax)[0]
    healthy, random = file.read_bytes(), np.random.default_rng(3)
    for _ in range(60):
        raw = bytearray(healthy)
        for place in random.integers(128, len(raw), 3):
            raw[place] ^= 1 << int(random.integers(8))
        file.write_bytes(raw)
        try:
            read_dicom(tmp_path / "s")
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 - either outcome is right


def test_a_lossless_jpeg_of_another_size_is_refused(tmp_path):
    for file in write_series(tmp_path / "s", VOLUME, syntax="jpeg-lossless-sv1"):
        header = read_header(file)
        header.Rows = 5
        header.save_as(file)
    assert "cannot be decoded" in refused(tmp_path / "s")


def frame_of(tmp_path):
    from pydicom.encaps import generate_frames

    header = read_header(write_series(tmp_path / "s", VOLUME, syntax="jpeg-lossless-sv1")[0])
    return next(generate_frames(header.PixelData, number_of_frames=1))


def test_a_whole_lossless_jpeg_passes_and_each_cut_is_found(tmp_path):
    jpeg = frame_of(tmp_path).rstrip(b"\0")
    size = {"rows": 10, "columns": 12, "bits": 16}
    check_lossless_jpeg(jpeg, **size)
    for keep in range(len(jpeg) - 1):
        with pytest.raises(ValueError, match=r"."):
            check_lossless_jpeg(jpeg[:keep], **size)
    for wrong in ({"rows": 9}, {"columns": 13}, {"bits": 8}):
        with pytest.raises(ValueError, match="header's"):
            check_lossless_jpeg(jpeg, **{**size, **wrong})
