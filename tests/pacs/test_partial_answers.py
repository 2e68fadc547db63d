"""A PACS that gives lists in parts, counts more than it lists, or answers for one study wrongly."""

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from studies import make_study, uid_of
from test_hostile import JSON, link_to, listing, objects, serving, tags
from test_watch import RULE, EndedError, Told, nothing, watch

from plgg.core.errors import PlggError
from plgg.pacs.pull import pull
from plgg.pacs.records import study_key
from plgg.pacs.work import StudyWork

PART = 10


def in_parts(*items, most=PART, refuses=False):
    """A list of which no question gets more than a part."""

    def answer(to):
        offset = int(parse_qs(urlsplit(to.path).query).get("offset", ["0"])[0])
        if refuses and offset:
            return to.send(400, JSON, b"")
        return to.send(200, JSON, json.dumps(items[offset : offset + most]).encode())

    return answer


def answers_of(study, *, counted=None, listed=in_parts):
    """What a PACS answers of a study of one FLAIR series."""
    names = {uid_of(path): path for path in study.files}
    series = tags(SeriesInstanceUID=study.series, Modality="MR", SeriesDescription="FLAIR")
    series |= tags(NumberOfSeriesRelatedInstances=counted or len(names))

    def one(to):
        path = names[urlsplit(to.path).path.rsplit("/", 1)[1]]
        return objects(path.read_bytes())(to)

    instances = [tags(SOPInstanceUID=name) for name in names]
    return (
        (rf"/{study.uid}/series/{study.series}/instances/", one),
        (rf"/{study.uid}/series/{study.series}/instances", listed(*instances)),
        (rf"/{study.uid}/series\?", in_parts(series)),
    )


def names_in(folder):
    return sorted(path.name for path in folder.rglob("*.dcm"))


@pytest.fixture
def study(tmp_path):
    return make_study(tmp_path / "made")


@pytest.fixture
def work(model, tmp_path):
    """It keeps what would be predicted, in place of a network."""
    seen = {}

    def look(job):
        seen[job.scan.name] = names_in(job.scan)

    made = StudyWork(tmp_path / "work", (model,), watch=Told(), predict=look)
    return made, seen


def test_a_list_in_parts_is_asked_for_until_its_end(study, tmp_path):
    with serving(*answers_of(study)) as server:
        assert pull(link_to(server), study.uid, tmp_path / "out").n_new == len(study.files) > PART
        only = pull(link_to(server), study.uid, tmp_path / "out", series=study.series)
        assert only.n_kept == len(study.files)


def test_a_server_that_knows_no_parts_is_asked_no_more(study, tmp_path):
    whole = answers_of(study, listed=listing)
    with serving(*whole) as server:
        assert pull(link_to(server), study.uid, tmp_path / "out").n_new == len(study.files)
    refusing = answers_of(study, listed=lambda *of: in_parts(*of, most=99, refuses=True))
    with serving(*refusing) as server:
        assert pull(link_to(server), study.uid, tmp_path / "out").n_kept == len(study.files)


@pytest.mark.parametrize("series", [False, True])
def test_a_part_is_never_taken_for_the_whole(study, tmp_path, series):
    cut = answers_of(study, listed=lambda *of: in_parts(*of, refuses=True))
    with serving(*cut) as server, pytest.raises(PlggError, match="lists 10 of the 32 objects"):
        pull(link_to(server), study.uid, tmp_path / "out", series=study.series if series else None)
    assert not names_in(tmp_path / "out")


def test_watch_predicts_no_part_and_the_others_all_the_same(study, work, tmp_path):
    made, seen = work
    other = make_study(tmp_path / "other", seed=1)
    both = listing(tags(StudyInstanceUID=study.uid), tags(StudyInstanceUID=other.uid))
    with serving(
        *answers_of(study, counted=40), *answers_of(other), (r"/studies\?", both)
    ) as server:
        found = watch(link_to(server), made, RULE, once=True)
    assert found.done == {study_key(other.uid)}
    assert "lists 32 of the 40 objects" in found.failed[study_key(study.uid)]
    assert list(seen) == [study_key(other.uid)]
    assert len(seen[study_key(other.uid)]) == len(other.files)


def test_a_study_of_which_the_answer_is_none_costs_no_other(study, work):
    made, seen = work
    both = listing(tags(StudyInstanceUID="1.2.99"), tags(StudyInstanceUID=study.uid))
    broken = (r"/1\.2\.99/series", lambda to: to.send(200, JSON, b"<html>"))
    with serving(broken, *answers_of(study), (r"/studies\?", both)) as server:
        for _ in range(2):
            found = watch(link_to(server), made, RULE, once=True)
            assert "no DICOMweb" in found.failed[study_key("1.2.99")]
    assert list(seen) == [study_key(study.uid)]
    assert sum("no DICOMweb" in line for line in made.watch.lines) == 1


def test_an_answer_that_is_none_for_once_does_not_end_the_watch(study, work):
    made, seen = work
    good = [*answers_of(study), (r"/studies\?", listing(tags(StudyInstanceUID=study.uid)))]
    bad = [(".", lambda to: to.send(200, JSON, b"<html>being mended</html>"))]
    with serving(*good) as server:
        todo = [
            lambda: setattr(server, "answers", bad),
            nothing,
            lambda: setattr(server, "answers", good),
            nothing,
        ]

        def sleep(_seconds):
            if not todo:
                raise EndedError
            todo.pop(0)()

        with pytest.raises(EndedError):
            watch(link_to(server), made, RULE, sleep=sleep)
        assert list(seen) == [study_key(study.uid)]
        assert sum("asked again" in line for line in made.watch.lines) == 1
        # One that was never understood is no PACS.
        server.answers = bad
        with pytest.raises(PlggError, match="no DICOMweb"):
            watch(link_to(server), made, RULE)


def test_a_series_that_was_replaced_is_predicted_without_the_old_one(study, work, tmp_path):
    """As many images as before, for example under the right patient: another series."""
    made, seen = work
    key = study_key(study.uid)
    uids = [study.uid, "1.2.3.77", "1.2.3.78"]
    new = make_study(tmp_path / "new", seed=1, uids=uids)
    studies = (r"/studies\?", listing(tags(StudyInstanceUID=study.uid)))
    with serving(*answers_of(study), studies) as server:
        watch(link_to(server), made, RULE, once=True)
        before = seen.pop(key)
        server.answers = [*answers_of(new), studies]
        watch(link_to(server), made, RULE, once=True)
        assert len(seen[key]) == len(new.files)
        assert not {*before} & {*seen.pop(key)}
        watch(link_to(server), made, RULE, once=True)
    assert not seen
