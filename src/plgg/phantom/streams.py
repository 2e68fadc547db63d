"""Random numbers that belong to one patient and one purpose.

A stream depends on the cohort's seed and its own key alone: not on how many patients there are, in
what order they are made or by how many processes.
"""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """What random numbers are for; the values are part of what a seed means."""

    CLASSES = 0
    FOLLOW_UP = 1
    MISSING_MASKS = 2
    MISSING_MARKERS = 3
    PERSON = 10
    SITE = 11
    HEAD = 12
    TUMOUR = 13
    TUMOUR_SHAPE = 14
    CONTRAST = 15
    DECOYS = 16
    SCAN = 17
    SPOTS = 18


def cohort_stream(seed: int, purpose: Stream) -> np.random.Generator:
    """The generator of one decision about the whole cohort."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(int(purpose),)))


def patient_stream(seed: int, patient: int, purpose: Stream, scan: int = 0) -> np.random.Generator:
    """The generator of one purpose of one patient, and of one scan where that matters."""
    key = (patient, int(purpose), scan)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))
