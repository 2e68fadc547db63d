"""`write_case_pdf`: the report of one scan as a PDF, for systems that do not show HTML.

Its contents are those of `report.html` without the interactive views. It does not name the patient,
the case or a file, so that it can be stored in a study; the same files give the same bytes.
"""

from __future__ import annotations

import io
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_pdf import PdfPages
from matplotlib.figure import Figure

from plgg.core.errors import visible
from plgg.core.files import atomic_write
from plgg.core.prediction_files import DOCUMENT, RESULT
from plgg.core.volume import Volume
from plgg.data.dicom.findings import gate_statement
from plgg.data.result import RESEARCH_ONLY, Result, labels_of, read_result
from plgg.report.case import details
from plgg.report.case.checks import check_name
from plgg.report.case.page import prediction_of
from plgg.report.case.pictures import acquired_plane, spaced
from plgg.report.case.view import AXES, Plane, ScanView, edges, make_scan_view
from plgg.report.parts import FAINT, INK, PREDICTION, REGIONS, Facts

_A4 = (8.27, 11.69)
_LEFT, _RIGHT = 0.07, 0.93
_COLUMNS, _LEAST_ROWS, _MOST_SLICES = 4, 4, 24
_LINE = 0.0165
_WIDTH_LETTERS = 96
_LEAST_FOR_A_BLOCK = 0.2
_MOST_WARNINGS = 8
_MADE_FROM = "What it was made from"
_TITLE = "Tumour outline, volume and genetic marker"
# No dates, so that equal reports are equal files; TrueType fonts, so that the text is searchable.
_METADATA = {"Title": _TITLE, "Creator": "plgg", "CreationDate": None, "ModDate": None}
_STYLE = {"pdf.fonttype": 42, "font.size": 9}


def write_case_pdf(folder: Path, scan: Volume) -> Path:
    """Write `report.pdf` of one prediction.

    Args:
        folder: Holds the files that `write_case_report` reads.
        scan: The native scan that was predicted.

    Returns:
        Path of the document.

    Raises:
        InputError: If a file is missing, or its grid is not the scan's.
        OutputError: If it cannot be written.
    """
    result = read_result(folder / RESULT)
    view = make_scan_view(scan, prediction_of(folder, scan, labels_of(result)))
    packed = io.BytesIO()
    with rc_context(_STYLE), PdfPages(packed, metadata=_METADATA) as pages:
        for figure in case_figures(result, view):
            pages.savefig(figure)
    path = folder / DOCUMENT
    with atomic_write(path) as aside:
        aside.write_bytes(packed.getvalue())
    return path


def case_figures(result: Result, view: ScanView) -> Iterator[Figure]:
    """Yield the pages as figures: summary, slices with tumour if there are any, provenance."""
    yield _summary(result, view)
    slices = _slices(view)
    if slices is not None:
        yield slices
    yield from _provenance(result)


def _page(title: str) -> Figure:
    figure = Figure(figsize=_A4, facecolor="white")
    figure.text(_LEFT, 0.965, f"{RESEARCH_ONLY} Not a medical device.", color=INK, weight="bold")
    figure.text(_LEFT, 0.935, title, color=INK, size=15, weight="bold")
    return figure


def _write(figure: Figure, top: float, lines: Iterable[str], **style: Any) -> float:  # noqa: ANN401
    """Write lines of text from a height downwards; return the height of the next line."""
    for line in lines:
        for piece in textwrap.wrap(visible(line), _WIDTH_LETTERS) or [""]:
            figure.text(_LEFT, top, _plain(piece), va="top", **({"color": INK} | style))
            top -= _LINE
    return top


def _plain(text: str) -> str:
    """Escape the dollar sign, with which Matplotlib begins a formula."""
    return text.replace("$", r"\$")


def _summary(result: Result, view: ScanView) -> Figure:
    figure = _page(_TITLE)
    about = result.note.removeprefix(RESEARCH_ONLY).strip()
    top = _write(figure, 0.92, [about] if about else [], color=FAINT)
    for tile in details.tiles_of(result):
        figure.text(_LEFT, top - 0.008, tile.label, color=FAINT, va="top")
        value = _plain(tile.value)
        figure.text(_LEFT + 0.29, top - 0.008, value, color=INK, weight="bold", va="top")
        note = textwrap.wrap(visible(tile.note), 52) or [""]
        for line in note:
            figure.text(_LEFT + 0.5, top - 0.008, _plain(line), color=FAINT, va="top", size=8)
            top -= _LINE
        top -= 0.008
    for one in details.label_facts(result):
        figure.text(_LEFT, top - 0.008, "■", color=one.colour, va="top")
        told = _plain(f"{one.name}: {one.volume}, {one.note}")
        figure.text(_LEFT + 0.02, top - 0.008, told, color=INK, va="top")
        top -= _LINE
    top = _marker(figure, top - 0.01, result)
    if result.warnings:
        top = _write(figure, top - 0.01, ["Please note"], weight="bold")
        shown = [f"– {note}" for note in details.notes_of(result)[:_MOST_WARNINGS]]
        more = len(result.warnings) - len(shown)
        top = _write(figure, top, [*shown, *([f"– and {more} more"] if more else [])])
    height = min(0.3, max(0.15, top - 0.1))
    first = acquired_plane(view)
    for column, plane in enumerate((first, *(plane for plane in AXES if plane != first))):
        box = (_LEFT + column * 0.29, max(top - height - 0.04, 0.04), 0.28, height)
        _draw(figure.add_axes(box), view, plane, view.centre[AXES[plane][0]])
    return figure


def _marker(figure: Figure, top: float, result: Result) -> float:
    marker = result.marker
    if marker is None:
        return top
    top = _write(figure, top, ["Genetic marker"], weight="bold")
    top = _write(figure, top, [marker.statement])
    if marker.withheld:
        return top
    kind = "calibrated" if marker.calibrated else "not calibrated"
    shares = [f"{name}: {100 * marker.probabilities[name]:.0f} %" for name in marker.classes]
    return _write(figure, top, [f"{'; '.join(shares)} ({kind})"], color=FAINT)


def _draw(axes: Axes, view: ScanView, plane: Plane, position: int) -> None:
    """A slice in millimetres with the outline and letters of orientation."""
    across, columns, rows = AXES[plane]
    grey, mask = (np.take(data, position, axis=across).T for data in (view.grey, view.mask))
    width, height = view.spacing_mm[columns], view.spacing_mm[rows]
    ends = (0.0, grey.shape[1] * width, grey.shape[0] * height, 0.0)
    axes.imshow(grey, cmap="gray", vmin=0, vmax=255, extent=ends, interpolation="nearest")
    if mask.any():
        x = (np.arange(-1, mask.shape[1] + 1) + 0.5) * width
        y = (np.arange(-1, mask.shape[0] + 1) + 0.5) * height
        axes.contour(x, y, np.pad(mask, 1), [0.5], colors=[PREDICTION], linewidths=0.7)
        for colour, region in zip(REGIONS, view.inner.values(), strict=False):
            inside = np.take(region, position, axis=across).T
            if inside.any():
                axes.contour(x, y, np.pad(inside, 1), [0.5], colors=[colour], linewidths=0.7)
    axes.set(xlim=ends[:2], ylim=ends[2:], xticks=[], yticks=[])
    letters = edges(view.affine, columns=columns, rows=rows)
    places = ((0.06, 0.5), (0.94, 0.5), (0.5, 0.96), (0.5, 0.04))
    axes.set_anchor("N")
    for letter, (x_share, y_share) in zip(letters, places, strict=True):
        axes.text(x_share, y_share, letter, transform=axes.transAxes, color="white", size=7,
                  ha="center", va="center")  # fmt: skip
    index = view.native_index(across, position)
    axes.set_title(f"{plane}, slice {index}", color=FAINT, size=7, pad=2)


def _slices(view: ScanView) -> Figure | None:
    """Draw the slices of the acquired plane that contain tumour; None without any."""
    plane = acquired_plane(view)
    across = AXES[plane][0]
    others = tuple(axis for axis in range(3) if axis != across)
    filled = np.flatnonzero(view.mask.any(axis=others)).tolist()
    if not filled:
        return None
    figure = _page("Slice by slice")
    chosen = spaced(filled, keep=None, most=_MOST_SLICES)
    rows = max(_LEAST_ROWS, -(-len(chosen) // _COLUMNS))
    for number, position in enumerate(chosen):
        row, column = divmod(number, _COLUMNS)
        width, height = (_RIGHT - _LEFT) / _COLUMNS, 0.87 / rows
        box = (_LEFT + column * width, 0.9 - (row + 1) * height, width * 0.95, height * 0.88)
        _draw(figure.add_axes(box), view, plane, position)
    return figure


def _provenance(result: Result) -> Iterator[Figure]:
    """Yield the pages of certainty, scan, models, settings and quality."""
    figure = _page(_MADE_FROM)
    scan = tuple(fact for fact in details.scan_facts(result) if fact[0] != "File")
    top = 0.915
    for title, facts in (
        ("Certainty", (*details.certainty_facts(result), *details.parts_facts(result))),
        ("Scan", scan),
        *((f"Model {n}", details.model_facts(model)) for n, model in enumerate(result.models, 1)),
        ("How it was predicted", details.run_facts(result)),
        ("Quality", _verdicts(result)),
    ):
        if top < _LEAST_FOR_A_BLOCK:
            yield figure
            figure, top = _page(_MADE_FROM), 0.915
        top = _block(figure, top, title, facts)
    yield figure


def _verdicts(result: Result) -> Facts:
    found = details.verdicts_of(result)
    return tuple(
        (
            check_name(one.gate),
            f"{one.status}: {gate_statement(one)}",
        )
        for one in found
    )


def _block(figure: Figure, top: float, title: str, facts: Facts) -> float:
    if not facts:
        return top
    figure.text(_LEFT, top, title, color=INK, weight="bold", va="top")
    top -= _LINE * 1.2
    for label, value in facts:
        figure.text(_LEFT, top, _plain(label), color=FAINT, va="top", size=8)
        for line in textwrap.wrap(visible(value), 84) or [""]:
            figure.text(_LEFT + 0.2, top, _plain(line), color=INK, va="top", size=8)
            top -= _LINE * 0.85
    return top - 0.006
