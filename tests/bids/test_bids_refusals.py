"""What the BIDS App refuses, in one line, before anything is written."""

import json

import pytest
from bids_study import issues_of, write_bids

from helper import ODD_AFFINES
from plgg.bids import validator as validating
from plgg.bids.dataset import read_dataset
from plgg.bids.request import BidsRequest, require_apart
from plgg.bids.run import run_level
from plgg.cli.bids import _repeated
from plgg.core.errors import ConfigError, InputError, OutputError
from plgg.core.progress import Silent
from plgg.predict.options import PredictOptions
from program import one_line, plgg

FLAIRS = ["sub-01/ses-1/anat/sub-01_ses-1_FLAIR.nii.gz", "sub-02/anat/sub-02_FLAIR.nii.gz"]


@pytest.fixture
def study(tmp_path):
    return write_bids(tmp_path / "study", [(path, ODD_AFFINES["ras"]) for path in FLAIRS])


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        (".", "lies within the BIDS dataset"),
        ("sub-01/plgg", "lies within the BIDS dataset"),
        ("derivatives", "lies within the BIDS dataset"),
        ("..", "holds the BIDS dataset"),
        ("sub-01/../derivatives/plgg", None),
        ("../beside", None),
    ],
)
def test_nothing_is_written_among_raw_data(study, where, fault):
    if fault is None:
        require_apart(study, study / where)
        return
    with pytest.raises(OutputError, match=fault):
        require_apart(study, study / where)


def test_a_dataset_may_lie_in_the_sourcedata_of_its_derivatives(tmp_path):
    require_apart(tmp_path / "out/sourcedata/raw", tmp_path / "out")
    with pytest.raises(OutputError, match="where plgg keeps its own"):
        require_apart(tmp_path / "out/sourcedata/plgg/raw", tmp_path / "out")


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (None, "is no BIDS dataset"),
        ("{", "is no BIDS dataset"),
        ("[]", "holds no record"),
        ('{"Name": "x", "DatasetType": "derivative"}', "is a derivative dataset"),
    ],
)
def test_what_is_no_raw_dataset_is_refused(study, said, fault):
    path = study / "dataset_description.json"
    path.unlink()
    if said is not None:
        path.write_text(said)
    with pytest.raises(InputError, match=fault):
        read_dataset(study)


@pytest.mark.parametrize("label", ["sub-01", "01"])
def test_a_label_is_taken_with_and_without_its_prefix(study, label):
    assert [scan.name for scan in read_dataset(study, participants=[label]).scans] == [
        "sub-01_ses-1"
    ]


@pytest.mark.parametrize(
    ("labels", "fault"),
    [
        ({"participants": ["09"]}, "has no participant sub-09"),
        ({"participants": ["../x"]}, "is no label"),
        ({"participants": [""]}, "is no label"),
        ({"sessions": ["7"]}, "has no FLAIR of ses-7"),
        ({"participants": ["02"], "sessions": ["1"]}, "has no FLAIR of ses-1"),
    ],
)
def test_a_label_that_fits_nothing_is_refused(study, labels, fault):
    with pytest.raises(InputError, match=fault):
        read_dataset(study, **labels)


def test_several_labels_follow_one_option():
    words = ["in", "out", "participant", "--participant_label", "01", "02", "--json",
             "--session-label", "1", "--model", "run", "x"]  # fmt: skip
    assert _repeated(words) == [
        "in", "out", "participant", "--participant-label", "01", "--participant-label", "02",
        "--json", "--session-label", "1", "--model", "run", "x",
    ]  # fmt: skip
    assert _repeated(["--participant_label=01", "--skip_bids_validation", "a_b"]) == [
        "--participant-label=01", "--skip-bids-validation", "a_b",
    ]  # fmt: skip


def test_two_files_of_one_name_fail_rather_than_one_of_them_being_taken(study):
    image = study / FLAIRS[1]
    image.with_name("sub-02_FLAIR.nii").write_bytes(b"")
    (one,) = read_dataset(study, participants=["02"]).left_out
    assert "have one name" in one.reason
    from plgg.bids.outcome import left_out

    assert left_out(one).status == "failed"


def test_what_is_left_out_of_another_session_is_not_asked_for(tmp_path):
    flairs = [f"sub-01/ses-{n}/anat/sub-01_ses-{n}_FLAIR.nii.gz" for n in (1, 2)]
    study = write_bids(tmp_path / "study", [(path, ODD_AFFINES["ras"]) for path in flairs])
    twin = study / flairs[1].removesuffix(".gz")
    twin.write_bytes(b"")
    (one,) = read_dataset(study).left_out
    assert "ses-2" in one.name
    assert not read_dataset(study, sessions=["1"]).left_out


def test_an_invalid_dataset_is_refused_with_the_validators_word(study):
    assert issues_of(study) == []
    (study / "sub-01" / "anatomy.txt").write_text("a stray file")
    request = BidsRequest(study, study.parent / "out")
    with pytest.raises(InputError, match=r"is no valid BIDS dataset \(NOT_INCLUDED: /sub-01/"):
        run_level(request, "participant", validate=True, watch=Silent())
    assert not request.out.exists()


def test_a_validator_that_gives_no_answer_is_no_pass(study):
    with pytest.raises(InputError, match="the BIDS validator gave no answer"):
        validating.validation_errors(study, "false")


def test_the_group_level_wants_predictions(study, tmp_path):
    line = one_line(plgg("bids", study, tmp_path / "none", "group", status=2))
    assert "holds no predictions" in line
    assert not (tmp_path / "none").exists()


def test_a_level_that_is_none_is_refused(study, tmp_path):
    assert "Choose participant or group." in one_line(
        plgg("bids", study, tmp_path / "out", "subject", status=2)
    )


def test_the_derivatives_of_others_stay_as_they_are(study, tmp_path):
    out = tmp_path / "out"
    (out / "sourcedata" / "plgg").mkdir(parents=True)
    said = json.dumps({"Name": "of another pipeline"})
    (out / "dataset_description.json").write_text(said)
    with pytest.raises(OutputError, match="which plgg did not write"):
        run_level(BidsRequest(study, out), "group", validate=False, watch=Silent())
    assert (out / "dataset_description.json").read_text() == said


def test_options_of_a_single_scan_are_not_for_a_dataset(study, tmp_path):
    from plgg import api

    one = PredictOptions(prior=tmp_path)
    with pytest.raises(ConfigError, match="part, prior, scan_date and others"):
        api.bids(study, tmp_path / "out", options=one)


def test_an_unknown_level_is_a_setting_that_is_wrong(study, tmp_path):
    from plgg import api

    with pytest.raises(ConfigError, match="no level is called 'both'"):
        api.bids(study, tmp_path / "out", "both")
