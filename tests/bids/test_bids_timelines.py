"""Sessions of a BIDS dataset become timelines: RAPNO's categories, and no date that is not said."""

import csv
import hashlib
import json
from datetime import date

import numpy as np
import pytest
from bids_study import issues_of, write_bids

from helper import make_affine
from plgg import api
from plgg.bids.acquisition_dates import parse_date, session_order
from plgg.bids.courses import courses_of
from plgg.bids.dataset import read_dataset
from plgg.bids.derive import write_derivatives
from plgg.bids.description import prepare_output
from plgg.bids.group import summarise_group
from plgg.bids.request import WORK, BidsRequest
from plgg.core.files import write_json
from plgg.core.output import PREDICTIONS, output_folder
from plgg.core.volume import Volume
from plgg.data.nifti.image import write_volume
from plgg.data.result import Input
from plgg.measure.diameters import diameters
from program import plgg
from study_objects import result_of

# Oblique, and no voxel a cube.
AFFINE = make_affine((1.9, 2.1, 2.4), axes="LPS", turn_degrees=(-18.0, 9.0, 25.0))
SHAPE = (40, 38, 36)
ONE = [f"sub-01/ses-{n}/anat/sub-01_ses-{n}_FLAIR.nii.gz" for n in (1, 2, 10, 11)]
TWO = [
    "sub-02/ses-pre/anat/sub-02_ses-pre_acq-2d_FLAIR.nii.gz",
    "sub-02/ses-post/anat/sub-02_ses-post_acq-2d_FLAIR.nii.gz",
    "sub-02/ses-post/anat/sub-02_ses-post_acq-3d_FLAIR.nii.gz",
]
ALONE = "sub-03/ses-1/anat/sub-03_ses-1_FLAIR.nii.gz"
# Of ball-shaped tumours: products of 1, 0.64, 0.36 and 0.64.
RADII = {**dict(zip(ONE, (20.0, 16.0, 12.0, 16.0), strict=True)),
         **dict(zip(TWO, (14.0, 18.0, 5.0), strict=True)), ALONE: 15.0}  # fmt: skip


def ball(radius_mm):
    voxels = np.stack(np.meshgrid(*map(np.arange, SHAPE), indexing="ij"), -1)
    middle = (np.array(SHAPE) - 1) / 2
    away = (voxels - middle) @ AFFINE[:3, :3].T
    return Volume((np.linalg.norm(away, axis=-1) <= radius_mm).astype(np.uint8), AFFINE)


def write_tsv(path, *rows):
    path.write_text("".join("\t".join(row) + "\n" for row in rows))


@pytest.fixture
def request_of(tmp_path):
    """A dataset whose scans are predicted, each with a ball as its tumour."""
    root = write_bids(tmp_path / "study", [(path, AFFINE) for path in RADII])
    write_tsv(root / "sub-02" / "sub-02_sessions.tsv", ("session_id",), ("ses-pre",), ("ses-post",))
    request = BidsRequest(root, tmp_path / "derived")
    prepare_output(request, ["ab" * 32])
    for scan in read_dataset(root).scans:
        predicted(request, scan)
    return request


def predicted(request, scan):
    """What the participant level leaves of a scan."""
    source = next(iter(scan.sources.values()))
    mask, work = ball(RADII[source]), request.work(scan.subject)
    digest = hashlib.sha256((request.root / source).read_bytes()).hexdigest()
    result = result_of(
        mask, request.root / source, case_id=scan.name, patient_id=scan.subject,
        input=Input(path=str(request.root / source), kind="nifti", sha256=digest),
        diameters=diameters(mask), marker=None, quality=None,
    )  # fmt: skip
    with output_folder(work, PREDICTIONS):
        folder = work / scan.name
        folder.mkdir()
        write_json(folder / "result.json", result.model_dump(mode="json"))
        for name in ("mask.nii.gz", "probability.nii.gz"):
            write_volume(folder / name, mask)
        write_derivatives(request, scan, result)


def dated(request, *, table="scans"):
    """Say when the scans of sub-01 were acquired, shifted far back as BIDS allows."""
    days = ["1901-01-01T10:30:00", "1901-02-05T08:00:00.250000Z", "1901-05-01", "1901-08-20T00:00"]
    subject = request.root / "sub-01"
    if table == "sessions":
        labels = [path.split("/")[1] for path in ONE]
        rows = zip(labels, days, strict=True)
        write_tsv(subject / "sub-01_sessions.tsv", ("session_id", "acq_time"), *rows)
        return
    for path, day in zip(ONE, days, strict=True):
        session = path.split("/")[1]
        file = f"anat/{path.rsplit('/', 1)[1]}"
        table_path = subject / session / f"sub-01_{session}_scans.tsv"
        write_tsv(table_path, ("filename", "acq_time"), (file, day))


def rows_of(request):
    with (request.out / "desc-plgg_responses.tsv").open(newline="") as handle:
        return list(csv.DictReader(handle, delimiter="\t"))


def of(rows, subject, column):
    return [row[column] for row in rows if row["participant_id"] == subject]


@pytest.mark.parametrize("table", ["scans", "sessions"])
def test_sessions_become_a_timeline(request_of, table):
    dated(request_of, table=table)
    done = plgg("bids", request_of.root, request_of.out, "group")
    assert "8 of 8 scans predicted" in done.out
    rows = rows_of(request_of)
    assert of(rows, "sub-01", "session_id") == ["ses-1", "ses-2", "ses-10", "ses-11"]
    assert of(rows, "sub-01", "response") == ["baseline", "MR", "PR", "PD"]
    assert of(rows, "sub-01", "days") == ["0", "35", "120", "231"]
    # The minor response is borne out 85 days later; the partial one is not.
    assert of(rows, "sub-01", "is_confirmed") == ["n/a", "true", "false", "false"]
    assert of(rows, "sub-03", "scan") == []
    assert issues_of(request_of.out) == []
    meaning = json.loads((request_of.out / "desc-plgg_responses.json").read_text())
    assert set(meaning) == set(rows[0])
    # The same as by hand.
    work = request_of.out / WORK / "sub-01"
    folders = [work / name for name in of(rows, "sub-01", "scan")]
    dates = [date(1901, 1, 1), date(1901, 2, 5), date(1901, 5, 1), date(1901, 8, 20)]
    by_hand = api.timeline(folders, dates=dates)
    assert [one.response for one in by_hand.points] == of(rows, "sub-01", "response")
    group = (request_of.out / "group.html").read_text()
    assert 'href="reports/sub-01_timeline.html"' in group
    page = (request_of.out / "reports" / "sub-01_timeline.html").read_text()
    for text in (group, page):
        assert str(request_of.root) not in text
        assert "steroids" in text


def test_where_no_date_is_said_none_is_made_up(request_of):
    plgg("bids", request_of.root, request_of.out, "group")
    rows = rows_of(request_of)
    # ses-2 before ses-10; pre before post, as the table of sessions lists them.
    assert of(rows, "sub-01", "session_id") == ["ses-1", "ses-2", "ses-10", "ses-11"]
    assert of(rows, "sub-02", "session_id") == ["ses-pre", "ses-post"]
    assert set(of(rows, "sub-01", "days")) == {"n/a"}
    assert of(rows, "sub-01", "response") == ["baseline", "MR", "PR", "PD"]
    page = (request_of.out / "reports" / "sub-01_timeline.html").read_text()
    assert "ot all dates are known" in page
    # One scan a session: the acquisition that both sessions have.
    assert of(rows, "sub-02", "scan")[1] == "sub-02_ses-post_acq-2d"
    assert of(rows, "sub-02", "response") == ["baseline", "PD"]
    page = (request_of.out / "reports" / "sub-02_timeline.html").read_text()
    assert "es-post has 2 FLAIR scans, of which sub-02_ses-post_acq-2d was taken" in page


def test_a_date_that_is_none_is_told_and_not_guessed(request_of):
    dated(request_of)
    table = request_of.root / "sub-01/ses-10/sub-01_ses-10_scans.tsv"
    for said in ("spring", "1901-02-30T00:00:00", "n/a", ""):
        write_tsv(table, ("filename", "acq_time"), ("anat/sub-01_ses-10_FLAIR.nii.gz", said))
        course = courses_of(request_of, read_dataset(request_of.root))[0]
        assert [p.scan_date is None for p in course.timeline.points] == [False, False, True, False]
        warned = any("the acq_time of sub-01_ses-10 is no date" in w
                     for w in course.timeline.warnings)  # fmt: skip
        assert warned == (said in ("spring", "1901-02-30T00:00:00"))
    table.write_bytes(b"\xff\xfe\x00filename")
    course = courses_of(request_of, read_dataset(request_of.root))[0]
    assert any(f"{table.name} " in warning for warning in course.timeline.warnings)
    assert course.timeline.points[2].scan_date is None


def test_dates_that_contradict_the_order_cost_the_timeline_alone(request_of):
    write_tsv(
        request_of.root / "sub-01/sub-01_sessions.tsv", ("session_id", "acq_time"),
        ("ses-1", "1901-06-01T00:00:00"), ("ses-2", "1901-01-01T00:00:00"), ("ses-10", "n/a"),
    )  # fmt: skip
    found = summarise_group(request_of, read_dataset(request_of.root))
    assert {one.status for one in found} == {"done"}
    assert of(rows_of(request_of), "sub-01", "scan") == []
    page = (request_of.out / "group.html").read_text()
    assert "is of an earlier scan than" in page
    assert str(request_of.root) not in page


def test_a_session_that_failed_is_left_out_and_named(request_of):
    record = request_of.work("sub-01") / "sub-01_ses-2.json"
    said = json.loads(record.read_text())
    write_json(record, said | {"status": "failed", "reason": "holds no brain"})
    summarise_group(request_of, read_dataset(request_of.root))
    assert of(rows_of(request_of), "sub-01", "session_id") == ["ses-1", "ses-10", "ses-11"]
    page = (request_of.out / "reports" / "sub-01_timeline.html").read_text()
    assert "ithout ses-2, which could not be predicted" in page


def test_a_page_of_somebody_elses_is_not_replaced(request_of):
    path = request_of.out / "reports" / "sub-01_timeline.html"
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    summarise_group(request_of, read_dataset(request_of.root))
    assert path.read_text() == "mine"
    assert "no timeline that plgg made" in (request_of.out / "group.html").read_text()


def test_labels_choose_participants_and_all_their_sessions_count(request_of):
    options = ("--participant-label", "01", "--session-label", "2")
    plgg("bids", request_of.root, request_of.out, "group", *options)
    assert {row["participant_id"] for row in rows_of(request_of)} == {"sub-01"}
    assert len(rows_of(request_of)) == 4


def test_dates_and_orders(tmp_path):
    assert parse_date("2024-01-31T23:59:59Z") == date(2024, 1, 31)
    for text in ("", "2024", "2024-13-01", "20240131", "2024-01-31T", "\u0662024-01-31"):
        assert parse_date(text) is None
    sessions = ["ses-10", "ses-2", "ses-b", "ses-a", "ses-02b"]
    order = session_order(tmp_path, "sub-01", [])
    assert sorted(sessions, key=order) == ["ses-2", "ses-02b", "ses-10", "ses-a", "ses-b"]
