"""Every row of docs/faults.md names tests, and each of them is there."""

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def rows():
    path = ROOT / "benchmarks" / "fault_table.py"
    spec = importlib.util.spec_from_file_location("fault_table", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.rows_of(module.TABLE.read_text(encoding="utf-8"))


def test_every_row_of_the_table_names_a_test_that_is_there(rows):
    text = (ROOT / "docs" / "faults.md").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line.startswith("|")]
    heads = sum(line.startswith(("|---", "| what is tried |")) for line in lines)
    assert len(rows) == len(lines) - heads
    for tried, _, tests in rows:
        for test in tests:
            file, name = test.split("::")
            tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
            assert name in {getattr(node, "name", "") for node in tree.body}, (tried, test)
