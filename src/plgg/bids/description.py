"""Top-level files of the derivative dataset: its description, README and .bidsignore."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plgg import __version__
from plgg.bids.request import BidsRequest
from plgg.core.errors import OutputError
from plgg.core.files import write_json, write_text
from plgg.core.output import OutputKind, output_folder
from plgg.core.records import JsonError, read_json
from plgg.data.ensemble_folder import is_ensemble, read_ensemble
from plgg.data.installed_models import InstalledModel, installed_models
from plgg.data.result import RESEARCH_ONLY

BIDS_VERSION = "1.10.0"
# Name of the source dataset in BIDS URIs.
SOURCE = "raw"
DERIVATIVES = OutputKind(
    "BIDS derivatives",
    (
        "dataset_description.json",
        "README",
        ".bidsignore",
        "sub-*",
        "reports",
        "desc-plgg_measurements.*",
        "desc-plgg_responses.*",
        "group.html",
        "sourcedata/plgg",
    ),
    # Other processes may be writing in the other folders.
    inside=((".", None),),
)
# Files that are not in the BIDS standard.
IGNORED = (
    "*.html",
    "reports",
    "desc-plgg_measurements.tsv",
    "desc-plgg_measurements.json",
    "desc-plgg_responses.tsv",
    "desc-plgg_responses.json",
)
_WAIT_SECONDS = 30.0


def uri(path: str) -> str:
    """The BIDS URI of a file of the source dataset."""
    return f"bids:{SOURCE}:{path}"


def prepare_output(request: BidsRequest, weights: Sequence[str]) -> None:
    """Mark the folder as plgg's own, and write its top-level files.

    Args:
        request: Names the output folder.
        weights: SHA-256 of the networks' weights.

    Raises:
        OutputError: If the folder is not plgg's, or cannot be written to.
    """
    # Processes for other participants may do so at the same time: they wait for the lock.
    until = time.monotonic() + _WAIT_SECONDS
    while True:
        try:
            with output_folder(request.out, DERIVATIVES):
                _write(request, weights)
            return
        except OutputError as error:
            if not error.what.startswith("is in use by") or time.monotonic() > until:
                raise
        time.sleep(0.1)


def _write(request: BidsRequest, weights: Sequence[str]) -> None:
    out = request.out
    write_json(out / "dataset_description.json", _description(request, weights))
    write_text(out / ".bidsignore", "\n".join(IGNORED) + "\n")
    write_text(out / "README", _README.format(version=__version__, note=RESEARCH_ONLY))


def _description(request: BidsRequest, weights: Sequence[str]) -> dict[str, Any]:
    raw = _read_description(request.root)
    link = os.path.relpath(request.root.resolve(), request.out.resolve()).replace(os.sep, "/")
    models = [model for run in request.runs if (model := _model(run))]
    licences = {model.pop("_licence", "") for model in models} - {""}
    what = f"{_WHAT} Weights, SHA-256: {', '.join(weights)}."
    source = {"DOI": raw["DatasetDOI"]} if isinstance(raw.get("DatasetDOI"), str) else {"URL": link}
    record: dict[str, Any] = {
        "Name": f"Tumour outlines by plgg of {raw.get('Name', 'a BIDS dataset')}",
        "BIDSVersion": BIDS_VERSION,
        "DatasetType": "derivative",
        "GeneratedBy": [{"Name": "plgg", "Version": __version__, "Description": what}, *models],
        "SourceDatasets": [source],
        "DatasetLinks": {SOURCE: link},
    }
    return record | ({"License": licences.pop()} if len(licences) == 1 else {})


def _read_description(root: Path) -> dict[str, Any]:
    try:
        said = read_json(root / "dataset_description.json")
    except JsonError:
        return {}
    return said if isinstance(said, dict) else {}


def _model(run: Path) -> dict[str, Any] | None:
    """Entry of a named model in `GeneratedBy`, without its path; None if it has no name."""
    known = _installed(run)
    said = read_ensemble(run) if is_ensemble(run) else None
    name = known.name if known else said.name if said else ""
    if not name:
        return None
    record = {
        "Name": name,
        "Version": known.package.partition(" ")[2] if known else "",
        "Description": said.about if said else "",
        "_licence": known.licence if known else "",
    }
    return {key: value for key, value in record.items() if value}


def _installed(run: Path) -> InstalledModel | None:
    return next((m for m in installed_models() if m.folder.resolve() == run.resolve()), None)


_WHAT = (
    "Outlines a pediatric low-grade glioma on FLAIR MRI and names its genetic marker. For research "
    "use only; not a medical device."
)
_README = """Tumour outlines by plgg {version}
==========================

{note} Not a medical device.

For each FLAIR of the source dataset:

- *_desc-plgg_mask.nii.gz: the tumour, 1, on the voxels of the FLAIR, with its affine. What was
  measured, how sure it is, the verdicts on the scan, and the model are in the file of the same name
  that ends with .json, under "plgg".
- *_desc-plgg_probseg.nii.gz: the probability of tumour of each voxel, from 0 to 1.
- *_desc-plgg_dseg.nii.gz, of models with several labels of the mask: of each voxel the innermost
  label that it is of, by its index in the table of the same name that ends with .tsv. The column
  "within" says in which label a label lies: a region is its index and those of all within it.
- reports/*.html: a page to look at; it opens offline. It shows the head: share it as you would
  share the scan.

desc-plgg_measurements.tsv has a row for each scan, of failed ones the reason; group.html shows it.
The command `plgg bids BIDS_DIR OUT_DIR group` makes both, and desc-plgg_responses.tsv: response
categories after RAPNO over the sessions of each participant, whose page is
reports/sub-*_timeline.html. sourcedata/plgg holds the predictions as
plgg keeps them, with the map of uncertainty; with them the same command makes only what is missing.
"""
