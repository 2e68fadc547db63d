"""What keeps the readers' own words in: their warnings, their log lines and their exceptions.

All of them quote the values that they are about, and a value may name the patient.
"""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from pydicom import config

from plgg.io.guard import refusing

__all__ = ["discreet", "refusing"]


@contextmanager
def discreet() -> Iterator[None]:
    """Silence the readers, whose warnings and log lines quote the values they are about."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels, mode = [logger.level for logger in loggers], config.settings.reading_validation_mode
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.CRITICAL + 1)
        config.settings.reading_validation_mode = config.IGNORE
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            config.settings.reading_validation_mode = mode
