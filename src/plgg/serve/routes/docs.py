"""Documentation of the API: as OpenAPI, and as a page without scripts and external files."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment

from plgg.serve.answers import Json
from plgg.serve.cases import PREFIX

router = APIRouter(prefix=PREFIX, include_in_schema=False)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{{ api.info.title }}: API</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
code { font-size: 0.95em; } dt { margin-top: 1rem; } dd { margin-left: 1.5rem; }
.method { font-weight: bold; display: inline-block; min-width: 4.5rem; }
</style>
</head>
<body>
<h1>{{ api.info.title }} {{ api.info.version }}</h1>
<p>{{ api.info.description }} As OpenAPI: <a href="openapi.json">openapi.json</a>.</p>
<dl>
{% for path, methods in api.paths.items() %}
{% for method, one in methods.items() %}
<dt><span class="method">{{ method | upper }}</span> <code>{{ path }}</code></dt>
<dd>{{ one.description or one.summary }}
{% for parameter in one.parameters or [] %}
<br><code>{{ parameter.name }}</code> ({{ parameter.in }}{{ ", needed" if parameter.required }})
{{ parameter.description or "" }}
{% endfor %}
{% for status, answer in one.responses.items() %}
{% if status < "300" %}<br>Answers {{ status }} {{ named(answer) }}{% endif %}
{% endfor %}
</dd>
{% endfor %}
{% endfor %}
</dl>
<h2>Records</h2>
{% for name, schema in api.components.schemas.items() %}
<h3 id="{{ name }}">{{ name }}</h3>
<p>{{ (schema.description or "").split("Attributes:")[0] }}</p>
<ul>
{% for field, of in (schema.properties or {}).items() %}
<li><code>{{ field }}</code>: {{ kind(of) }}</li>
{% endfor %}
</ul>
{% endfor %}
</body>
</html>
"""
# The style is inline, and there is no script.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'"


@router.get("/openapi.json")
def openapi(request: Request) -> Json:
    """The API as OpenAPI."""
    return Json(request.app.openapi())


@router.get("/docs")
def docs(request: Request) -> HTMLResponse:
    """The API as a page."""
    # Undefined names render as nothing, as not every operation has every part.
    environment = Environment(autoescape=True)
    page = environment.from_string(_PAGE).render(
        api=request.app.openapi(), named=_named, kind=_kind
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": _POLICY})


def _named(answer: dict[str, Any]) -> str:
    """Name of the record in a response."""
    for content in answer.get("content", {}).values():
        return _kind(content.get("schema", {}))
    return ""


def _kind(schema: dict[str, Any]) -> str:
    """A schema in a few words."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " or ".join(_kind(one) for one in schema["anyOf"])
    if schema.get("type") == "array":
        return f"list of {_kind(schema.get('items', {})) or 'anything'}"
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    return str(schema.get("type", ""))
