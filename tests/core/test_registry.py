"""Entries of installed packages: found by name or all of them, and refused in one line."""

import sys

import pytest

from plgg.core.errors import ConfigError, InputError
from plgg.core.registry import Registry

CODE = """
NUMBER = 3


def one(values):
    return values[0]


def fails(values):
    return 1 / 0
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """Makes a package with entry points, as an installer leaves it."""

    def make(name, entries, code=CODE):
        module = name.replace("-", "_")
        (tmp_path / f"{module}.py").write_text(code, encoding="utf-8")
        folder = tmp_path / f"{module}-1.2.dist-info"
        folder.mkdir()
        about = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n"
        (folder / "METADATA").write_text(about, encoding="utf-8")
        (folder / "entry_points.txt").write_text(f"[plgg.tests]\n{entries}\n", encoding="utf-8")

    monkeypatch.syspath_prepend(tmp_path)
    return make


def registry(**entries):
    return Registry("metric", "plgg.tests", entries, reserved=("none",))


def test_a_name_is_taken_once():
    metrics = registry()
    metrics.add("one", len)
    metrics.add("one", len)
    for name in ("one", "none"):
        with pytest.raises(ConfigError, match=f"'{name}' is there. Choose another name."):
            metrics.add(name, max)
    with pytest.raises(ConfigError, match="may not be called"):
        metrics.add("No name", max)


def test_one_is_found_by_name_and_others_are_not_loaded(package):
    package("reg-a", "first = reg_a:one\nlost = reg_a:nothing")
    metrics = registry(own=len)
    assert metrics.find("first")([5, 6]) == 5
    assert metrics.find("own") is len
    assert list(metrics) == ["own", "first"]
    known = "no metric is called 'second'. Choose none, own, first, lost, or install"
    with pytest.raises(ConfigError, match=known):
        metrics.find("second")


def test_all_are_found_once_after_those_of_plgg(package):
    package("reg-b", "second = reg_b:one\nfirst = reg_b:one")
    metrics = registry(own=len)
    assert list(metrics.load_all()) == ["own", "first", "second"]
    assert metrics.added() == ["first", "second"]
    package("reg-c", "third = reg_c:one")
    assert "third" not in metrics.load_all()


@pytest.mark.parametrize(
    ("entries", "code", "said"),
    [
        ("lost = reg_d:nothing", CODE, "the metric 'lost' cannot be loaded (AttributeError: "),
        ("lost = reg_d:one", "import nowhere", "cannot be loaded (ModuleNotFoundError: "),
        ("lost = reg_d:one", "raise OSError('a\\nb')", "cannot be loaded (OSError: a b)"),
        ("lost = reg_d:one", "def", "cannot be loaded (SyntaxError: "),
        ("three = reg_d:NUMBER", CODE, "reg_d:NUMBER is no metric"),
        ("own = reg_d:one", CODE, "a metric called 'own' is there"),
        ("none = reg_d:one", CODE, "a metric called 'none' is there"),
        ("A B = reg_d:one", CODE, "a metric may not be called 'A B'"),
    ],
)
def test_what_cannot_be_used_names_its_package(package, monkeypatch, entries, code, said):
    monkeypatch.delitem(sys.modules, "reg_d", raising=False)
    package("reg-d", entries, code)
    with pytest.raises(ConfigError) as refused:
        registry(own=len).load_all()
    line = str(refused.value)
    assert line.startswith("the package reg-d 1.2: ")
    assert said in line
    assert "\n" not in line


def test_an_entry_that_fails_is_named(package):
    package("reg-e", "bad = reg_e:fails")
    metrics = registry(own=len)
    with (
        pytest.raises(ConfigError, match="the metric 'bad' failed"),
        metrics.calling("bad"),
    ):
        metrics.find("bad")([])
    with pytest.raises(InputError, match="no scan"), metrics.calling("bad"):
        raise InputError("no scan")
    with pytest.raises(ZeroDivisionError), metrics.calling("own"):
        1 / 0  # noqa: B018
