"""Entry point of the program `plgg`: exit statuses and error messages.

Status 0: done. 1: done, and something in it failed or was found wrong. 2: refused, with one line
that says what is wrong, where and what to do. 130 and 143: stopped by Ctrl-C or by the system. 141:
whatever read the output stopped reading.
With `--json` a refusal is JSON on standard output, too.
"""

from __future__ import annotations

import errno
import gc
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from itertools import pairwise
from typing import cast

from plgg.cli import stopping
from plgg.core.errors import ConfigError, PlggError, visible

REFUSED = 2
UNREAD = 141
AGAIN = "Repeat the command to go on from here."


def main() -> None:
    """Run the command line; an error that a user can correct is one line and status 2."""
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Do not fail on names that the terminal cannot encode.
            stream.reconfigure(errors="backslashreplace")
    stopping.listen()
    try:
        status = _run()
        sys.stdout.flush()
    except OSError as error:
        if not _is_of_streams(error):
            raise
        if error.errno == errno.EPIPE:
            status = UNREAD
        else:
            _refuse(f"the output cannot be written: {error.strerror}.", str(error), None, None)
            status = REFUSED
        _stop_writing()
    except PlggError as error:
        _refuse(str(error), error.what, error.where, error.remedy)
        status = REFUSED
    except (KeyboardInterrupt, stopping.Interrupted) as stopped:
        _refuse("stopped; repeat the command to go on from here", "stopped", None, AGAIN)
        stopping.leave(stopped)
    # Skip the garbage collection at exit, which takes half a second.
    gc.freeze()
    sys.exit(status)


def _open_closed_streams() -> None:
    """Open the null device in the place of a standard stream that is closed."""
    if sys.stdout is None:
        sys.stdout = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")
    if sys.stderr is None:
        sys.stderr = os.fdopen(os.open(os.devnull, os.O_WRONLY), "w", encoding="utf-8")


def _is_of_streams(error: OSError) -> bool:
    """Whether a standard stream fails so when it is written to once more."""
    for stream in (sys.__stdout__, sys.__stderr__):
        try:
            if stream is not None:
                # What failed before is gone from its buffer.
                stream.write("\n")
                stream.flush()
        except OSError as again:
            if again.errno == error.errno:
                return True
    return False


def _stop_writing() -> None:
    """Let nothing be flushed at exit to an output that takes nothing."""
    if sys.__stdout__ is not None:
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.__stdout__.fileno())


def _run() -> int:
    _refuse_empty(sys.argv[1:])
    # Imported here, because it is slow and Ctrl-C must be handled meanwhile.
    import typer

    from plgg.cli.app import app

    kinds = typer.BadParameter.__mro__
    usage_error = cast("type[Exception]", next(k for k in kinds if k.__name__ == "UsageError"))
    try:
        return int(app(prog_name="plgg", standalone_mode=False) or 0)
    except usage_error as error:
        return _misused(error)
    except SystemExit as left:
        # So click ends a program whose output nobody reads any more.
        if isinstance(left.__context__, BrokenPipeError):
            raise left.__context__ from None
        raise


# Options whose values may be empty.
_TEXTS = ("--name", "--about")


def _refuse_empty(typed: Sequence[str]) -> None:
    """Refuse empty arguments, as of unset shell variables: they would mean this folder.

    Raises:
        ConfigError: If there is one.
    """
    for before, word in pairwise(["plgg", *typed]):
        option = word.removesuffix("=") if word.startswith("--") else before
        if word.strip() in ("", f"{option}=") and option not in _TEXTS:
            raise ConfigError(
                f"nothing stands after {option.strip() or 'another'}",
                remedy="Is a variable of the shell not set? Name what is meant.",
            )


def _misused(error: BaseException) -> int:
    """Report a usage error in one line, like all other errors."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]
        return REFUSED
    message = " ".join(error.format_message().split()).rstrip(".")  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    remedy = f"See {context.command_path if context else 'plgg'} --help."
    _refuse(f"{message}. {remedy}", message, None, remedy)
    return REFUSED


def _refuse(line: str, message: str, where: str | None, remedy: str | None) -> None:
    with suppress(OSError):
        sys.stderr.write(f"plgg: {visible(line)}\n")
        sys.stderr.flush()
    if _json_is_wanted():
        told = {"error": {"message": message, "where": where, "remedy": remedy}}
        with suppress(OSError):
            sys.stdout.write(json.dumps(told, indent=2) + "\n")
            sys.stdout.flush()


def _json_is_wanted() -> bool:
    """Whether `--json` was typed, even if the command line cannot be parsed."""
    typed = sys.argv[1:]
    return "--json" in (typed[: typed.index("--")] if "--" in typed else typed)
