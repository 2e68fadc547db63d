"""Files and lines of plgg by room: all lines, and those that hold code.

    python benchmarks/size.py

A line holds code if something other than a comment or a docstring begins, goes on or ends on it.
"""

from __future__ import annotations

import argparse
import ast
import io
import tokenize
from collections import defaultdict
from pathlib import Path

_NO_CODE = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENDMARKER,
}


def code_lines(text: str) -> int:
    """How many lines of a module hold code."""
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    held = {
        line
        for token in tokens
        if token.type not in _NO_CODE
        for line in range(token.start[0], token.end[0] + 1)
    }
    return len(held - docstring_lines(text))


def docstring_lines(text: str) -> set[int]:
    """Lines of strings that stand alone: docstrings, of variables too."""
    return {
        line
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


def main() -> None:
    """Print a table, the largest room first."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--package", type=Path, default=Path("src/plgg"), help="its folder")
    package = parser.parse_args().package
    rooms: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    for path in package.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        parts = path.relative_to(package).parts
        counts = (1, text.count("\n"), code_lines(text))
        for room in (parts[0] if len(parts) > 1 else "(beside the rooms)", "all"):
            rooms[room] = [a + b for a, b in zip(rooms[room], counts, strict=True)]
    print("| room | files | lines | code |\n|---|---|---|---|")
    for room, found in sorted(rooms.items(), key=lambda item: (item[0] == "all", -item[1][1])):
        print(f"| {room} | {' | '.join(f'{n:,}' for n in found)} |")


if __name__ == "__main__":
    main()
