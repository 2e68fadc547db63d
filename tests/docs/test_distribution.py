"""What the wheel and the sdist hold: the package, its page and licences, and nothing else."""

import importlib.util
import tarfile
import zipfile
from pathlib import PurePosixPath

import pytest
from doc_pages import ROOT

import plgg

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("hatchling") is None, reason="hatchling is not installed"
)


def build(kind, folder):
    """What `python -m build` makes, without its environment."""
    from hatchling.builders.sdist import SdistBuilder
    from hatchling.builders.wheel import WheelBuilder

    builder = {"wheel": WheelBuilder, "sdist": SdistBuilder}[kind](str(ROOT))
    (path,) = builder.build(directory=str(folder), versions=["standard"])
    return path


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    with zipfile.ZipFile(build("wheel", tmp_path_factory.mktemp("wheel"))) as packed:
        yield packed


@pytest.fixture(scope="module")
def sdist(tmp_path_factory):
    with tarfile.open(build("sdist", tmp_path_factory.mktemp("sdist"))) as packed:
        yield {PurePosixPath(*PurePosixPath(name).parts[1:]) for name in packed.getnames()}


def test_the_wheel_is_the_package_and_what_describes_it(wheel):
    names = {PurePosixPath(name) for name in wheel.namelist()}
    about = f"plgg-{plgg.__version__}.dist-info"
    assert {name.parts[0] for name in names} == {"plgg", about}
    source = ROOT / "src"
    tracked = {
        PurePosixPath(path.relative_to(source).as_posix())
        for path in (source / "plgg").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert {name for name in names if name.parts[0] == "plgg"} == tracked


def test_the_wheel_has_the_page_and_the_licences(wheel):
    names = wheel.namelist()
    for needed in ("serve/page/index.html", "serve/page/vendor/niivue.umd.js", "py.typed"):
        assert f"plgg/{needed}" in names
    licences = {PurePosixPath(name).name for name in names if "/licenses/" in name}
    assert {"LICENSE", "LICENSE-niivue.txt", "LICENSES-bundled.txt"} <= licences


def test_the_wheel_holds_no_data(wheel):
    data = (".nii", ".nii.gz", ".dcm", ".pyc", ".safetensors", ".pt")
    assert not [name for name in wheel.namelist() if name.endswith(data)]


def test_the_sdist_holds_neither_models_nor_what_was_built(sdist):
    built = {"models", "site", "dist", "demo", ".venv", "shared"}
    assert not {name.parts[0] for name in sdist if name.parts} & built


def test_the_sdist_holds_what_a_wheel_is_made_of(sdist):
    for needed in ("pyproject.toml", "README.md", "LICENSE", "src/plgg/__init__.py"):
        assert PurePosixPath(needed) in sdist


def test_the_metadata_asks_for_no_desktop_toolkit(wheel):
    text = wheel.read(f"plgg-{plgg.__version__}.dist-info/METADATA").decode()
    needed = [
        line.partition(": ")[2].lower()
        for line in text.splitlines()
        if line.startswith("Requires-Dist") and "extra ==" not in line
    ]
    heavy = ("deepbet", "customtkinter", "pandas", "nilearn", "statsmodels", "lightning", "ray")
    assert not [line for line in needed if line.startswith(heavy)]
    assert any(line.startswith("torch") for line in needed)
