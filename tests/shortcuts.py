"""What tests leave out where they do not look at it: syncs with the disk, drawing of figures.

Both are also left out in commands that `program.py` runs as forks.
"""

import base64
import os
from contextlib import contextmanager
from unittest.mock import patch

PLAIN = "PLGG_TESTS_PLAIN_FIGURES"
_SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"/>'
# One grey pixel.
_PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="
)


def without_syncs():
    """Leave what is written to the system's memory: no test takes the power away."""
    os.fsync = _nothing


def _nothing(handle):
    """In place of `os.fsync`."""
    del handle


@contextmanager
def plain_figures():
    """Figures are built as ever, and empty ones are written; so they are for a store's cases."""
    from plgg.core.files import atomic_write
    from plgg.preprocess import case
    from plgg.report import drawing

    real = drawing.save

    def save(figure, where, **options):
        if options.get("format") != "svg":
            return real(figure, where, **options)
        return where.write(_SVG)

    def draw_case(path, *_panels, **_words):
        with atomic_write(path) as aside:
            aside.write_bytes(_PNG)

    with (
        patch.object(drawing, "save", save),
        patch.object(case, "draw_case", draw_case),
        patch.dict(os.environ, {PLAIN: "1"}),
    ):
        yield
