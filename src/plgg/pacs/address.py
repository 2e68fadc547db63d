"""`PacsAddress`: where a PACS is, `https://host/dicom-web` or `dicom://CALLED_AET@host:port`.

>>> address = parse_address("dicom://ORTHANC@127.0.0.1:4242")
>>> address.kind, address.aet, address.port
('dimse', 'ORTHANC', 4242)

An address never holds a password, so it may be printed.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Literal
from urllib.parse import SplitResult, urlsplit

from plgg.core.errors import ConfigError

_SCHEMES: dict[str, tuple[Literal["web", "dimse"], bool, int]] = {
    "https": ("web", True, 443),
    "http": ("web", False, 80),
    "dicoms": ("dimse", True, 2762),
    "dicom": ("dimse", False, 104),
}
_AET = re.compile(r"[ -\[\]-~]{1,16}")
_HOST = re.compile(r"[A-Za-z0-9._:%-]+")
_FORMS = "Give https://host/dicom-web or dicom://CALLED_AET@host:port."


@dataclass(frozen=True)
class PacsAddress:
    """The address of a PACS.

    Attributes:
        kind: `web` for DICOMweb, `dimse` for C-FIND, C-GET and C-STORE.
        secure: Whether to use TLS.
        host: Host name or IP address.
        port: TCP port.
        path: Path of DICOMweb without a trailing slash; blank for DIMSE.
        aet: The server's AE title; blank for DICOMweb.
    """

    kind: Literal["web", "dimse"]
    secure: bool
    host: str
    port: int
    path: str = ""
    aet: str = ""

    @property
    def is_loopback(self) -> bool:
        """Whether it is on this machine."""
        return is_loopback(self.host)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        if self.kind == "web":
            return f"http{'s' if self.secure else ''}://{host}:{self.port}{self.path}"
        return f"dicom{'s' if self.secure else ''}://{self.aet}@{host}:{self.port}"


def parse_address(text: str, *, tls: bool = False) -> PacsAddress:
    """Parse an address.

    Args:
        text: As it was typed.
        tls: Whether DIMSE uses TLS, as with `dicoms://`.

    Raises:
        ConfigError: If it is not valid, or holds a password.
    """
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise _no_address("is no address of a PACS") from None
    if parts.scheme not in _SCHEMES or not parts.hostname or not _HOST.fullmatch(parts.hostname):
        raise _no_address("is no address of a PACS")
    kind, secure, usual = _SCHEMES[parts.scheme]
    _refuse_extras(parts, kind)
    return PacsAddress(
        kind,
        secure or (tls and kind == "dimse"),
        parts.hostname,
        port or usual,
        parts.path.rstrip("/") if kind == "web" else "",
        require_aet(parts.username or "", where="the address") if kind == "dimse" else "",
    )


def _refuse_extras(parts: SplitResult, kind: str) -> None:
    if parts.password is not None or (kind == "web" and parts.username is not None):
        raise ConfigError(
            "holds a user or a password, which others can read on the command line",
            where="the PACS's address",
            remedy="Set PLGG_PACS_USER and PLGG_PACS_PASSWORD, or write it into ~/.netrc.",
        )
    if parts.query or parts.fragment or (kind == "dimse" and parts.path.strip("/")):
        raise _no_address("has more in it than an address of a PACS")


def _no_address(what: str) -> ConfigError:
    return ConfigError(what, where="the PACS's address", remedy=_FORMS)


def require_aet(text: str, *, where: str) -> str:
    """Check an AE title and strip spaces around it.

    Raises:
        ConfigError: If it is not valid.
    """
    if not text.strip() or not _AET.fullmatch(text):
        raise ConfigError(
            "an AE title has 1 to 16 letters, digits or signs",
            where=where,
            remedy="Give dicom://CALLED_AET@host:port, and --aet NAME for plgg's own.",
        )
    return text.strip()


def require_private(address: PacsAddress, *, insecure: bool) -> None:
    """Check that images are sent to other machines by TLS only, unless `insecure` is set.

    Raises:
        ConfigError: If they would be sent unencrypted.
    """
    if address.secure or address.is_loopback or insecure:
        return
    other = "https://" if address.kind == "web" else "dicoms:// (or --tls)"
    raise ConfigError(
        "images of patients would go over the network unencrypted",
        where=address.host,
        remedy=f"Use {other}, or --insecure in a network that you trust.",
    )


def is_loopback(host: str) -> bool:
    """Whether a host name or an IP address is loopback.

    >>> is_loopback("127.0.0.1"), is_loopback("localhost"), is_loopback("pacs.example")
    (True, True, False)
    """
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
