"""MONAI Label's own client, from a folder that `pip install --no-deps --target` made.

`PLGG_MONAILABEL` names the folder. The package itself needs another PyTorch than plgg allows; its
client is one file that needs `requests` alone, and a module that Python 3.13 no longer has.
"""

import importlib.util
import os
import sys
import warnings
from functools import cache
from pathlib import Path

import pytest


@cache
def client_module():
    """The module; the test is skipped where it is absent."""
    folder = os.environ.get("PLGG_MONAILABEL")
    if not folder:
        pytest.skip("no client of MONAI Label: PLGG_MONAILABEL names none (see .ci/run)")
    if sys.version_info >= (3, 13):
        pytest.skip("the client of MONAI Label needs cgi, which Python 3.13 no longer has")
    pytest.importorskip("requests")
    path = Path(folder) / "monailabel" / "client" / "client.py"
    spec = importlib.util.spec_from_file_location("monailabel_client", path)
    module = importlib.util.module_from_spec(spec)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        spec.loader.exec_module(module)
    return module


def connected(url, token, tmpdir):
    """A client that has logged in as 3D Slicer's extension does."""
    module = client_module()
    client = module.MONAILabelClient(url, str(tmpdir), "reader-1")
    if client.auth_enabled():
        client.update_auth(client.auth_token("anyone", token))
    return client
