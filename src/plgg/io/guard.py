"""One guard around libraries that read files: whatever they raise becomes one refusal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from plgg.errors import InputError, PlggError


@contextmanager
def refusing(refusal: Callable[[], InputError]) -> Iterator[None]:
    """Turn whatever a reader raises at a damaged or hostile file into one refusal.

    pydicom, its decoders, zipfile, nibabel and Pillow raise some twenty kinds of exception at such
    files, and not all are documented.

    Raises:
        InputError: What `refusal` gives; an error of plgg's own passes as it is.
    """
    try:
        yield
    except PlggError:
        raise
    except MemoryError:
        raise InputError(
            "takes more memory than there is",
            where=refusal().where,
            remedy="Close other programs, or crop the scan first.",
        ) from None
    except Exception:  # noqa: BLE001 - the one guard around the readers
        raise refusal() from None
