"""The program `plgg`: its commands, and how errors leave it."""

from __future__ import annotations

import logging
import os
import sys

import typer
from rich.console import Console
from rich.logging import RichHandler

from plgg import __version__
from plgg.cli import cohort, experiment, manifest, model, results, transfer
from plgg.errors import PlggError

INTERRUPTED = 130

app = typer.Typer(
    name="plgg",
    help="Outline a pediatric low-grade glioma on one FLAIR MRI and name its genetic marker.\n\n"
    "Start with [bold]plgg demo[/bold]. With a cohort of your own: check, preprocess, experiment. "
    "With a trained model and a new scan: predict. For research use only.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
groups = (manifest, cohort, model, experiment, transfer, results)
for group in (room.commands for room in groups):
    app.registered_commands += group.registered_commands


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", help="Say the version and stop."),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log more."),
) -> None:
    if version:
        typer.echo(f"plgg {__version__}")
        raise typer.Exit
    console = Console(stderr=True)
    handler = RichHandler(console=console, show_path=False, show_time=False)
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler])


def main() -> None:
    """Run the command line; an error that a user can mend is one line and status 2."""
    try:
        app()
    except PlggError as error:
        typer.echo(f"plgg: {error}", err=True)
        sys.exit(2)
    except KeyboardInterrupt:
        typer.echo("plgg: stopped; repeat the command to go on from here", err=True)
        # Threads of the imaging libraries may not wait to be joined.
        sys.stdout.flush()
        os._exit(INTERRUPTED)
