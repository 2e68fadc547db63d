"""`render` and `render_markdown`: pages from their templates.

The templates lie in `plgg/report/templates`; each fills the blocks of `base.html`, which holds the
page's Content-Security-Policy. The policy lets a page load nothing from elsewhere and run only its
own scripts, identified by their hashes. Text from data is escaped, control characters in it are
made visible, and an undefined variable is an error.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from plgg import __version__
from plgg.core import markdown
from plgg.core.errors import visible
from plgg.report.numbers import number
from plgg.report.table import Table

# Placeholder for the policy, which needs the scripts; the head precedes all text from data.
_PLACE = "{policy}"
_NO_SCRIPT = "<script>\n</script>\n"
_NONE = "'none'"
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
# `file:` because browsers treat the files beside an opened file as another origin.
_PICTURES = {False: "data:", True: "'self' data: file:"}
_OPTIONS: dict[str, Any] = {
    "loader": PackageLoader("plgg.report"),
    "undefined": StrictUndefined,
    "trim_blocks": True,
    "lstrip_blocks": True,
}


def render(template: str, page: Mapping[str, object], *, pictures_beside: bool = False) -> str:
    """Render a page as HTML.

    Args:
        template: File name in `templates`.
        page: The template's variable `page`; the version of plgg is added.
        pictures_beside: Whether the page shows pictures that are files beside it.
    """
    known = {**page, "version": __version__}
    environment = Environment(autoescape=True, finalize=_with_visible_letters, **_OPTIONS)
    text = environment.get_template(template).render(page=known, policy=_PLACE)
    text = text.replace(_NO_SCRIPT, "")
    return text.replace(_PLACE, _policy(text, _PICTURES[pictures_beside]), 1)


def render_markdown(template: str, page: Mapping[str, object]) -> str:
    """Render a page as Markdown, in which text from data is escaped.

    Args:
        template: File name in `templates`; with filters `table`, `facts`, `bullets`, `number`.
        page: The template's variable `page`; the version of plgg is added.
    """
    # Nothing of this is HTML, and Markdown is escaped by `finalize`.
    environment = Environment(autoescape=False, finalize=_escaped, **_OPTIONS)  # noqa: S701
    filters = {"table": Table.to_markdown, "facts": markdown.facts, "bullets": markdown.bullets}
    for name, as_text in filters.items():
        environment.filters[name] = lambda value, as_text=as_text: Markup(as_text(value))  # noqa: S704
    environment.filters["number"] = number
    text = environment.get_template(template).render(page={**page, "version": __version__})
    return f"{text.rstrip()}\n"


def _escaped(value: object) -> object:
    is_text = isinstance(value, str) and not isinstance(value, Markup)
    return markdown.escaped(str(value)) if is_text else value


def _with_visible_letters(value: object) -> object:
    """Make control characters in text from data visible, line by line."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return "\n".join(map(visible, value.split("\n")))
    return value


def _policy(text: str, pictures: str) -> str:
    """The Content-Security-Policy: own pictures, inline styles, and the scripts in the text."""
    scripts = " ".join(f"'sha256-{_hash(script)}'" for script in _SCRIPT.findall(text))
    return (
        f"default-src 'none'; img-src {pictures}; style-src 'unsafe-inline'; "
        f"script-src {scripts or _NONE}; base-uri 'none'; form-action 'none'"
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
