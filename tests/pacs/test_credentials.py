"""Who we are to a PACS, and what is told of it: nothing."""

import pytest
from orthanc_server import PASSWORD, USER, free_port

from plgg.core.errors import ConfigError
from plgg.pacs.address import parse_address
from plgg.pacs.archive import PacsLink
from plgg.pacs.credentials import Credentials, client_context, credentials_for, server_context
from plgg.pacs.errors import PacsError, UnreachableError
from plgg.pacs.find import find
from plgg.pacs.records import StudyQuery
from plgg.pacs.retry import ONCE, Retries, with_retries
from program import one_line, plgg

ADDRESS = parse_address("https://pacs.example/dicom-web/")


def test_the_right_ones_open_the_door(orthanc):
    find(PacsLink(orthanc.url, retries=ONCE), StudyQuery())


@pytest.mark.parametrize("password", ["wrong-secret", ""])
def test_wrong_ones_are_told_in_one_line(orthanc, monkeypatch, password, caplog):
    caplog.set_level(0)
    monkeypatch.setenv("PLGG_PACS_PASSWORD", password)
    if not password:
        monkeypatch.delenv("PLGG_PACS_USER")
    line = one_line(plgg("-v", "pacs", "find", orthanc.url, "--patient", "nobody", status=2))
    assert "credentials are missing or wrong" in line
    for text in ("wrong-secret", USER, "nobody"):
        assert text not in line + caplog.text


def test_verbose_tells_nothing_of_the_question(orthanc):
    done = plgg("-v", "pacs", "find", orthanc.url, "--patient", "nobody")
    assert done.err.strip() == ""
    assert PASSWORD not in done.out + done.err


def test_netrc_is_looked_into(orthanc, monkeypatch, tmp_path):
    monkeypatch.delenv("PLGG_PACS_USER")
    monkeypatch.delenv("PLGG_PACS_PASSWORD")
    netrc = tmp_path / "netrc"
    netrc.write_text(f"machine 127.0.0.1 login {USER} password {PASSWORD}\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    find(PacsLink(orthanc.url, retries=ONCE), StudyQuery())
    netrc.write_text("nonsense secret secret")
    with pytest.raises(ConfigError, match="netrc"):
        find(PacsLink(orthanc.url, retries=ONCE), StudyQuery())


def test_a_token_comes_first_and_is_not_printed(monkeypatch):
    monkeypatch.setenv("PLGG_PACS_TOKEN", "a-secret")
    found = credentials_for(ADDRESS)
    assert (found.token, found.user) == ("a-secret", None)
    assert "secret" not in repr(found)
    monkeypatch.setenv("PLGG_PACS_TOKEN", "two\nlines")
    with pytest.raises(ConfigError, match="HTTP header"):
        credentials_for(ADDRESS)


def test_half_of_them_is_refused(monkeypatch):
    monkeypatch.delenv("PLGG_PACS_PASSWORD")
    with pytest.raises(ConfigError, match="without the other"):
        credentials_for(ADDRESS)
    assert repr(Credentials()) == "Credentials(none)"


def test_certificates_that_are_none_are_told(monkeypatch, tmp_path):
    with pytest.raises(ConfigError, match="PLGG_PACS_CERT"):
        server_context()
    bad = tmp_path / "bad.pem"
    bad.write_text("secret")
    monkeypatch.setenv("PLGG_PACS_CERT", str(bad))
    for context in (client_context, server_context):
        with pytest.raises(ConfigError, match="PEM"):
            context()
    monkeypatch.setenv("PLGG_PACS_CA", str(bad))
    with pytest.raises(ConfigError, match="PLGG_PACS_CA"):
        client_context()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("https://pacs.example/dicom-web/", "https://pacs.example:443/dicom-web"),
        ("http://[::1]:8042/x", "http://[::1]:8042/x"),
        ("dicom://PACS@10.0.0.1:4242", "dicom://PACS@10.0.0.1:4242"),
        ("dicoms://PACS@pacs.example", "dicoms://PACS@pacs.example:2762"),
    ],
)
def test_an_address_is_read_as_it_is_written(text, said):
    assert str(parse_address(text)) == said
    assert parse_address(said) == parse_address(text)


@pytest.mark.parametrize(
    "text",
    ["", "pacs.example", "file:///etc", "https://", "https://a:b@host/x", "https://me@host/x",
     "https://host/x?token=1", "https://host/x#y", "dicom://host:104", "dicom://A:b@host:104",
     "dicom://A@host:99999", "dicom://A@host:104/path", "https://ho st/x", "dicom://" + "A" * 17 +
     "@host:104"],
)  # fmt: skip
def test_what_is_no_address_is_refused(text):
    with pytest.raises(ConfigError):
        parse_address(text)


@pytest.mark.parametrize("scheme", ["http", "dicom"])
def test_who_does_not_answer_is_asked_again_and_told(scheme):
    waited = []
    name = "PACS@" if scheme == "dicom" else ""
    link = PacsLink(f"{scheme}://{name}127.0.0.1:{free_port()}", retries=ONCE, seconds=2.0)
    with pytest.raises(UnreachableError, match="does not answer"):
        with_retries(lambda: find(link, StudyQuery()), Retries(attempts=4), sleep=waited.append)
    assert len(waited) == 3
    assert all(0.5 * 2**n <= wait <= 2**n for n, wait in enumerate(waited))
    assert len(set(waited)) == 3


def test_a_refusal_is_not_repeated():
    asked = []

    def refuse():
        asked.append(1)
        raise PacsError("no")

    with pytest.raises(PacsError):
        with_retries(refuse, sleep=asked.append)
    assert asked == [1]


def test_an_ae_title_that_is_not_known_is_told(orthanc):
    link = PacsLink(orthanc.dimse.replace("ORTHANC@", "NOBODY@"), retries=ONCE)
    with pytest.raises(PacsError, match="AE titles"):
        find(link, StudyQuery())
