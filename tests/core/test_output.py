"""Nothing that plgg did not write is deleted or overwritten; no two processes write one folder."""

import json
import os
import platform
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from plgg.core.errors import OutputError
from plgg.core.files import split_aside, temporary_name, write_json
from plgg.core.folders import (
    PREDICTION,
    STORED_CASE,
    clear_leftovers,
    replace_folder,
    require_replaceable,
    require_untaken,
)
from plgg.core.lock import LOCK, locked
from plgg.core.output import EVALUATION, MARK, PATIENTS, PREDICTIONS, STORE, output_folder

RESULT = {"format": "plgg-result", "files": {}}


def contents(folder):
    """Every file below a folder and its bytes; links as where they lead to."""
    return {
        path.relative_to(folder).as_posix(): (
            str(path.readlink()) if path.is_symlink() else path.read_bytes()
        )
        for path in sorted(folder.rglob("*"))
        if path.is_symlink() or path.is_file()
    }


def make_prediction(folder, mask=b"mask", **more):
    from plgg.core.files import sha256

    with replace_folder(folder, PREDICTION) as aside:
        (aside / "mask.nii.gz").write_bytes(mask)
        files = {"mask.nii.gz": sha256(aside / "mask.nii.gz")}
        write_json(aside / "result.json", {**RESULT, "files": files, **more})
    return folder


def write(folder, kind=PREDICTION, inputs=()):
    with replace_folder(folder, kind, inputs=inputs) as aside:
        write_json(aside / kind.mark, RESULT)


def fail_while_writing(folder):
    with replace_folder(folder, PREDICTION) as aside:
        (aside / "mask.nii.gz").write_bytes(b"half")
        raise RuntimeError


def write_meanwhile(folder):
    with replace_folder(folder, PREDICTION) as aside:
        write_json(aside / "result.json", RESULT)
        (folder / "notes.txt").write_text("written meanwhile")


def make_source(folder):
    folder.mkdir(parents=True)
    for number in range(5):
        (folder / f"{number}.dcm").write_bytes(b"pixels")
    return folder


def make_notes(folder):
    make_prediction(folder)
    (folder / "notes.txt").write_text("left frontal?")
    return folder


def make_corrected(folder):
    make_prediction(folder)
    (folder / "mask.nii.gz").write_bytes(b"corrected by hand")
    return folder


def make_other(folder):
    folder.mkdir(parents=True)
    (folder / "result.json").write_text('{"format": "somebody else\'s"}')
    return folder


def make_subfolder(folder):
    make_prediction(folder)
    (folder / "old").mkdir()
    return folder


def make_link_inside(folder):
    make_prediction(folder)
    (folder / "report.html").symlink_to(folder.parent / "elsewhere")
    return folder


def make_file(folder):
    folder.write_text("a file")
    return folder


MAKERS = [
    make_source,
    make_notes,
    make_corrected,
    make_other,
    make_subfolder,
    make_link_inside,
    make_file,
]


@pytest.mark.parametrize("make", MAKERS)
def test_what_plgg_did_not_write_is_kept_and_said(make, tmp_path):
    folder = make(tmp_path / "P01")
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="P01") as caught:
        write(folder)
    assert "Move it away, or choose another output folder" in str(caught.value)
    assert contents(tmp_path) == before


def test_a_link_in_the_place_of_a_folder_is_kept(tmp_path):
    target = make_prediction(tmp_path / "elsewhere")
    (tmp_path / "P01").symlink_to(target)
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="no folder that plgg made"):
        write(tmp_path / "P01")
    assert contents(tmp_path) == before


def test_an_own_prediction_and_an_empty_folder_are_replaced(tmp_path):
    folder = make_prediction(tmp_path / "P01")
    make_prediction(folder, b"new")
    assert (folder / "mask.nii.gz").read_bytes() == b"new"
    (tmp_path / "P02").mkdir()
    make_prediction(tmp_path / "P02")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["P01", "P02"]


@pytest.mark.parametrize("place", ["P01/scan.nii.gz", "P01/deeper/scan.nii.gz", "P01"])
def test_an_input_is_never_replaced(place, tmp_path):
    make_prediction(tmp_path / "P01")
    for taken in (require_untaken, require_replaceable, write):
        with pytest.raises(OutputError, match=r"input .* lies in the folder"):
            taken(tmp_path / "P01", PREDICTION, inputs=[tmp_path / place])


def test_an_input_behind_a_link_is_never_replaced(tmp_path):
    make_prediction(tmp_path / "P01")
    (tmp_path / "scans").symlink_to(tmp_path / "P01")
    with pytest.raises(OutputError, match="input"):
        write(tmp_path / "P01", inputs=[tmp_path / "scans" / "mask.nii.gz"])


def test_a_failure_while_writing_leaves_the_old_folder(tmp_path):
    folder = make_prediction(tmp_path / "P01")
    before = contents(tmp_path)
    with pytest.raises(RuntimeError):
        fail_while_writing(folder)
    assert contents(tmp_path) == before


def test_what_comes_in_between_is_kept(tmp_path):
    folder = make_prediction(tmp_path / "P01")
    with pytest.raises(OutputError, match=r"notes\.txt"):
        write_meanwhile(folder)
    assert (folder / "notes.txt").read_text() == "written meanwhile"


def test_leftovers_of_a_kill_go_and_what_was_moved_aside_comes_back(tmp_path):
    make_prediction(tmp_path / "P01").rename(temporary_name(tmp_path / "P01", "old"))
    make_prediction(tmp_path / "P02")
    make_prediction(temporary_name(tmp_path / "P02", "old"))
    half = temporary_name(tmp_path / "P03")
    half.mkdir()
    (half / "mask.nii.gz").write_bytes(b"half")
    temporary_name(tmp_path / "summary.csv").write_text("half")
    (tmp_path / ".plgg-new-notes").write_text("of nobody's making")
    with output_folder(tmp_path, PREDICTIONS):
        pass
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"P01", "P02", ".plgg-new-notes", MARK, LOCK}
    assert (tmp_path / "P01" / "mask.nii.gz").read_bytes() == b"mask"


WORK = """
import sys, time
from pathlib import Path
from plgg.core.folders import scratch_folder
with scratch_folder(Path(sys.argv[1])) as aside:
    (aside / "made.nii.gz").write_text("made")
    print(aside, flush=True)
    time.sleep(600)
"""


def test_what_another_command_is_at_work_with_is_no_leftover_until_it_is_killed(tmp_path):
    command = [sys.executable, "-c", WORK, str(tmp_path / "study.csv")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        made = Path(process.stdout.readline().strip()) / "made.nii.gz"
        for _ in range(2):
            with output_folder(tmp_path, PREDICTIONS):
                assert made.read_text() == "made"
        process.send_signal(signal.SIGKILL)
    with output_folder(tmp_path, PREDICTIONS):
        assert sorted(path.name for path in tmp_path.iterdir()) == [MARK, LOCK]


def test_what_is_killed_while_its_successor_works_leaves_nothing_either(tmp_path):
    command = [sys.executable, "-c", WORK, str(tmp_path / "study.csv")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        with suppress(KeyboardInterrupt), output_folder(tmp_path, PREDICTIONS):
            process.send_signal(signal.SIGKILL)
            process.wait()
            raise KeyboardInterrupt
    assert sorted(path.name for path in tmp_path.iterdir()) == [MARK, LOCK]


def test_a_folder_is_made_while_another_command_begins_beside_it(tmp_path):
    with replace_folder(tmp_path / "P01", PREDICTION) as aside:
        write_json(aside / "result.json", RESULT)
        with output_folder(tmp_path, EVALUATION):
            pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [MARK, LOCK, "P01"]
    assert [path.name for path in (tmp_path / "P01").iterdir()] == ["result.json"]


def test_a_stranger_in_what_was_moved_aside_is_kept(tmp_path):
    make_prediction(tmp_path / "P01")
    old = make_prediction(temporary_name(tmp_path / "P01", "old"))
    (old / "notes.txt").write_text("kept")
    clear_leftovers(tmp_path, PREDICTION)
    assert contents(old) == {"notes.txt": b"kept"}


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (STORE, "cases/P01/flair.nii.gz"),
        (STORE, "cohort.json"),
        (STORE, "qc/picture.png"),
        (PREDICTIONS, "summary.csv"),
        (EVALUATION, "summary.json"),
        (EVALUATION, "figures/mine.svg"),
        (PATIENTS, "manifest.csv"),
        (PATIENTS, "images/P01.nii.gz"),
    ],
)
def test_a_name_that_is_taken_refuses_the_whole_folder(kind, name, tmp_path):
    (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
    (tmp_path / name).write_text("{}")
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="plgg did not write"), output_folder(tmp_path, kind):
        raise AssertionError
    assert contents(tmp_path) == before


def test_other_things_in_the_folder_do_not_matter(tmp_path):
    (tmp_path / "thesis.docx").write_text("mine")
    for _ in range(2):
        with output_folder(tmp_path, PREDICTIONS):
            (tmp_path / "summary.csv").write_text("case_id\n")
    with output_folder(tmp_path, EVALUATION):
        pass
    assert (tmp_path / "thesis.docx").read_text() == "mine"
    assert json.loads((tmp_path / MARK).read_text())["kinds"] == ["predictions", "evaluation"]


def test_an_earlier_versions_folder_is_known_by_its_record(tmp_path):
    (tmp_path / "cases").mkdir()
    (tmp_path / "cohort.json").write_text('{"format": "plgg-store", "version": 1}')
    with output_folder(tmp_path, STORE):
        pass


def test_predictions_of_an_earlier_version_are_known(tmp_path):
    make_prediction(tmp_path / "P01")
    (tmp_path / "summary.csv").write_text("case_id,patient_id,status,reason,volume_ml\n")
    with output_folder(tmp_path, PREDICTIONS):
        pass


def test_somebodys_summary_beside_a_prediction_is_kept(tmp_path):
    make_prediction(tmp_path / "P01")
    (tmp_path / "summary.csv").write_text("patient,notes\nP01,left frontal\n")
    before = contents(tmp_path)
    with pytest.raises(OutputError, match="plgg did not write"):
        output_folder(tmp_path, PREDICTIONS).__enter__()
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("kind", "name"), [(PREDICTIONS, "summary.csv"), (EVALUATION, "cases.csv")]
)
@pytest.mark.parametrize("way", ["itself", "link"])
def test_an_input_is_no_file_that_is_written(kind, name, way, tmp_path):
    out = tmp_path / "out"
    with output_folder(out, kind):
        (out / name).write_text("patient_id,flair\nP01,P01.nii.gz\n")
    given = out / name
    if way == "link":
        given = tmp_path / "manifest.csv"
        given.symlink_to(out / name)
    with pytest.raises(OutputError, match=r"the input .* would replace"):
        output_folder(out, kind, inputs=[given]).__enter__()
    with output_folder(out, kind, inputs=[tmp_path / "other.csv"]):
        pass


@pytest.mark.parametrize(
    ("kind", "name"),
    [(STORE, "cases"), (STORE, "qc"), (EVALUATION, "figures"), (PATIENTS, "images")],
)
def test_nothing_is_written_through_a_link_to_another_folder(kind, name, tmp_path):
    out, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with output_folder(out, kind):
        (out / name).symlink_to(elsewhere)
    with pytest.raises(OutputError, match="a link to another place"):
        output_folder(out, kind).__enter__()
    (out / name).unlink()
    (out / "here").mkdir()
    (out / name).symlink_to("here")
    with output_folder(out, kind):
        pass


@pytest.mark.parametrize("path", ["x" * 300, "file/below", "ring"])
@pytest.mark.parametrize("ask", [require_untaken, require_replaceable, None])
def test_a_place_that_cannot_be_is_one_line(path, ask, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "ring").symlink_to("ring")
    with pytest.raises(OutputError, match="hoose another"):  # noqa: PT012
        if ask:
            ask(tmp_path / path, PREDICTION)
        with output_folder(tmp_path / path, PREDICTIONS):
            pass


def test_a_stored_case_is_replaced_even_if_it_was_damaged(tmp_path):
    write(tmp_path / "P01", STORED_CASE)
    (tmp_path / "P01" / "case.json").write_bytes(b"\x00broken")
    write(tmp_path / "P01", STORED_CASE)
    assert json.loads((tmp_path / "P01" / "case.json").read_text()) == RESULT


def test_a_lock_is_held_once_by_a_process_and_free_at_the_end(tmp_path):
    with (
        locked(tmp_path),
        locked(
            tmp_path / "." / "..",
        ),
        locked(tmp_path),
    ):
        pass
    with locked(tmp_path):
        pass


def somebodys(folder):
    (folder / "notes.txt").write_text("left frontal")
    return folder / "notes.txt"


@pytest.mark.parametrize(
    "make",
    [
        lambda folder: (folder / LOCK).hardlink_to(somebodys(folder)),
        lambda folder: (folder / LOCK).symlink_to(somebodys(folder)),
        lambda folder: (folder / LOCK).symlink_to(folder / "nothing"),
        lambda folder: (folder / LOCK).write_text("left frontal"),
        lambda folder: (folder / LOCK).mkdir(),
        lambda folder: os.mkfifo(folder / LOCK),
    ],
    ids=["hard link", "link", "link to nothing", "notes", "folder", "pipe"],
)
def test_what_is_no_lock_is_kept(make, tmp_path):
    make(tmp_path)
    names = [path.name for path in sorted(tmp_path.iterdir())]
    with pytest.raises(OutputError, match=r"is not a lock that plgg made\. Move it away"):
        locked(tmp_path).__enter__()
    assert [path.name for path in sorted(tmp_path.iterdir())] == names
    assert all(p.read_text() == "left frontal" for p in tmp_path.iterdir() if p.is_file())


def test_a_copy_of_a_folder_by_hard_links_can_be_locked(tmp_path):
    with locked(tmp_path / "run"):
        pass
    (tmp_path / "copy").mkdir()
    (tmp_path / "copy" / LOCK).hardlink_to(tmp_path / "run" / LOCK)
    with locked(tmp_path / "copy"):
        pass


HOLD = """
import sys, time
from pathlib import Path
from plgg.core.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(600)
"""


def test_a_second_process_is_told_who_holds_the_folder_and_a_kill_frees_it(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(OutputError, match=f"in use by .*process {holder.pid}"),
            locked(tmp_path),
        ):
            raise AssertionError
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    with locked(tmp_path):
        pass


HOLD_AND_SAY_LATER = """
import json, sys, time
from pathlib import Path
from filelock import FileLock
from plgg.core.lock import LOCK, _holder
path = Path(sys.argv[1]) / LOCK
with FileLock(path, thread_local=False):
    print("held", flush=True)
    time.sleep(0.2)
    path.write_text(json.dumps(_holder()))
    time.sleep(600)
"""


def test_a_holder_who_has_not_said_so_is_waited_for_and_a_dead_one_is_not_named(
    tmp_path, monkeypatch
):
    monkeypatch.setattr("plgg.core.lock._UNNAMED_SECONDS", 60.0)
    with subprocess.Popen([sys.executable, "-c", "pass"]) as dead:
        dead.wait()
    said = {"command": "plgg", "process": dead.pid, "host": platform.node(), "since": "now"}
    (tmp_path / LOCK).write_text(json.dumps(said))
    command = [sys.executable, "-c", HOLD_AND_SAY_LATER, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as holder:
        try:
            assert holder.stdout.readline() == "held\n"
            with (
                pytest.raises(OutputError, match=f"in use by .*process {holder.pid}"),
                locked(tmp_path),
            ):
                raise AssertionError
        finally:
            holder.kill()


def test_asides_are_random_keep_suffixes_and_are_known(tmp_path):
    path = tmp_path / "mask.nii.gz"
    names = {temporary_name(path).name for _ in range(5)}
    assert len(names) == 5
    assert {split_aside(name) for name in names} == {("new", "mask.nii.gz")}
    assert split_aside(".plgg-new-1.mask.nii.gz") is None


def test_a_lock_that_links_to_itself_is_no_lock(tmp_path):
    (tmp_path / LOCK).symlink_to(LOCK)
    with pytest.raises(OutputError, match="is not a lock that plgg made"), locked(tmp_path):
        pass


def test_a_mark_that_is_larger_than_any_is_none(tmp_path):
    with output_folder(tmp_path, EVALUATION):
        (tmp_path / "cases.csv").write_text("scores")
    with (tmp_path / MARK).open("r+b") as handle:
        handle.truncate(2**40)
    with pytest.raises(OutputError), output_folder(tmp_path, EVALUATION):
        pass
    assert (tmp_path / "cases.csv").read_text() == "scores"
