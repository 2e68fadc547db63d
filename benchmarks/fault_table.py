"""Run the test behind every row of docs/faults.md and print the table with what became of it.

    python benchmarks/fault_table.py [--only PATTERN]

Ends with status 1 if a row does not hold.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ET
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "docs" / "faults.md"
_TEST = re.compile(r"`(tests/[\w/]+\.py::\w+)`")


def main() -> int:
    """Print the table; 1 if a row does not hold."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--only", default="", help="rows that fit this pattern")
    only = parser.parse_args().only
    rows = [row for row in rows_of(TABLE.read_text(encoding="utf-8")) if re.search(only, row[0])]
    if not rows:  # pytest would take no names for all of them
        parser.error(f"no row fits {only!r}")
    found = outcomes(sorted({test for _, _, tests in rows for test in tests}))
    print("| what is tried | what plgg does | tests passed |\n|---|---|---|")
    held = [_print_row(row, found) for row in rows]
    print(f"\n{sum(held)} of {len(held)} rows hold.")
    return int(not all(held))


def rows_of(text: str) -> list[tuple[str, str, list[str]]]:
    """What is tried, what plgg does, and the tests, of each row that names a test."""
    lines = [line for line in text.splitlines() if line.startswith("|") and _TEST.search(line)]
    cells = [line.strip("|").split(" | ") for line in lines]
    return [(row[0].strip(), row[1].strip(), _TEST.findall(row[2])) for row in cells]


def outcomes(tests: list[str]) -> dict[str, Counter[str]]:
    """How often each test passed, failed or was skipped, over its parameters."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        command = [sys.executable, "-m", "pytest", "-q", "-n", "0", f"--junitxml={report}", *tests]
        subprocess.run(command, cwd=ROOT, stdout=sys.stderr, check=False)  # noqa: S603
        cases = ET.parse(report).iter("testcase")  # noqa: S314 - written by pytest just now
        found: dict[str, Counter[str]] = {}
        for case in cases:
            module = case.get("classname", "").replace(".", "/")
            name = f"{module}.py::{case.get('name', '').partition('[')[0]}"
            found.setdefault(name, Counter())[_outcome(case)] += 1
    return found


def _outcome(case: ET.Element) -> str:
    tags = {child.tag for child in case}
    return "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"


def _print_row(row: tuple[str, str, list[str]], found: dict[str, Counter[str]]) -> bool:
    tried, does, tests = row
    total = sum((found.get(test, Counter()) for test in tests), Counter[str]())
    held = total["failed"] == 0 and all(found.get(test, Counter())["passed"] for test in tests)
    shown = f"{total['passed']} of {sum(total.values())}" + ("" if held else " **(OPEN)**")
    print(f"| {tried} | {does} | {shown} |")
    return held


if __name__ == "__main__":
    sys.exit(main())
