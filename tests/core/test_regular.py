"""Folders as people and attackers leave them: rings of links, pipes, names that are no UTF-8."""

import os
import socket

import pytest

from plgg.core.regular import is_regular, open_regular, regular_files


def names(folder, **options):
    return [path.relative_to(folder).as_posix() for path in regular_files(folder, **options)]


def test_files_come_once_and_in_order_whatever_links_lead_to_them(tmp_path):
    study = tmp_path / "study"
    (study / "b" / "deep").mkdir(parents=True)
    (study / "z").mkdir()
    for name in ("2", "10", "b/x", "b/deep/y", "z/w", ".hidden"):
        (study / name).write_text(name)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "v").write_text("v")
    (study / "b" / "up").symlink_to(study)
    (study / "b" / "self").symlink_to(".")
    (study / "c").symlink_to(tmp_path / "elsewhere")
    (study / "d").symlink_to(tmp_path / "elsewhere")
    (study / "z" / "again").symlink_to(study / "2")
    (study / "ring").symlink_to("ring")
    assert names(study) == ["10", "2", "b/x", "b/deep/y", "c/v", "z/w"]
    assert ".hidden" in names(study, hidden=True)


def test_what_is_lost_is_told(tmp_path):
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    lost = []
    assert names(tmp_path, on_lost=lost.append) == []
    assert lost == [tmp_path / "gone"]
    lost.clear()
    assert list(regular_files(tmp_path / "nowhere", on_lost=lost.append)) == []
    assert lost == [tmp_path / "nowhere"]


@pytest.mark.timeout(200)
def test_a_pipe_and_a_socket_are_no_files_and_nobody_waits_for_them(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # A socket's path must be short.
    os.mkfifo("pipe")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket")
        (tmp_path / "file").write_bytes(b"x")
        (tmp_path / "link").symlink_to("pipe")
        assert names(tmp_path) == ["file"]
        for name in ("pipe", "socket", "link", "absent"):
            assert not is_regular(tmp_path / name)
            with pytest.raises(OSError):  # noqa: PT011 - which one, the system says
                open_regular(tmp_path / name)
    assert is_regular(tmp_path / "file")
    with open_regular(tmp_path / "file") as handle:
        assert handle.read() == b"x"


def test_names_that_are_no_utf_8_survive(tmp_path):
    (tmp_path / os.fsdecode(b"bad\xff")).touch()
    (found,) = regular_files(tmp_path)
    assert os.fsencode(found.name) == b"bad\xff"


def test_hundreds_of_folders_deep_is_not_too_deep(tmp_path):
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(300):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("file", os.O_CREAT, dir_fd=here))
    os.close(here)
    assert [path.name for path in regular_files(tmp_path)] == ["file"]
