"""`Security` and `Guard`: authentication, and defence against cross-site requests.

Every request needs the token, as `Authorization: Bearer` or by the cookie that `POST /api/v1/login`
sets, except for the page's own code, which holds no data. Even with it, requests that name another
host (DNS rebinding) or come from another page (cross-site requests) are refused. Response headers
keep the browser from loading anything from elsewhere and from sharing data with other pages.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import logging
import secrets
import socket
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plgg.pacs.address import is_loopback
from plgg.serve.answers import error_answer
from plgg.serve.errors import RequestError

log = logging.getLogger(__name__)
COOKIE = "plgg"
LOGIN = "/api/v1/login"
# The page's code, and the login of MONAI Label's clients.
PUBLIC = frozenset({"/", "/favicon.ico", LOGIN, "/auth", "/auth/", "/auth/token", "/auth/token/"})
PUBLIC_FOLDER = "/page/"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; worker-src 'self' blob:; "
    "connect-src 'self' blob: data:; img-src 'self' blob: data:; font-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_INTERNAL_ERROR = RequestError(
    500, "something went wrong in the server", remedy="Look at what plgg serve printed."
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Cache-Control": "no-store",
}


class Security:
    """Access control by token, host and origin.

    Args:
        token: Token of the clients; None for no authentication.
        host: Address that the server listens at.
    """

    def __init__(self, token: str | None, host: str) -> None:
        self.token = token
        self._loopback = is_loopback(host)
        self._hosts = {"localhost", host.lower().strip("[]")}
        if not self._loopback:
            self._hosts |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        # The cookie differs from the token, which works for other clients, too.
        key = (token or "").encode()
        self.cookie = hmac.new(key, b"plgg cookie", hashlib.sha256).hexdigest()

    def accepts(self, token: str | None) -> bool:
        """Whether a token is correct; the comparison takes constant time."""
        if self.token is None:
            return True
        return secrets.compare_digest((token or "").encode(), self.token.encode())

    def knows(self, headers: Headers) -> bool:
        """Whether a request has the token or the cookie."""
        if self.token is None:
            return True
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and self.accepts(token.strip()):
            return True
        shown = _cookie(headers.get("cookie", ""))
        return secrets.compare_digest(shown.encode(), self.cookie.encode())

    def is_host(self, named: str) -> bool:
        """Whether a Host header names this server.

        A page of another site can point a name of its own at this server, but not an IP address:
        where other machines have access, any address is accepted.
        """
        name = _host_name(named)
        if name is None:
            return False
        if name in self._hosts:
            return True
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return False
        return address.is_loopback or not self._loopback

    def fault(self, scope: Scope) -> RequestError | None:
        """Why a request is refused; None if it is not."""
        headers = Headers(scope=scope)
        if not self.is_host(headers.get("host", "")):
            return RequestError(
                403,
                "the request names another host than this server",
                where="Host",
                remedy="Open the address that plgg serve prints.",
            )
        if _comes_from_elsewhere(scope, headers):
            return RequestError(403, "the request comes from another page", where="Origin")
        if not scope["path"].isprintable():
            return RequestError(404, "the path is none")
        if is_public(scope["path"]) or self.knows(headers):
            return None
        return RequestError(
            401,
            "the token is missing or wrong",
            remedy="Open the link that plgg serve prints.",
            headers={"WWW-Authenticate": "Bearer"},
        )


def is_public(path: str) -> bool:
    """Whether a path needs no token, because it holds no patient data."""
    return path in PUBLIC or (path.startswith(PUBLIC_FOLDER) and ".." not in path)


def _host_name(named: str) -> str | None:
    """The name in a Host header, without the port; None if the header is not valid."""
    try:
        parts = urlsplit(f"//{named}")
        _ = parts.port
    except ValueError:
        return None
    plain = not (parts.path or parts.query or parts.fragment or "@" in named)
    return parts.hostname if plain else None


def _comes_from_elsewhere(scope: Scope, headers: Headers) -> bool:
    """Whether headers of the browser say that the request comes from another origin."""
    origin = headers.get("origin")
    if origin is not None and not _is_same(origin, headers.get("host", "")):
        return True
    site = headers.get("sec-fetch-site", "none")
    # A link to the page is harmless: it loads nothing but the page's code.
    link = headers.get("sec-fetch-mode") == "navigate" and scope["method"] in _SAFE
    return site not in ("none", "same-origin") and not (link and is_public(scope["path"]))


def _is_same(origin: str, host: str) -> bool:
    scheme, _, named = origin.partition("://")
    return scheme in ("http", "https") and named.lower() == host.lower()


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""


class Guard:
    """ASGI middleware that checks requests with `Security` and adds the response headers.

    Args:
        app: The ASGI application.
        security: Access control.
    """

    def __init__(self, app: ASGIApp, security: Security) -> None:
        self._app, self._security = app, security

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        begun = False

        async def answer(message: Message) -> None:
            nonlocal begun
            begun = True
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        fault = self._security.fault(scope)
        if fault is None:
            try:
                await self._app(scope, receive, answer)
            except Exception:
                # A bug: the server logs it, and the client gets the same JSON as for other errors.
                if not begun:
                    await error_answer(_INTERNAL_ERROR)(scope, receive, answer)
                raise
            return
        log.info("refused %s %s: %s", scope["method"], scope["path"], fault)
        await error_answer(fault)(scope, receive, answer)
