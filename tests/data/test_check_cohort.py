"""Whole manifests: every finding reaches the report, and one broken file ends nothing."""

import json

import nibabel as nib
import numpy as np
import pytest

from helper import ODD_AFFINES, SHAPE, blob_brain, write_case, write_csv, write_nifti
from plgg.core.errors import InputError, ManifestError
from plgg.data.check.cohort import check_manifest
from plgg.data.check.usable import require_usable
from plgg.data.manifest import Case, read_manifest

HEADER = "patient_id,flair,mask,marker,sex"


def codes(report):
    return sorted({finding.code for finding in report.findings})


def row(name, *, patient=None, marker="", sex="", flair=None, mask=None):
    flair = f"{name}_flair.nii.gz" if flair is None else flair
    mask = f"{name}_mask.nii.gz" if mask is None else mask
    return f"{patient or name},{flair},{mask},{marker},{sex}"


@pytest.fixture
def cohort(tmp_path):
    """Nine healthy patients of three classes, one on each odd grid."""
    rows = []
    for number, affine in enumerate(ODD_AFFINES.values()):
        write_case(tmp_path, f"P{number}", affine=affine, seed=number)
        rows.append(row(f"P{number}", marker="ABC"[number % 3], sex="FM"[number % 2]))
    return write_csv(tmp_path / "manifest.csv", HEADER, *rows)


def with_rows(cohort, *rows, header=HEADER):
    old = cohort.read_text().splitlines()[1:]
    return write_csv(cohort, header, *old, *rows)


def only(report, code):
    return [finding for finding in report.findings if finding.code == code]


def test_a_healthy_cohort_has_nothing_to_report(cohort):
    seen = []
    report = check_manifest(cohort, progress=lambda done, n: seen.append((done, n)), workers=2)
    assert report.findings == ()
    assert (report.n_cases, report.n_patients, report.n_errors) == (9, 9, 0)
    assert report.class_counts == {"A": 3, "B": 3, "C": 3}
    assert report.shapes == {"36×40×32": 9}
    assert report.spacing_mm["coarsest"]["max"] == pytest.approx(8.0)
    assert seen == [(done, 9) for done in range(1, 10)]


def test_rows_state_the_brain_and_the_tumour_in_millilitres(cohort):
    rows = {one.case_id: one for one in check_manifest(cohort).cases}
    assert rows["P0"].orientation == "RAS"
    assert rows["P2"].orientation == "LPS"
    for one in rows.values():
        assert one.brain_ml == pytest.approx(4 / 3 * np.pi * 6.2 * 7.8 * 5.8, rel=0.03)
        assert one.tumour_ml == pytest.approx(4 / 3 * np.pi * 1.8**3, rel=0.12)


def test_workers_do_not_change_the_report(cohort):
    assert check_manifest(cohort, workers=3) == check_manifest(cohort)


def test_broken_files_are_findings_and_end_nothing(cohort):
    folder = cohort.parent
    whole = (folder / "P0_flair.nii.gz").read_bytes()
    (folder / "cut_flair.nii.gz").write_bytes(whole[: len(whole) // 2])
    (folder / "text_flair.nii.gz").write_text("not an image")
    series = np.zeros((*SHAPE, 2), np.float32)
    write_nifti(folder / "series_flair.nii.gz", series + np.arange(2))
    names = ("cut", "text", "series", "gone")
    with_rows(cohort, *(row(name, mask="P0_mask.nii.gz") for name in names))
    report = check_manifest(cohort)
    found = {one.case_id: one.code for one in report.findings if one.severity == "error"}
    assert found == {
        "cut": "unreadable",
        "text": "unreadable",
        "series": "unreadable",
        "gone": "missing-file",
    }
    assert report.n_cases == 13
    assert all(one.shape is None for one in report.cases if one.case_id in names)
    (gone,) = only(report, "missing-file")
    assert "gone_flair.nii.gz" in gone.message


def test_a_truncated_mask_is_a_finding_of_its_case(cohort):
    mask = cohort.parent / "P1_mask.nii.gz"
    mask.write_bytes(mask.read_bytes()[:200])
    (finding,) = check_manifest(cohort).findings
    assert (finding.severity, finding.code, finding.case_id) == ("error", "unreadable", "P1")
    assert "mask" in finding.message


def test_errors_come_first_and_are_counted_by_case(cohort):
    write_nifti(cohort.parent / "P0_mask.nii.gz", np.zeros(SHAPE, np.uint8), ODD_AFFINES["ras"])
    (cohort.parent / "P8_flair.nii.gz").unlink()
    report = check_manifest(cohort)
    severities = [finding.severity for finding in report.findings]
    assert severities == ["error", "warning"]
    assert (report.n_errors, report.n_warnings) == (1, 1)
    rows = {one.case_id: (one.n_errors, one.n_warnings) for one in report.cases}
    assert (rows["P0"], rows["P8"], rows["P3"]) == ((0, 1), (1, 0), (0, 0))


def test_one_image_under_two_patients_is_an_error(cohort):
    with_rows(cohort, row("P9", flair="P0_flair.nii.gz", mask="P0_mask.nii.gz", marker="A"))
    report = check_manifest(cohort)
    assert codes(report) == ["twin-masks", "twin-patients"]
    (twins,) = only(report, "twin-patients")
    assert twins.severity == "error"
    assert "P0, P9" in twins.message


def test_a_reoriented_copy_is_still_a_copy(cohort):
    folder = cohort.parent
    flair = nib.load(folder / "P6_flair.nii.gz")
    turned = flair.as_reoriented(nib.orientations.axcodes2ornt("PIL"))
    nib.save(turned, folder / "P9_flair.nii.gz")
    with_rows(cohort, "P9,P9_flair.nii.gz,,A,F")
    assert codes(check_manifest(cohort)) == ["mask-unknown", "twin-patients"]


def test_one_image_twice_in_a_patient_is_a_warning(cohort):
    manifest = write_csv(
        cohort,
        "patient_id,scan_id,flair",
        "P0,a,P0_flair.nii.gz",
        "P0,b,P0_flair.nii.gz",
        "P1,a,P1_flair.nii.gz",
    )
    report = check_manifest(manifest)
    assert codes(report) == ["marker-unknown", "mask-unknown", "twin-scans"]
    assert report.n_errors == 0


def test_scans_that_are_infinite_alike_are_no_twins(cohort):
    for name in ("P0", "P1"):
        path = cohort.parent / f"{name}_flair.nii.gz"
        brain = blob_brain()[0].data > 0
        write_nifti(path, np.where(brain, np.inf, 0).astype(np.float32), nib.load(path).affine)
    assert codes(check_manifest(cohort)) == ["not-finite"]


def test_empty_masks_are_not_twins(cohort):
    for name in ("P0", "P1"):
        path = cohort.parent / f"{name}_mask.nii.gz"
        affine = nib.load(path).affine
        write_nifti(path, np.zeros(SHAPE, np.uint8), affine)
    assert codes(check_manifest(cohort)) == ["mask-empty"]


def labelled(cohort, *labels):
    """The cohort with these (patient, marker, sex) instead of its own."""
    rows = [
        row(f"P{number}", patient=patient, marker=marker, sex=sex) + f",s{number}"
        for number, (patient, marker, sex) in enumerate(labels)
    ]
    return check_manifest(write_csv(cohort, f"{HEADER},scan_id", *rows))


BALANCED = [(f"Q{number}", "AB"[number % 2], "F") for number in range(6)]


def test_blanks_are_notes_and_counted(cohort):
    report = labelled(cohort, *BALANCED, ("Q6", "", ""))
    (note,) = report.findings
    assert (note.code, note.severity) == ("marker-unknown", "note")
    assert "1 of 7" in note.message
    assert report.n_unknown_marker == 1
    assert report.class_counts == {"A": 3, "B": 3}


@pytest.mark.parametrize(
    ("extra", "code"),
    [
        ([("Q6", "C", ""), ("Q7", "C", "")], "marker-rare"),
        ([("Q6", "b", ""), ("Q7", "b", ""), ("Q8", "b", "")], "marker-similar"),
        ([("Q6", "[C?]", ""), ("Q7", "[C?]", ""), ("Q8", "[C?]", "")], "marker-placeholder"),
        ([("Q6", "-9", ""), ("Q7", "-9", ""), ("Q8", "-9", "")], "marker-placeholder"),
        ([("unknown", "A", "F")], "patient-placeholder"),
        ([("Q0", "B", "")], "marker-conflict"),
        ([("Q0", "A", "M")], "sex-conflict"),
        ([("q0", "A", "F")], "patient-similar"),
        ([("Q00", "A", "F")], "patient-similar"),
        ([("Q0", "A", "girl?")], "sex-unread"),
    ],
)
def test_doubtful_labels_are_warnings(cohort, extra, code):
    (finding,) = labelled(cohort, *BALANCED, *extra).findings
    assert (finding.code, finding.severity) == (code, "warning")


def test_spellings_of_a_class_are_compared_without_signs_and_case(cohort):
    labels = [(f"Q{n}", ("IDHwt", "idh-wt", "IDH_mut")[n % 3], "F") for n in range(9)]
    (finding,) = labelled(cohort, *labels).findings
    assert finding.code == "marker-similar"
    assert "IDHwt, idh-wt" in finding.message


@pytest.mark.parametrize(
    ("classes", "alike"),
    [
        (("1", "1.0"), True),
        (("1", '"1,0"'), True),
        (("1", "01"), True),
        (("10", "1.0"), False),
        (("V600E", "Ｖ６００Ｅ"), True),
    ],
)
def test_numbers_are_one_class_by_their_value(cohort, classes, alike):
    labels = [(f"Q{n}", classes[n % 2], "F") for n in range(6)]
    assert codes(labelled(cohort, *labels)) == ["marker-similar"] * alike


def test_one_sex_in_two_words_is_no_contradiction(cohort):
    assert labelled(cohort, *BALANCED, ("Q0", "A", "female")).findings == ()


def test_a_minus_beside_a_plus_is_warned_of_since_it_may_be_a_result(cohort):
    labels = [(f"Q{n}", "+-"[n % 2], "F") for n in range(6)]
    (finding,) = only(labelled(cohort, *labels), "placeholder")
    assert (finding.severity, "'-' (3)" in finding.message) == ("warning", True)


def test_classes_of_signs_only_are_not_alike(cohort):
    labels = [(f"Q{n}", "+*"[n % 2], "F") for n in range(6)]
    assert labelled(cohort, *labels).findings == ()


def test_one_class_alone_cannot_be_learned(cohort):
    assert codes(labelled(cohort, *[(f"Q{n}", "A", "") for n in range(4)])) == ["marker-single"]


def test_a_class_is_counted_by_patients_not_by_scans(cohort):
    report = labelled(cohort, *BALANCED, *[("Q6", "C", "F")] * 3)
    assert report.class_counts["C"] == 1
    assert codes(report) == ["marker-rare"]


@pytest.mark.parametrize(
    ("column", "meant"),
    [
        ("markers", "marker"),
        ("age", "age_years"),
        ("Age (years)", "age_years"),
        ("gender", "sex"),
        ("session", "scan_id"),
    ],
)
def test_a_misspelt_column_is_named_with_what_it_may_mean(cohort, column, meant):
    write_csv(cohort, f"patient_id,flair,{column}", "P0,P0_flair.nii.gz,7")
    (finding,) = only(check_manifest(cohort), "column-unknown")
    assert finding.severity == "warning"
    assert repr(column) in finding.message
    assert repr(meant) in finding.message


def test_placeholders_are_blank_and_listed(cohort):
    labels = [("Q6", "[Not Available]", "F"), ("Q7", "n.d.", "n/a"), ("Q8", "N.D.", "")]
    report = labelled(cohort, *BALANCED, *labels)
    assert codes(report) == ["marker-unknown", "placeholder"]
    assert report.class_counts == {"A": 3, "B": 3}
    (note,) = only(report, "placeholder")
    assert note.severity == "note"
    assert "'[Not Available]' (1), 'n.d.' (1), 'n/a' (1), 'N.D.' (1)" in note.message


def test_ages_that_may_be_months_are_a_warning(cohort):
    rows = [f"P{n},P{n}_flair.nii.gz,{age}" for n, age in enumerate((96, 111, 120.5, "7,5"))]
    write_csv(cohort, "patient_id;flair;age_years", *(row.replace(",", ";", 2) for row in rows))
    (finding,) = only(check_manifest(cohort), "age-implausible")
    assert finding.severity == "warning"
    assert "2 of 4" in finding.message
    assert "P1: 111, P2: 120.5" in finding.message


def test_other_columns_are_left_alone(cohort):
    extra = "patient_id,flair,mask,grade,n_slices,mask_voxels,notes,"
    write_csv(cohort, extra, "P0,P0_flair.nii.gz,P0_mask.nii.gz,2,20,14379,,")
    assert codes(check_manifest(cohort)) == ["marker-unknown"]


def test_a_row_wider_than_the_header_is_refused_with_its_line(cohort):
    with_rows(cohort, "P9,P0_flair.nii.gz,,A,F,Toronto, ON")
    with pytest.raises(ManifestError, match=r"line 11: has 7 cells.*5 columns"):
        check_manifest(cohort)


def test_a_row_that_ends_early_is_a_warning_with_its_line(cohort):
    with_rows(cohort, "P9,P0_flair.nii.gz")
    (finding,) = only(check_manifest(cohort), "row-width")
    assert "line 11" in finding.message
    assert "fewer cells" in finding.message


def test_a_semicolon_manifest_is_read_like_any_other(cohort):
    cohort.write_text("\ufeff" + cohort.read_text().replace(",", ";"), encoding="utf-8")
    assert check_manifest(cohort).findings == ()


def test_a_manifest_that_cannot_be_read_is_an_error_of_its_own(cohort):
    write_csv(cohort, "patient_id,DWI", "P0,P0_flair.nii.gz")
    with pytest.raises(ManifestError, match="lacks the column flair"):
        check_manifest(cohort)


def test_the_report_is_json_without_nan(cohort):
    flair = blob_brain()[0].data
    flair[0, 0, 0] = np.nan
    write_nifti(cohort.parent / "P9_flair.nii.gz", flair, ODD_AFFINES["ras"])
    with_rows(cohort, row("P9", marker="A"), row("gone", marker="A"))
    report = check_manifest(cohort)
    record = json.loads(json.dumps(report.as_json(), allow_nan=False))
    assert (record["format"], record["version"], record["n_errors"]) == ("plgg-check", 1, 4)
    assert record["cases"][10]["shape"] is None
    assert len(record["findings"]) == len(report.findings)
    assert set(record["findings"][0]) == {"severity", "code", "case_id", "message", "remedy"}


def test_a_report_without_any_readable_scan_is_json_too(tmp_path):
    report = check_manifest(write_csv(tmp_path / "manifest.csv", HEADER, row("gone")))
    record = report.as_json()
    assert json.dumps(record, allow_nan=False)
    assert record["shapes"] == record["spacing_mm"] == {}


def test_require_usable_returns_what_lies_in_the_files(cohort):
    case = read_manifest(cohort)[6]
    flair, mask = require_usable(case)
    expected, tumour = blob_brain(affine=ODD_AFFINES["oblique"], seed=6)
    np.testing.assert_array_equal(flair.data, expected.data)
    np.testing.assert_array_equal(mask.data, tumour.data)
    assert require_usable(Case("P6", "P6", case.flair))[1] is None


def test_require_usable_refuses_in_the_words_of_the_check(cohort):
    write_nifti(cohort.parent / "P1_mask.nii.gz", np.eye(8, dtype=np.uint8)[..., None])
    (finding,) = check_manifest(cohort).findings
    with pytest.raises(InputError) as caught:
        require_usable(read_manifest(cohort)[1])
    assert caught.value.what == finding.message
    assert caught.value.remedy == finding.remedy
    assert caught.value.where.endswith("P1_mask.nii.gz")


def test_require_usable_lets_warnings_pass(cohort):
    write_nifti(cohort.parent / "P0_mask.nii.gz", np.zeros(SHAPE, np.uint8), ODD_AFFINES["ras"])
    _, mask = require_usable(read_manifest(cohort)[0])
    assert not mask.data.any()
