"""Corrected scans of a fine-tuning round: split into training and held-out, and stored.

All scans of a patient are held out together. The caller must hold out the same patients in every
later round; otherwise the comparison would use patients that the model was trained on.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from plgg.config import Config, Label, same_preprocessing
from plgg.core.errors import ConfigError, InputError
from plgg.core.files import copy_folder, make_folder
from plgg.core.output import STORE, output_folder
from plgg.core.tables import column_key
from plgg.data.labels import COLUMN
from plgg.data.manifest import Case
from plgg.data.store import Store, case_folder, is_store
from plgg.data.store_fit import require_channels, require_grid, require_labels
from plgg.data.store_records import Cohort, StoredCase
from plgg.data.store_writing import write_cohort

MIN_PATIENTS = 2
"""Smallest number of training patients, and of held-out patients."""
EVERY = 3
"""Of so many consecutive patients the first is held out."""


@dataclass(frozen=True)
class Corrections:
    """The corrected scans of a round.

    Attributes:
        training: Names of the scans for training.
        held_out: Names of the scans that are never used for training.
    """

    training: tuple[str, ...]
    held_out: tuple[str, ...]


def held_out_patients(cases: Sequence[Case], named: Iterable[str]) -> frozenset[str]:
    """The patients of the named scans; where none is named, every third one, the first included.

    Args:
        cases: In the order of their correction.
        named: Names of scans.

    Raises:
        ConfigError: If a named scan is not among them.
    """
    names = list(named)
    by_name = {case.case_id: case.patient_id for case in cases}
    strange = [name for name in names if name not in by_name]
    if strange:
        raise ConfigError(
            f"held out is {strange[0]!r}, which is no scan of the manifest",
            remedy="Name scans that are in it.",
        )
    if names:
        return frozenset(by_name[name] for name in names)
    return frozenset(list(dict.fromkeys(by_name.values()))[::EVERY])


def split_corrections(
    cases: Sequence[Case | StoredCase],
    held_out: frozenset[str],
    *,
    where: Path,
    left_out: Mapping[str, str] | None = None,
) -> Corrections:
    """Split the scans into training and held-out by patient.

    Args:
        cases: In the order of their correction.
        held_out: The held-out patients.
        where: For the message.
        left_out: Scans that cannot be used, and why, for the message.

    Raises:
        InputError: If there are too few patients of either kind; it says how many are missing.
    """
    kept = [case for case in cases if case.patient_id in held_out]
    taught = [case for case in cases if case.patient_id not in held_out]
    n_kept, n_taught = (len({case.patient_id for case in some}) for some in (kept, taught))
    missing = max(0, MIN_PATIENTS - n_taught) + max(0, MIN_PATIENTS - n_kept)
    if missing:
        lost = [f"; without {name}: {why.rstrip('.')}" for name, why in (left_out or {}).items()]
        raise InputError(
            f"a round needs {MIN_PATIENTS} corrected patients to learn from and as many that are "
            f"held out; there are {n_taught} and {n_kept}{''.join(lost[:1])}",
            where=where,
            remedy=f"Correct {missing} more patient{'' if missing == 1 else 's'}.",
        )
    return Corrections(tuple(case.case_id for case in taught), tuple(case.case_id for case in kept))


def require_fit(store: Store, config: Config) -> None:
    """Check that a store was preprocessed like a model's scans.

    Raises:
        ConfigError: If not.
    """
    require_grid(store, config.grid, who="the model")
    require_channels(store, config.channels)
    require_labels(store, config.labels)
    if not same_preprocessing(store.cohort.settings, config.preprocess):
        raise ConfigError(
            "the store was stripped or registered in another way than the model's scans",
            where=store.folder,
            remedy="Give the store that the model was trained on.",
        )


def mark_whole_tumour(case: Case, labels: Sequence[Label]) -> Case:
    """Mark the mask of a corrected case as the whole tumour, for a model with several labels.

    The reading room draws the whole tumour only. A case whose manifest names the labels of its mask
    is returned unchanged.
    """
    if len(labels) < 2 or COLUMN in map(column_key, case.columns):
        return case
    return replace(case, columns={**case.columns, COLUMN: labels[0].name})


def join_stores(
    corrected: Store, old: Store | None, out: Path, *, classes: tuple[str, ...]
) -> Store:
    """Join the corrected scans and those of the old training into one store, unless it exists.

    Of a scan that both have, the corrected version is taken.

    Args:
        corrected: The corrected scans.
        old: The store that the model was trained on.
        out: The folder.
        classes: Of the model; other markers are unknown to it.

    Raises:
        InputError: If another scan of the old store has the name of a corrected one.
    """
    if is_store(out):
        return Store(out)
    with output_folder(out, STORE):
        cases = list(corrected.cohort.cases)
        _copy(corrected, out, cases)
        if old is not None:
            _refuse_twins(corrected, old)
            more = old_cases(corrected, old)
            _copy(old, out, more)
            cases += more
        known = tuple(_with_known_marker(case, classes) for case in cases)
        base = corrected.cohort.model_dump() | {"classes": classes, "cases": known, "failed": ()}
        write_cohort(out, Cohort.model_validate(base))
    return Store(out)


def old_cases(corrected: Store, old: Store) -> list[StoredCase]:
    """The scans of the old store that were not corrected since."""
    again = {case.flair_sha256 for case in corrected.cohort.cases}
    return [case for case in old.cohort.cases if case.flair_sha256 not in again]


def _copy(store: Store, out: Path, cases: Iterable[StoredCase]) -> None:
    make_folder(out / "cases")
    for case in cases:
        target = case_folder(out, case.case_id)
        if not target.exists():
            copy_folder(case_folder(store.folder, case.case_id), target)


def _refuse_twins(corrected: Store, old: Store) -> None:
    names = {case.case_id.lower() for case in corrected.cohort.cases}
    twins = [case.case_id for case in old_cases(corrected, old) if case.case_id.lower() in names]
    if twins:
        raise InputError(
            f"a corrected scan is called {twins[0]!r}, as another one of the store is",
            where=old.folder,
            remedy="Give it another scan_id.",
        )


def _with_known_marker(case: StoredCase, classes: tuple[str, ...]) -> StoredCase:
    known = case.marker if case.marker in classes else None
    return case.model_copy(update={"marker": known})
