"""`plgg pacs watch`: new studies are predicted and sent back, once, whatever happens meanwhile."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from functools import partial

import pytest
from studies import SECRET, everything_written, make_study, uid_of

from plgg.core.errors import ConfigError
from plgg.data.dicom.read import read_dicom
from plgg.data.dicom.segmentation import write_segmentation
from plgg.pacs.archive import PacsLink
from plgg.pacs.errors import UnreachableError
from plgg.pacs.ledger import MOST_ATTEMPTS, Ledger, StudyRecord
from plgg.pacs.push import push
from plgg.pacs.records import Series, Study, study_key
from plgg.pacs.rule import DEFAULT_RULE, parse_rule
from plgg.pacs.watch import watch
from plgg.pacs.work import StudyWork, predict_in_process
from program import plgg

RULE = parse_rule(DEFAULT_RULE)
# The dates of these studies are long past: tests/pacs/test_watch_days.py has those of today.
watch = partial(watch, days=None)


class Told:
    """A watch that keeps what is said."""

    def __init__(self):
        self.lines = []

    def task(self, _label):
        from plgg.core.progress import Silent

        return Silent().task(_label)

    def say(self, message):
        self.lines.append(message)


@pytest.fixture(autouse=True)
def empty(request):
    if "orthanc" in request.fixturenames:
        request.getfixturevalue("orthanc").clear()


@pytest.fixture
def work(model, tmp_path, link):
    return StudyWork(
        tmp_path / "work", (model,), back=link, watch=Told(), predict=predict_in_process
    )


def outline(job):
    """In place of a network: the same mask for the same study, as a real DICOM SEG of it."""
    case = job.out / job.scan.name
    case.mkdir(exist_ok=True)
    (case / "result.json").write_text("{}")
    volume = read_dicom(job.scan).volume
    write_segmentation(case / "segmentation.dcm", volume.with_data(volume.data > 150), job.scan)


@pytest.fixture
def quick(work):
    return replace(work, predict=outline)


class EndedError(Exception):
    """In place of the next poll."""


def polls(link, work, *between):
    """Look as often as there is something to do in between, and once more."""
    rest = [*between]

    def sleep(_seconds):
        if not rest:
            raise EndedError
        rest.pop(0)()

    with pytest.raises(EndedError):
        watch(link, work, RULE, sleep=sleep)


def nothing():
    pass


def test_a_study_is_predicted_sent_back_and_left_alone(orthanc, link, work, tmp_path):
    study = make_study(tmp_path / "made")
    t1 = make_study(
        tmp_path / "t1", uids=[study.uid, "1.2.3.77", "1.2.3.78"], echo_ms=9.0, inversion_ms=None,
        number=2, tags={"SeriesDescription": "T1 ax", "ProtocolName": "T1"},
    )  # fmt: skip
    orthanc.send(*study.files, *t1.files[:5])
    found = watch(link, work, RULE, once=True)
    key = study_key(study.uid)
    assert found.done == {key}
    # Of the series that is no FLAIR nothing stays.
    assert len(list(work.scan(key).iterdir())) == len(study.files)
    segmentation = uid_of(work.cases / key / "segmentation.dcm")
    assert orthanc.objects("SEG") == [segmentation]
    before = everything_written(work.root)
    assert watch(link, work, RULE, once=True).done == set()
    assert everything_written(work.root) == before
    assert orthanc.objects("SEG") == [segmentation]
    n_sent = len(list((work.cases / key).glob("*.dcm")))
    assert work.watch.lines == [f"{key}: predicted, {n_sent} sent back"]
    assert not SECRET.search(before), SECRET.search(before)


def test_what_the_rule_does_not_fit_is_not_touched(orthanc, link, work, tmp_path):
    orthanc.send(*make_study(tmp_path / "a").files[:3])
    watch(link, work, parse_rule("modality=MR description~spine"), once=True)
    assert work.ledger.all() == []
    assert list((work.root / "scans").iterdir()) == []


def test_a_study_that_still_grows_is_waited_for(orthanc, link, quick, tmp_path):
    study = make_study(tmp_path / "made")
    key = study_key(study.uid)
    orthanc.send(*study.files[:20])
    sizes = []

    def more():
        sizes.append(len([*quick.scan(key).glob("*")]))
        orthanc.send(*study.files[20:])

    polls(link, quick, more, lambda: sizes.append(len([*quick.scan(key).glob("*")])))
    # Seen, seen larger, and then taken as a whole.
    assert sizes == [0, 0]
    assert quick.ledger.get(key).state == "done"
    assert quick.ledger.get(key).n_images == 32


def test_a_study_that_grew_later_is_taken_again(orthanc, link, quick, tmp_path):
    study = make_study(tmp_path / "made")
    key = study_key(study.uid)
    orthanc.send(*study.files[:-1])
    # Without its last slice as it is named, which need not be the last in space: told, or done.
    watch(link, quick, RULE, once=True)
    orthanc.send(study.files[-1])
    assert watch(link, quick, RULE, once=True).done == {key}
    assert len([*quick.scan(key).glob("*")]) == 32


def test_a_study_that_fails_is_told_once_and_given_up(orthanc, link, work, tmp_path):
    study = make_study(tmp_path / "made")
    orthanc.send(*study.files)
    tried = []
    failing = replace(work, predict=lambda job: tried.append(job.scan) or "holds no brain")
    for _ in range(MOST_ATTEMPTS + 2):
        watch(link, failing, RULE, once=True)
    assert len(tried) == MOST_ATTEMPTS
    assert work.watch.lines == [f"{study_key(study.uid)}: holds no brain"]
    assert orthanc.objects("SEG") == []


def test_a_study_without_a_flair_is_passed_over(orthanc, link, work, tmp_path):
    study = make_study(
        tmp_path / "t1", echo_ms=9.0, inversion_ms=None,
        tags={"SeriesDescription": "T1 ax", "StudyDescription": "flair wanted", "ProtocolName": ""},
    )  # fmt: skip
    orthanc.send(*study.files[:4])
    watch(link, work, RULE, once=True)
    watch(link, work, RULE, once=True)
    record = work.ledger.get(study_key(study.uid))
    assert (record.state, record.attempts) == ("passed over", 0)
    assert len(work.watch.lines) == 1


def test_a_pacs_that_is_away_is_told_once_and_asked_again(model, tmp_path):
    from orthanc_server import free_port

    from plgg.pacs.retry import ONCE

    link = PacsLink(f"http://127.0.0.1:{free_port()}/x", retries=ONCE, seconds=2.0)
    work = StudyWork(tmp_path / "work", (model,), watch=Told())
    polls(link, work, nothing, nothing)
    assert len(work.watch.lines) == 1
    with pytest.raises(UnreachableError):
        watch(link, work, RULE, once=True)


class Killed(BaseException):
    """In place of signal 9: nothing is tidied up."""


@pytest.mark.parametrize("state", ["pulled", "predicted", "done"])
def test_a_process_that_was_killed_goes_on(orthanc, link, quick, tmp_path, monkeypatch, state):
    """Killed before, and again right after, each record was written."""
    study = make_study(tmp_path / "made")
    orthanc.send(*study.files)
    put = Ledger.put

    def dying(self, record):
        if record.state == state:
            put(self, record) if killed else None
            killed.append(state)
            raise Killed
        return put(self, record)

    killed = []
    monkeypatch.setattr(Ledger, "put", dying)
    for _ in range(2):
        with pytest.raises(Killed):
            watch(link, quick, RULE, once=True)
    monkeypatch.undo()
    monkeypatch.setenv("PLGG_PACS_USER", orthanc.auth[0])
    monkeypatch.setenv("PLGG_PACS_PASSWORD", orthanc.auth[1])
    watch(link, quick, RULE, once=True)
    key = study_key(study.uid)
    assert quick.ledger.get(key).state == "done"
    assert orthanc.objects("SEG") == [uid_of(quick.cases / key / "segmentation.dcm")]


@pytest.mark.slow
def test_the_program_killed_at_any_moment(orthanc, model, tmp_path):
    """Signal 9, a little later each time, until a run comes to its end."""
    study = make_study(tmp_path / "made")
    orthanc.send(*study.files)
    command = [
        sys.executable, "-m", "plgg", "pacs", "watch", orthanc.url, "--work", tmp_path / "work",
        "--model", model, "--push", "--once", "--days", "all",
    ]  # fmt: skip
    record = tmp_path / "work" / "studies" / f"{study_key(study.uid)}.json"
    process = subprocess.Popen(
        [*map(str, command)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
    )
    until = time.monotonic() + 500
    while not (record.is_file() and '"pulled"' in record.read_text()):
        assert time.monotonic() < until
        assert process.poll() is None, process.communicate()
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    done = plgg(*command[3:])
    assert "predicted: 1, failed: 0" in done.out
    key = study_key(study.uid)
    assert json.loads(record.read_text())["state"] == "done"
    assert orthanc.objects("SEG") == [
        uid_of(tmp_path / "work" / "cases" / key / "segmentation.dcm")
    ]
    assert not SECRET.search(everything_written(tmp_path / "work") + done.out + done.err)
    # The same objects when all of it is pushed once more.
    assert {one.state for one in push(PacsLink(orthanc.url), [tmp_path / "work"])} == {"there"}


def study(**series):
    return Study("1.2", description="MRI Brain", series=(Series("1.3", **series),))


@pytest.mark.parametrize(
    ("rule", "fits"),
    [
        (DEFAULT_RULE, True),
        ("modality=mr", True),
        ("modality=CT", False),
        ("description~brain", True),
        ("description='MRI brain'", True),
        ("description=brain", False),
        ("series-description~brain", False),
        ("study-description~brain series-description~flair", True),
        ("modality~M", True),
    ],
)
def test_rules(rule, fits):
    assert parse_rule(rule).fits(study(modality="MR", description="Ax T2 FLAIR")) is fits


@pytest.mark.parametrize("rule", ["", "flair", "age=3", "modality=", "modality='MR", "=MR"])
def test_rules_that_are_none(rule):
    with pytest.raises(ConfigError, match="rule"):
        parse_rule(rule)


def test_a_record_that_is_damaged_begins_anew(tmp_path, caplog):
    ledger = Ledger(tmp_path)
    ledger.put(StudyRecord(key="study-1", state="done"))
    (tmp_path / "study-2.json").write_text("{")
    assert [record.key for record in ledger.all()] == ["study-1"]
    assert ledger.get("study-2") is None
    assert "begins anew" in caplog.text
