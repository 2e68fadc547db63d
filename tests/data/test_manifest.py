"""The manifest: what spreadsheets make of a CSV, and what cannot be a cohort."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plgg.core.errors import ManifestError
from plgg.core.tables import known
from plgg.data.manifest import Case, class_names, read_manifest, target_text, write_manifest

FULL = "patient_id,flair,mask,marker,scan_id,site,age_years,sex"


def manifest(tmp_path, text, *, encoding="utf-8"):
    path = tmp_path / "manifest.csv"
    path.write_bytes(text.encode(encoding))
    return path


def read(tmp_path, *lines, **options):
    return read_manifest(manifest(tmp_path, "\n".join(lines) + "\n", **options))


def refused(tmp_path, *lines, **options):
    with pytest.raises(ManifestError) as caught:
        read(tmp_path, *lines, **options)
    assert str(tmp_path / "manifest.csv") in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_full_row(tmp_path):
    (case,) = read(tmp_path, FULL, "P1,img/f.nii.gz,img/m.nii.gz,BRAF V600E,s1,Toronto,7.5,F")
    assert case == Case(
        case_id="P1_s1",
        patient_id="P1",
        flair=tmp_path / "img" / "f.nii.gz",
        mask=tmp_path / "img" / "m.nii.gz",
        marker="BRAF V600E",
        site="Toronto",
        age_years=7.5,
        sex="F",
    )


@pytest.mark.parametrize(
    "lines", [(FULL, "P1,f,,,,,,"), (FULL, "P1,f, , ,\t, , ,"), (FULL, "P1,f")]
)
def test_blank_cells_are_unknown(tmp_path, lines):
    (case,) = read(tmp_path, *lines)
    assert case == Case("P1", "P1", tmp_path / "f")


def test_only_two_columns_are_needed_and_others_are_kept_as_text(tmp_path):
    (case,) = read(tmp_path, "grade,flair,patient_id,WHO  name, idh ", "2,f,P1,unknown,wild type")
    columns = {"grade": "2", "idh": "wild type"}
    assert case == Case("P1", "P1", tmp_path / "f", columns=columns)
    assert hash(case)


def test_a_target_is_read_from_any_column_but_those_of_paths_and_names(tmp_path):
    header = "grade,flair,patient_id,age_years,sex,site,marker"
    (case,) = read(tmp_path, header, "2,f,P1,7.5,F,,BRAF fusion")
    found = {name: target_text(case, name) for name in ("grade", "age_years", "sex", "site", "x")}
    assert found == {"grade": "2", "age_years": "7.5", "sex": "F", "site": None, "x": None}
    assert target_text(case, "marker") == "BRAF fusion"
    assert target_text(case, "flair") is None


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_what_spreadsheets_write_is_read(tmp_path, delimiter, encoding, end):
    rows = (("patient_id", "flair", "site"), ("P1", "f1", "Köln"), ("P2", "f2", "Zürich"))
    text = end.join(delimiter.join(row) for row in rows) + end
    cases = read_manifest(manifest(tmp_path, text, encoding=encoding))
    assert [(case.case_id, case.site) for case in cases] == [("P1", "Köln"), ("P2", "Zürich")]


def test_a_decimal_comma_is_understood(tmp_path):
    (case,) = read(tmp_path, "patient_id;flair;age_years", "P1;f;3,5")
    assert case.age_years == 3.5


def test_quoted_cells_may_hold_the_delimiter(tmp_path):
    (case,) = read(tmp_path, "patient_id,flair,site", 'P1,"a, b.nii.gz","Toronto, ON"')
    assert (case.flair, case.site) == (tmp_path / "a, b.nii.gz", "Toronto, ON")


def test_the_manifest_s_own_folder_may_be_the_scan(tmp_path):
    (case,) = read(tmp_path, "patient_id,flair", "P1,.")
    assert case.flair == tmp_path


def test_absolute_paths_stay(tmp_path):
    (case,) = read(tmp_path, "patient_id,flair", f"P1,{tmp_path / 'else' / 'f.nii'}")
    assert case.flair == tmp_path / "else" / "f.nii"


@pytest.mark.parametrize(
    "header", ["PATIENT_ID,FLAIR,MARKER,AGE_YEARS", "Patient ID, Flair ,Marker,age  years"]
)
def test_case_and_blanks_of_a_column_s_name_do_not_matter(tmp_path, header):
    (case,) = read(tmp_path, header, "P1,f.nii,A,7")
    assert (case.patient_id, case.marker, case.age_years) == ("P1", "A", 7.0)


@pytest.mark.parametrize(
    ("header", "missing"),
    [("patient,flair", "patient_id"), ("patient_id,dwi", "flair"), ("a,b", "patient_id and flair")],
)
def test_a_missing_column_is_named_beside_those_there(tmp_path, header, missing):
    message = refused(tmp_path, header, "P1,f")
    assert f"lacks the column {missing} " in message
    assert header.replace(",", ", ") in message


def test_no_rows_is_no_cohort(tmp_path):
    assert "no rows" in refused(tmp_path, FULL)
    assert "it has: none" in refused(tmp_path, "")


@pytest.mark.parametrize("row", [",f", "P1,", " ,f"])
def test_the_two_needed_cells_may_not_be_blank(tmp_path, row):
    assert "line 2: patient_id or flair is blank" in refused(tmp_path, "patient_id,flair", row)


def test_the_line_is_that_of_the_file(tmp_path):
    message = refused(tmp_path, "patient_id,flair", "P1,f", "", '"P2","f"', ",f")
    assert "line 5:" in message


@pytest.mark.parametrize("age", ["old", "-1", "150", "inf", "7 years", "1e3", "12_0"])
def test_an_age_is_years(tmp_path, age):
    assert f"age_years is '{age}'" in refused(tmp_path, "patient_id,flair,age_years", f"P1,f,{age}")


@pytest.mark.parametrize(
    "name", ["..", ".", "a/b", "a\\b", "-x", ".hidden", "é", "a b", "a:b", "*"]
)
def test_a_name_that_cannot_be_a_folder_is_refused(tmp_path, name):
    assert "cannot name a folder" in refused(tmp_path, "patient_id,flair", f"{name},f")


@pytest.mark.parametrize("scan", ["../x", "a/b", "é"])
def test_nor_may_a_scan_lead_elsewhere(tmp_path, scan):
    message = refused(tmp_path, "patient_id,flair,scan_id", f"P1,f,{scan}")
    assert "cannot name a folder" in message


def test_names_that_differ_in_case_only_are_twins(tmp_path):
    assert "two rows are called" in refused(tmp_path, "patient_id,flair", "P1,f", "p1,g")


def test_several_scans_of_a_patient_need_names(tmp_path):
    header = "patient_id,flair,scan_id"
    assert "own scan_id" in refused(tmp_path, header, "P1,f,", "P1,g,")
    cases = read(tmp_path, header, "P1,f,", "P1,g,2", "P1,h,P1_3", "P2,i,P2")
    assert [case.case_id for case in cases] == ["P1", "P1_2", "P1_3", "P2"]
    assert [case.patient_id for case in cases] == ["P1", "P1", "P1", "P2"]


@pytest.mark.parametrize("rest", ["", "P2,g,x\nP3,h,x\n", "x" * 200_000])
def test_an_open_quotation_mark_swallows_no_rows(tmp_path, rest):
    message = refused(tmp_path, "patient_id,flair,site", f'P1,f,"Toronto\n{rest}')
    assert "quotation mark" in message


def test_what_is_no_text_is_refused(tmp_path):
    assert "UTF-8" in refused(tmp_path, "patient_id,flair", "P1,f", encoding="utf-16")
    with pytest.raises(ManifestError, match="is a folder"):
        read_manifest(tmp_path)
    with pytest.raises(ManifestError, match="no such file"):
        read_manifest(tmp_path / "none.csv")


TEXT = st.one_of(st.none(), st.text("abc ÄÖ,;\"'\tλ-1", min_size=1).map(str.strip).filter(known))
AGES = st.one_of(st.none(), st.floats(0, 149.9))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(TEXT, TEXT, TEXT, AGES, st.booleans()), min_size=1, max_size=5))
def test_writing_then_reading_is_the_identity(tmp_path_factory, rows):
    folder = tmp_path_factory.mktemp("written")
    cases = [
        Case(
            case_id=f"P{index}" if index % 2 else f"P{index}_b",
            patient_id=f"P{index}",
            flair=folder / "images" / f"{index}.nii.gz",
            mask=folder.parent / f"{index}_mask.nii.gz" if has_mask else None,
            marker=marker,
            site=site,
            sex=sex,
            age_years=age,
        )
        for index, (marker, site, sex, age, has_mask) in enumerate(rows)
    ]
    scan_ids = {case.case_id: "b" for case in cases if case.case_id.endswith("_b")}
    write_manifest(folder / "manifest.csv", cases, scan_ids=scan_ids)
    back = read_manifest(folder / "manifest.csv")
    assert [(case.flair.resolve(), case.mask and case.mask.resolve()) for case in back] == [
        (case.flair.resolve(), case.mask and case.mask.resolve()) for case in cases
    ]
    without_paths = {"flair", "mask"}
    for read_case, case in zip(back, cases, strict=True):
        for field in vars(case).keys() - without_paths:
            assert getattr(read_case, field) == getattr(case, field), field


def test_classes_are_those_that_occur():
    markers = ("b", None, "a", "b", None)
    cases = [Case(str(n), str(n), "f", marker=marker) for n, marker in enumerate(markers)]
    assert class_names(cases) == ("a", "b")
    assert class_names([]) == ()
