"""The timeline of a patient on a page of its own, and on that of the newest scan."""

import re

import pytest
from make_case import make_case
from make_timeline import make_timeline, point

from plgg.core.errors import OutputError
from plgg.report.case.page import write_case_report
from plgg.report.timeline import timeline_page, write_timeline


def words(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_the_page_says_categories_dates_and_what_is_not_known():
    html = timeline_page(make_timeline(), ["For research use only. Model X.", "Model Y."])
    told = words(html)
    assert "last scan by its diameters: progressive disease, unconfirmed" in told
    assert (
        "The best of all: partial response, unconfirmed; the best that is confirmed: none" in told
    )
    assert "Model X. Model Y." in told
    assert "visit1 2024\u201103\u201131 90 9.0 (1.0 to 30.0) 450" in told
    assert "Not all were predicted by the same model." in told
    assert "Clinical status is not known." in told
    assert "secret" not in html
    assert "<b>now" not in html
    assert timeline_page(make_timeline(), []) == timeline_page(make_timeline(), [])


@pytest.mark.parametrize("dated", [True, False])
@pytest.mark.parametrize("products", [(1000.0, 450.0), (0.0, 0.0), (None, None)])
def test_any_timeline_can_be_drawn(dated, products):
    points = tuple(
        point(n, 100.0, "NE", dated=dated, product_mm2=product)
        for n, product in enumerate(products)
    )
    html = timeline_page(make_timeline(points=points, plane=None), [])
    assert "data:image/svg+xml" in html


def test_the_page_of_the_newest_scan_shows_the_timeline(tmp_path):
    folder, scan, *_ = make_case(tmp_path / "P", grid="oblique", timeline=make_timeline())
    html = write_case_report(folder, scan).read_text()
    assert 'href="#course"' in html
    told = words(html)
    assert "Response over time" in told
    assert "<b>now</b> (this scan)" not in html
    assert "&lt;b&gt;now&lt;/b&gt; (this scan)" in html
    assert "secret" not in html


def test_only_a_page_of_plggs_own_is_replaced(tmp_path):
    path = tmp_path / "page.html"
    write_timeline(path, make_timeline(), [])
    write_timeline(path, make_timeline(warnings=()), [])
    path.write_text("<title>Timeline of mine</title>")
    with pytest.raises(OutputError, match="no timeline that plgg made"):
        write_timeline(path, make_timeline(), [])
    assert path.read_text() == "<title>Timeline of mine</title>"
    link = tmp_path / "link.html"
    link.symlink_to(path)
    with pytest.raises(OutputError, match="no timeline that plgg made"):
        write_timeline(link, make_timeline(), [])
