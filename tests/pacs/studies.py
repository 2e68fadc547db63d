"""Studies whose headers are full of what identifies a patient, and what plgg makes of them."""

import gzip
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.uid import generate_uid

from dicom_series import LEAKS, read_header, write_series
from helper import ODD_AFFINES, blob_brain
from plgg import api
from plgg.predict.options import PredictOptions

# The word FLAIR alone stays of these.
SECRET = re.compile(r"leak|given|19770707|20200707|1\.2\.826", re.IGNORECASE)
# Not before UIDs, which name files that were asked for by UID.
PERSON = re.compile(r"leak|given|19770707|20200707", re.IGNORECASE)


@dataclass(frozen=True)
class Study:
    """A study on disk.

    Attributes:
        files: Of its one FLAIR series.
        uid: Of the study.
        series: UID of the series.
        case: Folder of its prediction; None where there is none.
    """

    files: tuple[Path, ...]
    uid: str
    series: str
    case: Path | None = None


def make_study(folder, grid="oblique-lps", *, seed=0, tags=None, uids=None, **options):
    """Write a study of one FLAIR series."""
    flair, _ = blob_brain(affine=ODD_AFFINES[grid], seed=seed)
    uids = uids or [generate_uid() for _ in range(3)]
    files = write_series(Path(folder), flair, uids=uids, tags={**LEAKS, **(tags or {})}, **options)
    return Study(tuple(files), str(uids[0]), str(uids[1]))


def predicted_study(folder, grid, model):
    study = make_study(folder / "scans" / grid, grid)
    api.predict(
        [folder / "scans" / grid],
        out=folder / "predictions",
        model=model,
        options=PredictOptions(pages=False),
    )
    return Study(study.files, study.uid, study.series, folder / "predictions" / grid)


def uid_of(path):
    return str(read_header(path).SOPInstanceUID)


def everything_written(folder, *, but=(".dcm",)):
    """Names and contents of all files below a folder but DICOM, as one text."""
    told = []
    for path in sorted(Path(folder).rglob("*")):
        told.append(str(path.relative_to(folder)))
        if path.is_file() and path.suffix not in but:
            data = path.read_bytes()
            if path.name.endswith(".gz"):
                data = gzip.decompress(data)[:352]
            # Pictures in a page spell words by chance.
            told.append(re.sub(r"[A-Za-z0-9+/=]{120,}", "", data.decode("utf-8", "replace")))
    return "\n".join(told)


def same_points(found, wanted, tolerance_mm=0.01):
    """Two sets of points in mm are one."""
    assert len(found) == len(wanted) > 0
    first, second = (points[np.lexsort(np.round(points, 1).T)] for points in (found, wanted))
    np.testing.assert_allclose(first, second, atol=tolerance_mm)
