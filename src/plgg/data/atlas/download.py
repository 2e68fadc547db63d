"""The SRI24 atlas from its publisher: downloaded once, checked, kept in the cache.

The atlas is under CC BY-SA 3.0 and is not part of plgg (Rohlfing et al. 2010, Human Brain Mapping
31:798). Downloaded files are verified by their voxels, not by their archive, so a repacked archive
is accepted.
"""

from __future__ import annotations

import importlib
import logging
import os
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from types import ModuleType
from typing import TypeVar

from platformdirs import user_cache_path

from plgg.core.errors import ConfigError, InputError, PlggError
from plgg.core.files import atomic_write, make_folder

_LOGGER = logging.getLogger(__name__)
_MOST_BYTES = 200_000_000
Read = TypeVar("Read")


@dataclass(frozen=True)
class Archive:
    """One zip file to be downloaded, and the file in it that is kept.

    Attributes:
        url: Where it is.
        member: Name of the file, in whatever folder of the archive it lies.
    """

    url: str
    member: str

    @property
    def name(self) -> str:
        """File name of the archive."""
        return self.url.rpartition("/")[2]


PAGE = "https://www.nitrc.org/projects/sri24/"
ARCHIVES = (
    Archive("https://www.nitrc.org/frs/download.php/4499/sri24_anatomy_nifti.zip", "spgr.nii"),
    Archive("https://www.nitrc.org/frs/download.php/4511/sri24_tissue_nifti.zip", "tissues.nii"),
)
BY_HAND = (
    f"Download {ARCHIVES[0].name} and {ARCHIVES[1].name} from {PAGE} by hand, unpack both into one"
    " folder and pass that folder with --atlas."
)


def cache_folder() -> Path:
    """Where downloads are kept: `PLGG_CACHE` if it is set, else the user's cache of plgg."""
    return Path(os.environ.get("PLGG_CACHE") or user_cache_path("plgg")).expanduser()


def fetch(archives: Sequence[Archive], kept: Path, *, read: Callable[[Path], Read]) -> Read:
    """Read one file of each archive with `read`, after a download if any is not in the cache.

    Args:
        archives: What to download.
        kept: Cache folder of the files.
        read: Called with a folder that holds the files; raises `PlggError` if they are wrong.

    Returns:
        What `read` returns. Files that it refuses are never kept.

    Raises:
        ConfigError: If the package for downloads is not installed.
        InputError: If a download fails, if an archive cannot be unpacked or lacks its file, or if
            `read` refuses.
        OutputError: If the folder cannot be written to.
    """
    if all((kept / archive.member).is_file() for archive in archives):
        return read(kept)
    make_folder(kept)
    with tempfile.TemporaryDirectory(dir=kept.parent, prefix=f".{kept.name}.") as name:
        aside = Path(name)
        for archive in archives:
            _unpack(_download(archive, aside), archive, aside / archive.member)
        try:
            found = read(aside)
        except PlggError as error:
            what = f"the download cannot be used: {error.what}"
            raise InputError(what, where=archives[0].url, remedy=BY_HAND) from error
        for archive in archives:
            (aside / archive.member).replace(kept / archive.member)
    return found


def _download(archive: Archive, folder: Path) -> Path:
    pooch = _downloader()
    # By default, pooch logs every download to standard error.
    pooch.get_logger().setLevel("WARNING")
    _LOGGER.info("downloading %s (CC BY-SA 3.0) into %s", archive.url, folder.parent)
    try:
        return Path(pooch.retrieve(archive.url, None, fname=archive.name, path=folder))
    except OSError as error:  # All exceptions of requests are OSErrors.
        response = getattr(error, "response", None)
        if response is not None:  # Its connection would stay open.
            response.close()
        raise InputError(
            f"cannot be downloaded ({type(error).__name__})", where=archive.url, remedy=BY_HAND
        ) from error


def _downloader() -> ModuleType:
    try:
        return importlib.import_module("pooch")
    except ImportError as error:
        raise ConfigError(
            "a download needs the package pooch, which is not installed",
            remedy=f'Run: pip install "plgg[atlas]". Or: {BY_HAND}',
        ) from error


def _unpack(path: Path, archive: Archive, target: Path) -> None:
    """Write the one wanted file of an archive, and nothing else."""
    try:
        with zipfile.ZipFile(path) as packed:
            info = _member(packed, archive)
            with packed.open(info) as source, atomic_write(target) as aside:
                aside.write_bytes(source.read())
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise InputError(
            "what came is no whole zip archive", where=archive.url, remedy=BY_HAND
        ) from error


def _member(packed: zipfile.ZipFile, archive: Archive) -> zipfile.ZipInfo:
    for info in packed.infolist():
        if PurePosixPath(info.filename).name == archive.member and info.file_size <= _MOST_BYTES:
            return info
    raise InputError(f"the archive holds no {archive.member}", where=archive.url, remedy=BY_HAND)
