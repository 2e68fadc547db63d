"""`RequestLimits`: middleware that limits the size of request bodies and the time of slow clients.

A body above the limit of its path is answered by 413; a client that sends nothing for a while, or
less than `LEAST_BYTES` per second on average, by 408; a client that does not read its response is
disconnected.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plgg.serve.answers import error_answer
from plgg.serve.errors import RequestError

SMALL_BYTES = 2**20
LEAST_BYTES = 16 * 2**10
Budget = Callable[[str, str], int]
"""Largest body in bytes, by method and path."""


class RequestLimits:
    """ASGI middleware around receiving and sending.

    Args:
        app: The ASGI application.
        budget: Largest body in bytes, by method and path.
        seconds: Timeout for a client that neither sends nor reads.
    """

    def __init__(self, app: ASGIApp, budget: Budget, seconds: float) -> None:
        self._app, self._budget, self._seconds = app, budget, seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        body = _LimitedBody(receive, self._budget(scope["method"], scope["path"]), self._seconds)
        answer = _LimitedResponse(scope, send, body, self._seconds)
        refusal = body.too_large(Headers(scope=scope).get("content-length"))
        if refusal is not None:
            await error_answer(refusal)(scope, receive, send)
            return
        try:
            await self._app(scope, body.receive, answer.send)
        except RequestError as error:
            # Where an answer has begun, the connection is closed.
            if error is not body.refusal or answer.begun:
                raise
            await answer.refuse(error)


class _LimitedBody:
    def __init__(self, receive: Receive, budget: int, seconds: float) -> None:
        self._receive, self._budget, self._seconds = receive, budget, seconds
        self._began, self._n_bytes, self._whole = time.monotonic(), 0, False
        self.refusal: RequestError | None = None

    def too_large(self, length: str | None) -> RequestError | None:
        """The error for a Content-Length above the limit, else None."""
        if length is None or not length.isdecimal() or int(length) <= self._budget:
            return None
        return self._too_large()

    def _too_large(self) -> RequestError:
        most = f"{self._budget / 2**20:.0f} MiB"
        return RequestError(413, f"more than {most} were sent", remedy="Send less at once.")

    async def receive(self) -> Message:
        """Receive the next message, within the limits."""
        if self._whole:
            # After the body only a disconnect can follow, at any time.
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), self._left())
        except TimeoutError:
            self.refusal = RequestError(
                408, "the request came too slowly", headers={"Connection": "close"}
            )
            raise self.refusal from None
        self._n_bytes += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._n_bytes > self._budget:
            self.refusal = self._too_large()
            raise self.refusal
        return message

    def _left(self) -> float:
        """Seconds until the next message must arrive."""
        allowed = self._seconds + self._n_bytes / LEAST_BYTES
        return max(0.0, min(self._seconds, self._began + allowed - time.monotonic()))


class _LimitedResponse:
    def __init__(self, scope: Scope, send: Send, body: _LimitedBody, seconds: float) -> None:
        self._scope, self._send, self._body, self._seconds = scope, send, body, seconds
        self._refused = False
        self.begun = False

    async def send(self, message: Message) -> None:
        """Send a message; once a request is refused, nothing but the error is sent."""
        if self._refused:
            return
        if not self.begun and self._body.refusal is not None:
            await self.refuse(self._body.refusal)
            return
        await self._timely(message)

    async def refuse(self, error: RequestError) -> None:
        """Send an error as the only response."""
        self._refused = True
        await error_answer(error)(self._scope, self._body.receive, self._timely)

    async def _timely(self, message: Message) -> None:
        self.begun = True
        await asyncio.wait_for(self._send(message), self._seconds)
