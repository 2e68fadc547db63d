"""Change since an earlier prediction of the same patient.

Two predictions are compared, not the scans; whether the change is growth or response is not
assessed.
"""

from __future__ import annotations

from pathlib import Path

from plgg.core.errors import InputError
from plgg.core.patient import male
from plgg.core.prediction_files import RESULT
from plgg.data.result import Change, Diameters, Result, VolumeInterval, read_result

# Ages are whole years in many headers.
_AGE_YEARS = 1.5


def read_prior(folder: Path) -> Result:
    """The result of an earlier prediction.

    Args:
        folder: Folder of one case, as `plgg predict` writes it.

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
        InputError: If it is of the same scan, of a later one, or of another patient as far as that
            is known.
    """
    _require_earlier(now, prior, prior_folder)
    difference_ml = now.volume_ml - prior.volume_ml
    return Change(
        prior=str(prior_folder),
        volume_ml=prior.volume_ml,
        difference_ml=round(difference_ml, 4),
        percent=_percent(now.volume_ml, prior.volume_ml),
        product_percent=_product_percent(now.diameters, prior.diameters),
        beyond_error=_disjoint(now.volume_interval, prior.volume_interval),
    )


def _require_earlier(now: Result, prior: Result, prior_folder: Path) -> None:
    if now.input.sha256 == prior.input.sha256:
        raise InputError(
            f"is a prediction of the same scan as {now.case_id}",
            where=prior_folder,
            remedy="Name an earlier prediction of the same patient.",
        )
    if now.scan_date is None or prior.scan_date is None:
        return require_one_patient(now, prior, prior_folder)
    days = (prior.scan_date - now.scan_date).days
    if days > 0:
        raise InputError(
            f"is of a later scan ({prior.scan_date}) than {now.case_id} ({now.scan_date})",
            where=prior_folder,
            remedy="Name an earlier prediction, or mend --date.",
        )
    return require_one_patient(now, prior, prior_folder, days=days)


def require_one_patient(
    now: Result, prior: Result, prior_folder: Path, *, days: int | None = None
) -> None:
    """Check that two results are of the same patient, as far as that is known.

    Args:
        now: One of them.
        prior: The other.
        prior_folder: Where that is.
        days: From the scan of `now` to that of `prior`, if both dates are known.

    Raises:
        InputError: If both patients, or their sexes, are known and differ, or the ages do not fit
            the days.
    """
    if now.patient_id and prior.patient_id and now.patient_id != prior.patient_id:
        fault = f"is a prediction of patient {prior.patient_id}, the scan is of {now.patient_id}"
    elif {male(now.sex), male(prior.sex)} == {0.0, 1.0}:
        fault = "is of a patient of another sex"
    elif not _ages_fit(now, prior, days):
        fault = "is of a patient whose age does not fit the dates of the scans"
    else:
        return
    raise InputError(
        fault, where=prior_folder, remedy="Name an earlier prediction of the same patient."
    )


def _ages_fit(now: Result, prior: Result, days: int | None) -> bool:
    """Whether the ages differ by the days between the scans, within rounding to whole years."""
    if now.age_years is None or prior.age_years is None or days is None:
        return True
    return abs(prior.age_years - now.age_years - days / 365.25) <= _AGE_YEARS


def _percent(now: float, then: float) -> float | None:
    return round(100.0 * (now - then) / then, 2) if then else None


def _product_percent(now: Diameters | None, then: Diameters | None) -> float | None:
    """Change of the product in percent; None where the two were measured in different planes."""
    if now is None or then is None or now.plane != then.plane:
        return None
    return _percent(now.product_mm2, then.product_mm2)


def _disjoint(now: VolumeInterval | None, then: VolumeInterval | None) -> bool | None:
    if now is None or then is None:
        return None
    return now.low_ml > then.high_ml or now.high_ml < then.low_ml
