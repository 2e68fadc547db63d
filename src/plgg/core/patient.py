"""Age and sex of a patient as inputs of a network, and a check of the date of a scan."""

from __future__ import annotations

import unicodedata
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from plgg.core.errors import ConfigError

PATIENT_INPUTS = ("age_decades", "age_known", "male", "sex_known")

# Whole words, not first letters: Mädchen, mujer, mulher and meisje are girls and women.
_MALE = (
    "m", "male", "man", "boy", "mann", "männlich", "junge", "masculin", "homme", "garçon",
    "masculino", "hombre", "varón", "niño", "homem", "menino", "maschio", "maschile", "uomo",
    "mannelijk", "jongen", "мужской", "男", "男性",
)  # fmt: skip
_FEMALE = (
    "f", "female", "woman", "girl", "w", "weiblich", "frau", "mädchen", "féminin", "femme",
    "fille", "femenino", "mujer", "hembra", "niña", "feminino", "mulher", "menina", "femmina",
    "femminile", "donna", "vrouw", "vrouwelijk", "meisje", "женский", "女", "女性",
)  # fmt: skip


def _plain(word: str) -> str:
    """A word without accents, case, blanks and full stops around it."""
    letters = unicodedata.normalize("NFKD", word.casefold())
    return "".join(one for one in letters if not unicodedata.combining(one)).strip(" .")


_IS_MALE = {
    _plain(word): is_male for words, is_male in ((_MALE, 1.0), (_FEMALE, 0.0)) for word in words
}


def male(sex: str | None) -> float:
    """Parse the sex, in several languages: 1 for male, 0 for female, NaN for any other word.

    >>> male("Male"), male("Mädchen")
    (1.0, 0.0)
    """
    return _IS_MALE.get(_plain(sex or ""), np.nan)


def require_past(day: date | None) -> None:
    """Refuse a scan date in the future, with a tolerance of one day for time zones.

    Args:
        day: Date of the scan, also as a datetime; None is accepted.

    Raises:
        ConfigError: If it is later than tomorrow.
    """
    day = day.date() if isinstance(day, datetime) else day
    if day is not None and day > date.today() + timedelta(days=1):
        raise ConfigError(
            f"the date {day.isoformat()} is yet to come", remedy="Give the day of the scan."
        )


def patient_inputs(age_years: float | None, sex: str | None) -> NDArray[np.float32]:
    """Age and sex in the order of `PATIENT_INPUTS`, shape (4,); unknown ones are 0 and flagged."""
    values = (np.nan if age_years is None else age_years / 10.0, male(sex))
    pairs = [(0.0, 0.0) if np.isnan(value) else (value, 1.0) for value in values]
    return np.array(pairs, dtype=np.float32).ravel()
