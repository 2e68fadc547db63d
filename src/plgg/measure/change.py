"""What changed since an earlier prediction of the same patient.

Whether that is growth or response is not judged: this compares two predictions, of whatever made
them, and knows nothing of the scans.
"""

from __future__ import annotations

from pathlib import Path

from plgg.core.errors import InputError
from plgg.core.prediction_files import RESULT
from plgg.data.result import Change, Diameters, Result, VolumeInterval, read_result


def read_prior(folder: Path) -> Result:
    """The result of an earlier prediction.

    Args:
        folder: Of one case, as `plgg predict` leaves it.

    Raises:
        InputError: If it is no prediction, or one of another version.
    """
    if not (folder / RESULT).is_file():
        raise InputError(
            f"is no prediction (no {RESULT})",
            where=folder,
            remedy="Name the folder of one case that plgg predict has made.",
        )
    return read_result(folder / RESULT)


def change(now: Result, prior: Result, prior_folder: Path) -> Change:
    """Compare a result with an earlier one.

    Args:
        now: The new one.
        prior: The earlier one.
        prior_folder: Where that is, for the record.

    Raises:
        InputError: If both patients are known and differ.
    """
    require_one_patient(now, prior, prior_folder)
    difference_ml = now.volume_ml - prior.volume_ml
    return Change(
        prior=str(prior_folder),
        volume_ml=prior.volume_ml,
        difference_ml=round(difference_ml, 4),
        percent=_percent(now.volume_ml, prior.volume_ml),
        product_percent=_product_percent(now.diameters, prior.diameters),
        beyond_error=_disjoint(now.volume_interval, prior.volume_interval),
    )


def require_one_patient(now: Result, prior: Result, prior_folder: Path) -> None:
    """Two results are of one patient, as far as that is known.

    Raises:
        InputError: If both patients are known and differ.
    """
    if now.patient_id and prior.patient_id and now.patient_id != prior.patient_id:
        raise InputError(
            f"is a prediction of patient {prior.patient_id}, the scan is of {now.patient_id}",
            where=prior_folder,
            remedy="Name an earlier prediction of the same patient.",
        )


def _percent(now: float, then: float) -> float | None:
    return round(100.0 * (now - then) / then, 2) if then else None


def _product_percent(now: Diameters | None, then: Diameters | None) -> float | None:
    """None across planes as well: a product in one says nothing of that in another."""
    if now is None or then is None or now.plane != then.plane:
        return None
    return _percent(now.product_mm2, then.product_mm2)


def _disjoint(now: VolumeInterval | None, then: VolumeInterval | None) -> bool | None:
    if now is None or then is None:
        return None
    return now.low_ml > then.high_ml or now.high_ml < then.low_ml
