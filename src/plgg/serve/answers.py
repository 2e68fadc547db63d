"""Answers of the server: errors as JSON, and files with their ETag."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from fastapi import Request
from fastapi.responses import FileResponse, JSONResponse, Response

from plgg.core.errors import PlggError, visible
from plgg.serve.errors import RequestError, status_of


class Json(JSONResponse):
    """JSON that is safe to embed in HTML: no text in it can end a script or a tag."""

    def render(self, content: object) -> bytes:
        """The bytes of the answer."""
        text = json.dumps(content, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
        for sign in "<>&\u2028\u2029":
            text = text.replace(sign, f"\\u{ord(sign):04x}")
        return text.encode()


def error_answer(error: PlggError, *, short: str = "") -> Json:
    """An error as JSON.

    Args:
        error: The error to report.
        short: Path that is left out of the message.
    """

    def plain(text: str | None) -> str | None:
        return None if text is None else visible(text.replace(short, "") if short else text)

    told = {
        "message": plain(error.what),
        "where": plain(error.where),
        "remedy": plain(error.remedy),
    }
    more = error.more if isinstance(error, RequestError) else {}
    headers = error.headers if isinstance(error, RequestError) else None
    return Json({"error": told, **more}, status_code=status_of(error), headers=headers)


def file_answer(
    request: Request,
    path: Path,
    media_type: str,
    *,
    etag: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """A file; 304 without a body where the client has it already.

    Args:
        request: What was asked.
        path: Of the file.
        media_type: Of its contents.
        etag: Its SHA-256 if that is known; by default made of its time and size.
        headers: Further headers.
    """
    stat = path.stat()
    tag = f'"{etag or f"{stat.st_mtime_ns:x}-{stat.st_size:x}"}"'
    known = {"ETag": tag, "Cache-Control": "private, no-cache", **(headers or {})}
    asked = request.headers.get("if-none-match", "")
    if tag in (part.strip().removeprefix("W/") for part in asked.split(",")):
        return Response(status_code=304, headers=known)
    return FileResponse(path, media_type=media_type, headers=known)
