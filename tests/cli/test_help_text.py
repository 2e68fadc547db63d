"""Help that a terminal of any width wraps, with its brackets as they were written."""

import itertools
import re

import pytest

from plgg.cli.help_text import flowing
from program import plgg


def test_paragraphs_are_one_line_and_examples_stand_alone():
    text = flowing("""Open a room.

    Everything stays
    here. It needs "plgg[serve]".

    Example: plgg serve work
    Example: plgg serve work --port 0
    """)
    assert text.split("\n\n") == [
        "Open a room.",
        r'Everything stays here. It needs "plgg\[serve]".',
        "Example: plgg serve work",
        "Example: plgg serve work --port 0",
    ]


@pytest.mark.parametrize("command", ["predict", "preprocess", "experiment", "bids", "pacs watch"])
def test_no_line_of_help_breaks_before_the_terminal_ends(command):
    before = plgg(*command.split(), "--help").out.split("Example:")[0]
    _usage, *prose = re.split(r"\n\s*\n", before.strip())
    assert prose
    for paragraph in prose:
        lines = [line.strip() for line in paragraph.strip().splitlines() if line.strip()]
        for line, following in itertools.pairwise(lines):
            assert len(line) + 1 + len(following.split()[0]) > 76, line


def test_the_extra_that_a_command_needs_is_named_whole():
    text = " ".join(plgg("serve", "--help").out.split())
    assert 'pip install "plgg[serve]"' in text


def test_no_seed_fills_the_help_with_digits():
    assert not re.search(r"\d{12}", plgg("evaluate", "--help").out)
    assert "bootstrap" in plgg("evaluate", "--help").out
