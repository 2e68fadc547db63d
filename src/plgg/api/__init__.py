"""The Python API: one function for each command, which the command line calls, too.

Heavy packages are imported inside the functions, after the arguments were checked: a check of a
manifest does not import torch, and a wrong path is reported at once.
"""

from plgg.api.cohorts import check, configure, manifest, phantom, preprocess
from plgg.api.exports import export, export_model, export_nnunet
from plgg.api.learning import demo, experiment, fine_tune, train, transfer
from plgg.api.machine import info
from plgg.api.neighbours import bids, timeline
from plgg.api.prediction import models, predict, segment, write_correction
from plgg.api.results import compare, evaluate

__all__ = [
    "bids",
    "check",
    "compare",
    "configure",
    "demo",
    "evaluate",
    "experiment",
    "export",
    "export_model",
    "export_nnunet",
    "fine_tune",
    "info",
    "manifest",
    "models",
    "phantom",
    "predict",
    "preprocess",
    "segment",
    "timeline",
    "train",
    "transfer",
    "write_correction",
]
