"""NRRD and labels: every voxel stays where it is in the world, and what is no label is refused."""

import zlib

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from helper import ODD_AFFINES, make_affine
from plgg.core.errors import InputError
from plgg.core.volume import Volume, apply_affine
from plgg.data.budget import scan_limit
from plgg.serve.errors import RequestError
from plgg.serve.labels import tumour_of
from plgg.serve.nrrd import read_nrrd, write_nrrd

SHAPE = (11, 7, 5)
AFFINES = {
    **ODD_AFFINES,
    "sheared": ODD_AFFINES["oblique"]
    @ np.array([[1, 0.1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1.0]]),
    "left-handed": make_affine((1.1, 0.9, 3.0), axes="RSA", turn_degrees=(8.0, 5.0, -3.0)),
}


def marked(affine, dtype=np.uint8):
    """A few voxels, no two planes of which are alike."""
    data = np.zeros(SHAPE, dtype)
    for voxel in ((1, 2, 3), (2, 2, 3), (10, 0, 4), (0, 6, 0), (5, 3, 1)):
        data[voxel] = 1
    return Volume(data, affine)


def saved(tmp_path, raw, name="label.nrrd"):
    (tmp_path / name).write_bytes(raw)
    return tmp_path / name


def itk_points(image):
    """World points (RAS+) of all voxels that are set, as ITK sees them."""
    data = sitk.GetArrayFromImage(image)
    voxels = [tuple(map(int, voxel[::-1])) for voxel in np.argwhere(data)]
    points = [image.TransformIndexToPhysicalPoint(voxel) for voxel in voxels]
    return np.array(points) * (-1.0, -1.0, 1.0)


def ras_points(volume):
    return apply_affine(volume.affine, np.argwhere(volume.data))


def ordered(points):
    return points[np.lexsort(points.round(3).T)]


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int16, np.float32])
@pytest.mark.parametrize("name", AFFINES)
def test_reading_undoes_writing_to_the_last_digit(name, dtype, packed):
    label = marked(AFFINES[name], dtype)
    back = read_nrrd(write_nrrd(label, packed=packed)).volume
    assert back.data.dtype == dtype
    assert np.array_equal(back.data, label.data)
    assert np.array_equal(back.affine, label.affine)


@pytest.mark.parametrize("name", AFFINES)
def test_itk_sees_every_voxel_where_it_is_in_the_world(tmp_path, name):
    label = marked(AFFINES[name])
    path = saved(tmp_path, write_nrrd(label, segment="tumour"), "label.seg.nrrd")
    image = sitk.ReadImage(str(path))
    assert image.GetMetaData("Segment0_Name") == "tumour"
    assert np.allclose(ordered(itk_points(image)), ordered(ras_points(label)), atol=1e-6)


@pytest.mark.parametrize("name", AFFINES)
def test_what_itk_writes_is_read_where_itk_means_it(tmp_path, name):
    label = marked(AFFINES[name])
    first = saved(tmp_path, write_nrrd(label), "first.nrrd")
    again = tmp_path / "again.nrrd"
    sitk.WriteImage(sitk.ReadImage(str(first)), str(again), useCompression=True)
    back = read_nrrd(again.read_bytes()).volume
    assert np.array_equal(back.data, label.data)
    assert np.allclose(back.affine, label.affine, atol=1e-9)


def test_worlds_of_other_names_are_turned():
    raw = write_nrrd(marked(np.diag([2.0, 3.0, 4.0, 1.0])), packed=False)
    ras = raw.replace(b"left-posterior-superior", b"RAS")
    assert np.array_equal(read_nrrd(ras).volume.affine, np.diag([-2.0, -3.0, 4.0, 1.0]))
    with pytest.raises(InputError, match="does not name left and right"):
        read_nrrd(raw.replace(b"left-posterior-superior", b"scanner-xyz"))


RAW = write_nrrd(marked(np.eye(4)), packed=False)
BROKEN = {
    "another file": RAW.replace(b"encoding: raw", b"data file: /etc/passwd\nencoding: raw"),
    "line skip": RAW.replace(b"encoding: raw", b"encoding: raw\nline skip: 3"),
    "text": RAW.replace(b"encoding: raw", b"encoding: ascii"),
    "short": RAW[:-1],
    "no header": b"NRRD0004\ntype: float",
    "no nrrd": b"P6\n\n1",
    "two axes": RAW.replace(b"sizes: 11 7 5", b"sizes: 77 5"),
    "no size": RAW.replace(b"sizes: 11 7 5", b"sizes: 11 7 x"),
    "negative": RAW.replace(b"sizes: 11 7 5", b"sizes: -11 7 5"),
    "nowhere": RAW.replace(b"space origin: (0.0,0.0,0.0)\n", b""),
    "flat": RAW.replace(b"(0.0,-1.0,0.0)", b"(0.0,0.0,0.0)"),
    "no number": RAW.replace(b"(0.0,-1.0,0.0)", b"(0.0,x,0.0)"),
    "strange type": RAW.replace(b"unsigned char", b"block"),
    "damaged": RAW.partition(b"\n\n")[0].replace(b"raw", b"gzip") + b"\n\n\x1f\x8bnothing",
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_whole_image_is_refused_in_a_line(name):
    with pytest.raises(InputError):
        read_nrrd(BROKEN[name])


def test_a_bomb_is_refused_before_it_goes_off():
    zeros = zlib.compressobj(9, wbits=31)
    packed = zeros.compress(bytes(2**24)) + zeros.flush()
    head = RAW.partition(b"\n\n")[0].replace(b"encoding: raw", b"encoding: gzip")
    with pytest.raises(InputError, match="at most"), scan_limit(0.01):
        read_nrrd(head.replace(b"11 7 5", b"4096 4096 1") + b"\n\n" + packed)
    # One that declares little is read no further than that.
    assert not read_nrrd(head + b"\n\n" + packed).volume.data.any()


def grid(affine):
    return Volume(np.zeros(SHAPE, np.bool_), affine)


@pytest.mark.parametrize("name", AFFINES)
def test_a_label_becomes_the_mask_of_the_case(tmp_path, name):
    label, base = marked(AFFINES[name]), grid(AFFINES[name])
    file = saved(tmp_path, write_nrrd(label, segment="Tumor"))
    assert np.array_equal(tumour_of(file, "x", base).mask.data, label.data == 1)


@pytest.mark.parametrize("name", AFFINES)
def test_a_cropped_segmentation_goes_back_to_its_place(tmp_path, name):
    label, base = marked(AFFINES[name]), grid(AFFINES[name])
    part = label.crop((slice(1, 11), slice(0, 6), slice(1, 5)))
    found = tumour_of(saved(tmp_path, write_nrrd(part)), "x", base).mask
    expected = label.data == 1
    expected[0, 6, 0] = False
    assert np.array_equal(found.data, expected)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 0, 2)])
@pytest.mark.parametrize("flipped", [(), (0,), (1, 2)])
@pytest.mark.parametrize("name", ["oblique-lps", "left-handed"])
def test_a_label_whose_axes_are_turned_goes_back_to_its_place(tmp_path, name, order, flipped):
    label = marked(AFFINES[name])
    turn = np.zeros((4, 4))
    turn[[*order, 3], range(4)] = 1.0
    for axis in flipped:
        turn[:, 3] += turn[:, axis] * (SHAPE[order[axis]] - 1)
        turn[:, axis] *= -1
    data = np.flip(label.data.transpose(order), flipped)
    turned = Volume(np.ascontiguousarray(data), label.affine @ turn)
    found = tumour_of(saved(tmp_path, write_nrrd(turned)), "x", grid(label.affine)).mask
    assert np.array_equal(found.data, label.data == 1)


def test_an_empty_margin_is_no_reason_to_refuse(tmp_path):
    label = marked(AFFINES["oblique"])
    shifted = label.affine.copy()
    shifted[:3, 3] -= label.affine[:3, :3].sum(axis=1)
    margin = Volume(np.pad(label.data, 1), shifted)
    found = tumour_of(saved(tmp_path, write_nrrd(margin)), "x", grid(label.affine)).mask
    assert np.array_equal(found.data, label.data == 1)


def test_another_grid_is_refused(tmp_path):
    base = grid(np.eye(4))
    moved, outside, turned = np.eye(4), np.eye(4), make_affine((1, 1, 1), turn_degrees=(2, 0, 0))
    moved[0, 3], outside[0, 3] = 0.4, 3.0
    for affine in (moved, outside, turned, np.diag([1.1, 1.1, 1.1, 1.0])):
        with pytest.raises(RequestError, match="another grid") as refused:
            tumour_of(saved(tmp_path, write_nrrd(marked(affine))), "x", base)
        assert refused.value.status == 422


def test_of_several_segments_the_tumour_counts(tmp_path):
    base, data = grid(np.eye(4)), np.zeros(SHAPE, np.uint8)
    data[1, 1, 1], data[2, 2, 2] = 1, 2
    file = saved(tmp_path, write_nrrd(Volume(data, np.eye(4))))
    for names, value in ((("tumour", "edema"), 1), (("edema", "Tumor"), 2)):
        found = tumour_of(file, "x", base, names)
        assert np.array_equal(found.mask.data, data == value)
        assert found.ignored == ("edema",)
    for names in ((), ("a", "b"), ("tumour", "tumor")):
        with pytest.raises(RequestError, match="several segments"):
            tumour_of(file, "x", base, names)


def test_one_segment_counts_whatever_its_name_and_value(tmp_path):
    label = marked(np.eye(4))
    file = saved(tmp_path, write_nrrd(label.with_data(label.data * 7)))
    assert np.array_equal(tumour_of(file, "x", grid(np.eye(4))).mask.data, label.data == 1)


def test_overlapping_segments_lie_in_layers_of_their_own(tmp_path):
    data = np.zeros((2, *SHAPE), np.uint8)
    data[0, 1:4, 1, 1], data[1, 2:6, 1, 1] = 1, 1
    keys = b"Segment0_Name:=edema\nSegment0_Layer:=0\nSegment1_Name:=tumour\nSegment1_Layer:=1"
    head = RAW.partition(b"\n\n")[0].replace(b"dimension: 3", b"dimension: 4")
    head = head.replace(b"sizes: ", b"sizes: 2 ").replace(b"directions: ", b"directions: none ")
    file = saved(tmp_path, head + b"\n" + keys + b"\n\n" + data.tobytes(order="F"))
    found = tumour_of(file, "x", grid(np.eye(4)))
    assert np.array_equal(found.mask.data, data[1] == 1)
    assert found.ignored == ("edema",)


def test_bare_voxels_are_taken_in_the_order_of_the_scan(tmp_path):
    label = marked(AFFINES["left-handed"], np.uint16)
    for raw in (label.data.tobytes(order="F"), label.data.astype(np.uint8).tobytes(order="F")):
        found = tumour_of(saved(tmp_path, raw), "label.bin", grid(label.affine))
        assert np.array_equal(found.mask.data, label.data == 1)
    with pytest.raises(RequestError, match="bytes for the case's"):
        tumour_of(saved(tmp_path, raw[:-1]), "label.bin", grid(label.affine))


def test_no_label_is_no_mask(tmp_path):
    base = grid(np.eye(4))
    empty = saved(tmp_path, write_nrrd(Volume(np.zeros(SHAPE, np.uint8), np.eye(4))))
    assert not tumour_of(empty, "x", base).mask.data.any()
    scan = np.random.default_rng(0).random(SHAPE).astype(np.float32)
    with pytest.raises(RequestError, match="fractions"):
        tumour_of(saved(tmp_path, write_nrrd(Volume(scan, np.eye(4)))), "x", base)
    counted = np.arange(scan.size, dtype=np.int16).reshape(SHAPE)
    with pytest.raises(RequestError, match="values"):
        tumour_of(saved(tmp_path, write_nrrd(Volume(counted, np.eye(4)))), "x", base)
    with pytest.raises(RequestError) as refused:
        tumour_of(saved(tmp_path, bytes(2**21)), "x", base)
    assert refused.value.status == 413


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_nifti_is_read_by_its_bytes(tmp_path, ending):
    label = marked(AFFINES["oblique-lps"])
    nib.save(nib.Nifti1Image(label.data, label.affine), tmp_path / f"mask{ending}")
    (tmp_path / f"mask{ending}").rename(tmp_path / "upload")
    found = tumour_of(tmp_path / "upload", "anything", grid(label.affine))
    assert np.array_equal(found.mask.data, label.data == 1)
