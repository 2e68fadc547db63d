"""Every page that plgg writes: it loads nothing from elsewhere and runs no script but its own."""

import base64
import hashlib
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import pytest
from make_case import make_case
from make_timeline import make_timeline, point

import plgg
from plgg.core.estimate import Estimate
from plgg.data.result import read_result
from plgg.evaluate.compare.experiment import TransferRow
from plgg.report import template
from plgg.report.bids_group import GroupRow, group_page
from plgg.report.case.page import write_case_report
from plgg.report.evaluation import write_evaluation_page
from plgg.report.experiment.page import write_experiment_report
from plgg.report.store_qc import write_store_qc
from plgg.report.timeline import write_timeline
from plgg.report.transfer import write_transfer_report

SOURCE = Path(plgg.__file__).parent
PARTS = {"base.html", "parts.html", "timeline_parts.html"}
WITHOUT_SCRIPT = {"transfer.html", "timeline.html"}
TAGS = "</title><script>alert(1)</script><img src=http://evil.example onerror=alert(1)>"
NASTY = f"{TAGS}{{policy}}\x1b[31m\u202e"
ADDRESSES = {
    "src",
    "href",
    "xlink:href",
    "action",
    "formaction",
    "srcset",
    "data",
    "poster",
    "ping",
}


class Seen(HTMLParser):
    """Meta tags, addresses, scripts, and whatever may act by itself."""

    def __init__(self, text):
        super().__init__()
        self.meta, self.addresses, self.scripts, self.acting, self.title = {}, [], [], [], ""
        self.tag, self.policy_at = "", None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.tag = tag
        if tag == "meta":
            name = known.get("http-equiv") or known.get("name")
            self.meta[name] = known.get("content")
            if name == "Content-Security-Policy":
                self.policy_at = self.getpos()
        self.addresses += [(tag, value) for name, value in attrs if name in ADDRESSES]
        if tag in {"link", "iframe", "object", "embed", "base", "form"}:
            self.acting.append(tag)
        self.acting += [name for name in known if name.startswith("on")]
        if tag == "script":
            assert not attrs
            self.scripts.append("")

    def handle_endtag(self, tag):  # noqa: ARG002
        self.tag = ""

    def handle_data(self, data):
        if self.tag == "script":
            self.scripts[-1] += data
        if self.tag == "title":
            self.title += data


def case_page(folder, **_):
    # A case's name cannot hold such things; what is said of it, and of its patient, can.
    made, scan, _ = make_case(folder / "P", patient_id=TAGS, warnings=(NASTY,))
    return write_case_report(made, scan, model_card=f"# {NASTY}\n\n[x](http://evil.example)")


def store_page(folder, store, **_):
    return write_store_qc(shutil.copytree(store.folder, folder / NASTY.replace("/", "_")))


def evaluation_page(folder, finished, **_):
    source = finished / "split-0" / "multitask" / "evaluation" / "test"
    return write_evaluation_page(shutil.copytree(source, folder / NASTY.replace("/", "_")))


def experiment_page(folder, finished, **_):
    copied = shutil.copytree(finished, folder / NASTY.replace("/", "_"))
    return write_experiment_report(copied)


def transfer_page(folder, **_):
    row = TransferRow(NASTY, NASTY, ((0.5, 0.6),), Estimate(0.55, 0.5, 0.6), None)
    return write_transfer_report(
        folder, [row], home=NASTY, away=NASTY, failed={NASTY: NASTY}, command=NASTY
    )


def timeline_page(folder, **_):
    points = [point(0, 1000.0, "baseline", name=NASTY), point(1, 450.0, "PR", statement=NASTY)]
    told = make_timeline(points=tuple(points), warnings=(NASTY,), note=NASTY, plane="axial")
    write_timeline(folder / "timeline.html", told, [NASTY])
    return folder / "timeline.html"


def bids_page(folder, **_):
    made, _, _ = make_case(folder / "P", patient_id=TAGS, warnings=(NASTY,))
    rows = [GroupRow(NASTY, "done", read_result(made / "result.json"), NASTY, None)]
    rows += [GroupRow(NASTY, "failed", None, NASTY, None)]
    (folder / "group.html").write_text(group_page(rows), encoding="utf-8")
    return folder / "group.html"


PAGES = {
    "case.html": case_page,
    "store_qc.html": store_page,
    "evaluation.html": evaluation_page,
    "experiment.html": experiment_page,
    "transfer.html": transfer_page,
    "timeline.html": timeline_page,
    "bids_group.html": bids_page,
}


def test_every_template_is_a_page_of_the_list_and_fills_the_base():
    found = {path.name: path for path in (SOURCE / "report" / "templates").glob("*.html")}
    assert set(found) == set(PAGES) | PARTS
    for name in PAGES:
        text = found[name].read_text(encoding="utf-8")
        assert text.startswith('{% extends "base.html" %}')
        assert "<head>" not in text
        assert "| safe" not in text
        assert "Content-Security-Policy" not in text


# The page of the reading room's API: of no scan and no patient, and its policy is a header.
OF_THE_API = SOURCE / "serve" / "routes" / "docs.py"


def test_pages_are_made_in_one_place_alone():
    for path in SOURCE.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if path not in (Path(template.__file__), OF_THE_API):
            assert "jinja2" not in text, path
            assert "<html lang" not in text, path


@pytest.mark.parametrize("name", PAGES)
def test_a_page_loads_nothing_and_runs_no_script_but_its_own(name, tmp_path, store, finished):
    written = PAGES[name](tmp_path, store=store, finished=finished)
    page = Seen(written.read_text(encoding="utf-8"))
    policy = dict(
        rule.strip().partition(" ")[::2] for rule in page.meta["Content-Security-Policy"].split(";")
    )
    assert page.policy_at[0] < 7
    assert page.meta["generator"] == f"plgg {plgg.__version__}"
    assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
    pictures = "'self' data: file:" if name == "store_qc.html" else "data:"
    assert policy["img-src"] == pictures
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'"
        for script in page.scripts
    ]
    assert policy["script-src"] == (" ".join(hashes) or "'none'")
    assert len(page.scripts) == (name not in WITHOUT_SCRIPT)
    assert not page.acting
    assert not re.search("[\x00-\x08\x0b-\x1f\u202e]", written.read_text(encoding="utf-8"))
    for tag, address in page.addresses:
        allowed = (
            r"data:image/|qc/" if tag in {"img", "image"} else r"#|qc/|(home|away)/report\.html"
        )
        assert re.match(allowed, address), (tag, address)
    styles = "".join(
        path.read_text(encoding="utf-8") for path in (SOURCE / "report" / "templates").glob("*.css")
    )
    assert "url(" not in styles
    assert "@import" not in styles
