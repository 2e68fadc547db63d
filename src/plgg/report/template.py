"""`render`: a page's record through its template to one HTML text.

The templates lie in `plgg/report/templates`. Whatever comes from data is escaped, and a name that
the record lacks is an error rather than a blank. Knows nothing of what the pages say.
"""

from __future__ import annotations

from jinja2 import Environment, PackageLoader, StrictUndefined


def render(template: str, page: object) -> str:
    """The text of a page.

    Args:
        template: File name in `templates`.
        page: The record that the template knows as `page`.
    """
    environment = Environment(
        loader=PackageLoader("plgg.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(template).render(page=page)
