"""The fenced blocks of the pages, as tests need them."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The README, the pages and the cards; not the decisions, which tell of what was.
PAGES = sorted(
    [
        ROOT / "README.md",
        ROOT / "CONTRIBUTING.md",
        *(ROOT / "docs").glob("*.md"),
        *(ROOT / "docs" / "tutorials").glob("*.md"),
        *(ROOT / "docs" / "api").glob("*.md"),
        *(ROOT / "models").glob("*/README.md"),
    ]
)
_BLOCK = re.compile(r"^( *)```([^\n`]*)\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what else stands after that, its text and its line."""

    language: str
    words: tuple[str, ...]
    text: str
    line: int

    @property
    def file(self):
        """Name of the file that the block is, if it is one."""
        named = [word.removeprefix("file=") for word in self.words if word.startswith("file=")]
        return named[0] if named else None


def blocks(page):
    text = page.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        language, *words = found[2].split() or [""]
        indent = len(found[1])
        lines = [line[indent:] for line in found[3].splitlines()]
        yield Block(
            language, tuple(words), "\n".join(lines) + "\n", text.count("\n", 0, found.start()) + 1
        )


def name_of(page):
    return str(page.relative_to(ROOT))
