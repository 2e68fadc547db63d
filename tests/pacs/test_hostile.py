"""A server of DICOMweb that means harm: what it sends is refused, in one line without its words."""

import json
import re
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from studies import make_study, uid_of

from dicom_series import read_header
from plgg.core.errors import PlggError
from plgg.pacs.archive import PacsLink
from plgg.pacs.find import find
from plgg.pacs.pull import pull
from plgg.pacs.records import StudyQuery
from plgg.pacs.retry import ONCE

STUDY, SERIES = "1.2.3", "1.2.3.4"
JSON, OBJECT = "application/dicom+json", 'multipart/related; type="application/dicom"; boundary=X'


def tags(**values):
    from pydicom.datadict import tag_for_keyword

    return {f"{tag_for_keyword(k):08X}": {"vr": "UI", "Value": [v]} for k, v in values.items()}


def part(data, *, boundary=b"X", again=False):
    one = b"--" + boundary + b"\r\nContent-Type: application/dicom\r\n\r\n" + data + b"\r\n"
    return one * (2 if again else 1) + b"--" + boundary + b"--"


class Hostile(BaseHTTPRequestHandler):
    """Answers as `self.server.answers` says: by a pattern of the path."""

    def do_GET(self):
        self.server.asked.append((self.path, dict(self.headers)))
        for pattern, answer in self.server.answers:
            if re.search(pattern, self.path):
                return answer(self)
        return self.send(404, JSON, b"")

    def send(self, status, kind, body, **headers):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@contextmanager
def serving(*answers):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hostile)
    server.answers, server.asked = answers, []
    # So that each has closed its connection when the test ends.
    server.daemon_threads = False
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def link_to(server, **more):
    url = f"http://127.0.0.1:{server.server_port}/dicom-web"
    return PacsLink(url, retries=ONCE, seconds=5.0, **more)


def listing(*items):
    return lambda to: to.send(200, JSON, json.dumps(items).encode())


def objects(data):
    return lambda to: to.send(200, OBJECT, part(data))


def a_series(uid=SERIES):
    return (r"/series\?", listing(tags(SeriesInstanceUID=uid, Modality="MR")))


def refused(server, tmp_path, match, **more):
    with pytest.raises(PlggError, match=match) as error:
        pull(link_to(server, **more), STUDY, tmp_path / "out")
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)
    assert not list((tmp_path / "out").rglob("*.dcm"))
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize(
    "name", ["../../../secret", "/etc/secret", "1.2/..", "1.2.3\x00", "", "..", 7]
)
def test_names_that_lead_elsewhere(tmp_path, name):
    answers = (r"/instances", listing(tags(SOPInstanceUID=name))), a_series()
    with serving(*answers) as server:
        refused(server, tmp_path, "no DICOMweb")
    with serving(a_series(name)) as server:
        refused(server, tmp_path, "no such study or series")


def test_another_object_than_was_asked_for(tmp_path_factory, tmp_path):
    study = make_study(tmp_path_factory.mktemp("made"))
    file = study.files[0]
    header = read_header(file)
    asked = (r"/instances(\?|$)", listing(tags(SOPInstanceUID=uid_of(file))))
    sent = (r"/instances/", objects(file.read_bytes()))
    series = a_series(str(header.SeriesInstanceUID))
    with serving(sent, asked, series) as server:
        # All is right but the study.
        refused(server, tmp_path, "another object")
        found = pull(link_to(server), study.uid, tmp_path / "right")
        assert found.n_new == 1
        (kept,) = (tmp_path / "right").rglob("*.dcm")
        assert kept.read_bytes() == file.read_bytes()


BODIES = {
    "no DICOM": (lambda to: to.send(200, OBJECT, part(b"secret" * 99)), "no DICOM"),
    "two objects": (lambda to: to.send(200, OBJECT, part(b"x", again=True)), "several objects"),
    "cut short": (lambda to: to.send(200, OBJECT, b"--X\r\n\r\nsecret"), "cut short"),
    "empty": (lambda to: to.send(200, OBJECT, b""), "empty"),
    "no boundary": (lambda to: to.send(200, "multipart/related", part(b"x")), "no DICOM file"),
    "a page": (lambda to: to.send(200, "text/html", b"<h1>secret</h1>"), "no DICOM file"),
    "a refusal": (lambda to: to.send(403, "text/html", b"secret"), "credentials"),
    "out of order": (lambda to: to.send(503, "text/html", b"secret"), "out of order"),
}


@pytest.mark.parametrize("name", BODIES)
def test_bodies_that_are_none(tmp_path, name):
    answer, match = BODIES[name]
    answers = (r"/instances/", answer), (r"/instances", listing(tags(SOPInstanceUID="1.2.9")))
    with serving(*answers, a_series()) as server:
        refused(server, tmp_path, match)


def endless(to):
    to.send_response(200)
    to.send_header("Content-Type", OBJECT)
    to.end_headers()
    to.wfile.write(b"--X\r\n\r\n")
    try:
        while True:
            to.wfile.write(b"secret" * 2**14)
            to.server.sent = getattr(to.server, "sent", 0) + 6 * 2**14
    except OSError:
        pass


def test_a_body_without_an_end(tmp_path):
    answers = (r"/instances/", endless), (r"/instances", listing(tags(SOPInstanceUID="1.2.9")))
    with serving(*answers, a_series()) as server:
        refused(server, tmp_path, "larger than", study_gib=4 / 1024)
        assert server.sent < 2**26


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_list_without_an_end(monkeypatch):
    monkeypatch.setattr("plgg.pacs.http.MOST_LISTED_BYTES", 2**20)
    with serving((r"/studies", endless)) as server, pytest.raises(PlggError, match="larger than"):
        find(link_to(server), StudyQuery())


LISTS = {
    "no JSON": b"secret",
    "deep": b"[" * 100_000,
    "no list": b'"secret"',
    "of numbers": b"[1, 2]",
    "an error page": b"<html>secret</html>",
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_that_are_none(name):
    answer = (r"/studies", lambda to: to.send(200, JSON, LISTS[name]))
    with serving(answer) as server, pytest.raises(PlggError, match="no DICOMweb") as error:
        find(link_to(server), StudyQuery(patient="secret"))
    assert "secret" not in str(error.value)


def test_the_same_page_for_ever_comes_to_an_end():
    page = [tags(StudyInstanceUID=f"1.2.{number}") for number in range(100)]
    answers = (r"/studies\?", listing(*page)), (r"/series", listing())
    with serving(*answers) as server:
        assert len(find(link_to(server), StudyQuery(limit=2000))) == 100
        assert sum("offset" in path for path, _ in server.asked) == 2


def moved(to_port, path="/dicom-web/studies"):
    return lambda to: to.send(302, JSON, b"", Location=f"http://127.0.0.1:{to_port}{path}")


def test_another_host_gets_neither_the_question_nor_the_password():
    with (
        serving((r".", listing())) as other,
        serving((r"/studies", moved(other.server_port))) as server,
    ):
        with pytest.raises(PlggError, match="another server"):
            find(link_to(server), StudyQuery(patient="secret"))
        assert other.asked == []
        assert server.asked[0][1]["Authorization"].startswith("Basic ")


def test_the_same_host_may_move_its_service():
    with serving() as server:
        server.answers = (
            (r"^/dicom-web/studies", moved(server.server_port, "/new/studies")),
            (r"^/new/studies", listing()),
        )
        assert find(link_to(server), StudyQuery()) == []
        assert all(
            headers["Host"].endswith(f":{server.server_port}") for _, headers in server.asked
        )


# The connection that is broken off here is closed when the collector comes by.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_zip_bomb_is_counted_unpacked(monkeypatch):
    import gzip

    monkeypatch.setattr("plgg.pacs.http.MOST_LISTED_BYTES", 2**20)
    packed = gzip.compress(b"[" + b" " * 2**26 + b"]")
    answer = (r"/studies", lambda to: to.send(200, JSON, packed, **{"Content-Encoding": "gzip"}))
    with serving(answer) as server, pytest.raises(PlggError, match="larger than"):
        find(link_to(server), StudyQuery())
