"""The frozen surface: names that others call. Add to it; do not rename."""

import inspect

import pytest

from plgg.cli.cohort import phantom
from plgg.phantom.settings import PhantomSettings
from program import one_line, plgg

SURFACE = {
    "manifest": ["--out", "--labels", "--marker-column", "--flair", "--mask", "--overwrite",
                 "--keep-labels"],
    "phantom": ["--patients", "--seed", "--missing-masks", "--missing-markers", "--second-scans",
                "--slice-thickness-mm", "--population", "--link", "--halos", "--halo-width",
                "--elsewhere", "--contrast", "--spacing-mm", "--spot-width", "--label-cysts"],
    "check": ["--json", "--scan-gib", "--set"],
    "preprocess": ["--preset", "--set", "--workers", "--atlas", "--memory", "--keep-going",
                   "--scan-gib", "--ray-address", "--shard"],
    "train": ["--run", "--preset", "--arm", "--epochs", "--seed", "--split", "--init", "--freeze",
              "--devices", "--nodes", "--track", "--set", "--folds"],
    "predict": ["--model", "--out", "--atlas", "--engine", "--prior", "--mirror", "--memory",
                "--age", "--sex", "--report", "--set", "--part", "--json", "--scan-gib",
                "--pdf", "--rtstruct", "--date", "--workers", "--ray-address", "--shard"],
    "timeline": ["--out", "--date", "--json"],
    "bids": ["--participant-label", "--session-label", "--skip-bids-validation", "--model",
              "--atlas", "--engine", "--mirror", "--memory", "--report", "--set", "--json",
              "--scan-gib", "--case-minutes", "--case-gib"],
    "export": ["--format", "--out", "--name", "--about"],
    "models": ["--json"],
    "serve": ["--model", "--store", "--host", "--port", "--no-token", "--atlas", "--upload-gib",
              "--scan-gib", "--case-minutes", "--case-gib", "--round-minutes", "--dicomweb",
              "--push"],
    "evaluate": ["--out", "--json", "--scan-gib", "--workers", "--ray-address"],
    "compare": ["--metric", "--baseline", "--gain", "--power", "--json"],
    "experiment": ["--out", "--splits", "--preset", "--arms", "--define", "--grid", "--workers",
                   "--ray-address", "--cpus-per-run", "--gpus-per-run", "--retry", "--track",
                   "--set", "--folds", "--seeds"],
    "transfer": ["--out", "--phantoms", "--splits", "--preset", "--arm", "--tune",
                 "--freeze", "--set"],
    "pacs": ["find", "pull", "push", "watch", "listen"],
    "pacs find": ["--patient", "--study-date", "--description", "--modality", "--limit", "--json",
                  "--aet", "--tls", "--insecure"],
    "pacs pull": ["--series", "--out", "--study-gib"],
    "pacs push": ["--json"],
    "pacs watch": ["--work", "--rule", "--every", "--days", "--push", "--once", "--model"],
    "pacs listen": ["--work", "--port", "--host", "--caller", "--push", "--quiet", "--tls"],
    "demo": ["--out", "--seed", "--patients", "--unseen", "--set"],
    "info": ["--json"],
}  # fmt: skip


@pytest.mark.parametrize("command", SURFACE)
def test_options_are_there_and_explained(command):
    text = plgg(*command.split(), "--help").out
    for option in SURFACE[command]:
        assert option in text
    assert "Example" in text or command == "info"


def test_help_names_every_command_without_the_heavy_libraries():
    text = plgg("--help", fresh=True).out
    for command in SURFACE:
        assert command.split()[0] in text


def words_of(text):
    return text.replace("python -m plgg", "plgg").split()


def test_the_program_started_anew_and_its_fork_say_the_same(tmp_path):
    none = tmp_path / "none.csv"
    for status, *words in ((0, "check", "--help"), (2, "check", none), (2, "predict")):
        anew, fork = (plgg(*words, status=status, fresh=fresh) for fresh in (True, False))
        assert words_of(anew.out) == words_of(fork.out)
        assert words_of(anew.err) == words_of(fork.err)


def test_info_tells_versions_presets_and_schema():
    found = plgg("info", "--json").json()
    assert set(found["presets"]) == {"paper", "small", "best"}
    assert found["presets"]["paper"]["patches"]["size"] == [128, 128, 112]
    assert found["presets"]["paper"]["loss"]["marker_weight"] == 0.3
    assert found["config_schema"]["additionalProperties"] is False
    assert found["versions"]["torch"] != "absent"
    assert "loss.marker_weight" in plgg("info").out


def test_phantom_offers_every_setting_with_its_default():
    offered = inspect.signature(phantom).parameters
    for name, setting in PhantomSettings.model_fields.items():
        default = ",".join(setting.default) if name == "sequences" else setting.default
        assert offered["patients" if name == "n_patients" else name].default == default


def test_wrong_words_are_one_line(tmp_path):
    assert (
        "did you mean"
        in one_line(
            plgg(
                "train",
                tmp_path,
                "--run",
                tmp_path / "r",
                "--set",
                "loss.marker_wieght=1",
                status=2,
            )
        ).lower()
    )
    assert "preset" in one_line(
        plgg("preprocess", tmp_path / "m.csv", tmp_path / "s", "--preset", "big", status=2)
    )
    assert "arm" in one_line(
        plgg("train", tmp_path, "--run", tmp_path / "r", "--arm", "both", status=2)
    )
