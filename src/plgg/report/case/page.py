"""`write_case_report`: the page of one scan, which opens offline."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from markdown_it import MarkdownIt
from markupsafe import Markup

from plgg.config import Label
from plgg.core.errors import InputError, visible
from plgg.core.files import write_text
from plgg.core.prediction_files import LABELS, MASK, PROBABILITY, REPORT, RESULT, UNCERTAINTY
from plgg.core.volume import Volume, same_grid
from plgg.data.labels import region
from plgg.data.nifti.image import read_volume
from plgg.data.result import RESEARCH_ONLY, Result, labels_of, read_result
from plgg.report.case import details
from plgg.report.case.checks import check_meaning, check_name
from plgg.report.case.pictures import acquired_plane, slice_picture, strip_of, viewer_data
from plgg.report.case.surface import make_scene
from plgg.report.case.view import AXES, Prediction, ScanView, make_scan_view, tilt_degrees
from plgg.report.parts import class_colour
from plgg.report.template import render

if TYPE_CHECKING:
    from plgg.report.timeline import TimelineView

_OBLIQUE_DEGREES = 5.0


def _page(
    result: Result, view: ScanView, *, model_card: Markup | None, prior: Path | None
) -> dict[str, object]:
    """The variables of the template.

    Args:
        result: The result of the prediction; the template also reads it directly.
        view: The scan and its maps.
        model_card: Model card as HTML; None without one.
        prior: Folder of the earlier prediction that `result.change` refers to.
    """
    # The acquired plane first.
    first = acquired_plane(view)
    planes = (first, *(plane for plane in AXES if plane != first))
    return {
        "result": result,
        "about": result.note.removeprefix(RESEARCH_ONLY).strip(),
        # Only the file name: a path may contain private information.
        "scan_name": Path(result.input.path).name,
        "tiles": details.tiles_of(result),
        "planes": planes,
        "stills": [slice_picture(view, plane, view.centre[AXES[plane][0]]) for plane in planes],
        "viewer": viewer_data(view),
        "geometry": _geometry(view),
        "is_head": not (result.quality and result.quality.stripping == "none"),
        "scene": make_scene(view),
        "strip": strip_of(view, result.diameters),
        "labels": details.label_facts(result),
        "tasks": details.task_facts(result),
        "course": details.volume_history(result, prior) if result.timeline is None else None,
        "timeline": _timeline_of(result),
        "certainty": details.certainty_facts(result),
        "parts": details.parts_facts(result),
        "notes": details.notes_of(result),
        "verdicts": details.verdicts_of(result),
        "check_name": check_name,
        "check_meaning": check_meaning,
        "class_colour": class_colour,
        "scan": details.scan_facts(result),
        "models": [details.model_facts(model) for model in result.models],
        "run": details.run_facts(result),
        "times": details.time_facts(result),
        "card": model_card,
    }


def _timeline_of(result: Result) -> TimelineView | None:
    """The timeline of the result; None without one. Matplotlib, which is slow, loads only then."""
    if result.timeline is None:
        return None
    from plgg.report.timeline import timeline_view

    return timeline_view(result.timeline, this=True)


def _geometry(view: ScanView) -> str:
    """Voxel size, and a note if the slices are oblique."""
    size = " × ".join(f"{mm:.2f}".rstrip("0").rstrip(".") for mm in view.spacing_mm)
    text = f"Voxels of {size} mm (left–right, front–back, up–down)."
    tilt = tilt_degrees(view.affine)
    if tilt >= _OBLIQUE_DEGREES:
        text += (
            f" The scan is oblique: its slices are turned by up to {tilt:.0f}° against the body's"
            " axes and are shown as they are."
        )
    return text


# Markdown rules that link or load something: a model card may come from an untrusted source.
_LOADING = ["image", "link", "autolink"]


def read_model_card(run: Path) -> str | None:
    """A run's model card as Markdown; None where none was written."""
    path = run / "model_card.md"
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None


def write_case_report(
    folder: Path, scan: Volume, *, model_card: str | None = None, prior: Path | None = None
) -> Path:
    """Write the page of one prediction; the same files give the same bytes.

    Args:
        folder: Holds `result.json`, `mask.nii.gz`, `probability.nii.gz` and, for its overlay,
            `uncertainty.nii.gz`.
        scan: The native scan that was predicted.
        model_card: Model card as Markdown.
        prior: Folder of the earlier prediction that the result was compared with.

    Returns:
        Path of the page.

    Raises:
        InputError: If a file is missing, or its grid is not the scan's.
        OutputError: If the page cannot be written.
    """
    result = read_result(folder / RESULT)
    view = make_scan_view(scan, prediction_of(folder, scan, labels_of(result)))
    page = _page(result, view, model_card=_as_html(model_card), prior=prior)
    path = folder / REPORT
    write_text(path, render("case.html", page))
    return path


def prediction_of(folder: Path, scan: Volume, labels: Sequence[Label] = ()) -> Prediction:
    """Read the maps of a prediction; with labels also the regions within the tumour.

    Raises:
        InputError: If one is missing, or its grid is not the scan's.
    """
    uncertainty = folder / UNCERTAINTY
    return Prediction(
        mask=_map(folder / MASK, scan),
        probability=_map(folder / PROBABILITY, scan),
        uncertainty=_map(uncertainty, scan) if uncertainty.is_file() else None,
        inner=_inner(folder / LABELS, scan, labels) if len(labels) > 1 else {},
    )


def _inner(path: Path, scan: Volume, labels: Sequence[Label]) -> dict[str, Volume]:
    numbers = _map(path, scan)
    return {
        label.name: numbers.with_data(region(numbers.data, labels, place))
        for place, label in enumerate(labels)
        if place
    }


def _map(path: Path, scan: Volume) -> Volume:
    volume = read_volume(path)
    if not same_grid(volume, scan):
        raise InputError(
            "does not lie on the scan's grid", where=path, remedy="Predict the scan again."
        )
    return volume


def _as_html(markdown: str | None) -> Markup | None:
    """Convert Markdown to HTML; raw HTML, links and images in it are shown as text."""
    if markdown is None:
        return None
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(_LOADING)
    text = "\n".join(map(visible, markdown.splitlines()))
    return Markup(reader.render(text))  # noqa: S704 - the reader escapes what it is given
