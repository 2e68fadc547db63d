"""Handle Ctrl-C and other signals: end the command and its processes at once.

Output is written atomically, so that a command can be stopped at any moment.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from types import FrameType

_SIGNALS = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))


class Stopped(KeyboardInterrupt):
    """Raised by a signal that ends the program.

    Args:
        number: Number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


class Interrupted(BaseException):
    """Carries an interrupt past typer, which would end the program without a message.

    Args:
        stopped: The interrupt.
    """

    def __init__(self, stopped: KeyboardInterrupt) -> None:
        super().__init__()
        self.stopped = stopped


def listen() -> None:
    """Install signal handlers that raise `Stopped` in the main thread."""
    for number in _SIGNALS:
        # Signals that nohup or a shell has set to be ignored stay ignored.
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _stop)


def _stop(number: int, _frame: FrameType | None) -> None:
    # A second signal ends the program at once.
    for each in _SIGNALS:
        signal.signal(each, lambda again, _: os._exit(128 + again))
    # A pool would wait for the running jobs of its processes.
    _end_children()
    raise Stopped(number)


def _end_children() -> None:
    import psutil

    with contextlib.suppress(psutil.Error):
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                # Python's resource tracker cleans up after the others and ends with this process.
                if not any("resource_tracker" in word for word in process.cmdline()):
                    process.kill()


def leave(stopped: BaseException) -> None:
    """End the program without joining threads of the imaging libraries, which may not end."""
    _end_children()
    sys.stdout.flush()
    sys.stderr.flush()
    cause = stopped.stopped if isinstance(stopped, Interrupted) else stopped
    os._exit(128 + getattr(cause, "number", signal.SIGINT))
