"""The same image in two rows: a leak between training and test, or a row copied by mistake.

Works on hashes. Knows nothing of the images behind them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from plgg.check.case import Examined
from plgg.check.finding import Finding, listed


def find_twins(examined: Iterable[Examined]) -> list[Finding]:
    """Findings about equal FLAIRs and equal masks among the cases."""
    flairs: dict[str, list[Examined]] = defaultdict(list)
    masks: dict[str, list[Examined]] = defaultdict(list)
    for one in examined:
        if one.flair_hash:
            flairs[one.flair_hash].append(one)
        if one.mask_hash:
            masks[one.mask_hash].append(one)
    return [
        *(_flair_twins(group) for group in _several(flairs)),
        *(_mask_twins(group) for group in _several(masks) if _n_patients(group) > 1),
    ]


def _several(groups: Mapping[str, list[Examined]]) -> list[list[Examined]]:
    return [group for group in groups.values() if len(group) > 1]


def _n_patients(group: list[Examined]) -> int:
    return len({one.case.patient_id for one in group})


def _names(group: list[Examined]) -> str:
    return listed(one.case.case_id for one in group)


def _flair_twins(group: list[Examined]) -> Finding:
    if _n_patients(group) > 1:
        return Finding(
            "error",
            "twin-patients",
            group[0].case.case_id,
            f"one FLAIR stands under several patients ({_names(group)})",
            "Give all scans of one patient the same patient_id, or mend the wrong path; otherwise "
            "a test scan may have been trained on.",
        )
    return Finding(
        "warning",
        "twin-scans",
        group[0].case.case_id,
        f"one FLAIR stands in several rows of a patient ({_names(group)})",
        "Drop the copies, or mend the path of the other scan.",
    )


def _mask_twins(group: list[Examined]) -> Finding:
    return Finding(
        "warning",
        "twin-masks",
        group[0].case.case_id,
        f"one mask stands under several patients ({_names(group)})",
        "Mend the wrong path.",
    )
