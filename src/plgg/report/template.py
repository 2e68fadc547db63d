"""`render`: a page's record through its template to one HTML text.

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

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from plgg import __version__
from plgg.core.errors import visible

# Stands in the head until the scripts are known; the head comes before all that comes from data.
_PLACE = "{policy}"
_NO_SCRIPT = "<script>\n</script>\n"
_NONE = "'none'"
_SCRIPT = re.compile(r"<script>(.*?)</script>", re.DOTALL)
# `file:` because browsers do not take the files beside an opened file for its own.
_PICTURES = {False: "data:", True: "'self' data: file:"}


def render(template: str, page: Mapping[str, object], *, pictures_beside: bool = False) -> str:
    """The text of a page.

    Args:
        template: File name in `templates`.
        page: What the template knows as `page`; the version of plgg is added.
        pictures_beside: Whether the page shows pictures that are files beside it.
    """
    environment = Environment(
        loader=PackageLoader("plgg.report"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_with_visible_letters,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    text = environment.get_template(template).render(
        page={**page, "version": __version__}, policy=_PLACE
    )
    text = text.replace(_NO_SCRIPT, "")
    return text.replace(_PLACE, _policy(text, _PICTURES[pictures_beside]), 1)


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
