"""A small `Result` to compare and to tabulate."""

from plgg.config import InferenceConfig
from plgg.data.result import (
    Component,
    Diameters,
    Input,
    Marker,
    Result,
    Uncertainty,
    VolumeInterval,
)

CLASSES = ("wild type", "fusion", "V600E")


def make_diameters(*, largest_mm=40.0, perpendicular_mm=25.0, plane="axial"):
    return Diameters(
        plane=plane,
        slice_index=7,
        largest_mm=largest_mm,
        perpendicular_mm=perpendicular_mm,
        depth_mm=20.0,
        product_mm2=largest_mm * perpendicular_mm,
        ends_mm=((0.0, 0.0, 0.0), (40.0, 0.0, 0.0), (9.0, -5.0, 0.0), (9.0, 20.0, 0.0)),
    )


def make_interval(low_ml, high_ml):
    return VolumeInterval(low_ml=low_ml, high_ml=high_ml, level=0.9, n_patients=20)


def make_marker(*, withheld=False):
    return Marker(
        classes=CLASSES,
        probabilities=dict(zip(CLASSES, (0.2, 0.7, 0.1), strict=True)),
        predicted="fusion",
        calibrated=True,
        withheld=withheld,
        statement="fusion, with a probability of 70%.",
    )


def make_result(**changes):
    fields = {
        "case_id": "P01_a",
        "patient_id": "P01",
        "input": Input(path="P01.nii.gz", kind="nifti", sha256="ab" * 32),
        "volume_ml": 20.0,
        "volume_interval": make_interval(16.0, 25.0),
        "components": (Component(volume_ml=20.0, centre_mm=(1.0, 2.0, 3.0)),),
        "diameters": make_diameters(),
        "uncertainty": Uncertainty(expected_dice=0.9, n_views=2, agreement=0.95),
        "change": None,
        "marker": make_marker(),
        "familiarity": None,
        "quality": None,
        "threshold": 0.5,
        "smallest_ml": 0.1,
        "models": (),
        "engine": "none",
        "inference": InferenceConfig(),
        "versions": {},
        "seconds": {},
        "warnings": (),
    }
    return Result(**(fields | changes))
