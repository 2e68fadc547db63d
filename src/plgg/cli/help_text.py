"""Turn docstrings into help texts: paragraphs that the terminal wraps, escaped brackets."""

from __future__ import annotations

import inspect
import re

import typer

_PARAGRAPH = re.compile(r"\n\s*\n|\n(?=Example:)")


def flowing(text: str) -> str:
    r"""A docstring as help for a terminal of any width.

    Args:
        text: Paragraphs with lines of any length; each `Example:` is a paragraph of its own.

    Returns:
        Paragraphs of one line, with `[serve]` in them kept from being read as markup.

    Example:
        >>> print(flowing("Open\nit.\n\nExample: a"))
        Open it.
        <BLANKLINE>
        Example: a
    """
    paragraphs = _PARAGRAPH.split(inspect.cleandoc(text))
    return "\n\n".join(" ".join(one.split()) for one in paragraphs).replace("[", r"\[")


def with_flowing_help(commands: typer.Typer) -> typer.Typer:
    """Set the help of commands from their docstrings."""
    for command in commands.registered_commands:
        if command.callback is not None:
            command.help = flowing(command.help or command.callback.__doc__ or "")
    return commands
