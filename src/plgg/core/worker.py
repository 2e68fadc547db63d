"""One worker process: spawned, given one job after another, and killed if necessary.

`Worker` is the parent's handle; `_serve` runs in the process. Every answer is pickled and unpickled
once inside the process, so that one that cannot be sent becomes an error there.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import pickle
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from types import ModuleType
from typing import Any, Literal

import psutil

from plgg.core.errors import PlggError

log = logging.getLogger(__name__)
Kind = Literal["ready", "broken", "result", "error"]
_GIB = 2**30
_GRACE_SECONDS = 5.0
_ENDING = (signal.SIGINT, signal.SIGTERM, *((signal.SIGHUP,) if hasattr(signal, "SIGHUP") else ()))
# The main script is hidden during a start, which two threads must not do at once.
_STARTING = threading.Lock()


class Worker:
    """A process that waits for jobs.

    Args:
        start: Called once in the process; its result is passed to every job.
        do: Called with that result and a job.

    Attributes:
        job: Number of the job in hand; None while it starts or is idle.
        ready: Whether it has started.
        alone: Whether the job in hand is done while nothing else runs.
        since: When it began what it does now, in seconds of `time.monotonic`.
    """

    def __init__(self, start: Callable[[], Any], do: Callable[[Any, Any], Any]) -> None:
        # Spawned, not forked: the imaging libraries hold threads that do not survive a fork.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, start, do))
        with _without_main(), block_interrupts():
            self._process.start()
        theirs.close()
        self.job: int | None = None
        self.ready = False
        self.alone = False
        self.since = time.monotonic()

    def send(self, number: int, job: object, *, alone: bool = False) -> None:
        """Send a job."""
        packed = pickle.dumps(job)
        self._begin_job(number, alone=alone)
        self._send_bytes(packed)

    def send_in_thread(self, number: int, job: object) -> None:
        """Send a job in a thread, without blocking; the process may be killed meanwhile.

        A scan is larger than the buffer of a pipe, and a starting process does not read yet.

        Raises:
            Exception: What pickling the job raised.
        """
        packed = pickle.dumps(job)
        self._begin_job(number, alone=False)
        threading.Thread(target=self._send_bytes, args=(packed,), daemon=True).start()

    def _begin_job(self, number: int, *, alone: bool) -> None:
        self.job, self.alone, self.since = number, alone, time.monotonic()

    def _send_bytes(self, packed: bytes) -> None:
        # A dead process is noticed at the next look. A connection that is closed while it sends has
        # no file descriptor any more, for which Python raises a TypeError.
        with contextlib.suppress(OSError, TypeError):
            self.connection.send_bytes(packed)

    def receive(self) -> tuple[Kind, Any] | None:
        """Receive its next message; None if the process has ended."""
        try:
            kind, value = pickle.loads(self.connection.recv_bytes())  # noqa: S301 - from a child
        except (EOFError, OSError):
            return None
        return kind, value

    @property
    def pid(self) -> int | None:
        """Process ID."""
        return self._process.pid

    @property
    def gone(self) -> bool:
        """Whether the process has ended and there is no message left."""
        return self._process.exitcode is not None and not self._poll()

    @property
    def seconds(self) -> float:
        """Seconds since it began its current job or its start."""
        return time.monotonic() - self.since

    @property
    def gib(self) -> float:
        """Memory of the process that it does not share, in GiB; 0 if unknown."""
        try:
            held = psutil.Process(self.pid).memory_info()
        except psutil.Error:
            return 0.0
        return float(held.rss - getattr(held, "shared", 0)) / _GIB

    def exit_reason(self) -> str:
        """How the process ended, in one clause."""
        self._process.join(_GRACE_SECONDS)
        status = self._process.exitcode
        if status is None or status >= 0:
            return f"its process ended by itself (status {status})"
        if -status == getattr(signal, "SIGKILL", None):
            return "its process was killed, as happens where memory runs out"
        return f"its process crashed ({_signal_name(-status)})"

    @property
    def killed(self) -> bool:
        """Whether something outside killed the process."""
        return self._process.exitcode == -int(getattr(signal, "SIGKILL", 0)) != 0

    def kill(self) -> None:
        """Kill the process and its children."""
        for process in _family(self.pid):
            with contextlib.suppress(psutil.Error):
                process.kill()
        self._process.join()
        self.connection.close()

    def close(self) -> None:
        """Let an idle process end; one that does not is killed."""
        self.connection.close()
        self._process.join(_GRACE_SECONDS)
        if self._process.exitcode is None:
            self.kill()

    def _poll(self) -> bool:
        try:
            return self.connection.poll()
        except OSError:
            return False


def _family(pid: int | None) -> list[psutil.Process]:
    try:
        parent = psutil.Process(pid)
        return [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return []


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


@contextmanager
def _without_main() -> Iterator[None]:
    """Keep the main script out of a process that is being started.

    It would be run again there: a script that calls plgg without `if __name__ == "__main__"` would
    start itself over and over.
    """
    with _STARTING:
        script = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = script


def _serve(connection: Connection, start: Callable[[], Any], do: Callable[[Any, Any], Any]) -> None:
    """Main loop in the process: start, then answer each job, until the parent closes its end."""
    follow_parent()
    try:
        state = start()
        connection.send_bytes(_packed("ready", None))
    except Exception as error:  # noqa: BLE001 - sent to the parent, which raises it
        connection.send_bytes(_packed("broken", picklable_error(error)))
        return
    # A closed pipe means that there are no more jobs.
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send_bytes(_answer(connection.recv_bytes(), state, do))


def follow_parent() -> None:
    """Make a worker ignore Ctrl-C, and exit when its parent ends for any reason.

    Ctrl-C on a terminal reaches all processes; the parent ends the others and reports it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


@contextmanager
def block_interrupts() -> Iterator[None]:
    """Block Ctrl-C in processes that are started within, from their first moment.

    The parent receives it once the block has ended.
    """
    with _signals_held():
        if not hasattr(signal, "pthread_sigmask"):  # Windows
            yield
            return
        # Python's resource tracker, started with the first process, would unblock the signal.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Defer the signal handlers of the main thread to the end of the block.

    A queue that is interrupted while it takes its lock would hold it for ever.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in _ENDING}
    came: list[int] = []
    raising = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in raising:
        signal.signal(number, lambda got, _: came.append(got))
    try:
        yield
    finally:
        for number, handler in raising.items():
            signal.signal(number, handler)
        if came:
            signal.raise_signal(came[0])


def _end_with_parent() -> None:
    """Exit when the parent ends, so that no worker outlives a killed parent."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _answer(packed: bytes, state: object, do: Callable[[Any, Any], Any]) -> bytes:
    try:
        result = _packed("result", do(state, pickle.loads(packed)))  # noqa: S301 - from the parent
        pickle.loads(result)  # noqa: S301 - its own
    except Exception as error:
        if not isinstance(error, PlggError):
            log.exception("a job failed unexpectedly")
        return _packed("error", picklable_error(error))
    return result


def _packed(kind: Kind, value: object) -> bytes:
    return pickle.dumps((kind, value))


def picklable_error(error: Exception) -> PlggError | str:
    """The error itself if it is a `PlggError` that can be pickled; else its description."""
    try:
        if isinstance(error, PlggError) and pickle.loads(pickle.dumps(error)):  # noqa: S301
            return error
    except Exception:  # noqa: BLE001 - whatever its own code raises
        log.debug("an error cannot be sent")
    return describe_error(error)


def describe_error(error: Exception) -> str:
    """Describe any exception in one line for users."""
    try:
        words = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - even saying what it is may fail
        words = "it cannot be told"
    if isinstance(error, PlggError):
        return words
    if isinstance(error, MemoryError):
        return "there is not enough memory for it" + (f" ({words})" if words else "")
    return f"unexpected {type(error).__name__}" + (f": {words}" if words else "")
