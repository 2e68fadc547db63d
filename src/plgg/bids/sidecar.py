"""The JSON files beside the masks and probabilities."""

from __future__ import annotations

from typing import Any

from plgg import __version__
from plgg.bids.dataset import BidsScan
from plgg.bids.description import uri
from plgg.data.result import Result

# Fields of `result.json` that hold paths, or that are given elsewhere.
_ELSEWHERE = {"format", "version", "case_id", "patient_id", "input", "files", "change", "seconds"}


def mask_sidecar(scan: BidsScan, result: Result) -> dict[str, Any]:
    """Sidecar of the mask: its sources, and all measurements under `plgg`."""
    said = result.model_dump(mode="json", exclude=_ELSEWHERE)
    return {
        "Description": f"Tumour outlined by plgg on the voxels of the FLAIR. {result.note}",
        "Type": "Lesion",
        **sources(scan, result),
        "plgg": {"version": __version__, "input_sha256": result.input.sha256, **said},
    }


def probability_sidecar(scan: BidsScan, result: Result) -> dict[str, Any]:
    """Sidecar of the probability map."""
    return {
        "Description": (
            "Probability of tumour by plgg, from 0 to 1; the mask is where it is "
            f"{result.threshold:.4g} or more. {result.note}"
        ),
        "Type": "Lesion",
        **sources(scan, result),
        "plgg": software_record(result),
    }


def software_record(result: Result) -> dict[str, Any]:
    """The version of plgg, and the networks of the prediction."""
    return {
        "version": __version__,
        "models": [model.model_dump(mode="json") for model in result.models],
    }


def sources(scan: BidsScan, result: Result) -> dict[str, Any]:
    """The input files of the model; the mask has the grid of the first."""
    used = [scan.sources[name] for name in result.input.sequences if name in scan.sources]
    uris = [uri(path) for path in used or scan.sources.values()]
    return {"Sources": uris, "RawSources": uris, "SpatialReference": uris[0]}
