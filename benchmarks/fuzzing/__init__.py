"""Damage for inputs, a module a format; the tests try some of it, `benchmarks/fuzz.py` a lot."""
