"""Check that initial weights were not trained on patients of a run's validation or test part."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from plgg.core.errors import ConfigError, StoreError
from plgg.data.ensemble_folder import is_ensemble
from plgg.data.run_folder import read_environment, read_split
from plgg.data.split import Split
from plgg.data.store import Store


def require_unseen(store: Store, run: Path, split: Split) -> str | None:
    """Refuse initial weights that were trained on patients of this run's validation or test part.

    Scores of these patients would be biased, and so would the calibration.

    Args:
        store: Of the new run.
        run: The run with the initial weights.
        split: Of the new run.

    Returns:
        A warning where this cannot be checked, because the other run has no split or its store is
        gone; None otherwise.

    Raises:
        ConfigError: If there are such patients, or the weights are those of several networks.
    """
    if is_ensemble(run):
        raise ConfigError(
            "is an ensemble, and one run starts from one network",
            where=run,
            remedy=f"Name one of its runs, such as {run / 'fold-0'}, or train as it was: --folds.",
        )
    tested = (*split.validation, *split.test)
    if not tested:
        return None
    if not (run / "split.json").is_file():
        return f"{run} does not say who taught it: if these patients did, all scores are too good"
    learnt, home = read_split(run)["train"], _training_store(run, store)
    if home is None:
        shared = set(learnt) & set(tested)
        if not shared:
            return None
        return (
            f"{run} learnt from {min(shared)!r} and its store is gone: if that is the patient of "
            "this store, all scores are too good"
        )
    same = home is store
    seen = _scan_identifiers(home, learnt, by_patient=same)
    found = [case for case in tested if _scan_identifiers(store, [case], by_patient=same) & seen]
    if found:
        raise ConfigError(
            f"learnt from {len(found)} of the {len(tested)} patients that this run is to be "
            f"validated or tested on, the first is {found[0]!r}",
            where=run,
            remedy="Start from a run of the same split, or from one of other patients.",
        )
    return None


def _training_store(run: Path, store: Store) -> Store | None:
    """The store that a run was trained on, `store` or another; None where it is gone."""
    said = read_environment(run).get("store")
    if not isinstance(said, str):
        return None
    if Path(said).resolve() == store.folder.resolve():
        return store
    try:
        return Store(Path(said))
    except StoreError:
        return None


def _scan_identifiers(store: Store, cases: Iterable[str], *, by_patient: bool) -> set[str]:
    """Identifiers of scans: their hashes and, within one store, also their patients."""
    known = [store.by_id[case] for case in cases if case in store.by_id]
    patients = {f"patient {case.patient_id}" for case in known if by_patient}
    return {case.flair_sha256 for case in known} | patients
