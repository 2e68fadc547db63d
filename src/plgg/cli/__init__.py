"""The command line: parse, call `plgg.api`, say where the result is."""

from plgg.cli.main import main

__all__ = ["main"]
