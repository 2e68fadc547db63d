"""Credentials for a PACS: from the environment or from netrc, never from the command line.

PLGG_PACS_TOKEN                       a bearer token of DICOMweb
PLGG_PACS_USER, PLGG_PACS_PASSWORD    a user of DICOMweb
~/.netrc (or the file NETRC names)    likewise: machine HOST login USER password PASSWORD
PLGG_PACS_CA                          certificates (PEM) that a server's must be signed by
PLGG_PACS_CERT, PLGG_PACS_KEY         our own certificate and its key, for TLS in both directions
"""

from __future__ import annotations

import netrc
import os
import ssl
from pathlib import Path

from plgg.core.errors import ConfigError
from plgg.pacs.address import PacsAddress

_TOKEN, _USER, _PASSWORD = "PLGG_PACS_TOKEN", "PLGG_PACS_USER", "PLGG_PACS_PASSWORD"
_CA, _CERT, _KEY = "PLGG_PACS_CA", "PLGG_PACS_CERT", "PLGG_PACS_KEY"


class Credentials:
    """Credentials for a server; their `repr` hides them.

    Args:
        token: Bearer token, or None.
        user: User and password, or None.
    """

    def __init__(self, token: str | None = None, user: tuple[str, str] | None = None) -> None:
        self.token, self.user = token, user

    def __repr__(self) -> str:
        return f"Credentials({'given' if self.token or self.user else 'none'})"


def credentials_for(address: PacsAddress) -> Credentials:
    """The credentials for a DICOMweb server.

    Raises:
        ConfigError: If one of user and password is missing, or netrc cannot be read.
    """
    token, user, password = (os.environ.get(name) for name in (_TOKEN, _USER, _PASSWORD))
    if token:
        _require_plain(token, _TOKEN)
        return Credentials(token=token)
    if bool(user) != bool(password):
        missing = _PASSWORD if user else _USER
        raise ConfigError(
            "one of user and password is set without the other",
            where=missing,
            remedy=f"Set {missing}, or neither.",
        )
    if user and password:
        return Credentials(user=(user, password))
    return Credentials(user=_from_netrc(address.host))


def _require_plain(token: str, name: str) -> None:
    if not (token.isascii() and token.isprintable()):
        raise ConfigError(
            "holds what no HTTP header may", where=name, remedy="Copy the token again."
        )


def _from_netrc(host: str) -> tuple[str, str] | None:
    named = os.environ.get("NETRC")
    path = Path(named) if named else Path.home() / ".netrc"
    if not path.is_file():
        return None
    try:
        found = netrc.netrc(path).authenticators(host)
    except (OSError, netrc.NetrcParseError, UnicodeDecodeError):
        raise ConfigError(
            "cannot be read as a netrc file", where=path, remedy="Mend it, and its permissions."
        ) from None
    return (found[0], found[2]) if found and found[2] else None


def client_context() -> ssl.SSLContext:
    """TLS context for a DIMSE server: its certificate is checked, ours is sent if there is one.

    Raises:
        ConfigError: If a certificate cannot be read.
    """
    try:
        context = ssl.create_default_context(cafile=os.environ.get(_CA) or None)
    except OSError:
        raise _unreadable(_CA) from None
    _load_client_certificate(context)
    return context


def server_context() -> ssl.SSLContext:
    """TLS context of our own receiver.

    Raises:
        ConfigError: If there is no certificate of ours, or it cannot be read.
    """
    if not os.environ.get(_CERT):
        raise ConfigError(
            "no certificate of our own to receive by TLS with",
            where=_CERT,
            remedy=f"Set {_CERT} and {_KEY} to files in PEM.",
        )
    try:
        context = ssl.create_default_context(
            ssl.Purpose.CLIENT_AUTH, cafile=os.environ.get(_CA) or None
        )
    except OSError:
        raise _unreadable(_CA) from None
    if os.environ.get(_CA):
        context.verify_mode = ssl.CERT_REQUIRED
    _load_client_certificate(context)
    return context


def _load_client_certificate(context: ssl.SSLContext) -> None:
    certificate = os.environ.get(_CERT)
    if not certificate:
        return
    try:
        # An encrypted key would otherwise ask for its password on the terminal.
        context.load_cert_chain(certificate, os.environ.get(_KEY) or None, password="")
    except (OSError, ValueError):
        raise _unreadable(f"{_CERT}, {_KEY}") from None


def _unreadable(name: str) -> ConfigError:
    return ConfigError("cannot be read as PEM", where=name, remedy="Check the files it names.")


def ca_file() -> str | None:
    """CA certificates for DICOMweb servers; None for those of the system."""
    return os.environ.get(_CA) or None
