"""Damaged input of every kind is read or refused, and whatever else happens is seen."""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

BENCHMARKS = str(Path(__file__).parents[1] / "benchmarks")
sys.path.append(BENCHMARKS)
import fuzz  # noqa: E402 - it is no part of the package
from fuzzing import kinds, manifest, records  # noqa: E402
from fuzzing.watched import TooLongError, yard  # noqa: E402

sys.path.remove(BENCHMARKS)


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_damaged_input_is_read_or_refused(kind):
    n = 12 if kind == "JSON of runs" else 40
    found = kinds.trial(kind, range(n))
    assert found.violations == []
    assert found.results + found.refusals == n
    assert found.refusals > 0


def test_the_tables_are_sound_before_they_are_damaged(tmp_path):
    for way in manifest.WAYS:
        names = [*manifest.COLUMNS]
        names[0] = "participant_id" if way == "participants" else names[0]
        lines = [names, *manifest.ROWS[1:]]
        content = "".join(",".join(line) + "\n" for line in lines).encode()
        (tmp_path / way).mkdir()
        assert manifest.attempt(manifest.Csv(way, content), tmp_path / way)


@pytest.mark.parametrize("header", [["x"] * 3000, ["x" * 100_000], [f"x{n}" for n in range(3000)]])
@pytest.mark.parametrize("way", manifest.WAYS)
def test_however_much_a_table_holds_its_refusal_is_of_a_bearable_length(tmp_path, way, header):
    content = (",".join(header) + "\n" + "1," * (len(header) - 1) + "1\n").encode()
    assert not manifest.attempt(manifest.Csv(way, content), tmp_path)


def test_stores_and_runs_are_sound_before_they_are_damaged(tmp_path):
    assert records.attempt("store", kinds.sound_store(tmp_path / "a"))
    assert records.attempt("experiment", kinds.sound_experiment(tmp_path / "b"))


def write_beside(folder):
    (folder.parent.parent / "beside" / "kept.txt").write_text("other")


def write_above(folder):
    (folder.parent.parent / "new.txt").touch()


def write_through_a_link(folder):
    (folder / "link").symlink_to("../../beside/kept.txt")
    (folder / "link").open("a").close()


def remove_beside(folder):
    shutil.rmtree(folder.parent.parent / "beside" / "deeper")


def start_a_program(_):
    subprocess.run([sys.executable, "-c", ""], check=True)


def raise_an_error(_):
    raise KeyError("name")


@pytest.mark.parametrize(
    "attempt",
    [
        write_beside, write_above, write_through_a_link, remove_beside, start_a_program,
        raise_an_error,
    ],
)  # fmt: skip
def test_what_is_neither_a_result_nor_a_refusal_is_a_violation(monkeypatch, tmp_path, attempt):
    monkeypatch.setitem(kinds.KINDS, "bad", lambda _, numbers: iter([attempt] * len(numbers)))
    found = kinds.trial("bad", range(1), keep=tmp_path)
    assert len(found.violations) == 1
    assert "\n" not in found.violations[0]
    assert found.results == found.refusals == 0


def test_work_in_the_folder_is_no_violation(tmp_path):
    def work(folder):
        (folder / "a").write_text("a")
        (folder / "a").rename(folder / "b")
        return tempfile.mkdtemp()

    with yard(tmp_path / "yard") as ground:
        assert ground.tried(work)


def test_an_input_that_takes_too_long_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("fuzzing.watched.SECONDS", 1)

    def endless(_):
        while True:
            try:
                sum(range(1000))
            except Exception:  # noqa: BLE001 - as a library might
                return None

    with yard(tmp_path / "yard") as ground, pytest.raises(TooLongError):
        ground.tried(endless)


def test_every_input_is_tried_once():
    parts = fuzz.parts(kinds.KINDS, 10_000, seed=3)
    assert sum(count for _, _, count in parts) >= 10_000
    numbers = [(kind, first + n) for kind, first, count in parts for n in range(count)]
    assert len(set(numbers)) == len(numbers)
    assert {kind for kind, _, _ in parts} == set(fuzz.SHARES) == set(kinds.KINDS)
    assert all(n >= 3 * kinds.APART for _, n in numbers)


def test_memory_over_the_budget_and_a_dead_process_are_violations(capsys, monkeypatch):
    grown = kinds.Trial("zip", results=1, grown_mib=fuzz.GROWTH_MIB + 1)
    assert len(fuzz.within_budget(grown, 0).violations) == 1
    monkeypatch.setattr(sys, "executable", "/bin/false")
    (dead,) = fuzz.tried([("zip", 0, 1)], 1, None)
    assert len(dead.violations) == 1
    assert "ended with status" in dead.violations[0]
    fuzz.print_table([grown, dead])
    assert "| all | " in capsys.readouterr().out
