"""`write_case_report`: the page of one scan, which opens offline."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup

import plgg
from plgg.core.errors import InputError, visible
from plgg.core.files import write_text
from plgg.core.volume import Volume, same_grid
from plgg.data.nifti.image import read_volume
from plgg.data.result import Result, read_result
from plgg.report import template
from plgg.report.case import details as facts
from plgg.report.case.details import MarkerPanel, marker_panel
from plgg.report.case.slices import Still, Strip, acquired_plane, still, strip_of
from plgg.report.case.surface import Scene, scene_of
from plgg.report.case.tiles import Course, Tile, course_of, tiles_of
from plgg.report.case.view import AXES, Plane, Prediction, Shown, show, tilt_degrees
from plgg.report.case.viewer import viewer_data

_OBLIQUE_DEGREES = 5.0


@dataclass(frozen=True)
class CasePage:
    """All that the template shows.

    Attributes:
        result: What was found; the template reads names and sentences from it.
        scan_name: File or folder name of the scan, never its path.
        planes: All three, the scan's own slices first.
        stills: A slice of each through the tumour's fullest place.
        viewer: What the script draws from.
        geometry: How the scan's slices lie, in a line.
        is_head: Whether the surface is of a whole head rather than of a brain.
        card: The model card as HTML; None where there is none.
    """

    result: Result
    scan_name: str
    tiles: tuple[Tile, ...]
    planes: tuple[Plane, ...]
    stills: tuple[Still, ...]
    viewer: dict[str, Any]
    geometry: str
    is_head: bool
    scene: Scene
    strip: Strip
    marker: MarkerPanel | None
    tasks: facts.Facts
    course: Course | None
    certainty: facts.Facts
    parts: facts.Facts
    gates: tuple[facts.Gate, ...]
    scan: facts.Facts
    models: tuple[facts.Facts, ...]
    run: facts.Facts
    times: facts.Facts
    card: Markup | None
    version: str = plgg.__version__


def make_page(
    result: Result, shown: Shown, *, model_card: Markup | None, prior: Path | None
) -> CasePage:
    """Draw everything that the result allows.

    Args:
        result: What was found.
        shown: The scan and its maps.
        model_card: Of the model, as HTML.
        prior: Folder of the earlier prediction that `result.change` speaks of.
    """
    planes = _planes(shown)
    stripped = bool(result.quality and result.quality.stripping == "none")
    return CasePage(
        result=result,
        scan_name=Path(result.input.path).name,
        tiles=tiles_of(result),
        planes=planes,
        stills=tuple(still(shown, plane, shown.centre[AXES[plane][0]]) for plane in planes),
        viewer=viewer_data(shown),
        geometry=_geometry(shown),
        is_head=not stripped,
        scene=scene_of(shown),
        strip=strip_of(shown, result.diameters),
        marker=marker_panel(result),
        tasks=facts.task_facts(result),
        course=course_of(result, prior),
        certainty=facts.certainty_facts(result),
        parts=facts.parts_facts(result),
        gates=facts.gates_of(result),
        scan=facts.scan_facts(result),
        models=tuple(facts.model_facts(model) for model in result.models),
        run=facts.run_facts(result),
        times=facts.time_facts(result),
        card=model_card,
    )


def _planes(shown: Shown) -> tuple[Plane, ...]:
    first = acquired_plane(shown)
    return (first, *(plane for plane in AXES if plane != first))


def _geometry(shown: Shown) -> str:
    """Voxel size, and whether the slices are turned."""
    size = " × ".join(f"{mm:.2f}".rstrip("0").rstrip(".") for mm in shown.spacing_mm)
    told = f"Voxels of {size} mm (left–right, front–back, up–down)."
    tilt = tilt_degrees(shown.affine)
    if tilt >= _OBLIQUE_DEGREES:
        told += (
            f" The scan is oblique: its slices are turned by up to {tilt:.0f}° against the body's"
            " axes and are shown as they are."
        )
    return told


# What would lead elsewhere: a run, and its card, may come from anyone.
_LOADING = ["image", "link", "autolink"]


def write_case_report(
    folder: Path, scan: Volume, *, model_card: str | None = None, prior: Path | None = None
) -> Path:
    """Write the page of one prediction; the same files give the same bytes.

    Args:
        folder: Holds `result.json`, `mask.nii.gz`, `probability.nii.gz` and, for its overlay,
            `uncertainty.nii.gz`.
        scan: The native scan that was predicted.
        model_card: Of the model, as Markdown.
        prior: Folder of the earlier prediction that the result was compared with.

    Returns:
        Path of the page.

    Raises:
        InputError: If a file is missing, or its grid is not the scan's.
        OutputError: If the page cannot be written.
    """
    result = read_result(folder / "result.json")
    shown = show(scan, _prediction(folder, scan))
    page = make_page(result, shown, model_card=_as_html(model_card), prior=prior)
    path = folder / "report.html"
    write_text(path, template.render("case.html", page))
    return path


def _prediction(folder: Path, scan: Volume) -> Prediction:
    uncertainty = folder / "uncertainty.nii.gz"
    return Prediction(
        mask=_map(folder / "mask.nii.gz", scan),
        probability=_map(folder / "probability.nii.gz", scan),
        uncertainty=_map(uncertainty, scan) if uncertainty.is_file() else None,
    )


def _map(path: Path, scan: Volume) -> Volume:
    volume = read_volume(path)
    if not same_grid(volume, scan):
        raise InputError(
            "does not lie on the scan's grid", where=path, remedy="Predict the scan again."
        )
    return volume


def _as_html(markdown: str | None) -> Markup | None:
    """Markdown as HTML; tags and addresses in it are shown rather than obeyed."""
    if markdown is None:
        return None
    reader = MarkdownIt("commonmark", {"html": False}).enable("table").disable(_LOADING)
    text = "\n".join(map(visible, markdown.splitlines()))
    return Markup(reader.render(text))  # noqa: S704 - the reader escapes what it is given
