"""One phantom's brain and what registration sees of it, made once for all tests that ask."""

from functools import cache

import numpy as np
from scipy.spatial.transform import Rotation

from plgg.core.volume import Volume, apply_affine, index_map
from plgg.data.atlas.atlas import load_atlas
from plgg.phantom.patient import make_scan
from plgg.phantom.settings import phantom_settings
from plgg.preprocess.registration.frame import align, frame_of, view_of
from plgg.preprocess.resample import resample


@cache
def phantom():
    """A child's FLAIR and tumour on the grid of SRI24, int16 as float32 and uint8."""
    flair, mask = make_scan(phantom_settings(), 0, "other", scan=0)
    return flair.with_data(flair.data.astype(np.float32)), mask


@cache
def view():
    return view_of(load_atlas())


def frame(volume):
    """The frame of a volume that holds nothing but brain."""
    return frame_of(volume, volume.data != 0)


@cache
def phantom_frame():
    return frame(phantom()[0])


@cache
def upright():
    """The phantom as it lies, which is upright in the atlas' world."""
    return align(phantom_frame(), view(), np.eye(4))


def about_brain(linear):
    """A linear map, or a scale, about the middle of the atlas' brain, 4×4."""
    matrix = np.eye(4)
    matrix[:3, :3] = linear * np.eye(3) if np.isscalar(linear) else linear
    centre = view().frame.centre_mm
    matrix[:3, 3] = centre - matrix[:3, :3] @ centre
    return matrix


def turn(axis, degrees):
    return about_brain(Rotation.from_euler(axis, degrees, degrees=True).as_matrix())


def moved(volume, matrix):
    """A volume whose header is turned, or otherwise moved."""
    return Volume(volume.data, matrix @ volume.affine)


def laid_on(volume, shape, affine):
    """A stripped scan sampled on another grid of its world, 0 outside the brain."""
    there = index_map(volume.affine, affine)
    inside = resample(volume.data != 0, there, shape) >= 0.5
    data = np.where(inside, np.maximum(resample(volume.data, there, shape), 1.0), 0.0)
    return Volume(data.astype(np.float32), affine)


def corner_error_mm(one, other, volume):
    """Largest distance that two maps put between the images of the corners of a brain's box."""
    ends = np.argwhere(volume.data != 0)
    low, high = ends.min(axis=0), ends.max(axis=0)
    corners = np.array(np.meshgrid(*zip(low, high, strict=True))).reshape(3, -1).T
    points = apply_affine(volume.affine, corners)
    return float(
        np.linalg.norm(apply_affine(one, points) - apply_affine(other, points), axis=1).max()
    )
