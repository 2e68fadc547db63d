"""One small run, exported once to every format."""

from types import SimpleNamespace

import pytest

from plgg.export.run import export_run
from plgg.model.checkpoint import load_checkpoint
from runs import make_run

# The exporters' time goes by the number of layers.
SHALLOW = ("model.blocks_down=[1,1,1]", "model.blocks_up=[1,1]")
EVERY_INPUT = 'model.marker.inputs=["average","attention","outlined","tumour","clinical"]'


@pytest.fixture(scope="session")
def exported(tmp_path_factory):
    run = make_run(tmp_path_factory.mktemp("exported") / "run", *SHALLOW, EVERY_INPUT)
    made = {kind: export_run(run, None, kind) for kind in ("onnx", "openvino", "monai-bundle")}
    return SimpleNamespace(run=run, made=made, checkpoint=load_checkpoint(run))
