"""Real series, by both languages: the pixels that come back are those that were sent."""

import numpy as np
import pytest

from plgg.data.dicom.read import read_dicom
from plgg.pacs.find import find
from plgg.pacs.pull import pull
from plgg.pacs.records import StudyQuery


@pytest.mark.real
@pytest.mark.parametrize("name", ["anatomical", "philips/anatomical", "generic/anatomical"])
def test_a_real_series_comes_back_as_it_was(orthanc, link, shared_data, tmp_path, name):
    folder = shared_data / "dicom" / name / "001"
    orthanc.clear()
    orthanc.send(*sorted(folder.glob("*.dcm")))
    (study,) = find(link, StudyQuery())
    found = pull(link, study.uid, tmp_path / "out")
    assert found.n_new == len(list(folder.glob("*.dcm")))
    before, after = read_dicom(folder).volume, read_dicom(tmp_path / "out").volume
    np.testing.assert_array_equal(after.data, before.data)
    np.testing.assert_allclose(after.affine, before.affine, atol=1e-6)
