"""Cohorts in the layout of 0c0a00c, written without plgg, so that nothing of it alters them."""

import hashlib
import json

import blosc2
import nibabel as nib
import numpy as np

CLASSES = ("bright", "dark", "middle")
Z_SCORE = {"bright": 120, "dark": 50, "middle": 80}


def write_old_store(folder, *, spacing_mm, shape, n=5):
    """A store of `n` patients: ellipsoids of noise with a ball whose brightness is the class.

    The fourth has no mask, the fifth no marker, if there are more than five.
    """
    cases = []
    for number in range(n):
        name, marker = f"P{number:02d}", CLASSES[number % 3]
        # Its numbers stay the same over all versions of NumPy.
        random = np.random.RandomState(number)
        image, mask = _blob(shape, Z_SCORE[marker], random)
        has_mask, known = not (n > 5 and number == 3), not (n > 5 and number == 4)
        case = {
            "case_id": name,
            "patient_id": name,
            "marker": marker if known else None,
            "has_mask": has_mask,
            "site": None,
            "age_years": 3.0 + number,
            "sex": "FM"[number % 2],
            "flair": f"scans/{name}.nii.gz",
            "flair_sha256": hashlib.sha256(name.encode()).hexdigest(),
            "shape": shape,
        }
        cases.append(case)
        _write(folder / "cases" / name, case, spacing_mm, image, mask if has_mask else None)
    cohort = {
        "format": "plgg-store",
        "version": 2,
        "spacing_mm": spacing_mm,
        "settings": _settings(),
        "classes": CLASSES,
        "cases": cases,
    }
    (folder / "cohort.json").write_text(json.dumps(cohort), encoding="utf-8")
    return folder


def _settings():
    return {"registration": "centre", "stripping": "none"}


def _blob(shape, brightness, random):
    points = (np.moveaxis(np.indices(shape), 0, -1) + 0.5) / np.array(shape)
    brain = np.square((points - 0.5) * 2.1).sum(axis=-1) <= 1.0
    centre = 0.4 + 0.2 * random.random_sample(3)
    tumour = np.square((points - centre) / 0.18).sum(axis=-1) <= 1.0
    codes = random.randint(-20, 21, shape) + brightness * tumour
    return np.where(brain, codes, -128).astype(np.int8), tumour.astype(np.uint8)


def _write(folder, case, spacing_mm, image, mask):
    folder.mkdir(parents=True)
    affine = np.diag([-spacing_mm, -spacing_mm, spacing_mm, 1.0])
    _write_array(folder / "image.b2nd", image)
    if mask is not None:
        _write_array(folder / "mask.b2nd", mask)
        nib.save(nib.Nifti1Image(mask, affine), folder / "truth.nii.gz")
    record = {
        "case": case,
        "spacing_mm": spacing_mm,
        "settings": _settings(),
        "placement": {
            "native_shape": case["shape"],
            "native_affine": affine.tolist(),
            "box_shape": case["shape"],
            "box_affine": affine.tolist(),
            "native_to_atlas": np.eye(4).tolist(),
            "method": "none",
        },
        "mask_sha256": None,
    }
    (folder / "case.json").write_text(json.dumps(record), encoding="utf-8")


def _write_array(path, data):
    chunks = tuple(min(32, side) for side in data.shape)
    blosc2.asarray(data, chunks=chunks, blocks=chunks, urlpath=str(path), mode="w")
