"""The page of an experiment: whole, offline, safe, and honest about what is missing."""

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser

import pytest
from make_experiment import evaluate_part, make_experiment, make_store
from PIL import Image

from plgg.core.errors import RunError
from plgg.data.experiment_folder import unseen_folder, write_about
from plgg.evaluate.compare.experiment import compare_experiment
from plgg.experiment.demo import ABOUT
from plgg.report.experiment.page import write_experiment_report

SECTIONS = ("summary", "table1", "patients-compared", "groups", "examples", "marker", "training")
EVIL = "<script>alert('x')</script>&\"<img src=x onerror=alert(1)>"
VOID = {"meta", "img", "br"}


class Reader(HTMLParser):
    """What a browser makes of the page."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.open, self.words, self.unclosed = [], [], [], []
        self.feed(text)
        self.unclosed += self.open
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.unclosed.append(tag)

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.words.append(data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


def read(path):
    return Reader(path.read_text(encoding="utf-8"))


@pytest.fixture
def experiment(tmp_path, finished):
    """A copy to spoil."""
    return shutil.copytree(finished, tmp_path / "experiment")


@pytest.fixture(scope="module")
def page(finished):
    return read(write_experiment_report(finished))


def test_every_section_is_there(page):
    assert [s["id"] for s in page.all("section")] == [*SECTIONS, "cases", "run"]
    assert not page.unclosed
    targets = {f"#{attrs['id']}" for _, attrs in page.tags if "id" in attrs}
    assert {a["href"] for a in page.all("a")} <= targets


def test_the_page_opens_offline(finished, page):
    text = (finished / "report.html").read_text(encoding="utf-8")
    assert not re.search("https?:", re.sub(r"base64,[A-Za-z0-9+/=]+", "", text))
    assert "url(" not in text
    assert "@import" not in text
    assert all(image["src"].startswith("data:image/") for image in page.all("img"))
    assert not page.all("link")
    assert not [script for script in page.all("script") if script]
    assert len(text) < 3_000_000


def test_every_image_is_whole_and_has_words(page):
    # Forest; patient by patient; kinds; examples; marker; training; gradients.
    assert len(page.all("img")) == 1 + 4 + 1 + 3 + 3 + 6 + 3
    for image in page.all("img"):
        assert len(image["alt"]) > 40
        kind, data = re.fullmatch(r"data:image/(svg\+xml|png);base64,(.+)", image["src"]).groups()
        raw = base64.b64decode(data, validate=True)
        if kind == "png":
            Image.open(io.BytesIO(raw)).verify()
        else:
            assert raw.rstrip().endswith(b"</svg>")


def test_numbers_are_those_of_the_comparison(finished, page):
    found = compare_experiment(finished)
    for arm in found.arms:
        for part in ("validation", "test"):
            scores = found.of(arm, part).dice
            for value in (*scores.values, scores.mean, scores.sd):
                assert f"{value:.3f}" in page.text
    (contrast,) = found.on("test")
    assert f"{abs(contrast.difference):.3f}" in page.text
    # The interval shown is the one corrected for splits that share patients.
    low, high = contrast.splits.interval.low, contrast.splits.interval.high
    told = f"95 % interval {low:+.3f} to {high:+.3f}".replace("-", "−")
    assert page.text.count(told) >= 2


def test_undefined_numbers_never_show(page):
    assert not re.search(r"\b(nan|NaN|inf|None|null|undefined)\b", page.text)


def test_the_page_is_the_same_twice(finished, page):
    assert read(write_experiment_report(finished)).tags == page.tags


def test_failed_cases_and_provenance_are_told(page):
    assert "P99 could not be preprocessed and is in no split: cannot be read as NIfTI" in page.text
    assert "plgg experiment store --out two --splits 2" in page.text
    assert "1 h 02 min" in page.text
    assert "For research use only" in page.text
    assert "Synthetic patients" not in page.text


def test_synthetic_patients_are_named(tmp_path):
    store = make_store(tmp_path / "store", names=[f"phantom-{n:03d}" for n in range(6)])
    page = read(write_experiment_report(make_experiment(tmp_path / "e", store, n_splits=1)))
    assert "Synthetic patients" in page.text
    assert "A test part holds only 2 patients" in page.text
    assert "say nothing about real tumours" in page.text


def test_names_from_data_are_escaped(experiment):
    for path in experiment.glob("split-*/*/evaluation/*/cases.csv"):
        text = path.read_text(encoding="utf-8")
        name = next(row for row in text.splitlines()[1:]).split(",")[0]
        quoted = '"' + EVIL.replace('"', '""') + '"'
        text = text.replace(f"{name},{name},", f"{name},{quoted},").replace("other", quoted)
        path.write_text(text, encoding="utf-8")
    record = json.loads((experiment / "experiment.json").read_text(encoding="utf-8"))
    record |= {"preset": EVIL, "commands": [EVIL]}
    (experiment / "experiment.json").write_text(json.dumps(record), encoding="utf-8")
    page = read(write_experiment_report(experiment))
    assert len(page.all("script")) == 1
    assert not [attrs for _, attrs in page.tags if "onerror" in attrs]
    assert page.text.count("alert('x')") > 4
    assert not page.unclosed


def test_one_arm_is_a_page_too(tmp_path, store):
    folder = make_experiment(tmp_path / "e", store, arms=("single",), n_splits=1)
    page = read(write_experiment_report(folder))
    assert "No arm gave marker probabilities" in page.text
    # Dice by size and by marker, volumes; three cases; three curves. No pairs.
    assert len(page.all("img")) == 3 + 3 + 3
    assert not page.unclosed


def test_a_cohort_without_markers(tmp_path):
    store = make_store(tmp_path / "store", names=[f"P{n}" for n in range(6)], markers=())
    page = read(write_experiment_report(make_experiment(tmp_path / "e", store, n_splits=1)))
    assert "No arm gave marker probabilities" in page.text
    assert "one split cannot tell" in page.text or "does not settle" in page.text


def test_what_is_missing_is_named(experiment):
    shutil.rmtree(experiment / "split-1")
    run = experiment / "split-0" / "multitask"
    (run / "metrics.jsonl").unlink()
    (run / "evaluation" / "validation" / "summary.json").write_text("{", encoding="utf-8")
    page = read(write_experiment_report(experiment))
    assert "Split 2, single: not run yet." in page.text
    assert "Split 1, multitask: there is no training record" in page.text
    assert "the validation part has an evaluation that cannot be read" in page.text
    assert not page.unclosed


def test_an_experiment_that_has_only_begun(experiment):
    for k in range(2):
        shutil.rmtree(experiment / f"split-{k}")
    page = read(write_experiment_report(experiment))
    assert "nothing is evaluated yet" in page.text
    assert not page.all("img")
    assert not page.unclosed


def test_a_store_that_is_gone(experiment):
    record = json.loads((experiment / "experiment.json").read_text(encoding="utf-8"))
    record["store"] = str(experiment / "nowhere")
    (experiment / "experiment.json").write_text(json.dumps(record), encoding="utf-8")
    page = read(write_experiment_report(experiment))
    assert page.text.count("No picture: the store is not at hand") == 3


def test_missing_predictions_and_a_collapsed_head_are_warnings(experiment, store):
    run = experiment / "split-0" / "multitask"
    tested = json.loads((run / "split.json").read_text(encoding="utf-8"))["test"]
    shutil.rmtree(run / "predictions" / "test" / tested[0])
    evaluate_part(run, "test", store, tested)
    lines = (run / "metrics.jsonl").read_text(encoding="utf-8")
    constant = lines.replace('"marker_collapsed": false', '"marker_collapsed": true')
    (run / "metrics.jsonl").write_text(constant, encoding="utf-8")
    page = read(write_experiment_report(experiment))
    assert f"Split 1, multitask, test: no prediction of {tested[0]}." in page.text
    assert "Split 1, multitask: the marker head has collapsed" in page.text
    assert page.text.count("has collapsed") == 1


def test_unseen_patients_of_a_demo_are_compared_in_both_arms(experiment):
    for arm in ("single", "multitask"):
        shutil.copytree(
            experiment / "split-0" / arm / "evaluation" / "test", unseen_folder(experiment, arm)
        )
    page = read(write_experiment_report(experiment))
    assert "unseen" in [section["id"] for section in page.all("section")]
    assert "4 further patients, in no split" in page.text
    assert "each by every arm. multitask is" in page.text
    assert "Δ Dice, multitask − single-task, unseen" in page.text


def test_unseen_patients_of_one_arm_alone(experiment):
    shutil.copytree(
        experiment / "split-0" / "multitask" / "evaluation" / "test",
        unseen_folder(experiment, "multitask"),
    )
    page = read(write_experiment_report(experiment))
    assert "4 further patients, in no split, were predicted from their own scans." in page.text


def test_the_page_says_what_the_patients_of_a_demo_are(experiment):
    assert "What these patients are" not in read(write_experiment_report(experiment)).text
    write_about(experiment, ABOUT)
    text = " ".join(read(write_experiment_report(experiment)).text.split())
    assert "What these patients are" in text
    for told in (
        "The patients are synthetic, and they are made so that the second task can help.",
        "Whether the halo belongs to the tumour or is oedema around it is decided by the genetic",
        "lies elsewhere in the brain",
        "of synthetic patients without that link, and of adults with glioma, none was shown",
    ):
        assert told in text


def test_a_folder_that_is_no_experiment(tmp_path):
    with pytest.raises(RunError, match=r"no experiment\.json"):
        write_experiment_report(tmp_path)


def test_a_plan_that_is_broken(experiment):
    (experiment / "experiment.json").write_text(json.dumps({"arms": 3}), encoding="utf-8")
    with pytest.raises(RunError, match="cannot be read as an experiment"):
        write_experiment_report(experiment)


def test_rows_of_all_splits_are_listed(finished, page):
    tested = sum(
        len(json.loads(path.read_text(encoding="utf-8"))["test"])
        for path in finished.glob("split-*/single/split.json")
    )
    assert f"{tested} rows, one for each scan and split" in page.text
