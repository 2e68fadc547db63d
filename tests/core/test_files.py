"""Whole files or none."""

import errno
import hashlib
import os

import pytest

from plgg.core.errors import OutputError
from plgg.core.files import atomic_write, copy_folder, make_folder, sha256, write_json, write_text
from plgg.core.records import read_json


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def half_written(path):
    with atomic_write(path) as aside:
        aside.write_text("half")
        raise RuntimeError("killed")


def test_a_file_and_its_folders_are_made(tmp_path):
    write_text(tmp_path / "a" / "b.txt", "größer\n")
    assert (tmp_path / "a" / "b.txt").read_bytes() == "größer\n".encode()
    assert names(tmp_path / "a") == ["b.txt"]


def test_the_temporary_name_keeps_the_suffixes(tmp_path):
    with atomic_write(tmp_path / "scan.nii.gz") as aside:
        assert aside.parent == tmp_path
        assert aside.name.endswith(".nii.gz")
        aside.touch()


def test_a_failure_leaves_nothing(tmp_path):
    with pytest.raises(RuntimeError, match="killed"):
        half_written(tmp_path / "new.txt")
    assert names(tmp_path) == []


def test_a_failure_leaves_the_old_file(tmp_path):
    path = tmp_path / "old.txt"
    write_text(path, "whole")
    with pytest.raises(RuntimeError, match="killed"):
        half_written(path)
    assert names(tmp_path) == ["old.txt"]
    assert path.read_text() == "whole"


def test_a_file_and_its_name_are_brought_to_the_disk_in_this_order(tmp_path, monkeypatch):
    synced = []

    def fsync(handle):
        synced.append((os.fstat(handle).st_ino, (tmp_path / "a.txt").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    write_text(tmp_path / "a.txt", "whole")
    file, folder = ((tmp_path / name).stat().st_ino for name in ("a.txt", "."))
    assert synced == [(file, False), (folder, True)]


@pytest.mark.parametrize(("number", "is_told"), [(errno.ENOSPC, True), (errno.EINVAL, False)])
def test_a_disk_that_is_full_only_when_it_is_brought_there(tmp_path, monkeypatch, number, is_told):
    def fsync(_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    if is_told:
        with pytest.raises(OutputError, match="could not be written"):
            write_text(tmp_path / "a.txt", "whole")
        assert names(tmp_path) == []
    else:
        write_text(tmp_path / "a.txt", "whole")


def test_nan_is_no_json_and_leaves_nothing(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"dice": float("nan")})
    assert names(tmp_path) == []


def test_json_comes_back(tmp_path):
    record = {"name": "Zoë", "values": [1, 2.5, None, True], "nested": {"a": "λ"}}
    write_json(tmp_path / "a.json", record)
    assert read_json(tmp_path / "a.json") == record


def test_a_place_below_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError, match="cannot write here") as caught:
            make_folder(path)
        assert str(path) in str(caught.value)
        with pytest.raises(OutputError):
            write_text(path / "a.txt", "a")
    assert (tmp_path / "file").read_text() == "x"


def test_a_folder_in_the_files_place_is_refused(tmp_path):
    (tmp_path / "a.txt" / "kept").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"a\.txt: could not be written"):
        write_text(tmp_path / "a.txt", "a")
    assert names(tmp_path) == ["a.txt"]
    assert names(tmp_path / "a.txt") == ["kept"]


def test_the_hash_is_that_of_the_bytes(tmp_path):
    content = bytes(range(256)) * 5000
    (tmp_path / "a").write_bytes(content)
    assert sha256(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_a_folder_is_copied_whole_or_not_at_all(tmp_path, monkeypatch):
    source = tmp_path / "source"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "a.txt").write_text("a")
    copy_folder(source, tmp_path / "copy")
    assert (tmp_path / "copy" / "inner" / "a.txt").read_text() == "a"

    def full(*_args, **_more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("shutil.copytree", full)
    with pytest.raises(OutputError, match="No space left"):
        copy_folder(source, tmp_path / "other")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copy", "source"]
