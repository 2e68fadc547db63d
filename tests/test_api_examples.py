"""Every public function of `plgg.api` has an example, and the examples run in their order.

One namespace and one folder: the patients of the first are trained on, predicted and compared by
those that follow. In the examples, `folder` is a `Path`.
"""

import doctest
import inspect
import os

import pytest

from plgg import api
from plgg.api import cohorts, exports, learning, machine, neighbours, prediction, results

ROOMS = (cohorts, learning, prediction, exports, results, machine, neighbours)
FUNCTIONS = {
    name: function
    for room in ROOMS
    for name, function in vars(room).items()
    if name in api.__all__ and function.__module__ == room.__name__
}
PARSER = doctest.DocTestParser()


def examples_of(name):
    """The docstring's examples, which must stand under their heading."""
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    _, found, code = text.partition("Example:\n")
    return PARSER.get_examples(code) if found else []


def test_the_functions_are_found():
    assert sorted(FUNCTIONS) == api.__all__


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_an_example_that_calls_it(name):
    code = "".join(example.source for example in examples_of(name))
    assert f"api.{name}(" in code, f"the docstring of api.{name} has no example of it"


def test_the_examples_run_and_give_what_they_say(tmp_path, monkeypatch):
    # As many processes as cores would share the few small cases; to start them takes longer.
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    space = {"api": api, "folder": tmp_path}
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_ONLY_FIRST_FAILURE)
    for name in FUNCTIONS:
        told = []
        examples = examples_of(name)
        test = doctest.DocTest(examples, space, f"api.{name}", api.__file__, None, None)
        result = runner.run(test, out=told.append, clear_globs=False)
        assert not result.failed, "".join(told)
        space = test.globs
