"""The page of an evaluation and its figures, on what other rooms wrote."""

import csv
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pytest

from plgg.core.errors import RunError
from plgg.evaluate.cohort import evaluate_predictions
from plgg.evaluate.evaluation import Evaluation, read_evaluation, write_evaluation
from plgg.evaluate.summary import summarise
from plgg.report.evaluation import write_evaluation_page
from plgg.report.figures_classification import wilson
from plgg.report.measures import measures, volume_sentence

FIGURES = {
    "bland-altman-ml",
    "bland-altman-ratio",
    "confusion",
    "dice-by-scan",
    "dice-by-size",
    "dice-by-subgroup",
    "reliability",
    "risk-coverage",
    "roc",
    "volumes",
}


class Page(HTMLParser):
    """Images without words, links to elsewhere, and tags that are left open."""

    def __init__(self, text):
        super().__init__()
        self.silent, self.outside, self.open = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        if tag == "img" and not known.get("alt"):
            self.silent.append(known)
        address = known.get("src") or known.get("href") or ""
        if address and not address.startswith(("data:", "#")):
            self.outside.append(address)
        if tag not in ("img", "meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


@pytest.fixture
def folder(finished, tmp_path):
    """The evaluation of a multitask run, to be changed."""
    source = finished / "split-0" / "multitask" / "evaluation" / "test"
    return shutil.copytree(source, tmp_path / "test")


def rewrite(folder, **change):
    """The evaluation with something changed in every row."""
    old = read_evaluation(folder)
    rows = tuple(row.model_copy(update=change) for row in old.rows)
    write_evaluation(folder, Evaluation(rows, summarise(rows, (), seed=0)))


def names(folder):
    return {path.stem for path in (folder / "figures").iterdir()}


def test_the_page_is_whole_and_stands_alone(folder):
    text = write_evaluation_page(folder).read_text(encoding="utf-8")
    page = Page(text)
    assert (page.silent, page.outside, page.open) == ([], [], [])
    assert len(re.findall("<figure>", text)) == len(FIGURES)
    assert "None" not in text
    assert "nan" not in re.sub(r"base64,[^\"]+", "", text).lower()


def test_figures_are_files_too(folder):
    write_evaluation_page(folder)
    assert names(folder) == FIGURES
    for path in (folder / "figures").iterdir():
        text = path.read_text(encoding="utf-8")
        assert "<svg" in text
        assert text.rstrip().endswith("</svg>")


def test_the_same_evaluation_gives_the_same_bytes(folder):
    first = write_evaluation_page(folder).read_bytes()
    assert write_evaluation_page(folder).read_bytes() == first


def test_the_page_shows_the_numbers_of_the_summary(folder):
    text = write_evaluation_page(folder).read_text(encoding="utf-8")
    for measure in measures(read_evaluation(folder).summary):
        assert measure.value in text
        assert measure.interval in text
    with (folder / "cases.csv").open() as handle:
        for row in csv.DictReader(handle):
            assert row["case_id"] in text


def test_masks_alone_make_a_page_without_the_marker(folder):
    write_evaluation_page(folder)
    rewrite(folder, probabilities={}, predicted_marker=None)
    text = write_evaluation_page(folder).read_text(encoding="utf-8")
    assert "No scan has both a known and a predicted marker." in text
    assert names(folder) == FIGURES - {"roc", "confusion", "reliability", "risk-coverage"}


def test_markers_alone_make_a_page_without_outlines(folder):
    gone = ("dice", "soft_dice", "hd95_mm", "surface_dice", "volume_ml", "volume_error_ml")
    rewrite(folder, **dict.fromkeys(gone), n_lesions=None)
    text = write_evaluation_page(folder).read_text(encoding="utf-8")
    assert "No scan has an outline by hand." in text
    assert names(folder) == {"roc", "confusion", "reliability", "risk-coverage"}


def test_intervals_and_abstention_are_drawn_and_told(folder):
    rewrite(
        folder,
        withheld=True,
        volume_low_ml=0.5,
        volume_high_ml=900.0,
        volume_interval_level=0.9,
        clinical={"BRAF_V600E": 0.2, "BRAF_fusion": 0.3, "other": 0.5},
    )
    text = write_evaluation_page(folder).read_text(encoding="utf-8")
    assert re.search(r"(\d) of \1 answers withheld as unsure\.", text)
    assert "Clinical data alone" in text
    assert "(90% nominal)" in text
    assert "Bars are the predicted intervals." in text


def test_one_scan_is_enough_for_a_page(finished, store, tmp_path):
    part = finished / "split-0" / "multitask" / "predictions" / "test"
    name = next(path.name for path in part.iterdir() if path.is_dir())
    evaluate_predictions(part, store.manifest_cases([name]), out=tmp_path)
    text = write_evaluation_page(tmp_path).read_text(encoding="utf-8")
    assert "1 scan of 1 patient was scored" in text
    assert "Only 1 patient:" in text


def test_names_from_data_cannot_become_markup(folder):
    rewrite(folder, site="<script>alert(1)</script>")
    text = write_evaluation_page(folder).read_text(encoding="utf-8")
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in text


def test_what_is_no_evaluation_is_refused(tmp_path):
    with pytest.raises(RunError, match="plgg evaluate"):
        write_evaluation_page(tmp_path)
    assert not (tmp_path / "evaluation.html").exists()


def test_a_bias_that_depends_on_the_size_is_told(folder):
    old = read_evaluation(folder)
    sizes = np.linspace(10, 200, len(old.rows))
    rows = [
        row.model_copy(
            update={
                "volume_ml": size,
                "predicted_volume_ml": 0.7 * size + n % 2,
                "volume_error_ml": -0.3 * size + n % 2,
            }
        )
        for n, (row, size) in enumerate(zip(old.rows, sizes.tolist(), strict=True))
    ]
    told = volume_sentence(summarise(rows, (), seed=0))
    assert "below the true one" in told
    assert "falls with the size" in told


def test_wilsons_interval_holds_shares_of_none_and_of_all():
    assert wilson(0.0, 10) == pytest.approx((0.0, 0.2775), abs=1e-3)
    assert wilson(1.0, 10) == pytest.approx((0.7225, 1.0), abs=1e-3)
    # Newcombe 1998, table I: 81 of 263.
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=1e-3)
