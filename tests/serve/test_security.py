"""Attacks, each of them tried and refused."""

import gc
import json
import shutil
import socket
import time
from contextlib import contextmanager

import httpx
import pytest
from served import PATIENCE, TOKEN, raw, served

from plgg.core.errors import ConfigError
from plgg.serve.cases import CaseList
from plgg.serve.options import ServeOptions
from plgg.serve.security import POLICY, Security, is_public
from plgg.serve.server import start_message

BEARER = {"Authorization": f"Bearer {TOKEN}"}


@contextmanager
def guarded(template, folder, **options):
    """One open room for many tests: none of them changes anything."""
    root = folder / "work"
    shutil.copytree(template.root, root)
    with served(root, *template.models, **options) as opened:
        yield opened


@pytest.fixture(scope="module")
def room(template, tmp_path_factory):
    """It would wait longer for a client than a client of these tests for an answer."""
    options = {"patience_seconds": 10 * PATIENCE, "upload_gib": 0.002}
    with guarded(template, tmp_path_factory.mktemp("guarded"), **options) as opened:
        yield opened


@pytest.fixture(scope="module")
def hurried(template, tmp_path_factory):
    """It waits for no client."""
    with guarded(template, tmp_path_factory.mktemp("hurried"), patience_seconds=2.0) as opened:
        yield opened


def routes(room):
    """Every path that the server knows, with its methods; names in paths filled in."""
    for route in room.client.get("/api/v1/openapi.json").json()["paths"].items():
        path = route[0]
        for name in ("case_id", "number", "job_id", "name", "model", "strategy", "task"):
            path = path.replace(f"{{{name}}}", "1")
        for method in route[1]:
            yield method.upper(), path


def test_nothing_is_told_without_the_token(room):
    asked = [*routes(room), ("GET", "/api/v1/openapi.json"), ("GET", "/api/v1/docs"),
             ("GET", "/api/v1/nothing"), ("PUT", "/nothing")]  # fmt: skip
    assert len(asked) > 25
    with room.other() as stranger:
        for method, path in asked:
            if is_public(path):
                continue
            answer = stranger.request(method, path)
            assert answer.status_code == 401, (method, path)
            assert answer.headers["WWW-Authenticate"] == "Bearer"
            assert set(answer.json()) == {"error"}


@pytest.mark.parametrize(
    "shown",
    [
        {"Authorization": "Bearer wrong"},
        {"Authorization": f"Basic {TOKEN}"},
        {"Authorization": TOKEN},
        {"Authorization": f"Bearer {TOKEN}x"},
        {"Authorization": "Bearer \u00e9".encode()},
        {"Cookie": f"plgg={TOKEN}"},
        {"Cookie": "plgg="},
        {"Cookie": "plgg=x; plgg"},
    ],
)
def test_a_wrong_token_is_none(room, shown):
    with room.other(**shown) as stranger:
        assert stranger.get("/api/v1/cases").status_code == 401
    # In the address it would be kept in histories and logs: there it counts for nothing.
    assert httpx.get(f"{room.url}/api/v1/cases?token={TOKEN}").status_code == 401


def test_the_token_is_traded_for_a_cookie_that_no_script_can_read(room):
    with room.other() as page:
        assert page.post("/api/v1/login", json={"token": "wrong"}).status_code == 401
        assert page.post("/api/v1/login", json={}).status_code == 401
        assert not page.cookies
        answer = page.post("/api/v1/login", json={"token": TOKEN})
        assert answer.status_code == 204
        cookie = answer.headers["Set-Cookie"].lower()
        for word in ("httponly", "samesite=strict", "path=/"):
            assert word in cookie
        assert "domain" not in cookie
        assert TOKEN not in cookie
        assert page.get("/api/v1/cases").status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "evil.example:8000", "localhost@evil.example", "",
     "10.0.0.1", "[::]", "localhost/x", "[::1", "localhost:x"],
)  # fmt: skip
def test_another_host_is_refused_whatever_it_shows(room, host):
    heard = raw(
        room.port,
        f"GET /api/v1/cases HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Connection: close\r\n\r\n".encode(),
    )
    assert heard.startswith((b"HTTP/1.1 403", b"HTTP/1.1 400"))
    assert b"P01" not in heard


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:9000", "[::1]:80", "LOCALHOST:1"])
def test_every_name_of_this_machine_is_its_host(room, host):
    with room.other(Host=host, **BEARER) as client:
        assert client.get("/api/v1/cases").status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "file://"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
    ],
)
def test_another_page_is_refused_whatever_it_shows(room, headers):
    with room.other(**BEARER, **headers) as other:
        for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS"):
            answer = other.request(method, "/api/v1/cases")
            assert answer.status_code == 403
            assert not [name for name in answer.headers if name.startswith("access-control")]
        assert other.post("/api/v1/login", json={"token": TOKEN}).status_code == 403


def test_the_page_itself_may_ask_and_a_link_may_lead_to_it(room):
    own = {"Origin": room.url, "Sec-Fetch-Site": "same-origin"}
    with room.other(**BEARER, **own) as page:
        assert page.get("/api/v1/cases").status_code == 200
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    with room.other(**link) as browser:
        assert browser.get("/").status_code == 200
        assert browser.get("/api/v1/cases/P01/report.html").status_code == 403


def test_every_answer_forbids_what_is_not_needed(room):
    for path in ("/", "/api/v1/cases", "/api/v1/nothing", "/api/v1/cases/P01/mask.nii.gz"):
        for shown in (BEARER, {}):
            headers = httpx.get(f"{room.url}{path}", headers=shown).headers
            assert headers["Content-Security-Policy"] == POLICY
            assert headers["X-Content-Type-Options"] == "nosniff"
            assert headers["Referrer-Policy"] == "no-referrer"
            assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
            assert "server" not in headers
    assert "'unsafe-inline'" not in POLICY
    assert "'unsafe-eval'" not in POLICY
    assert "http" not in POLICY
    assert room.get("cases").headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path",
    ["/page/../../../../etc/passwd", "/page/..%2f..%2f..%2fwork.py", "/page/%2e%2e/work.py",
     "/page//etc/passwd", "/page/..%5cwork.py", "/page/%00",
     "/api/v1/cases/..%2f..%2fetc/mask.nii.gz",
     "/api/v1/cases/../../jobs", "/api/v1/cases/%2e%2e", "/api/v1/cases/.plgg.json",
     "/api/v1/cases/..%5c..%5cx/thumbnail.png", "/api/v1/cases/P01%00/mask.nii.gz",
     "/api/v1/jobs/..%2faudit", "/api/v1/cases/P01/..%2f..%2faudit.nii.gz"],
)  # fmt: skip
def test_no_path_leads_out(room, path):
    heard = raw(
        room.port,
        f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Connection: close\r\n\r\n".encode(),
    )
    status = int(heard.split()[1])
    assert status in (404, 422)
    assert b"root:" not in heard
    assert b"import " not in heard


SCRIPT = "<script>alert(1)</script>"


def test_script_in_names_stays_text_or_is_refused(room):
    answer = room.ask("POST", "cases", 422, data={"id": SCRIPT}, files={"files": ("a.nii", b"")})
    assert SCRIPT not in answer.text
    found = room.get(f"cases/{SCRIPT.replace('/', '')}", 404)
    assert "<script>" not in found.text
    assert found.headers["content-type"] == "application/json"
    told = room.ask("POST", f"next?strategy={SCRIPT}", 422)
    assert "<script>" not in told.text
    # As a name it is one, and no answer holds a tag that a page could take for its own.
    name = {"X-Plgg-User": SCRIPT}
    room.ask("PUT", "cases/P01/mask", 409, headers={"If-Match": SCRIPT, **name}, content=b"")
    assert "<" not in room.get("cases").text


# Older Starlettes leave the file of a form that was cut short to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_bodies_have_a_budget(room):
    large = b"\0" * (3 * 2**20)
    answer = room.ask("POST", "cases", 413, files={"files": ("a.nii", large)})
    assert answer.json()["error"]["message"] == "more than 2 MiB were sent"
    room.ask("POST", "login", 413, content=b"x" * (2**20 + 1))
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    start = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a"\r\n\r\n'
    # Of these the length is not said.
    pieces = (start if number == 0 else large[: 2**16] for number in range(64))
    room.ask("POST", "cases", 413, content=pieces, headers=form)
    room.ask("POST", "rounds", 413, content=(large[: 2**16] for _ in range(64)))
    assert not list(room.room.work.uploads.glob(".plgg-*"))
    room.get("cases")
    gc.collect()


def test_broken_json_and_forms_are_refused(room):
    json_type = {"Content-Type": "application/json"}
    for body in (b"{", b"[]", b'{"cases": 1}', b'{"cases": [1]}', b"\xff", b"[" * 10000):
        answer = room.client.post("/api/v1/rounds", content=body, headers=json_type)
        assert answer.status_code in (400, 409, 422), body
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    for body in (b"--x\r\n", b"--y--", b"--x\r\nContent-Disposition: form-data\r\n\r\n"):
        assert room.client.post("/api/v1/cases", content=body, headers=form).status_code in (
            400,
            422,
        )
    room.ask("POST", "cases", 422, json={"files": "x"})


def heard_until_left(port, sent, more=b"", every=0.2):
    """What the server says until it ends a connection to which something is sent now and then."""
    until = time.monotonic() + PATIENCE
    with socket.create_connection(("127.0.0.1", port), timeout=0.05) as connection:
        connection.sendall(sent)
        heard = b""
        while True:
            assert time.monotonic() < until, "the server waits on"
            try:
                piece = connection.recv(2**16)
                heard += piece
                if not piece:
                    break
            except TimeoutError:
                pass
            except ConnectionError:
                break
            time.sleep(every)
            try:
                connection.sendall(more)
            except ConnectionError:
                break
    return heard


HEAD = (
    f"POST /api/v1/cases HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
    "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 100000\r\n\r\n"
).encode()


@pytest.mark.parametrize(
    ("sent", "more"),
    [(b"", b""), (b"GET / HT", b"T"), (b"GET / HTTP/1.1\r\nA: b", b"c"), (HEAD, b""),
     (HEAD + b"--x\r\n", b"-")],
)  # fmt: skip
def test_a_slow_client_is_left(hurried, sent, more):
    heard = heard_until_left(hurried.port, sent, more)
    if sent.startswith(b"POST"):
        assert b" 408 " in heard
    hurried.get("cases")  # and others are answered


def test_a_client_that_does_not_read_keeps_no_one_waiting(room):
    held = []
    for _ in range(5):
        connection = socket.create_connection(("127.0.0.1", room.port))
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1024)
        for _ in range(50):
            connection.sendall(
                f"GET /api/v1/cases/P01/volume.nii.gz HTTP/1.1\r\nHost: localhost\r\n"
                f"Authorization: Bearer {TOKEN}\r\n\r\n".encode()
            )
        held.append(connection)
    # The server would wait for them longer than this client does.
    room.get("cases")
    for connection in held:
        connection.close()


def test_a_connection_that_is_no_http_is_closed(room):
    heard = raw(room.port, b"\x16\x03\x01 hello\r\n\r\n")
    assert heard.startswith(b"HTTP/1.1 400") or not heard
    upgrade = (
        f"GET /api/v1/cases HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {TOKEN}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade, close\r\nSec-WebSocket-Key: x\r\n\r\n"
    ).encode()
    assert b" 101 " not in raw(room.port, upgrade)


def test_the_audit_log_tells_who_and_what_and_no_name_of_a_file(room):
    room.get("cases/P02/volume.nii.gz", headers={"X-Plgg-User": "AB"})
    path = room.room.work.root / "audit.jsonl"
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    # Not the last perhaps: clients that are gone may have asked for more.
    (told,) = [line for line in lines if line["who"] == "AB"]
    assert (told["what"], told["case"]) == ("view", "P02")
    assert "login" in {line["what"] for line in lines}
    assert all(line["when"].endswith("+00:00") for line in lines)
    assert "nii" not in path.read_text(encoding="utf-8")
    assert TOKEN not in path.read_text(encoding="utf-8")


def test_a_line_that_a_power_cut_left_unfinished_spoils_no_other(work):
    path = work.root / "audit.jsonl"
    path.write_text('{"when": "now", "wh', encoding="utf-8")
    with served(work.root, *work.models) as room:
        room.get("cases/P01/volume.nii.gz")
    lines = path.read_text(encoding="utf-8").splitlines()
    assert len(lines) == 2
    assert json.loads(lines[1])["what"] == "view"


def test_without_a_token_only_this_machine_may_ask(tmp_path, work):
    with pytest.raises(ConfigError, match="without a token"):
        ServeOptions(work=tmp_path, host="0.0.0.0", token=None).require_safe()  # noqa: S104
    with served(work.root, *work.models, token=None) as open_room:
        assert open_room.get("cases").status_code == 200
        for headers in ({"Host": "evil.example"}, {"Origin": "http://evil.example"}):
            with open_room.other(**headers) as other:
                assert other.get("/api/v1/cases").status_code == 403


def test_where_other_machines_may_ask_names_are_still_those_of_this_one():
    security = Security("x", "0.0.0.0")  # noqa: S104
    assert security.is_host("192.168.1.7:8000")
    assert security.is_host(socket.gethostname())
    assert not security.is_host("evil.example")


def test_the_link_holds_the_token_where_no_server_sees_it(tmp_path):
    lines = start_message(ServeOptions(work=tmp_path, token=TOKEN), 8000)
    assert lines[:2] == [f"token: {TOKEN}", f"open: http://127.0.0.1:8000/#token={TOKEN}"]
    assert start_message(ServeOptions(work=tmp_path), 80)[0] == "open: http://127.0.0.1:80/"
    far = ServeOptions(work=tmp_path, host="::", token=TOKEN)
    assert "unencrypted" in start_message(far, 80)[2]


def test_a_bug_is_told_in_one_form_and_nothing_of_it(work, monkeypatch, caplog):
    def broken(_):
        raise ZeroDivisionError("of patient Leakname")

    monkeypatch.setattr(CaseList, "all", broken)
    with served(work.root, *work.models) as room:
        answer = room.get("cases", 500)
        assert answer.json()["error"]["message"] == "something went wrong in the server"
        assert "Leakname" not in answer.text
        assert answer.headers["Content-Security-Policy"] == POLICY
    assert "ZeroDivisionError" in caplog.text
