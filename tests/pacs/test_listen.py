"""`plgg pacs listen`: what is sent is checked, kept, predicted once it is whole, and sent on."""

import gc
import shutil
import socket
import subprocess
import threading
import time
import warnings

import pydicom
import pytest
from pynetdicom import AE
from pynetdicom.association import Association
from studies import SECRET, everything_written, make_study, uid_of

from dicom_series import CLASSIC
from plgg.core.errors import ConfigError, PlggError
from plgg.data.dicom.limits import silenced_readers
from plgg.pacs.archive import PacsLink, open_archive
from plgg.pacs.listen import listen, record_of
from plgg.pacs.objects import read_instance_uids
from plgg.pacs.receiver import OUT_OF_RESOURCES, Receiver, ReceiverOptions
from plgg.pacs.records import study_key
from plgg.pacs.retry import ONCE
from plgg.pacs.work import StudyWork, predict_in_process

SECONDARY = "1.2.840.10008.5.1.4.1.1.7"


class Told(list):
    """A watch that keeps what is said."""

    def task(self, label):
        from plgg.core.progress import Silent

        return Silent().task(label)

    def say(self, message):
        self.append(message)


@pytest.fixture
def receiver(tmp_path):
    """A receiver on a free port, and its folder."""
    (tmp_path / "scans").mkdir()
    started = []

    def start(**options):
        made = Receiver(ReceiverOptions(port=0, **options), tmp_path / "scans")
        started.append(made)
        return made.start()

    yield start
    for one in started:
        one.stop()
    # pynetdicom leaves the sockets of callers that go at once to the collector.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        started.clear()
        wait(lambda: not any(isinstance(one, Association) for one in threading.enumerate()))
        gc.collect()


def associated(port, *contexts, caller="SCANNER", called="PLGG"):
    entity = AE(ae_title=caller)
    for context in contexts or (CLASSIC,):
        entity.add_requested_context(context)
    return entity.associate("127.0.0.1", port, ae_title=called)


def send(port, *paths, **titles):
    association = associated(port, **titles)
    assert association.is_established
    statuses = [association.send_c_store(path).get("Status") for path in paths]
    association.release()
    return statuses


def kept(tmp_path):
    return sorted(path.name for path in (tmp_path / "scans").rglob("*.dcm"))


def test_a_study_is_kept_byte_for_byte_under_names_that_say_nothing(receiver, tmp_path):
    study = make_study(tmp_path / "made")
    assert send(receiver(), *study.files[:3]) == [0, 0, 0]
    folder = tmp_path / "scans" / study_key(study.uid)
    found = {uid_of(path): pydicom.dcmread(path) for path in folder.iterdir()}
    for path in study.files[:3]:
        assert found[uid_of(path)].PixelData == pydicom.dcmread(path).PixelData
    assert not SECRET.search(" ".join(str(path) for path in (tmp_path / "scans").rglob("*")))


def test_what_is_sent_twice_is_kept_once(receiver, tmp_path):
    study, port = make_study(tmp_path / "made"), receiver()
    send(port, study.files[0])
    before = kept(tmp_path)
    assert send(port, study.files[0]) == [0]
    assert kept(tmp_path) == before
    assert len(before) == 1


def test_objects_of_other_kinds_are_refused(receiver, tmp_path):
    port = receiver()
    assert not associated(port, SECONDARY).is_established
    study = make_study(tmp_path / "made")
    association = associated(port)
    for change in ({"SOPClassUID": SECONDARY}, {"StudyInstanceUID": "../../leak"}):
        liar = pydicom.dcmread(study.files[0])
        # pynetdicom sends by what the data set says, so the receiver is asked itself.
        with silenced_readers():
            for keyword, value in change.items():
                setattr(liar, keyword, value)
            liar.save_as(tmp_path / "liar.dcm")
        keeper = Receiver(ReceiverOptions(), tmp_path / "scans")
        try:
            status = keeper._keep((tmp_path / "liar.dcm").read_bytes(), uid_of(study.files[0]))  # noqa: SLF001
        except PlggError:
            status = 1
        assert status != 0
    association.release()
    assert kept(tmp_path) == []
    assert [path.name for path in (tmp_path / "scans").iterdir()] == []


def test_callers_that_are_not_known_are_refused(receiver):
    port = receiver(callers=("SCANNER",))
    associated(port).release()
    assert associated(port, caller="STRANGER").is_rejected
    assert associated(port, called="OTHER").is_rejected


def test_a_study_that_is_too_large_is_refused(receiver, tmp_path):
    study = make_study(tmp_path / "made")
    size = study.files[0].stat().st_size
    port = receiver(study_gib=2.5 * size / 2**30)
    statuses = send(port, *study.files[:4])
    assert statuses[:2] == [0, 0]
    assert statuses[2] == OUT_OF_RESOURCES
    assert len(kept(tmp_path)) == 2


def test_an_object_without_an_end_ends_the_connection(receiver, tmp_path):
    study = make_study(tmp_path / "made")
    port = receiver(study_gib=0.2 * study.files[0].stat().st_size / 2**30)
    association = associated(port)
    large = pydicom.dcmread(study.files[0])
    large.PixelData = bytes(2**22)
    large.Rows, large.Columns = 2048, 1024
    assert association.send_c_store(large).get("Status") != 0
    assert kept(tmp_path) == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_rubbish_is_no_harm(receiver, tmp_path):
    port = receiver()
    for sent in (b"", b"GET / HTTP/1.0\r\n\r\n", b"\x01\x00\xff\xff\xff\xff" + b"x" * 999):
        with socket.create_connection(("127.0.0.1", port), timeout=500) as connection:
            connection.sendall(sent)
    assert send(port, make_study(tmp_path / "made").files[0]) == [0]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"host": "192.0.2.1"}, "--caller"),
        ({"host": "192.0.2.1", "callers": ("A",)}, "--tls"),
        ({"aet": ""}, "AE title"),
        ({"callers": ("x" * 17,)}, "AE title"),
    ],
)
def test_what_is_not_safe_is_refused(options, said):
    with pytest.raises(ConfigError, match=said):
        ReceiverOptions(**options).require_safe()


def test_a_port_that_is_taken_is_told(receiver):
    with pytest.raises(ConfigError, match="cannot listen"):
        Receiver(ReceiverOptions(port=receiver()), None).start()


def test_a_study_is_predicted_after_a_quiet_time_and_sent_on(orthanc, model, tmp_path):
    study = make_study(tmp_path / "made")
    key, said, sent, ends = study_key(study.uid), Told(), threading.Event(), threading.Event()
    work = StudyWork(
        tmp_path / "work",
        (model,),
        back=PacsLink(orthanc.dimse),
        watch=said,
        predict=predict_in_process,
    )

    def ended():
        # However slowly the study comes: it is looked at once it is whole.
        return sent.wait(500) and ends.is_set()

    thread = threading.Thread(
        target=listen,
        args=(ReceiverOptions(port=0), work),
        kwargs={"quiet_seconds": 0.2, "until": ended},
    )
    thread.start()
    try:
        wait(lambda: said)
        port = int(said[0].rpartition(":")[2])
        send(port, *study.files)
        sent.set()
        wait(lambda: record_of(work, key).state == "done")
    finally:
        ends.set()
        sent.set()
        thread.join()
    segmentation = uid_of(work.cases / key / "segmentation.dcm")
    assert orthanc.objects("SEG") == [segmentation]
    n_sent = len(list((work.cases / key).glob("*.dcm")))
    assert said[1:] == [f"{key}: predicted, {n_sent} sent back"]
    told = everything_written(work.root)
    assert not SECRET.search(told), SECRET.search(told)
    assert record_of(work, key).n_images == 32


def wait(good, seconds=500):
    until = time.monotonic() + seconds
    while not good():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_what_was_received_before_an_end_is_taken_up(model, tmp_path):
    """The images are here, no record is: the process was killed while it listened."""
    study = make_study(tmp_path / "made")
    work = StudyWork(tmp_path / "work", (model,), watch=Told(), predict=lambda _job: None)
    folder = work.scan(study_key(study.uid))
    folder.mkdir(parents=True)
    (tmp_path / "work" / "scans" / ".plgg-new-0123456789abcdef.incoming").mkdir()
    for number, path in enumerate(study.files):
        (folder / f"image-{number:024d}.dcm").write_bytes(path.read_bytes())
    looks = iter([False] * 6 + [True])
    with pytest.raises(Exception, match="did not write"):
        listen(ReceiverOptions(port=0), work, quiet_seconds=0.2, until=lambda: next(looks))
    (tmp_path / "work" / ".plgg.json").write_text(
        '{"format": "plgg-output", "version": 1, "kinds": ["work with a PACS"]}'
    )
    listen(ReceiverOptions(port=0), work, quiet_seconds=0.2, until=lambda: next(looks))
    assert record_of(work, study_key(study.uid)).state == "done"
    assert not list((tmp_path / "work" / "scans").glob(".plgg-new-*"))


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_by_tls_both_sides_show_a_certificate(receiver, monkeypatch, tmp_path):
    program = shutil.which("openssl") or pytest.skip("openssl is not installed")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate]
    more = ["-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run([program, *map(str, words), *more], check=True, capture_output=True)
    monkeypatch.setenv("PLGG_PACS_CERT", str(certificate))
    monkeypatch.setenv("PLGG_PACS_KEY", str(key))
    monkeypatch.setenv("PLGG_PACS_CA", str(certificate))
    study = make_study(tmp_path / "made")
    port = receiver(tls=True)

    def store(address):
        link = PacsLink(address, retries=ONCE)
        with open_archive(link) as archive:
            archive.store(study.files[0], read_instance_uids(study.files[0]))

    store(f"dicoms://PLGG@127.0.0.1:{port}")
    assert len(kept(tmp_path)) == 1
    # In the clear, without a certificate of ours, and to a server that nobody vouches for.
    for name in ("plain", "PLGG_PACS_CERT", "PLGG_PACS_CA"):
        monkeypatch.delenv(name, raising=False)
        scheme = "dicom" if name == "plain" else "dicoms"
        with pytest.raises(PlggError, match=r"does not answer|broke off"):
            store(f"{scheme}://PLGG@127.0.0.1:{port}")
    assert len(kept(tmp_path)) == 1
