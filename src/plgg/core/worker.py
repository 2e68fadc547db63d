"""One worker process: started afresh, given job after job, and killed from outside if need be.

`Worker` is the parent's handle; `_serve` is what runs in the process. Every answer is pickled, and
read back once, inside the process, so that nothing that cannot cross ever reaches the parent.
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
# A main script is hidden for the moment of a start, which two threads must not do at once.
_STARTING = threading.Lock()


class Worker:
    """A process that waits for jobs.

    Args:
        start: Called once in the process; what it gives is handed to every job.
        do: Called with that and a job.

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
        with _without_main(), sheltered():
            self._process.start()
        theirs.close()
        self.job: int | None = None
        self.ready = False
        self.alone = False
        self.since = time.monotonic()

    def send(self, number: int, job: object, *, alone: bool = False) -> None:
        """Hand it a job."""
        packed = pickle.dumps(job)
        self._begin_job(number, alone=alone)
        self._send_bytes(packed)

    def send_in_thread(self, number: int, job: object) -> None:
        """Hand it a job without waiting until it is read; it may be ended meanwhile.

        A pipe holds less than a scan, and a process that still starts reads nothing.

        Raises:
            Exception: What pickling the job raised.
        """
        packed = pickle.dumps(job)
        self._begin_job(number, alone=False)
        threading.Thread(target=self._send_bytes, args=(packed,), daemon=True).start()

    def _begin_job(self, number: int, *, alone: bool) -> None:
        self.job, self.alone, self.since = number, alone, time.monotonic()

    def _send_bytes(self, packed: bytes) -> None:
        # One that is gone is found out when it is looked at next; a connection that is closed in
        # the middle of it has no number any more, which Python says as a type.
        with contextlib.suppress(OSError, TypeError):
            self.connection.send_bytes(packed)

    def receive(self) -> tuple[Kind, Any] | None:
        """What it sent; None where it is gone."""
        try:
            kind, value = pickle.loads(self.connection.recv_bytes())  # noqa: S301 - from a child
        except (EOFError, OSError):
            return None
        return kind, value

    @property
    def pid(self) -> int | None:
        """Number of the process."""
        return self._process.pid

    @property
    def gone(self) -> bool:
        """Whether the process has ended and left nothing to be heard."""
        return self._process.exitcode is not None and not self._poll()

    @property
    def seconds(self) -> float:
        """How long it has been at what it does now."""
        return time.monotonic() - self.since

    @property
    def gib(self) -> float:
        """Memory that is its own alone, in GiB; 0 where that cannot be told."""
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
        """End the process and those that it started, at once."""
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
    """What runs in the process: start, then one answer a job, until the parent closes its end."""
    follow_parent()
    try:
        state = start()
        connection.send_bytes(_packed("ready", None))
    except Exception as error:  # noqa: BLE001 - told to the parent, who raises it
        connection.send_bytes(_packed("broken", sendable(error)))
        return
    # The end of the pipe is the end of the work.
    with contextlib.suppress(EOFError, OSError):
        while True:
            connection.send_bytes(_answer(connection.recv_bytes(), state, do))


def follow_parent() -> None:
    """Let a process that was started to work end with its parent alone, however that ends.

    Ctrl-C on a terminal reaches all processes; the first one ends the others and says so.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()


@contextmanager
def sheltered() -> Iterator[None]:
    """Processes that are started within leave Ctrl-C to their parent from their first moment.

    The parent itself gets it once the block has ended.
    """
    with _signals_held():
        if not hasattr(signal, "pthread_sigmask"):  # Windows
            yield
            return
        # Python's tracker of resources, started by the first process, would take the shelter away.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            yield
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def _signals_held() -> Iterator[None]:
    """Hold back what signals raise in the main thread, whichever thread the system gives them to.

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
    """A worker whose parent is killed must not go on alone."""
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
        return _packed("error", sendable(error))
    return result


def _packed(kind: Kind, value: object) -> bytes:
    return pickle.dumps((kind, value))


def sendable(error: Exception) -> PlggError | str:
    """The error itself where it is one that a user can mend and survives being sent."""
    try:
        if isinstance(error, PlggError) and pickle.loads(pickle.dumps(error)):  # noqa: S301
            return error
    except Exception:  # noqa: BLE001 - whatever its own code raises
        log.debug("an error cannot be sent")
    return describe_error(error)


def describe_error(error: Exception) -> str:
    """An exception as one line for people, whatever it is."""
    try:
        words = " ".join(str(error).split())
    except Exception:  # noqa: BLE001 - even saying what it is may fail
        words = "it cannot be told"
    if isinstance(error, PlggError):
        return words
    if isinstance(error, MemoryError):
        return "there is not enough memory for it" + (f" ({words})" if words else "")
    return f"unexpected {type(error).__name__}" + (f": {words}" if words else "")
