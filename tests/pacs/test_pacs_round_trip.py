"""Find, pull, predict, push, fetch back: with a real Orthanc, by DICOMweb and by DIMSE."""

import json

import nibabel as nib
import numpy as np
import pytest
from studies import PERSON, make_study, same_points, uid_of

from dicom_seg import by_highdicom, by_pydicom, points
from dicom_series import read_header
from plgg.core.errors import PlggError
from plgg.pacs.archive import PacsLink
from plgg.pacs.find import find
from plgg.pacs.pull import pull
from plgg.pacs.push import push
from plgg.pacs.records import StudyQuery
from program import one_line, plgg


@pytest.mark.parametrize(
    "url", ["web", pytest.param("dimse", marks=pytest.mark.slow)], indirect=True
)
def test_from_the_command_line_and_back(orthanc, url, model, tmp_path):
    study = make_study(tmp_path / "made", tags={"PatientID": "LEAK-round"})
    orthanc.send(*study.files)
    listed = plgg("pacs", "find", url, "--patient", "LEAK-round", "--modality", "MR", "--json")
    found = next(one for one in listed.json() if one["uid"] == study.uid)
    assert found["series"][0]["uid"] == study.series
    assert study.series in plgg("pacs", "find", url, "--patient", "LEAK*", "--limit", "50").out

    done = plgg("pacs", "pull", url, study.uid, "--out", tmp_path / "P01")
    assert "32 objects pulled" in done.out
    pulled = sorted((tmp_path / "P01").rglob("*.dcm"))
    assert {path.stem for path in pulled} == {uid_of(path) for path in study.files}
    again = plgg("pacs", "pull", url, "--series", study.series, "--out", tmp_path / "P01")
    assert "0 objects pulled, 32 were there already" in again.out

    out = tmp_path / "predictions"
    plgg("predict", tmp_path / "P01", "--model", model, "--out", out, "--no-report")
    sent = plgg("pacs", "push", url, out, "--json").json()
    assert {one["state"] for one in sent} == {"sent"}
    repeated = plgg("pacs", "push", url, out / "P01", "--json").json()
    assert [one["state"] for one in repeated] == ["there"] * len(sent)
    (uid,) = [uid_of(path) for path in out.rglob("segmentation.dcm")]
    assert orthanc.objects().count(uid) == 1
    assert not PERSON.search("".join((done.err, again.err)))

    back = pull(PacsLink(url), study.uid, tmp_path / "back")
    assert back.n_new == len(study.files) + len(sent)
    (segmentation,) = (tmp_path / "back").rglob(f"{uid}.dcm")
    mask = nib.load(out / "P01" / "mask.nii.gz")
    wanted = points(np.asarray(mask.dataobj) > 0, mask.affine)
    same_points(by_highdicom(segmentation), wanted)
    same_points(by_pydicom(segmentation), wanted)
    assert read_header(segmentation).PatientID == "LEAK-round"


@pytest.mark.parametrize("grid", ["lps", "sagittal", "oblique-lps"])
def test_a_mask_comes_back_in_its_place(link, predicted, grid, tmp_path):
    study = predicted[grid]
    push(link, [study.case])
    uid = uid_of(study.case / "segmentation.dcm")
    series = str(read_header(study.case / "segmentation.dcm").SeriesInstanceUID)
    pull(link, None, tmp_path / "back", series=series)
    mask = nib.load(study.case / "mask.nii.gz")
    wanted = points(np.asarray(mask.dataobj) > 0, mask.affine)
    same_points(by_highdicom(tmp_path / "back" / series / f"{uid}.dcm"), wanted)


def test_twice_is_one_object_in_both_languages(orthanc, predictions):
    orthanc.clear()
    states = [
        [one.state for one in push(PacsLink(url), [predictions])]
        for url in (orthanc.url, orthanc.dimse, orthanc.url)
    ]
    n = len(list(predictions.rglob("*.dcm")))
    assert states == [["sent"] * n, ["there"] * n, ["there"] * n]
    wanted = sorted(uid_of(path) for path in predictions.rglob("*.dcm"))
    assert orthanc.objects() == wanted


def test_edits_and_work_folders_are_pushed_too(orthanc, link, predictions):
    orthanc.clear()
    case = predictions / "lps"
    edit, n = case / "edits" / "0001", len(list(predictions.rglob("*.dcm")))
    edit.mkdir(parents=True)
    corrected = read_header(case / "segmentation.dcm")
    corrected.SOPInstanceUID = corrected.file_meta.MediaStorageSOPInstanceUID = "1.2.3.4.5"
    corrected.save_as(edit / "segmentation.dcm")
    (case / "edits" / "segmentation.dcm").symlink_to(case / "segmentation.dcm")
    assert [one.path for one in push(link, [edit])] == [edit / "segmentation.dcm"]
    work = predictions.parent / "work"
    work.mkdir()
    predictions.rename(work / "cases")
    states = {
        one.path.relative_to(work / "cases").parts[0:2]: one.state for one in push(link, [work])
    }
    assert sorted(states.values()) == [*["sent"] * n, "there"]
    assert "1.2.3.4.5" in orthanc.objects()


def test_a_query_finds_what_it_asks_for_and_no_more(orthanc, link, tmp_path):
    orthanc.clear()
    flair = make_study(tmp_path / "a", tags={"PatientID": "A1", "StudyDate": "20260301"})
    other = make_study(
        tmp_path / "b", description="T1 ax",
        tags={"PatientID": "B2", "StudyDate": "20250101", "StudyDescription": "spine",
              "SeriesDescription": "T1 ax"},
    )  # fmt: skip
    orthanc.send(*flair.files[:2], *other.files[:3])
    both, one, two = {flair.uid, other.uid}, {flair.uid}, {other.uid}
    cases = [
        (StudyQuery(), both),
        (StudyQuery(patient="A1"), one),
        (StudyQuery(patient="B*"), two),
        (StudyQuery(date="20260101-"), one),
        (StudyQuery(date="20250101"), two),
        (StudyQuery(description="FLAIR"), one),
        (StudyQuery(description="spine"), two),
        (StudyQuery(modality="mr"), both),
        (StudyQuery(modality="CT"), set()),
        (StudyQuery(patient="nobody"), set()),
    ]
    for query, wanted in cases:
        assert {study.uid for study in find(link, query)} == wanted, query
    assert len(find(link, StudyQuery(limit=1))) == 1
    (series,) = find(link, StudyQuery(patient="B2"))[0].series
    assert (series.n_instances, series.modality) == (3, "MR")


def test_what_is_not_there_is_told(link, tmp_path):
    for study, series in (("1.2.3", None), ("1.2.3", "1.2.4"), (None, "1.2.4")):
        with pytest.raises(PlggError, match="no such study or series"):
            pull(link, study, tmp_path / "out", series=series)


def test_a_pull_goes_on_where_it_was_stopped(orthanc, link, tmp_path):
    study = make_study(tmp_path / "made")
    orthanc.send(*study.files)
    out = tmp_path / "out"
    pull(link, study.uid, out)
    files = sorted(out.rglob("*.dcm"))
    for path in files[:5]:
        path.unlink()
    # What a process that was killed leaves.
    (files[0].parent / ".plgg-new-0123456789abcdef.x.dcm").write_bytes(b"half")
    found = pull(link, study.uid, out)
    assert (found.n_new, found.n_kept) == (5, 27)
    assert sorted(out.rglob("*.dcm")) == files
    files[0].write_bytes(files[1].read_bytes())
    with pytest.raises(PlggError, match="not the object of its name"):
        pull(link, study.uid, out)


def test_a_pull_touches_nothing_of_others(link, tmp_path):
    (tmp_path / "out" / "1.2.3").mkdir(parents=True)
    with pytest.raises(PlggError, match="did not write"):
        pull(link, "1.2.3", tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["1.2.3"]


def test_a_folder_without_objects_is_told(link, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(PlggError, match="no DICOM object that plgg wrote"):
        push(link, [tmp_path / "out"])


def test_the_table_obeys_no_one(orthanc, link, tmp_path):
    study = make_study(
        tmp_path / "made", tags={"PatientID": "X9", "SeriesDescription": "\x1b[31mFLAIR [red]"}
    )
    orthanc.send(study.files[0])
    shown = plgg("pacs", "find", link.url, "--patient", "X9").out
    assert "\x1b" not in shown
    assert json.loads(plgg("pacs", "find", link.url, "--patient", "X9", "--json").out)


def test_words_that_cannot_be_are_one_line(tmp_path):
    for words, said in (
        (["find", "ftp://host"], "no address"),
        (["find", "http://me:secret@127.0.0.1/x"], "PLGG_PACS_USER"),
        (["find", "http://pacs.example/dicom-web"], "--insecure"),
        (["find", "dicom://X@pacs.example:104"], "dicoms://"),
        (["find", "dicom://127.0.0.1:104"], "AE title"),
        (["find", "http://127.0.0.1:1/x", "--study-date", "today"], "YYYYMMDD"),
        (["pull", "http://127.0.0.1:1/x", "../../x", "--out", tmp_path / "o"], "no UID"),
        (["pull", "http://127.0.0.1:1/x", "--out", tmp_path / "o"], "neither a study"),
        (["watch", "http://127.0.0.1:1/x", "--work", tmp_path / "w", "--rule", "age>3"], "rule"),
        (["listen", "--work", tmp_path / "w", "--host", "192.0.2.1"], "--caller"),
        (["listen", "--work", tmp_path / "w", "--host", "192.0.2.1", "--caller", "A"], "--tls"),
        (["listen", "--work", tmp_path / "w", "--aet", "x" * 17], "AE title"),
    ):
        line = one_line(plgg("pacs", *words, status=2))
        assert said in line
        assert "secret" not in line
    assert not list(tmp_path.iterdir())
