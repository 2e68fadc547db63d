"""`write_case_report`: from a prediction's folder and its scan to `report.html` beside the maps.

One file that opens without a network: images, styles and scripts are inside it. Predicts and
measures nothing.
"""

from __future__ import annotations

from pathlib import Path

from markdown_it import MarkdownIt
from markupsafe import Markup

from plgg.errors import InputError, visible
from plgg.io.files import write_text
from plgg.io.nifti import read_volume
from plgg.io.result import read_result
from plgg.report import template
from plgg.report.case.page import make_page
from plgg.report.case.shown import Prediction, show
from plgg.volume import Volume, same_grid

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
