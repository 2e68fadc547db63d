"""Parts of a cohort side by side, as the tasks of a job array do them, and then the whole."""

import os
import signal
import subprocess
import sys

import pytest

from helper import write_case, write_csv
from plgg import api
from plgg.core.errors import ConfigError, OutputError
from plgg.core.lock import locked, locked_part
from plgg.core.shard import Shard
from plgg.predict.options import PredictOptions
from program import plgg
from runs import make_run

SETTINGS = (
    "grid.spacing_mm=8",
    "preprocess.registration=centre",
    "preprocess.stripping=none",
    "patches.size=[16,16,16]",
)
HOLDER = """
import sys
from pathlib import Path
from plgg.core.lock import locked_part
with locked_part(Path(sys.argv[1]), sys.argv[2]):
    print("holds", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("patients")
    paths = [write_case(folder, f"P{n}", seed=n + 1) for n in range(5)]
    rows = [f"P{n},{flair},{mask}" for n, (flair, mask) in enumerate(paths)]
    return write_csv(folder / "manifest.csv", "patient_id,flair,mask", *rows)


def config():
    return api.configure("small", settings=SETTINGS)


def times(folder, pattern):
    return {p.parent.name: p.stat().st_mtime_ns for p in folder.glob(pattern)}


def test_parts_are_disjoint_and_all():
    parts = [Shard.parse(f"{number}/3").of_items(range(8)) for number in (1, 2, 3)]
    assert sorted(number for part in parts for number in part) == list(range(8))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    assert Shard.parse("3/20").name == "3-of-20"
    for words in ("0/3", "4/3", "1", "1/2/3", "a/3", "-1/3", "1/99999", "٣/4", ""):
        with pytest.raises(ConfigError, match=r"Give --shard NUMBER/COUNT"):
            Shard.parse(words)


def test_a_store_of_parts_is_completed_and_nothing_is_done_twice(manifest, tmp_path):
    store, whole = tmp_path / "store", tmp_path / "whole"
    kept = {}
    for number in (2, 1):
        cohort = api.preprocess(manifest, store, config(), workers=0, shard=Shard(number, 2))
        assert [case.case_id for case in cohort.cases] == [["P0", "P2", "P4"], ["P1", "P3"]][
            number - 1
        ]
        assert not (store / "cohort.json").exists()
        kept |= times(store, "cases/[!.]*/case.json")
    cohort = api.preprocess(manifest, store, config(), workers=0)
    assert [case.case_id for case in cohort.cases] == ["P0", "P1", "P2", "P3", "P4"]
    assert times(store, "cases/[!.]*/case.json") == kept
    api.preprocess(manifest, whole, config(), workers=0)
    assert (store / "cohort.json").read_bytes() == (whole / "cohort.json").read_bytes()
    assert {path.name for path in store.iterdir()} == {path.name for path in whole.iterdir()}


def test_predictions_of_parts_are_completed(manifest, tmp_path):
    run = make_run(tmp_path / "run", *SETTINGS)
    out, options = tmp_path / "out", PredictOptions(pages=False)
    # One scan, which is predicted in this process.
    api.predict([manifest], model=run, out=out, options=options, shard=Shard(1, 5))
    assert times(out, "*/result.json").keys() == {"P0"}
    assert not (out / "summary.csv").exists()
    kept = times(out, "*/result.json")
    found = api.predict([manifest], model=run, out=out, options=options)
    assert [outcome.reason for outcome in found] == [None] * 5
    assert times(out, "*/result.json")["P0"] == kept["P0"]
    assert len((out / "summary.csv").read_text().splitlines()) == 6


@pytest.fixture
def holder(tmp_path):
    """A process that holds part 1 of a folder."""
    command = [sys.executable, "-c", HOLDER, tmp_path, "1-of-2"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "holds\n"
        yield process
        process.kill()


def test_parts_are_held_side_by_side_and_never_beside_the_whole(holder, tmp_path):
    with locked_part(tmp_path, "2-of-2"):
        pass
    with pytest.raises(OutputError, match="is in use by"), locked_part(tmp_path, "1-of-2"):
        pass
    with pytest.raises(OutputError, match=r"part '1 of 2' is in use by .*until all parts"):
        locked(tmp_path).__enter__()
    # The refused one has let go: other parts go on.
    with locked_part(tmp_path, "2-of-2"), locked_part(tmp_path, "2-of-2"):
        pass
    os.kill(holder.pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    holder.wait()
    with locked(tmp_path), locked(tmp_path):
        assert not list(tmp_path.glob(".plgg-part-*"))


def test_a_part_waits_for_no_command_that_holds_the_whole(tmp_path):
    with locked(tmp_path):
        code = f"{HOLDER.replace('sys.stdin.read()', 'pass')}"
        refused = subprocess.run(
            [sys.executable, "-c", code, tmp_path, "1-of-2"],
            capture_output=True,
            text=True,
            check=False,
            timeout=500,
        )
    assert "is in use by" in refused.stderr


def test_a_wrong_part_is_one_line(manifest, tmp_path):
    done = plgg("preprocess", manifest, tmp_path / "store", "--shard", "3/2", status=2)
    assert done.err.startswith("plgg: no part is called '3/2'.")
    assert not (tmp_path / "store").exists()
