"""Results and progress on a terminal: tables, bars, lines."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer
from rich.console import Console
from rich.padding import Padding
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table
from rich.text import Text

from plgg.core import progress as watch
from plgg.core.errors import visible

if TYPE_CHECKING:
    from plgg.data.check.report import CheckReport
    from plgg.data.installed_models import InstalledModel
    from plgg.data.result import Marker, Result, Timeline
    from plgg.evaluate.evaluation import Evaluation
    from plgg.export.nnunet import ExportedNnunet
    from plgg.predict.scan import Outcome


# Terminal width from which on a training run shows every term of its loss.
_WIDE = 120


class Bars:
    """A `plgg.core.progress.Watch` that draws on standard error.

    Args:
        quiet: Draw nothing, say nothing.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        self.console = plain_console(err=True, quiet=quiet)

    def _progress(self) -> Progress:
        return Progress(
            TextColumn("{task.description}", markup=False),
            # In a narrow terminal the bar shrinks first, then the note; numbers never do.
            BarColumn(),
            MofNCompleteColumn(table_column=Column(no_wrap=True)),
            TimeElapsedColumn(table_column=Column(no_wrap=True)),
            TimeRemainingColumn(table_column=Column(no_wrap=True)),
            TextColumn("left"),
            TextColumn("{task.fields[note]}"),
            console=self.console,
        )

    @contextmanager
    def task(self, label: str) -> Iterator[watch.Progress]:
        """A bar that counts items."""
        with self._progress() as progress:
            bar = progress.add_task(visible(label), total=None, note="")

            def update(done: int, total: int, failed: int = 0) -> None:
                note = f"[red]{failed} failed" if failed else ""
                progress.update(bar, completed=done, total=total, note=note)

            yield update

    @contextmanager
    def training(self, label: str) -> Iterator[watch.Listener]:
        """A bar that counts steps and shows losses and the latest validation."""
        with self._progress() as progress:
            bar = progress.add_task(visible(f"training {label}"), total=None, note="")
            yield _TrainingBar(progress, bar)

    def say(self, message: str) -> None:
        """Print a message."""
        self.console.print(visible(message))


class _TrainingBar:
    def __init__(self, progress: Progress, bar: TaskID) -> None:
        self.progress, self.bar = progress, bar
        self.validation = ""

    def __call__(self, event: watch.Step | watch.EpochEnd) -> None:
        if isinstance(event, watch.Step):
            done = (event.epoch - 1) * event.steps + event.step
            losses = " ".join(f"{name} {value:.3f}" for name, value in self._losses(event))
            note = f"epoch {event.epoch}/{event.epochs} {losses}{self.validation}"
            self.progress.update(
                self.bar, completed=done, total=event.epochs * event.steps, note=note
            )
        elif scores := event.record.get("validation"):
            shown = {"dice": "val. Dice", "marker_auc": "AUC"}
            found = [f"{shown[k]} {scores[k]:.3f}" for k in shown if scores.get(k) is not None]
            self.validation = " | " + ", ".join(found)
            if scores.get("marker_collapsed"):
                self.validation += " [red]marker head collapsed[/red]"

    def _losses(self, event: watch.Step) -> list[tuple[str, float]]:
        """All terms in a wide terminal, else only their sum, which is the first."""
        terms = list(event.losses.items())
        return terms if self.progress.console.width >= _WIDE else terms[:1]


_STYLES = {"error": "bold red", "warning": "yellow", "note": "dim"}


def line(message: str, *, err: bool = False) -> None:
    """Print a line, on standard error if wanted, with control characters escaped."""
    typer.echo(visible(message), err=err)


def plain_console(*, err: bool = False, quiet: bool = False) -> Console:
    """A console without markup and emoji: `[red]` or `:smile:` in a name is printed as it is."""
    return Console(stderr=err, quiet=quiet, markup=False, emoji=False, highlight=False)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=Text(visible(title)), title_justify="left", header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _row(table: Table, *cells: str | Text) -> None:
    table.add_row(*(Text(visible(cell)) if isinstance(cell, str) else cell for cell in cells))


def failures(failed: Sequence[tuple[str, str | None]]) -> None:
    """Print one line on standard error for each case that failed."""
    for case_id, reason in failed:
        line(f"plgg: {case_id}: {reason}", err=True)


def check_report(report: CheckReport) -> None:
    """Print the findings of a check, errors first, and the numbers of the cohort."""
    console = plain_console()
    if report.findings:
        table = _table("Findings", "severity", "case", "what", "what to do")
        for found in report.findings:
            severity = Text(found.severity, style=_STYLES[found.severity])
            _row(table, severity, found.case_id or "", found.message, found.remedy)
        console.print(table)
    classes = ", ".join(f"{name} {n}" for name, n in report.class_counts.items()) or "none"
    line(
        f"{report.n_cases} scans of {report.n_patients} patients; markers: {classes}; "
        f"unknown: {report.n_unknown_marker} markers, {report.n_unknown_mask} masks"
    )
    line(f"{report.n_errors} errors, {report.n_warnings} warnings")


def evaluation(found: Evaluation, *, title: str) -> None:
    """Print the main metrics of an evaluation with their intervals."""
    from plgg.report.measures import measure_table

    plain_console().print(replace(measure_table(found.summary), caption=title).to_rich())


def outcomes(found: Sequence[Outcome], out: Path, *, as_json: bool) -> None:
    """Print the outcome of each predicted scan."""
    failed = [(outcome.case_id, outcome.reason) for outcome in found if outcome.reason]
    if as_json:
        typer.echo(json.dumps({o.case_id: _as_json(o) for o in found}, indent=2))
    else:
        plain_console().print(_predictions([o.result for o in found if o.result]))
        line(f"{len(found) - len(failed)} of {len(found)} scans predicted: {out}")
        _warned([o.result for o in found if o.result], out)
        for note in dict.fromkeys(o.result.note for o in found if o.result):
            line(note)
    failures(failed)


def timeline(found: Timeline) -> None:
    """Print each scan of a timeline with its response category."""
    table = _table("Timeline", "scan", "date", "volume mL", "product mm2", "response", "")
    for point in found.points:
        when = point.scan_date.isoformat() if point.scan_date else "not known"
        product = "" if point.product_mm2 is None else f"{point.product_mm2:.0f}"
        volume = f"{point.volume_ml:.1f}"
        said = " ".join(filter(None, (point.statement, point.confirmation)))
        _row(table, point.name, when, volume, product, point.response, said)
    plain_console().print(table)
    for warning in found.warnings:
        line(f"please note: {warning}")
    line(found.note)


def _warned(results: Sequence[Result], out: Path) -> None:
    counts = [len(result.warnings) for result in results if result.warnings]
    if counts:
        warnings = "warning" if sum(counts) == 1 else "warnings"
        scans = "scan" if len(counts) == 1 else "scans"
        line(f"{sum(counts)} {warnings} on {len(counts)} {scans}: see {out / 'summary.csv'}")


def _as_json(outcome: Outcome) -> dict[str, Any] | str | None:
    return outcome.result.model_dump(mode="json") if outcome.result else outcome.reason


def _predictions(results: Sequence[Result]) -> Table:
    table = _table("Predictions", "case", "volume mL", "marker", "warnings")
    for result in results:
        doubts = "; ".join(result.warnings)
        _row(table, result.case_id, _volume(result), _marker(result.marker), doubts)
    return table


def _volume(result: Result) -> str:
    interval = result.volume_interval
    between = f" ({interval.low_ml:.1f} to {interval.high_ml:.1f})" if interval else ""
    return f"{result.volume_ml:.1f}{between}"


def _marker(marker: Marker | None) -> str:
    if marker is None:
        return "-"
    ranked = sorted(marker.probabilities.items(), key=lambda item: -item[1])
    chances = ", ".join(f"{name} {p:.2f}" for name, p in ranked)
    return f"withheld ({chances})" if marker.withheld else chances


def export(folder: Path, largest_difference: Mapping[str, float]) -> None:
    """Print the folder of an export, and its differences from the trained network."""
    table = _table("Largest difference from PyTorch", "output", "difference")
    for name, value in largest_difference.items():
        _row(table, name, f"{value:.2g}")
    plain_console().print(table)
    line(f"export: {folder}")


def nnunet_export(made: ExportedNnunet, out: Path) -> None:
    """Print the folder of an nnU-Net data set, the cases left out, and the next commands."""
    if made.left_out:
        line(f"without a mask, left out: {', '.join(made.left_out)}")
    if made.partly:
        line(f"with a mask that does not tell all labels, left out: {', '.join(made.partly)}")
    root = out.resolve()
    line(f"{made.cases} cases, {made.splits} splits: {made.folder}")
    line(f"export nnUNet_raw={shlex.quote(str(root))}")
    for name in ("nnUNet_preprocessed", "nnUNet_results"):
        line(f"export {name}={shlex.quote(str(root / name))}")
    number = int(made.folder.name[len("Dataset") : len("DatasetNNN")])
    line(f"nnUNetv2_plan_and_preprocess -d {number} --verify_dataset_integrity")


def models(found: Sequence[InstalledModel]) -> None:
    """Print the installed models."""
    if not found:
        line("no model is installed: see docs/models.md")
        return
    table = _table("Installed models", "name", "networks", "package", "licence", "about")
    for model in found:
        _row(table, model.name, str(model.members), model.package, model.licence, model.about)
    plain_console().print(table)
    if len(found) == 1:
        line(f"plgg predict takes {found[0].name} by itself")
    else:
        line("name one for plgg predict: --model NAME")


def info(found: dict[str, Any]) -> None:
    """Print versions, machine and the settings of the presets."""
    console = plain_console()
    machine = ", ".join(f"{name} {value}" for name, value in found["machine"].items())
    console.print(f"device: {found['device']}; machine: {machine}")
    versions = ", ".join(f"{name} {number}" for name, number in found["versions"].items())
    console.print(versions)
    presets = found["presets"]
    console.print(
        "\nSettings, to be changed with --set KEY=VALUE; by default, as the presets say:\n"
    )
    meanings = dict(_described(found["config_schema"]))
    columns = {name: dict(_flat(values)) for name, values in presets.items()}
    for key in [key for key in next(iter(columns.values())) if key != "preset"]:
        values = {name: str(column[key]) for name, column in columns.items()}
        # A key is copied and pasted: no line breaks in it.
        console.print(Text(key, style="bold"), Text(_by_preset(values)), soft_wrap=True)
        if meaning := meanings.get(key):
            console.print(Padding(Text(meaning), (0, 0, 0, 4)))


def _by_preset(values: dict[str, str]) -> str:
    """One value if all presets have it, otherwise each with its preset."""
    if len(set(values.values())) == 1:
        return f"= {next(iter(values.values()))}"
    return "= " + ", ".join(f"{value} ({name})" for name, value in values.items())


def _flat(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    pairs: list[tuple[str, Any]] = []
    for key, value in values.items():
        nested = isinstance(value, dict)
        pairs += _flat(value, f"{prefix}{key}.") if nested else [(f"{prefix}{key}", value)]
    return pairs


def _described(
    schema: dict[str, Any], part: dict[str, Any] | None = None, prefix: str = ""
) -> list[tuple[str, str]]:
    """Dotted keys and descriptions of a JSON schema with references."""
    pairs: list[tuple[str, str]] = []
    for key, field in (part or schema).get("properties", {}).items():
        reference = field.get("$ref", "").rpartition("/")[2]
        if reference:
            pairs += _described(schema, schema["$defs"][reference], f"{prefix}{key}.")
        else:
            pairs.append((f"{prefix}{key}", field.get("description", "")))
    return pairs
