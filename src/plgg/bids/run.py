"""Run one level of the BIDS App on one dataset."""

from __future__ import annotations

from typing import Literal

from plgg.bids.dataset import read_dataset
from plgg.bids.group import summarise_group, write_timelines
from plgg.bids.outcome import BidsOutcome
from plgg.bids.participant import predict_participants
from plgg.bids.request import BidsRequest, require_apart
from plgg.bids.validator import PROGRAM, require_valid
from plgg.core.progress import Watch

Level = Literal["participant", "group"]


def run_level(
    request: BidsRequest, level: Level, *, validate: bool, watch: Watch
) -> list[BidsOutcome]:
    """Predict (participant), or tabulate what was predicted (group); both write timelines.

    Args:
        request: Dataset, options and output folder.
        level: `participant` or `group`.
        validate: Whether to run the BIDS validator first, if it is installed.
        watch: Told of the progress.

    Returns:
        An outcome for each scan that is asked for.

    Raises:
        PlggError: If dataset, models and output folder do not fit together.
    """
    require_apart(request.root, request.out)
    dataset = read_dataset(
        request.root, participants=request.participants, sessions=request.sessions
    )
    if level == "group":
        return summarise_group(request, dataset)
    if validate and not require_valid(request.root):
        watch.say(f"The dataset is not validated: {PROGRAM} is not installed (plgg[bids]).")
    outcomes = predict_participants(request, dataset, watch)
    for course in write_timelines(request):
        if course.reason:
            watch.say(f"{course.subject}: no timeline: {course.reason}")
    return outcomes
