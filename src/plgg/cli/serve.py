"""The command serve: the reading room."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Annotated

import typer

from plgg.cli import options, show
from plgg.predict.options import PredictOptions

commands: typer.Typer = typer.Typer()


@commands.command()
def serve(
    work: Annotated[Path, typer.Argument(help="Folder of the reading room; made if need be.")],
    model: options.Models = None,
    store: Annotated[
        Path | None,
        typer.Option(
            "--store", help="Store that the model was trained on: rounds learn from it, too."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at. Other machines reach only another one.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 8000,
    no_token: Annotated[
        bool,
        typer.Option("--no-token", help="Let every program of this machine in, on loopback only."),
    ] = False,
    dicomweb: Annotated[
        str | None,
        typer.Option(
            "--dicomweb",
            help="A PACS whose studies can be listed and opened: https://host/dicom-web, or "
            "dicom://CALLED_AET@host:port. Its user: PLGG_PACS_USER, PLGG_PACS_PASSWORD.",
        ),
    ] = None,
    push: Annotated[
        bool,
        typer.Option(
            "--push",
            help="Let the page and the API send segmentations and measurements to --dicomweb.",
        ),
    ] = False,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Let --dicomweb reach other machines without TLS.")
    ] = False,
    atlas: options.Atlas = None,
    upload_gib: Annotated[
        float, options.number(help="GiB that one upload may hold.", min=0.001, max=1024)
    ] = 2.0,
    scan_gib: options.ScanGib = None,
    case_minutes: options.CaseMinutes = 30.0,
    case_gib: options.CaseGib = None,
    round_minutes: Annotated[
        float, options.number(help="A round of learning that takes longer is stopped.", min=0.01)
    ] = 240.0,
) -> None:
    """Open a reading room in the browser: look at outlines, correct them, learn from them.

    Everything stays on this machine, in WORK. The link that is printed opens the page; whoever has
    it, or the token in it, can see every scan. Ctrl-C closes the room; the same command opens it
    again, and jobs that were under way go on. It needs pip install "plgg[serve]".

    Example: plgg serve work
    Example: plgg serve work --model runs/multitask --store store --port 8080
    Example: plgg serve work --dicomweb https://pacs.example/dicom-web --push
    """
    from plgg.pacs.archive import PacsLink
    from plgg.serve.options import ServeOptions, require_extra

    chosen = ServeOptions(
        work=work,
        models=tuple(model or ()),
        store=store,
        host=host,
        port=port,
        token=None if no_token else secrets.token_urlsafe(32),
        predict=PredictOptions(
            atlas=atlas, scan_gib=scan_gib, case_minutes=case_minutes, case_gib=case_gib
        ),
        upload_gib=upload_gib,
        round_minutes=round_minutes,
        dicomweb=PacsLink(dicomweb, insecure=insecure) if dicomweb else None,
        push=push,
    )
    require_extra()
    chosen.require_safe()
    from plgg.serve.server import serve_room

    serve_room(chosen, show.line)
