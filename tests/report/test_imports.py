"""What a command imports: what it needs, and not what its neighbours need."""

import json
import subprocess
import sys

import pytest

PREDICTION = (
    "plgg.predict.ensemble",
    "plgg.predict.member",
    "plgg.predict.scan",
    "plgg.predict.source",
    "plgg.predict.summary",
    "plgg.report.case.page",
    "plgg.predict.batch",
)
PIECES = {
    "plgg.report.case.page": "case",
    "plgg.report.evaluation": "evaluation",
    "plgg.report.store_qc": "store_qc",
    "plgg.report.model_card": "model_card",
}


def imported(*modules):
    """All modules of a fresh interpreter that has imported some."""
    code = f"import sys, json, {', '.join(modules)}; print(json.dumps(sorted(sys.modules)))"
    command = [sys.executable, "-c", code]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def test_a_prediction_imports_its_own_rooms_alone():
    everything = imported(*PREDICTION)
    # Seconds on their own, and needed by training, stores or a PDF.
    assert not {"matplotlib", "blosc2", "scipy.optimize", "sklearn", "monai"} & set(everything)
    found = [name for name in everything if name.partition(".")[0] == "plgg"]
    assert len(found) < 190
    rooms = {name.split(".")[1] for name in found if "." in name}
    assert not rooms & {"evaluate", "experiment", "train", "phantom"}


@pytest.mark.parametrize("module", PIECES)
def test_one_page_does_not_import_the_others(module):
    found = imported(module)
    pages = {piece for other, piece in PIECES.items() if other in found}
    assert pages == {PIECES[module]}
    assert "torch" not in found
    assert "plgg.report.experiment.page" not in found
    assert ("matplotlib" in found) == (module == "plgg.report.evaluation")
