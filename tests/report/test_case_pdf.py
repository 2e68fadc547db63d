"""The page as PDF: the same files give the same bytes, and all that is asked of it fits on it."""

import pytest
from make_case import CLASSES, make_case, marker, result_of

from plgg.report.case.page import prediction_of
from plgg.report.case.pdf import case_figures, make_scan_view, write_case_pdf


def words(folder, scan, result):
    """The text of every page."""
    figures = case_figures(result, make_scan_view(scan, prediction_of(folder, scan)))
    return [[text.get_text() for text in figure.texts] for figure in figures]


def test_the_same_prediction_gives_the_same_bytes(tmp_path):
    folder, scan, _ = make_case(tmp_path, grid="oblique-lps")
    first = write_case_pdf(folder, scan).read_bytes()
    assert first.startswith(b"%PDF-")
    assert write_case_pdf(folder, scan).read_bytes() == first
    assert b"CreationDate" not in first


def test_it_says_what_the_page_says_and_names_no_case(tmp_path):
    folder, scan, mask = make_case(tmp_path, grid="sagittal")
    result = result_of(mask)
    pages = words(folder, scan, result)
    said = "\n".join(text for page in pages for text in page)
    assert all("For research use only. Not a medical device." in page for page in pages)
    assert f"{CLASSES[0]}: 74 %; {CLASSES[1]}: 19 %; {CLASSES[2]}: 7 % (calibrated)" in said
    assert result.models[0].sha256 in said
    assert "90 % interval" in said
    for hidden in ("P01", "secret", "flair.nii"):
        assert hidden not in said


@pytest.mark.parametrize("empty", [False, True])
def test_what_is_withheld_or_not_there_is_said(empty, tmp_path):
    folder, scan, mask = make_case(tmp_path, empty=empty)
    pages = words(folder, scan, result_of(mask, marker=marker(withheld=True)))
    said = "\n".join(text for page in pages for text in page)
    assert "Withheld" in said
    assert "74 %" not in said
    assert len(pages) == (2 if empty else 3)


def test_any_number_of_warnings_and_models_has_room(tmp_path):
    folder, scan, mask = make_case(tmp_path)
    result = result_of(mask)
    warnings = tuple(f"warning {n} with $money$ and \\frac" * 3 for n in range(30))
    many = result.model_copy(update={"warnings": warnings, "models": result.models * 30})
    figures = list(case_figures(many, make_scan_view(scan, prediction_of(folder, scan))))
    assert len(figures) > 3
    for figure in figures:
        assert all(text.get_position()[1] > 0 for text in figure.texts)
        figure.canvas.draw()
    said = [text.get_text() for text in figures[0].texts]
    assert "– and 22 more" in said
