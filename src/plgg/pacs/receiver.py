"""`Receiver`: C-STORE from scanners and archives; each object is checked before it is kept.

Accepted are MR images alone, from callers that are known where other machines can call; what is no
such image, or too much, is refused with a status of DICOM and never written where it would be kept.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]

from plgg.core.errors import ConfigError, OutputError, PlggError
from plgg.core.files import make_folder, sync
from plgg.core.folders import scratch_folder
from plgg.pacs.address import is_loopback, require_aet
from plgg.pacs.archive import GIB, silence
from plgg.pacs.credentials import server_context
from plgg.pacs.flow import MOST_OBJECT_BYTES, FlowLimit
from plgg.pacs.objects import IMAGES, PLAIN_SYNTAXES, TRANSFER_SYNTAXES, identity
from plgg.pacs.records import image_name, is_uid, study_key
from plgg.pacs.work import require_space

log = logging.getLogger(__name__)
OUT_OF_RESOURCES, NOT_AS_SAID, NOT_UNDERSTOOD = 0xA700, 0xA900, 0xC000
_CALLER_SECONDS = 60.0
_MOST_CALLERS = 16


@dataclass(frozen=True)
class ReceiverOptions:
    """How a receiver listens.

    Attributes:
        host: Address to listen at.
        port: Likewise; 0 takes a free one.
        aet: AE title of our own, which callers must name.
        callers: AE titles that may call; none for all, which loopback alone may do.
        tls: Whether by TLS.
        insecure: Whether other machines may call without TLS.
        study_gib: GiB that one study may hold.
    """

    host: str = "127.0.0.1"
    port: int = 11112
    aet: str = "PLGG"
    callers: tuple[str, ...] = ()
    tls: bool = False
    insecure: bool = False
    study_gib: float = 4.0

    def require_safe(self) -> None:
        """Other machines are let in by name, and by TLS unless it is said otherwise.

        Raises:
            ConfigError: If they would be let in otherwise, or an AE title is none.
        """
        require_aet(self.aet, where="--aet")
        for caller in self.callers:
            require_aet(caller, where="--caller")
        if is_loopback(self.host):
            return
        if not self.callers:
            raise ConfigError(
                "everyone who reaches this address could send images",
                where=f"--host {self.host}",
                remedy="Name the AE titles that may call (--caller), or listen at 127.0.0.1.",
            )
        if not (self.tls or self.insecure):
            raise ConfigError(
                "images of patients would go over the network unencrypted",
                where=f"--host {self.host}",
                remedy="Use --tls, or --insecure in a network that you trust.",
            )


class Receiver:
    """Keeps what is sent in `FOLDER/KEY/`, until it is stopped.

    Args:
        options: How it listens.
        folder: Of the studies' images.
    """

    def __init__(self, options: ReceiverOptions, folder: Path) -> None:
        self._options, self._folder = options, folder
        self._most_bytes = round(options.study_gib * GIB)
        # An object is held in memory until it is whole.
        self._object_bytes = min(self._most_bytes, MOST_OBJECT_BYTES)
        self._lock = threading.Lock()
        self._last: dict[str, float] = {}
        self._bytes: dict[str, int] = {}
        self._flows: dict[int, FlowLimit] = {}
        self._server: Any = None

    def start(self) -> int:
        """Listen; the port.

        Raises:
            ConfigError: If the address is taken, or there is no certificate for TLS.
        """
        options = self._options
        silence()
        context = server_context() if options.tls else None
        try:
            self._server = self._entity().start_server(
                (options.host, options.port),
                block=False,
                ssl_context=context,
                evt_handlers=[
                    (evt.EVT_C_STORE, self._store),
                    (evt.EVT_CONN_OPEN, self._opened),
                    (evt.EVT_DATA_RECV, self._count),
                    (evt.EVT_CONN_CLOSE, self._closed),
                ],
            )
        except (OSError, OverflowError) as error:
            raise ConfigError(
                f"cannot listen there ({getattr(error, 'strerror', None) or 'no such address'})",
                where=f"{options.host}:{options.port}",
                remedy="Choose another --port, or end the program that listens there.",
            ) from None
        return int(self._server.socket.getsockname()[1])

    def stop(self) -> None:
        """Take no more calls."""
        if self._server is not None:
            self._server.shutdown()

    def quiet(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> list[str]:
        """Studies of which nothing came for so long, by name."""
        with self._lock:
            return sorted(key for key, last in self._last.items() if clock() - last >= seconds)

    def forget(self, key: str, seconds: float) -> None:
        """A study is taken; it is spoken of again once more of it comes."""
        with self._lock:
            if time.monotonic() - self._last.get(key, 0.0) >= seconds:
                self._last.pop(key, None)

    def expect(self, key: str) -> None:
        """Count a study that was here before as one of which something just came."""
        with self._lock:
            self._last.setdefault(key, time.monotonic())

    def _entity(self) -> AE:
        entity = AE(ae_title=self._options.aet)
        entity.require_called_aet = True
        entity.require_calling_aet = [*self._options.callers]
        entity.maximum_associations = _MOST_CALLERS
        entity.acse_timeout = entity.network_timeout = _CALLER_SECONDS
        entity.dimse_timeout = _CALLER_SECONDS
        entity.add_supported_context(Verification)
        for sop_class in IMAGES:
            entity.add_supported_context(sop_class, [*PLAIN_SYNTAXES, *TRANSFER_SYNTAXES])
        return entity

    def _opened(self, event: evt.Event) -> None:
        """A caller may send one object's bytes before the next is counted."""
        with self._lock:
            self._flows[id(event.assoc)] = FlowLimit(self._object_bytes)

    def _closed(self, event: evt.Event) -> None:
        with self._lock:
            self._flows.pop(id(event.assoc), None)

    def _count(self, event: evt.Event) -> None:
        with self._lock:
            flow = self._flows.get(id(event.assoc))
        if flow is not None:
            flow.count(event)

    def _store(self, event: evt.Event) -> int:
        """Keep one object; a status of DICOM."""
        with self._lock:
            flow = self._flows.get(id(event.assoc))
        if flow is not None:
            flow.allow(self._object_bytes)
        try:
            return self._keep(event.encoded_dataset(), _named(event))
        except (OutputError, OSError) as error:
            log.warning("an object could not be written: %s", _error_text(error))
            return OUT_OF_RESOURCES
        except PlggError as error:
            log.warning("an object was refused: %s", error)
            return NOT_UNDERSTOOD

    def _keep(self, data: bytes, uid: str) -> int:
        """Write an object aside, look at what it is, and give it its name."""
        if not is_uid(uid):
            return NOT_AS_SAID
        require_space(self._folder, len(data))
        with scratch_folder(self._folder / "incoming") as aside:
            given = aside / image_name(uid)
            given.write_bytes(data)
            found = identity(given)
            if found.uid != uid or found.sop_class not in IMAGES:
                return NOT_AS_SAID
            return self._place(given, study_key(found.study), len(data))

    def _place(self, given: Path, key: str, n_bytes: int) -> int:
        """Give an object its place in its study; one that is there already stays."""
        path = self._folder / key / given.name
        with self._lock:
            before = self._bytes.get(key)
            if before is None:
                before = sum(one.stat().st_size for one in path.parent.glob("image-*.dcm"))
            if not path.is_file():
                if before + n_bytes > self._most_bytes:
                    log.warning("%s: is larger than one study may be (--study-gib)", key)
                    return OUT_OF_RESOURCES
                make_folder(path.parent)
                sync(given)
                given.replace(path)
                sync(path.parent)
                before += n_bytes
            self._bytes[key] = before
            self._last[key] = time.monotonic()
        return 0


def _named(event: evt.Event) -> str:
    """The UID by which an object is sent."""
    return str(getattr(event.request, "AffectedSOPInstanceUID", ""))


def _error_text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
