"""Links of README, pages and cards, as they stand in the repository: files and anchors."""

import re
from pathlib import Path

import pytest
from doc_pages import PAGES, ROOT, name_of

MORE = [ROOT / "CHANGELOG.md", *sorted((ROOT / "docs" / "adr").glob("*.md"))]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
# Pages that are made when the site is built.
MADE = {"docs/commands.md", "docs/contributing.md", "docs/changelog.md"}
MADE_FOLDERS = ("docs/models/",)


def prose(page):
    """The text without its code."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"`[^`\n]*`", "code", text)


def slug(heading):
    """The anchor that a heading gets, here and on the site."""
    plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
    plain = re.sub(r"[`*]", "", plain)
    return re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", plain).strip())


def anchors(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    return {slug(found) for found in re.findall(r"^#+ (.+)$", text, re.MULTILINE)} | set(
        re.findall(r"id=\"([^\"]+)\"", text)
    )


def is_made(path):
    inside = str(path.relative_to(ROOT))
    return inside in MADE or inside.startswith(MADE_FOLDERS)


@pytest.mark.parametrize("page", [*PAGES, *MORE], ids=name_of)
def test_links_lead_somewhere(page):
    for groups in LINK.findall(prose(page)):
        target = groups[0] or groups[1]
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = (page.parent / name).resolve() if name else page
        if is_made(path):
            continue
        assert path.exists(), f"{target}: no such file"
        assert path.is_relative_to(ROOT), f"{target}: not in the repository"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"{target}: no such heading"


SOURCES = [str(path.relative_to(ROOT)) for path in (ROOT / "src").rglob("*.py")]
# `member.py`, `report/case/page.py`, `src/plgg/cli/`: files that a page names are there.
NAMED = re.compile(r"`((?:[\w-]+/)*[\w-]+\.py|src/[\w/-]+)`")
OTHERS = [ROOT / folder for folder in (".", "benchmarks", "docs", "tests")]


def is_there(name):
    if any(source.endswith(f"/{name}") for source in SOURCES):
        return True
    if "/" not in name:
        return any((folder / name).is_file() for folder in OTHERS) or any(
            (ROOT / "tests").rglob(name)
        )
    return (ROOT / name).exists()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_that_a_page_names_are_there(page):
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    lost = [name for name in NAMED.findall(text) if not is_there(name)]
    assert lost == []


def test_a_file_that_moved_is_not_there():
    assert is_there("preprocess/pipeline.py")
    assert not is_there("preprocess/route.py")
    assert not is_there("strip.py")


def test_pictures_are_small():
    for picture in (ROOT / "docs" / "pictures").iterdir():
        assert picture.stat().st_size < 300_000, picture.name


def test_slugs_are_the_known_ones():
    assert slug("On a GPU") == "on-a-gpu"
    assert slug("How preset `best` works") == "how-preset-best-works"


def test_all_pages_are_looked_at():
    assert Path(ROOT / "docs" / "index.md") in PAGES
    assert len(PAGES) > 25
