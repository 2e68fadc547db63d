"""The commands plgg pacs …: exchange with a PACS."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from plgg.cli import options, pacs_show, show
from plgg.cli.show import Bars
from plgg.predict.options import PredictOptions

commands: typer.Typer = typer.Typer(
    name="pacs",
    no_args_is_help=True,
    rich_markup_mode="rich",
    help="Take scans from a PACS, and give results back: find, pull, push, watch, listen.\n\n"
    "URL is https://host/dicom-web, or dicom://CALLED_AET@host:port (dicoms:// by TLS). Users and "
    "passwords come from PLGG_PACS_USER and PLGG_PACS_PASSWORD, PLGG_PACS_TOKEN or ~/.netrc. It "
    'needs pip install "plgg\\[pacs]".\n\nExample: plgg pacs find https://pacs.example/dicom-web',
)

Url = Annotated[str, typer.Argument(help="https://host/dicom-web or dicom://CALLED_AET@host:port.")]
Aet = Annotated[str, typer.Option("--aet", help="AE title of our own, for dicom://.")]
Tls = Annotated[bool, typer.Option("--tls", help="DIMSE by TLS, as dicoms:// says, too.")]
Insecure = Annotated[
    bool, typer.Option("--insecure", help="Let images go to other machines without TLS.")
]
StudyGib = Annotated[
    float, options.number("--study-gib", help="GiB that one study may hold.", min=0.001, max=1024)
]
Work = Annotated[Path, typer.Option("--work", help="Folder of states, scans and predictions.")]


@commands.command()
def find(
    url: Url,
    patient: Annotated[str | None, typer.Option(help="Patient ID; * and ? as wildcards.")] = None,
    study_date: Annotated[
        str | None, typer.Option(help="YYYYMMDD, YYYYMMDD-YYYYMMDD or YYYYMMDD-.")
    ] = None,
    description: Annotated[
        str | None, typer.Option(help="Words in the description of the study or of a series.")
    ] = None,
    modality: Annotated[str | None, typer.Option(help="Of one of its series, such as MR.")] = None,
    limit: Annotated[int, typer.Option(help="The most studies.", min=1, max=2000)] = 50,
    aet: Aet = "PLGG",
    tls: Tls = False,
    insecure: Insecure = False,
    as_json: options.Json = False,
) -> None:
    """List the studies on a PACS, with their series.

    What is listed identifies patients. It is printed here and written nowhere.

    Example: plgg pacs find https://pacs.example/dicom-web --patient 4711 --modality MR
    Example: plgg pacs find dicom://ORTHANC@127.0.0.1:4242 --description flair
    """
    from plgg.pacs.archive import PacsLink
    from plgg.pacs.find import find as find_studies
    from plgg.pacs.records import StudyQuery

    link = PacsLink(url, aet=aet, tls=tls, insecure=insecure)
    found = find_studies(link, StudyQuery(patient, study_date, description, modality, limit))
    if as_json:
        typer.echo(json.dumps([asdict(study) for study in found], indent=2))
    else:
        pacs_show.studies(found)


@commands.command()
def pull(
    url: Url,
    out: Annotated[Path, typer.Option("--out", help="Folder of the images; made if need be.")],
    study: Annotated[str | None, typer.Argument(metavar="[STUDY_UID]", help="Of it.")] = None,
    series: Annotated[str | None, typer.Option(help="UID of the one series wanted.")] = None,
    study_gib: StudyGib = 4.0,
    aet: Aet = "PLGG",
    tls: Tls = False,
    insecure: Insecure = False,
) -> None:
    """Fetch a study or a series; the same command goes on where it was stopped.

    Each object is checked to be the one that was asked for.

    Example: plgg pacs pull https://pacs.example/dicom-web 1.2.840.1.2.3 --out P01
    """
    from plgg.pacs.archive import PacsLink
    from plgg.pacs.pull import pull as pull_images

    link = PacsLink(url, aet=aet, tls=tls, insecure=insecure, study_gib=study_gib)
    found = pull_images(link, study, out, series=series, watch=Bars())
    pacs_show.pulled(found)


@commands.command()
def push(
    url: Url,
    folders: Annotated[
        list[Path],
        typer.Argument(
            help="Predictions: one case, a folder of many, an edit, or a work folder.",
            metavar="FOLDER...",
        ),
    ],
    aet: Aet = "PLGG",
    tls: Tls = False,
    insecure: Insecure = False,
    as_json: options.Json = False,
) -> None:
    """Send the DICOM objects of predictions and of corrections: segmentations, measurements.

    What is on the PACS already is not sent again. Status 1 if it refuses one.

    Example: plgg pacs push https://pacs.example/dicom-web predictions
    Example: plgg pacs push dicom://PACS@127.0.0.1:4242 work/cases/P01/edits/0001
    """
    from plgg.pacs.archive import PacsLink
    from plgg.pacs.push import push as push_objects

    link = PacsLink(url, aet=aet, tls=tls, insecure=insecure)
    found = push_objects(link, folders, Bars(quiet=as_json))
    pacs_show.pushed(found, as_json=as_json)
    raise typer.Exit(1 if any(one.state == "refused" for one in found) else 0)


@commands.command()
def watch(
    url: Url,
    work: Work,
    rule: Annotated[
        str,
        typer.Option(
            help="Which studies: modality, description, study-description, series-description, "
            "each with = or ~ (contains)."
        ),
    ] = "modality=MR description~flair",
    every: Annotated[
        float, options.number(help="Seconds between two looks.", min=1, max=86400)
    ] = 60.0,
    days: Annotated[
        str,
        typer.Option(
            metavar="N|all",
            help="Only studies of the last N days, today's included; all takes every study that "
            "fits, of all time.",
        ),
    ] = "2",
    push: Annotated[bool, typer.Option("--push", help="Send the results back.")] = False,
    once: Annotated[bool, typer.Option("--once", help="Look once, and end.")] = False,
    model: options.Models = None,
    study_gib: StudyGib = 4.0,
    case_minutes: options.CaseMinutes = 30.0,
    case_gib: options.CaseGib = None,
    aet: Aet = "PLGG",
    tls: Tls = False,
    insecure: Insecure = False,
) -> None:
    """Predict each new study of a PACS that fits a rule, and send the results back if wanted.

    Studies of today and yesterday are taken, by their Study Date; --days takes more. A study is
    taken once no more images of it come. The same command goes on after any end. With --once,
    status 1 if a study failed.

    Example: plgg pacs watch https://pacs.example/dicom-web --work work --push
    Example: plgg pacs watch https://pacs.example/dicom-web --work work --days 30 --once
    """
    from plgg.pacs.archive import PacsLink
    from plgg.pacs.days import parse_days
    from plgg.pacs.rule import parse_rule
    from plgg.pacs.watch import watch as watch_studies
    from plgg.pacs.work import StudyWork

    link = PacsLink(url, aet=aet, tls=tls, insecure=insecure, study_gib=study_gib)
    wanted = PredictOptions(case_minutes=case_minutes, case_gib=case_gib)
    back = link if push else None
    studies = StudyWork(work, tuple(model or ()), wanted, back, Bars())
    wanted_rule, since = parse_rule(rule), parse_days(days)
    pacs_show.watching(rule, since, push=push)
    found = watch_studies(link, studies, wanted_rule, every_seconds=every, days=since, once=once)
    show.line(f"predicted: {len(found.done)}, failed: {len(found.failed)}; {work / 'cases'}")
    raise typer.Exit(1 if found.failed else 0)


@commands.command()
def listen(
    work: Work,
    port: Annotated[int, typer.Option(help="0 takes a free one.", min=0, max=65535)] = 11112,
    host: Annotated[
        str, typer.Option(help="Address to listen at. Other machines reach only another one.")
    ] = "127.0.0.1",
    caller: Annotated[
        list[str] | None,
        typer.Option("--caller", help="AE title that may call; several. Needed beyond loopback."),
    ] = None,
    push: Annotated[str | None, typer.Option("--push", help="URL to send the results to.")] = None,
    quiet: Annotated[
        float,
        options.number(help="A study is whole after so many seconds of silence.", min=1, max=3600),
    ] = 30.0,
    model: options.Models = None,
    study_gib: StudyGib = 4.0,
    case_minutes: options.CaseMinutes = 30.0,
    case_gib: options.CaseGib = None,
    aet: Aet = "PLGG",
    tls: Tls = False,
    insecure: Insecure = False,
) -> None:
    """Receive MR studies by C-STORE, predict each once it is whole, and send the results on.

    TLS needs our own certificate: PLGG_PACS_CERT and PLGG_PACS_KEY. Ctrl-C ends it; the same
    command takes up what was not finished.

    Example: plgg pacs listen --port 11112 --aet PLGG --work work --push dicom://PACS@127.0.0.1:4242
    """
    from plgg.pacs.archive import PacsLink
    from plgg.pacs.listen import listen as receive
    from plgg.pacs.receiver import ReceiverOptions
    from plgg.pacs.work import StudyWork

    back = PacsLink(push, aet=aet, tls=tls, insecure=insecure) if push else None
    if back:
        back.require_safe()
    chosen = ReceiverOptions(host, port, aet, tuple(caller or ()), tls, insecure, study_gib)
    wanted = PredictOptions(case_minutes=case_minutes, case_gib=case_gib)
    receive(chosen, StudyWork(work, tuple(model or ()), wanted, back, Bars()), quiet_seconds=quiet)
