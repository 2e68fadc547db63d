"""Check that the workers of a cluster see the same folders as the driver.

The driver writes a token into the output folder, and every worker reads it before its first job:
a path that exists on two machines need not be one folder.

    with shared_folder(out, inputs=[manifest]) as shared:
        ...send `shared` to a worker, which calls shared.require()...
"""

from __future__ import annotations

import platform
import secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from plgg.core.errors import ConfigError
from plgg.core.files import temporary_name, write_text

# A network file system may take a moment to show a new file.
_SECONDS = 1.0
_REMEDY = (
    "Outputs and inputs must lie on storage that all nodes see under the same path: "
    "name such folders, or leave out --ray-address."
)


@dataclass(frozen=True)
class SharedFolder:
    """Paths that a worker must see.

    Attributes:
        folder: The output folder.
        token: A file in it.
        text: Contents of the token.
        inputs: Further paths that must exist.
    """

    folder: Path
    token: Path
    text: str
    inputs: tuple[Path, ...] = ()

    def require(self) -> None:
        """Check the paths on the machine that calls this.

        Raises:
            ConfigError: If the folder is another one there, or an input is not there.
        """
        lost = None if self._reads() else self.folder
        lost = lost or next((path for path in self.inputs if not path.exists()), None)
        if lost is not None:
            raise ConfigError(
                f"is not seen by the Ray worker on {platform.node()}", where=lost, remedy=_REMEDY
            )

    def _reads(self) -> bool:
        until = time.monotonic() + _SECONDS
        while True:
            with suppress(OSError, ValueError):
                if self.token.read_text(encoding="utf-8") == self.text:
                    return True
            if time.monotonic() > until:
                return False
            time.sleep(0.1)


@contextmanager
def shared_folder(folder: Path, *, inputs: Iterable[Path] = ()) -> Iterator[SharedFolder]:
    """Write a token into a folder, and delete it at the end of the block.

    It has the name of a temporary file, so that the next driver deletes it if this one is killed.

    Args:
        folder: The output folder, which must exist.
        inputs: Files and folders that every worker reads.

    Raises:
        OutputError: If the folder cannot be written to.
    """
    place = folder.resolve()
    token, text = temporary_name(place / "shared.txt"), secrets.token_hex(16)
    write_text(token, text)
    try:
        yield SharedFolder(place, token, text, tuple(path.resolve() for path in inputs))
    finally:
        with suppress(OSError):
            token.unlink(missing_ok=True)
