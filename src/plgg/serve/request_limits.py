"""`RequestLimits`: bodies within their budget, and no waiting for clients that are too slow.

A body that is larger than its path allows is answered 413 without being read; a client that sends
nothing for a while, or less than `LEAST_BYTES` a second in the long run, 408; one that does not
read its answer is left.
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
"""The most bytes of a body, by method and path."""


class RequestLimits:
    """Wraps what is received and sent.

    Args:
        app: What answers.
        budget: Of bodies.
        seconds: How long a client may keep the server waiting.
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
        """A body that says of itself that it is."""
        if length is None or not length.isdecimal() or int(length) <= self._budget:
            return None
        return self._too_large()

    def _too_large(self) -> RequestError:
        most = f"{self._budget / 2**20:.0f} MiB"
        return RequestError(413, f"more than {most} were sent", remedy="Send less at once.")

    async def receive(self) -> Message:
        """The next piece."""
        if self._whole:
            # From here on it is waited for the client to leave, as long as that takes.
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
        """Seconds until the next piece must be there."""
        allowed = self._seconds + self._n_bytes / LEAST_BYTES
        return max(0.0, min(self._seconds, self._began + allowed - time.monotonic()))


class _LimitedResponse:
    def __init__(self, scope: Scope, send: Send, body: _LimitedBody, seconds: float) -> None:
        self._scope, self._send, self._body, self._seconds = scope, send, body, seconds
        self._refused = False
        self.begun = False

    async def send(self, message: Message) -> None:
        """Send a piece; of a request that was refused, nothing that others make of it."""
        if self._refused:
            return
        if not self.begun and self._body.refusal is not None:
            await self.refuse(self._body.refusal)
            return
        await self._timely(message)

    async def refuse(self, error: RequestError) -> None:
        """Answer with an error, and with nothing else."""
        self._refused = True
        await error_answer(error)(self._scope, self._body.receive, self._timely)

    async def _timely(self, message: Message) -> None:
        self.begun = True
        await asyncio.wait_for(self._send(message), self._seconds)
