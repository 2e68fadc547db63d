"""A real Orthanc a module, a small model, and studies full of what must not leak."""

import shutil
import sys
from pathlib import Path

import pytest
from orthanc_server import PASSWORD, USER, Orthanc, require_orthanc
from studies import predicted_study

from plgg.pacs.archive import PacsLink
from plgg.pacs.retry import Retries
from runs import calibrate, make_run

# The reading room and the browser of its own tests.
sys.path.append(str(Path(__file__).parents[1] / "serve"))
QUICK = Retries(attempts=6, first_seconds=0.2, longest_seconds=2.0)


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory):
    """A PACS that asks for a user and a password."""
    require_orthanc()
    server = Orthanc(tmp_path_factory.mktemp("orthanc"))
    try:
        yield server.start()
    finally:
        server.kill()


@pytest.fixture(autouse=True)
def credentials(monkeypatch, tmp_path):
    """Ours are in the environment, and nothing is taken from who runs the tests."""
    monkeypatch.setenv("PLGG_PACS_USER", USER)
    monkeypatch.setenv("PLGG_PACS_PASSWORD", PASSWORD)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    for name in ("PLGG_PACS_TOKEN", "PLGG_PACS_CA", "PLGG_PACS_CERT", "PLGG_PACS_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["web", "dimse"])
def url(request, orthanc):
    """The same PACS, in both languages."""
    return orthanc.url if request.param == "web" else orthanc.dimse


@pytest.fixture
def link(url):
    return PacsLink(url, retries=QUICK)


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    """A small network, untrained, whose mask holds some of the brain and not all."""
    return calibrate(make_run(tmp_path_factory.mktemp("run") / "run"), threshold=0.5)


@pytest.fixture(scope="session")
def predicted(tmp_path_factory, model):
    """Studies of three geometries and their predictions, by geometry."""
    folder = tmp_path_factory.mktemp("predicted")
    return {
        grid: predicted_study(folder, grid, model) for grid in ("lps", "sagittal", "oblique-lps")
    }


@pytest.fixture
def predictions(predicted, tmp_path):
    """A copy of the predictions, one folder a case."""
    root = tmp_path / "predictions"
    for study in predicted.values():
        shutil.copytree(study.case, root / study.case.name)
    return root
