"""Every public function of `plgg.api` has an example, and the examples run in their order.

One namespace and one folder: the patients of the first are trained on, predicted and compared by
those that follow. In the examples, `folder` is a `Path`.
"""

import doctest
import inspect

import pytest

from plgg import api

FUNCTIONS = {
    name: function
    for name, function in vars(api).items()
    if inspect.isfunction(function)
    and function.__module__ == api.__name__
    and not name.startswith("_")
}
PARSER = doctest.DocTestParser()


def examples_of(name):
    """The docstring's examples, which must stand under their heading."""
    text = inspect.getdoc(FUNCTIONS[name]) or ""
    _, found, code = text.partition("Example:\n")
    return PARSER.get_examples(code) if found else []


def test_the_functions_are_found():
    assert {"phantom", "train", "predict", "segment", "compare"} <= set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_an_example_that_calls_it(name):
    code = "".join(example.source for example in examples_of(name))
    assert f"api.{name}(" in code, f"the docstring of api.{name} has no example of it"


def test_the_examples_run_and_give_what_they_say(tmp_path):
    space = {"api": api, "folder": tmp_path}
    runner = doctest.DocTestRunner(optionflags=doctest.REPORT_ONLY_FIRST_FAILURE)
    for name in FUNCTIONS:
        told = []
        examples = examples_of(name)
        test = doctest.DocTest(examples, space, f"api.{name}", api.__file__, None, None)
        result = runner.run(test, out=told.append, clear_globs=False)
        assert not result.failed, "".join(told)
        space = test.globs
