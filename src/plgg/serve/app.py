"""`create_app`: the reading room as an ASGI application.

    app = create_app(ServeOptions(work=Path("work"), token=None))

Its lifespan locks the work folder and runs the job queue.
"""

from __future__ import annotations

import errno
import logging
import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, Response
from fastapi.staticfiles import StaticFiles
from python_multipart.exceptions import FormParserError
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from plgg import __version__
from plgg.core.errors import PlggError
from plgg.core.output import READING_ROOM, output_folder
from plgg.serve import monai_label
from plgg.serve.answers import Json, error_answer
from plgg.serve.errors import RequestError
from plgg.serve.options import ServeOptions
from plgg.serve.request_limits import SMALL_BYTES, Budget, RequestLimits
from plgg.serve.room import Room, open_room, recover
from plgg.serve.routes import cases, docs, info, jobs, masks, push, rounds, studies
from plgg.serve.security import Guard

log = logging.getLogger(__name__)
PAGE = Path(str(files("plgg.serve") / "page"))
_ROUTERS = (info, cases, masks, jobs, rounds, studies, push, docs, monai_label)
_ABOUT = "Outlines of pediatric low-grade glioma, looked at and corrected. For research use only."
# Media types that some systems lack; browsers run no JavaScript module of another type.
_SCRIPT_MEDIA_TYPES = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
}
_DISK_FULL_ERRNOS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)
_UPLOAD_PATHS = (
    ("POST", "/api/v1/cases"),
    ("PUT", "/api/v1/cases/"),
    ("PUT", "/datastore/"),
    ("PUT", "/session/"),
    ("POST", "/infer/"),
    # MONAI Label's client repeats the Content-Length of its last upload; there is no body.
    ("GET", "/"),
    ("DELETE", "/"),
)


def create_app(options: ServeOptions) -> FastAPI:
    """Make the application.

    Raises:
        PlggError: If a model or the store cannot be used, or the options are not safe.
    """
    room = open_room(options)
    app = FastAPI(
        title="plgg serve",
        version=__version__,
        description=_ABOUT,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        lifespan=_lifespan,
        default_response_class=Json,
        # No telemetry about scans and users, whatever the environment variables say.
        telemetry={"tracing": False, "metrics": False, "logs": False, "auto_configure": False},
    )
    app.state.room = room
    for routes in _ROUTERS:
        app.include_router(routes.router)
    _add_page(app)
    _add_errors(app, room)
    app.add_middleware(RequestLimits, budget=_budget(options), seconds=options.patience_seconds)
    app.add_middleware(Guard, security=room.security)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Lock the work folder, recover from a crash, and run jobs until shutdown."""
    room: Room = app.state.room
    with output_folder(room.work.root, READING_ROOM):
        await run_in_threadpool(recover, room)
        room.runner.start()
        try:
            yield
        finally:
            await run_in_threadpool(room.runner.stop)


def _budget(options: ServeOptions) -> Budget:
    def budget(method: str, path: str) -> int:
        large = any(method == kind and path.startswith(start) for kind, start in _UPLOAD_PATHS)
        return options.upload_bytes if large else SMALL_BYTES

    return budget


def _add_page(app: FastAPI) -> None:
    for ending, kind in _SCRIPT_MEDIA_TYPES.items():
        mimetypes.add_type(kind, ending)
    if PAGE.is_dir():
        app.mount("/page", StaticFiles(directory=PAGE), name="page")

    @app.get("/", include_in_schema=False)
    def page() -> FileResponse:
        """The page."""
        if not (PAGE / "index.html").is_file():
            raise RequestError(404, "the page is not installed", remedy="Install plgg again.")
        return FileResponse(PAGE / "index.html", headers={"Cache-Control": "no-cache"})


def _add_errors(app: FastAPI, room: Room) -> None:
    """Answer errors of every kind with the same JSON."""
    short = f"{room.work.root.resolve()}/"

    @app.exception_handler(PlggError)
    async def refused(_request: Request, error: PlggError) -> Response:
        return error_answer(error, short=short)

    @app.exception_handler(HTTPException)
    async def http(_request: Request, error: HTTPException) -> Response:
        what = str(error.detail).rstrip(".").lower()
        return error_answer(RequestError(error.status_code, what, headers=error.headers))

    @app.exception_handler(RequestValidationError)
    async def invalid(_request: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"][1:])) or "the body"
        return error_answer(RequestError(422, str(first["msg"]).lower(), where=where))

    @app.exception_handler(OSError)
    async def full(_request: Request, error: OSError) -> Response:
        if error.errno not in _DISK_FULL_ERRNOS:
            raise error
        what = f"could not be written ({(error.strerror or 'error').lower()})"
        return error_answer(RequestError(507, what, remedy="Free some space on the server."))

    @app.exception_handler(FormParserError)
    async def misformed(_request: Request, _error: FormParserError) -> Response:
        return error_answer(RequestError(400, "is no form that can be read", where="the body"))

    @app.exception_handler(ClientDisconnect)
    async def gone(_request: Request, _error: ClientDisconnect) -> Response:
        return Response(status_code=400)
