"""`Receiver`: a C-STORE server for scanners and archives; it checks each object before storing it.

Only MR images are accepted and, where other machines can call, only from known AE titles. Anything
else, or too much of it, is refused with a DICOM status and not stored.
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
from plgg.pacs.archive import GIB, silence_loggers
from plgg.pacs.credentials import server_context
from plgg.pacs.flow import MOST_OBJECT_BYTES, FlowLimit
from plgg.pacs.objects import IMAGES, PLAIN_SYNTAXES, TRANSFER_SYNTAXES, read_instance_uids
from plgg.pacs.records import image_name, is_uid, study_key
from plgg.pacs.work import require_space

log = logging.getLogger(__name__)
OUT_OF_RESOURCES, NOT_AS_SAID, NOT_UNDERSTOOD = 0xA700, 0xA900, 0xC000
_CALLER_SECONDS = 60.0
_MOST_CALLERS = 16


@dataclass(frozen=True)
class ReceiverOptions:
    """Options of a receiver.

    Attributes:
        host: Address to listen at.
        port: Port to listen at; 0 takes a free one.
        aet: AE title of plgg, which callers must name.
        callers: AE titles that may call; empty for all, which is allowed on loopback only.
        tls: Whether to use TLS.
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
        """Check that other machines need a known AE title and, unless `insecure` is set, TLS.

        Raises:
            ConfigError: If they do not, or an AE title is not valid.
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
    """Stores received images in `FOLDER/KEY/`, until it is stopped.

    Args:
        options: Its options.
        folder: Folder of the studies.
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
        """Start to listen; returns the port.

        Raises:
            ConfigError: If the address is taken, or there is no certificate for TLS.
        """
        options = self._options
        silence_loggers()
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
        """Stop the server."""
        if self._server is not None:
            self._server.shutdown()

    def quiet(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> list[str]:
        """Names of the studies without a new image for so many seconds, sorted."""
        with self._lock:
            return sorted(key for key, last in self._last.items() if clock() - last >= seconds)

    def forget(self, key: str, seconds: float) -> None:
        """Forget a study that is now processed, unless an image of it has just come."""
        with self._lock:
            if time.monotonic() - self._last.get(key, 0.0) >= seconds:
                self._last.pop(key, None)

    def expect(self, key: str) -> None:
        """Watch a study that was received earlier, as if an image of it had just come."""
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
        """Limit the bytes of a new association to those of one object."""
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
        """Handle C-STORE: store one object; returns a DICOM status."""
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
        """Write an object to a scratch folder, check its header, and move it to its study."""
        if not is_uid(uid):
            return NOT_AS_SAID
        require_space(self._folder, len(data))
        with scratch_folder(self._folder / "incoming") as aside:
            given = aside / image_name(uid)
            given.write_bytes(data)
            found = read_instance_uids(given)
            if found.uid != uid or found.sop_class not in IMAGES:
                return NOT_AS_SAID
            return self._place(given, study_key(found.study), len(data))

    def _place(self, given: Path, key: str, n_bytes: int) -> int:
        """Move an object into the folder of its study; an existing one is not replaced."""
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
    """The SOPInstanceUID of a C-STORE request."""
    return str(getattr(event.request, "AffectedSOPInstanceUID", ""))


def _error_text(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
