"""The site: it builds strictly, loads nothing from elsewhere, is searched from a folder."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import ROOT

import plgg
from plgg.cli.app import app

pytestmark = pytest.mark.skipif(
    not all(map(importlib.util.find_spec, ("mkdocs", "material", "mkdocstrings"))),
    reason='the site needs pip install "plgg[docs]"',
)
# What a page loads by itself, other than a link that a reader may follow.
LOADED = re.compile(
    r"<(?:script|img|iframe|source)[^>]*\ssrc=\"?(?:https?:)?//[^\s>]+"
    r"|<link[^>]*\shref=\"?(?:https?:)?//[^\s>]+|url\(\s*['\"]?(?:https?:)?//|@import\s+['\"]?http"
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp("site")
    source = str(Path(plgg.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": source, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_the_pages_are_there(site):
    for page in (
        "index", "installation", "for-radiologists", "for-researchers", "for-method-developers",
        "how-it-works", "tutorials/own-cohort", "commands", "api/cohorts", "results", "security",
        "models/glioma-flair", "models/glioma-flair-card", "contributing", "changelog",
        "releasing", "adr/0001-rooms",
    ):  # fmt: skip
        assert (site / f"{page}.html").stat().st_size > 2000, page


def test_nothing_is_loaded_from_elsewhere(site):
    for page in [*site.rglob("*.html"), *site.rglob("*.css")]:
        found = LOADED.search(page.read_text(encoding="utf-8"))
        assert found is None, f"{page.relative_to(site)}: {found and found[0]}"


def test_every_block_is_shown_as_one(site):
    pages = [page.name for page in site.rglob("*.html") if "```" in page.read_text("utf-8")]
    assert not pages
    assert "my_tasks/ages.py" in (site / "tutorials" / "auxiliary-task.html").read_text("utf-8")


def test_the_commands_page_has_every_command(site):
    text = (site / "commands.html").read_text(encoding="utf-8")
    for command in app.registered_commands:
        if not command.hidden:
            name = command.name or command.callback.__name__
            assert f"plgg {name}<" in text, name


def test_the_api_pages_have_the_functions_with_their_examples(site):
    text = (site / "api" / "cohorts.html").read_text(encoding="utf-8")
    assert 'id="plgg.api.cohorts.preprocess"' in text
    assert "Example" in text


def test_the_search_knows_the_pages(site):
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert any("Holm" in entry["text"] for entry in index["docs"])
    assert (site / "search" / "search_index.js").stat().st_size > 10_000


def test_the_search_works_from_a_folder(site):
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("no Chromium")
    outside = []
    with sync_api.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox"], timeout=300_000
        )
        page = browser.new_page()
        page.set_default_timeout(300_000)
        page.on("request", lambda asked: outside.append(asked.url))
        page.goto((site / "index.html").as_uri())
        page.locator("[data-md-component=search-query]").first.fill("abstains withheld marker")
        found = page.locator(".md-search-result__link").first
        found.wait_for(state="attached")
        assert found.get_attribute("href")
        browser.close()
    assert {url.partition(":")[0] for url in outside} <= {"file", "data", "blob", "about"}
