"""Benchmarks that need no data: how sequences are registered, and how large plgg is."""

import importlib
import sys
from pathlib import Path

import pytest


@pytest.fixture
def benchmark_named(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    return importlib.import_module


def test_sequences_of_a_phantom_become_a_row(benchmark_named, monkeypatch, capsys):
    channels = benchmark_named("channels")
    monkeypatch.setattr(channels, "N_PHANTOMS", 1)
    monkeypatch.setattr(sys, "argv", ["channels"])
    channels.main()
    (row,) = capsys.readouterr().out.splitlines()[2:]
    _, before, left, shared, shifted, status = (cell.strip() for cell in row.strip("|").split("|"))
    assert float(left) < 0.34 < 1.0 < float(before)
    assert float(shifted) < float(shared)
    assert status == "good"


def test_lines_of_code_are_those_that_are_neither_comments_nor_docstrings(benchmark_named):
    size = benchmark_named("size")
    module = '"""What\n\nit is."""\n\n# Why.\nNAME = (\n    1,\n)\n"""Of it."""\n\n\ndef f():\n'
    assert size.code_lines(module + '    """F."""\n    return """a\nb"""  # so\n') == 6
