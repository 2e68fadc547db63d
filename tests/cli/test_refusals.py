"""Refusals: told before PyTorch is loaded, in one line, and as JSON where JSON is asked for."""

import json
import subprocess
import sys

import pytest

from plgg.cli.app import app
from program import one_line, plgg

# Commands one after the other in one process, with what each said and whether torch was loaded.
PROGRAM = """
import contextlib, io, json, sys
from plgg.cli.main import main

for arguments in json.loads(sys.argv[1]):
    sys.argv = ["plgg", *arguments]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as end:
            status = end.code
    told = [arguments, status, out.getvalue(), err.getvalue(), "torch" in sys.modules]
    print(json.dumps(told))
"""


def told_by(commands):
    """What each command said, all run in one fresh interpreter."""
    given = json.dumps([[str(word) for word in command] for command in commands])
    command = [sys.executable, "-c", PROGRAM, given]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def refused(tmp_path_factory):
    """Every command with a mistyped path, the rest of it sound."""
    folder = tmp_path_factory.mktemp("refused")
    no = folder / "mistyped"
    scan, run, store, prior = (folder / name for name in ("scan.nii.gz", "run", "store", "prior"))
    scan.write_bytes(b"")
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "best.json").write_text("{}")
    cohort = {"spacing_mm": 2.0, "classes": [], "cases": []}
    store.mkdir()
    (store / "cohort.json").write_text(json.dumps(cohort))
    prior.mkdir()
    manifest = folder / "manifest.csv"
    manifest.write_text("patient_id,flair\np,f.nii.gz\n")
    file = folder / "mistyped-file"
    file.write_text("mine")
    out = ["--out", folder / "out"]
    predict = ["predict", scan, "--model", run, *out]
    commands = [
        ["check", no],
        ["manifest", "bids", no, *out],
        ["manifest", "folder", folder, "--labels", no, *out],
        ["preprocess", no, folder / "out"],
        ["preprocess", manifest, folder / "out", "--atlas", no],
        ["train", no, "--run", folder / "out"],
        ["train", store, "--run", folder / "out", "--init", no],
        ["experiment", no, *out],
        ["experiment", store, *out, "--set", f"init.run={no}"],
        ["transfer", no, store, *out],
        ["transfer", store, no, *out],
        ["predict", no, "--model", run, *out],
        ["predict", scan, no, "--model", run, *out],
        ["predict", scan, "--model", no, *out],
        ["predict", scan, "--model", run, "--model", no, *out],
        [*predict, "--prior", no],
        [*predict, "--prior", prior],
        [*predict, "--atlas", no],
        ["export", no, "--format", "onnx"],
        ["evaluate", no, manifest],
        ["evaluate", prior, no],
        ["compare", no, prior],
        ["compare", no],
        ["transfer", store, store, *out, "--set", f"init.run={no}"],
        ["transfer", store, store, *out, "--tune", f"init.run={no}"],
        ["train", store, "--run", file],
        ["experiment", store, "--out", file],
        ["transfer", store, store, "--out", file],
        ["predict", scan, "--model", run, "--out", file],
        ["predict", scan, "--model", run, "--out", folder / f"mistyped{'x' * 300}"],
        ["export", run, "--format", "onnx", "--out", file],
        ["evaluate", prior, manifest, "--out", file],
        ["preprocess", manifest, file],
        ["demo", "--out", file],
    ]
    found = told_by(commands)
    assert len(found) == len(commands)
    assert not (folder / "out").exists()
    assert file.read_text() == "mine"
    return found


def test_a_mistyped_path_is_told_in_one_line_before_torch_is_loaded(refused):
    for arguments, status, out, err, torch in refused:
        assert status == 2, arguments
        assert not out
        assert err.startswith("plgg: ")
        assert err.count("\n") == 1
        assert ("mistyped" in err) != ("prior: is no prediction" in err), (arguments, err)
        assert not torch, arguments


def with_json():
    """The commands that have --json, by their own options."""
    found = {command.callback.__name__ for command in app.registered_commands}
    return sorted(name for name in found if "--json" in plgg_help(name))


def plgg_help(name):
    command = next(c for c in app.registered_commands if c.callback.__name__ == name)
    return "--json" if "as_json" in command.callback.__annotations__ else ""


def test_with_json_a_refusal_is_json_on_standard_output(tmp_path):
    no = tmp_path / "mistyped"
    needed = {
        "check": [no],
        "train": [no, "--run", tmp_path / "run"],
        "predict": [no, "--model", no, "--out", tmp_path / "out"],
        "evaluate": [no, no],
        "compare": [no, no],
        "timeline": [no],
        "bids": [no, tmp_path / "derivatives", "participant"],
    }
    assert set(needed) | {"info", "models"} == set(with_json())
    commands = [[name, *words, "--json"] for name, words in needed.items()]
    # A command that was typed wrongly, also where nothing can be said of --json itself.
    commands += [["check", "--json"], ["info", "--json", "--nonsense"], ["nonsense", "--json"]]
    commands += [["train", no, "--run", no, "--devices", "many", "--json"]]
    for arguments, status, out, err, torch in told_by(commands):
        assert status == 2
        error = json.loads(out)["error"]
        assert set(error) == {"message", "where", "remedy"}
        assert error["remedy"]
        assert error["message"] in err
        assert err.count("\n") == 1
        if str(no) == error["where"]:
            assert str(no) in err
        else:
            assert error["where"] is None, arguments
        assert not torch


ODD = "a\nb\x1b[31m[red]x[/red]:smile:\u202e\udcff"


def test_names_are_shown_and_not_obeyed(tmp_path):
    done = plgg("check", tmp_path / ODD, status=2)
    line = one_line(done)
    assert r"a\nb\x1b[31m[red]x[/red]:smile:\u202e" in line
    assert "\x1b" not in done.err
    usage = plgg("check", "x", f"--{ODD}", status=2)
    assert r"\x1b[31m[red]x[/red]:smile:" in one_line(usage)
    assert "\x1b" not in usage.err


def test_cells_of_a_manifest_are_shown_and_not_obeyed(tmp_path):
    manifest = tmp_path / "manifest.csv"
    odd = "[red]x[/red]:smile:\x1b[31m[/nothing]"
    manifest.write_text(f'patient_id,flair,marker\np1,{odd}.nii.gz,"{odd}"\n')
    done = plgg("check", manifest, status=1)
    seen = "".join(done.out.split())
    assert r"[red]x[/red]:smile:\x1b[31m[/nothing]" in seen
    assert "\x1b" not in done.out + done.err


def test_the_version_is_said_and_the_program_alone_shows_its_help():
    assert plgg("--version").out.startswith("plgg ")
    done = plgg(status=2)
    assert "predict" in done.out + done.err


def test_help_is_given_without_the_heavy_libraries():
    found = told_by([["--help"], ["predict", "--help"]])
    for _, status, out, _, torch in found:
        assert status == 0
        assert "predict" in out
        assert not torch
