"""`render` and `render_markdown`: pages from their templates.

The templates lie in `plgg/report/templates`; each fills the blocks of `base.html`, which holds the
page's Content-Security-Policy. By it a page loads nothing from elsewhere and runs no script but its
own, which it knows by its hash. Whatever comes from data is escaped, control characters in it are
shown, and a name that the record lacks is an error rather than a blank.
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

# Stands in the head until the scripts are known; the head comes before all that comes from data.
_PLACE = "{policy}"
_NO_SCRIPT = "<script>\n</script>\n"
_NONE = "'none'"
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
# `file:` because browsers do not take the files beside an opened file for its own.
_PICTURES = {False: "data:", True: "'self' data: file:"}
_OPTIONS: dict[str, Any] = {
    "loader": PackageLoader("plgg.report"),
    "undefined": StrictUndefined,
    "trim_blocks": True,
    "lstrip_blocks": True,
}


def render(template: str, page: Mapping[str, object], *, pictures_beside: bool = False) -> str:
    """The text of a page.

    Args:
        template: File name in `templates`.
        page: What the template knows as `page`; the version of plgg is added.
        pictures_beside: Whether the page shows pictures that are files beside it.
    """
    known = {**page, "version": __version__}
    environment = Environment(autoescape=True, finalize=_with_visible_letters, **_OPTIONS)
    text = environment.get_template(template).render(page=known, policy=_PLACE)
    text = text.replace(_NO_SCRIPT, "")
    return text.replace(_PLACE, _policy(text, _PICTURES[pictures_beside]), 1)


def render_markdown(template: str, page: Mapping[str, object]) -> str:
    """The text of a page in Markdown, in which text from data is shown and never is markup.

    Args:
        template: File name in `templates`; with filters `table`, `facts`, `bullets`, `number`.
        page: What the template knows as `page`; the version of plgg is added.
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
    """Text from data with what is hidden in it shown, line by line."""
    if isinstance(value, str) and not isinstance(value, Markup):
        return "\n".join(map(visible, value.split("\n")))
    return value


def _policy(text: str, pictures: str) -> str:
    """What the page may do: show its pictures, be styled, and run the scripts that it has now."""
    scripts = " ".join(f"'sha256-{_hash(script)}'" for script in _SCRIPT.findall(text))
    return (
        f"default-src 'none'; img-src {pictures}; style-src 'unsafe-inline'; "
        f"script-src {scripts or _NONE}; base-uri 'none'; form-action 'none'"
    )


def _hash(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
