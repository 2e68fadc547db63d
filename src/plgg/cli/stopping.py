"""Ctrl-C and other signals: a command ends at once with its processes, and says how to go on.

What plgg writes is whole or not there, so that it can be stopped at any moment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))


class Stopped(KeyboardInterrupt):
    """A signal asked for the end.

    Args:
        number: Of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Interrupted(BaseException):
    """Brings an interrupt past typer, which would end the program without a word.

    Args:
        stopped: The interrupt.
    """

    def __init__(self, stopped: KeyboardInterrupt) -> None:
        super().__init__()
        self.stopped = stopped


def listen() -> None:
    """From now on, Ctrl-C and its like raise `Stopped` in the main thread."""
    for number in _SIGNALS:
        # What nohup, or a shell for a job in the background, has told to be ignored, stays so.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, _frame: FrameType | None) -> None:
    # Asked again, it does not wait for anything.
    for each in _SIGNALS:
        signal.signal(each, lambda again, _: os._exit(128 + again))
    # A pool would wait for what its processes have in hand.
    _end_children()
    raise Stopped(number)


def _end_children() -> None:
    import psutil

    with contextlib.suppress(psutil.Error):
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                # Python's own helper cleans up after the others and ends with this process.
                if not any("resource_tracker" in word for word in process.cmdline()):
                    process.kill()


def leave(stopped: BaseException) -> None:
    """End the program; threads of the imaging libraries may not wait to be joined."""
    _end_children()
    sys.stdout.flush()
    sys.stderr.flush()
    cause = stopped.stopped if isinstance(stopped, Interrupted) else stopped
    os._exit(128 + getattr(cause, "number", signal.SIGINT))
