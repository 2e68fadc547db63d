"""The Typer application `plgg`: its commands and its global options."""

from __future__ import annotations

import logging
from typing import Any

import typer
from rich.console import Console
from rich.logging import RichHandler
from typer.core import TyperGroup

from plgg import __version__
from plgg.cli import bids, cohort, experiment, model, pacs, results, serve, timeline
from plgg.cli.help_text import with_flowing_help
from plgg.cli.stopping import Interrupted
from plgg.core.errors import visible


class _Commands(TyperGroup):
    """The group of commands; passes interrupts on as `Interrupted`, which typer does not catch."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:  # noqa: ANN401 - as typer has it
        """Some commands are two words: `export nnunet` beside `export RUN`."""
        two = " ".join(args[:2])
        if len(args) > 1 and two in self.commands:
            return two, self.commands[two], args[2:]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401 - as typer has it
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt as stopped:
            raise Interrupted(stopped) from stopped


app = typer.Typer(
    cls=_Commands,
    name="plgg",
    help="Outline a pediatric low-grade glioma on one FLAIR MRI and name its genetic marker.\n\n"
    "Start with [bold]plgg demo[/bold]. With a cohort of your own: check, preprocess, experiment. "
    "With a trained model and a new scan: predict. For research use only.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)
_ROOMS = (cohort, model, experiment, results, serve, bids, timeline)
for group in (room.commands for room in _ROOMS):
    app.registered_commands += with_flowing_help(group).registered_commands
app.add_typer(with_flowing_help(pacs.commands))


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"plgg {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(  # noqa: ARG001 - handled by its callback
        False,
        "--version",
        help="Say the version and stop.",
        is_eager=True,
        callback=_say_version,
    ),
    verbose: bool = typer.Option(False, "--verbose", "-v", help="Log more."),
) -> None:
    console = Console(stderr=True)
    handler = RichHandler(console=console, show_path=False, show_time=False)
    handler.addFilter(_one_line)
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, format="%(message)s", handlers=[handler])


def _one_line(record: logging.LogRecord) -> bool:
    """Escape control characters in log messages; no message is filtered out."""
    record.msg, record.args = visible(record.getMessage()), ()
    return True
