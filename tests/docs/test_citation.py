"""CITATION.cff has what the Citation File Format 1.2.0 demands, and this version."""

import jsonschema
import pytest
from doc_pages import ROOT

import plgg

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
PERSON = {
    "type": "object",
    "additionalProperties": False,
    "required": ["family-names"],
    "properties": {name: {"type": "string"} for name in ("family-names", "given-names", "orcid")},
}
ENTITY = {
    "type": "object",
    "additionalProperties": False,
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "website": {"type": "string"}},
}
AUTHORS = {"type": "array", "minItems": 1, "items": {"anyOf": [PERSON, ENTITY]}}
# The keys that plgg uses, after the format's own description.
SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["cff-version", "message", "title", "authors"],
    "properties": {
        "cff-version": {"const": "1.2.0"},
        "message": {"type": "string", "minLength": 1},
        "title": {"type": "string", "minLength": 1},
        "abstract": {"type": "string", "minLength": 1},
        "type": {"enum": ["software", "dataset"]},
        "version": {"type": "string"},
        "license": {"type": "string", "pattern": r"^[A-Za-z0-9.-]+$"},
        "keywords": {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
        "authors": AUTHORS,
        "references": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["authors", "title", "type"],
                "properties": {
                    "type": {"enum": ["article", "conference-paper", "proceedings", "software"]},
                    "title": {"type": "string"},
                    "authors": AUTHORS,
                    "year": {"type": "integer"},
                    "conference": ENTITY,
                },
            },
        },
    },
}


def test_the_citation_is_valid_and_of_this_version():
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    jsonschema.validate(cited, SCHEMA)
    assert cited["version"] == plgg.__version__


def test_the_templates_of_issues_are_readable_and_warn_first():
    templates = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
    assert {path.stem for path in templates} == {"bug", "feature", "question", "config"}
    for path in templates:
        form = yaml.safe_load(path.read_text(encoding="utf-8"))
        if path.stem != "config":
            assert form["body"][0]["type"] == "markdown"
            assert "no patient data" in form["body"][0]["attributes"]["value"].lower()


def test_the_workflow_runs_what_everyone_runs():
    flow = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8"))
    steps = [step.get("run", "") for step in flow["jobs"]["ci"]["steps"]]
    assert ".ci/run" in steps
