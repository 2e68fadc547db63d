"""`write_evaluation_page`: one evaluation as a page that opens offline.

FOLDER/evaluation.html    text, tables and figures in one file
FOLDER/figures/*.svg      the same figures for a paper
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path

import plgg
from plgg.core.files import make_folder, written_aside
from plgg.core.files import write_text as write_file
from plgg.core.output import EVALUATION, output_folder
from plgg.evaluate.evaluation import Evaluation, read_evaluation
from plgg.report import template
from plgg.report.drawing import Picture
from plgg.report.evaluation import sentences
from plgg.report.evaluation.pictures import (
    Pictures,
    marker_pictures,
    outline_pictures,
    volume_pictures,
)
from plgg.report.evaluation.tables import group_table, measure_table, scan_table
from plgg.report.experiment.tables import Table
from plgg.report.experiment.tasks import TasksPanel, evaluation_tasks

_FIGURES = (
    "dice-by-scan",
    "dice-by-size",
    "dice-by-subgroup",
    "volumes",
    "bland-altman-ml",
    "bland-altman-ratio",
    "roc",
    "confusion",
    "reliability",
    "risk-coverage",
)


@dataclass(frozen=True)
class EvaluationPage:
    """All that the template shows."""

    title: str
    tiles: tuple[sentences.Tile, ...]
    lead: str
    warnings: tuple[str, ...]
    measures: Table
    outlines: tuple[Picture, ...]
    volumes: tuple[Picture, ...]
    volume_words: str
    markers: tuple[Picture, ...]
    marker_words: str
    tasks: TasksPanel | None
    groups: Table | None
    scans: Table
    version: str = plgg.__version__


def write_evaluation_page(folder: Path) -> Path:
    """Write `evaluation.html` and `figures/` into an evaluation's folder.

    Args:
        folder: What `plgg.evaluate.evaluate_predictions` has written.

    Returns:
        Path of the page.

    Raises:
        RunError: If the folder holds no evaluation.
        OutputError: If the page cannot be written.
    """
    found = read_evaluation(folder)
    outlines, volumes = outline_pictures(found), volume_pictures(found)
    markers = marker_pictures(found)
    page = _page(folder, found, (outlines, volumes, markers))
    path = folder / "evaluation.html"
    with output_folder(folder, EVALUATION):
        _write_figures(folder / "figures", outlines | volumes | markers)
        write_file(path, render(page))
    return path


def _page(
    folder: Path, found: Evaluation, drawn: tuple[Pictures, Pictures, Pictures]
) -> EvaluationPage:
    outlines, volumes, markers = (tuple(pictures.values()) for pictures in drawn)
    return EvaluationPage(
        title=folder.resolve().name,
        tiles=sentences.tiles(found.summary),
        lead=sentences.lead(found),
        warnings=sentences.warnings(found),
        measures=measure_table(found.summary),
        outlines=outlines,
        volumes=volumes,
        volume_words=sentences.volumes(found.summary),
        markers=markers,
        marker_words=sentences.markers(found.summary),
        tasks=evaluation_tasks(found),
        groups=group_table(found.summary),
        scans=scan_table(found),
    )


def _write_figures(folder: Path, pictures: Pictures) -> None:
    """The figures as files; those that an earlier evaluation had and this one has not go."""
    make_folder(folder)
    for name in _FIGURES:
        path = folder / f"{name}.svg"
        if name not in pictures:
            path.unlink(missing_ok=True)
            continue
        with written_aside(path) as aside:
            aside.write_bytes(base64.b64decode(pictures[name].source.partition(",")[2]))


def render(page: EvaluationPage) -> str:
    """The page as one HTML text; whatever comes from data is escaped."""
    return template.render("evaluation.html", page)
