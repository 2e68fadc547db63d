"""Commands on models: train, predict, export, models."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from plgg.cli import options, show
from plgg.cli.show import Bars
from plgg.core.shard import Shard
from plgg.predict.options import PredictOptions

if TYPE_CHECKING:
    from plgg.predict.engine import Format


commands: typer.Typer = typer.Typer()


@commands.command()
def train(
    store: Annotated[Path, typer.Argument(help="Store made by plgg preprocess.")],
    run: Annotated[Path, typer.Option("--run", help="Folder of the run; repeat to resume.")],
    preset: options.Preset = "small",
    arm: Annotated[str, typer.Option(help="single or multitask.")] = "multitask",
    epochs: options.Epochs = None,
    seed: options.Seed = 0,
    split: Annotated[int, typer.Option(help="Number of the split, from 0.", min=0, max=999)] = 0,
    folds: Annotated[
        int | None,
        typer.Option(
            help="Instead of one split: a network for each of so many folds. Together they are "
            "one model, tested on every patient by the network that never saw it.",
            min=2,
        ),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(
            help="Run to start from; with --folds, an ensemble of the same folds. Heads that do "
            "not fit start anew."
        ),
    ] = None,
    freeze: Annotated[
        int, typer.Option(help="Stages of its encoder, from the image on, to keep.", min=0)
    ] = 0,
    devices: Annotated[
        int, typer.Option(help="Devices that share every batch; the result is the same.", min=1)
    ] = 1,
    nodes: Annotated[int, typer.Option(help="Machines, as started by srun.", min=1)] = 1,
    track: options.Track = None,
    settings: options.Set = None,
    as_json: options.Json = False,
) -> None:
    """Train one arm on one split, or an ensemble on folds, and score it on unseen patients.

    Ctrl-C, or a crash, leaves a run that the same command takes up again. Several devices: give
    --devices, or start the command by torchrun or srun.

    Example: plgg train store --run runs/multitask --preset small --arm multitask
    Example: plgg train store --run runs/ensemble --preset best --folds 5
    """
    from plgg import api

    chosen = options.with_init(options.with_epochs(settings, epochs), init, freeze)
    config = api.configure(preset, arm=options.arm_named(arm), seed=seed, settings=chosen)
    watch = Bars(quiet=as_json)
    found = api.train(
        store,
        run,
        config,
        split=split,
        folds=folds,
        devices=devices,
        nodes=nodes,
        track=track or (),
        watch=watch,
    )
    if not found:
        return
    if as_json:
        typer.echo(json.dumps({part: e.summary_json() for part, e in found.items()}, indent=2))
        return
    for part, evaluation in found.items():
        show.evaluation(evaluation, title=part)
    show.line(f"run: {run}")


@commands.command()
def predict(
    inputs: Annotated[
        list[Path], typer.Argument(help="NIfTI files, DICOM folders or zips, manifests, stores.")
    ],
    out: Annotated[Path, typer.Option("--out", help="One folder a case is made here.")],
    model: Annotated[
        list[Path] | None,
        typer.Option(
            "--model",
            help="Folder of a run or an ensemble, several of them, a folder of trained nnU-Net v2 "
            "results or one fold_K in it, or the name of an installed model; by default the one "
            "that plgg models lists.",
        ),
    ] = None,
    part: Annotated[
        str | None, typer.Option(help="Only train, validation or test of the run's split.")
    ] = None,
    atlas: options.Atlas = None,
    engine: options.Engine = "pytorch",
    prior: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder of an earlier prediction of the same patient; several make a timeline."
        ),
    ] = None,
    scan_date: Annotated[
        datetime | None,
        typer.Option("--date", formats=["%Y-%m-%d"], help="Of a scan named by itself, for it."),
    ] = None,
    age: Annotated[
        float | None, options.number(help="Years, of a scan named by itself.", min=0, max=149.99)
    ] = None,
    sex: Annotated[str | None, typer.Option(help="F or M, of a scan named by itself.")] = None,
    flair: Annotated[Path | None, typer.Option(help="Its FLAIR, if the scan is not that.")] = None,
    t1: Annotated[Path | None, typer.Option(help="Its T1, for a model that sees it.")] = None,
    t1c: Annotated[Path | None, typer.Option(help="Its T1 with contrast, likewise.")] = None,
    t2: Annotated[Path | None, typer.Option(help="Its T2, likewise.")] = None,
    mirror: options.Mirror = False,
    memory: options.NetworkGib = None,
    scan_gib: options.ScanGib = None,
    case_minutes: options.CaseMinutes = 30.0,
    case_gib: options.CaseGib = None,
    workers: options.WorkersOrRay = "1",
    ray_address: options.RayAddress = None,
    shard: options.ShardOf = None,
    report: Annotated[
        bool, typer.Option("--report/--no-report", help="Draw report.html for each scan.")
    ] = True,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Draw report.pdf, too; of DICOM as report.dcm as well.")
    ] = False,
    rtstruct: Annotated[
        bool, typer.Option("--rtstruct", help="Of DICOM, write the outline as RTSTRUCT, too.")
    ] = False,
    settings: options.Set = None,
    as_json: options.Json = False,
) -> None:
    """Outline the tumour on the patient's own scan and name its marker.

    Further sequences of a scan named by itself are given with --t2 and the like; one that is not
    given is missing, which a network that was trained with channels_dropout can do without.

    A scan is prepared as those that the model was trained on: skull-stripped if it is a raw head,
    and registered to the same atlas. Of DICOM, a DICOM SEG of the outline and a DICOM SR of the
    measurements are made as well. Status 1 if a scan failed; the others are finished, and
    the same command makes only what is missing.

    Example: plgg predict scan.nii.gz --out predictions
    Example: plgg predict scan.nii.gz --model runs/multitask --out predictions
    """
    from plgg import api

    named = (("flair", flair), ("t1", t1), ("t1c", t1c), ("t2", t2))
    wanted = PredictOptions(
        part=part,
        atlas=atlas,
        engine=engine,
        settings=options.with_inference(settings, mirror=mirror, memory_gib=memory),
        prior=tuple(prior) if prior else None,
        scan_date=scan_date.date() if scan_date else None,
        age_years=age,
        sex=sex,
        others={n: p for n, p in named if p is not None},
        pages=report,
        rtstruct=rtstruct,
        pdf=pdf,
        scan_gib=scan_gib,
        case_minutes=case_minutes,
        case_gib=case_gib,
    )
    watch = Bars(quiet=as_json)
    who = options.workers_of(workers, ray_address)
    own = Shard.parse(shard) if shard is not None else None
    outcomes = api.predict(
        inputs, model=model, out=out, options=wanted, workers=who, shard=own, watch=watch
    )
    show.outcomes(outcomes, out, as_json=as_json)
    raise typer.Exit(1 if any(outcome.reason for outcome in outcomes) else 0)


@commands.command()
def export(
    run: Annotated[Path, typer.Argument(help="Folder of a training run, or of an ensemble.")],
    fmt: Annotated[
        str, typer.Option("--format", help="onnx, openvino, monai-bundle, or plgg-model.")
    ],
    out: Annotated[Path | None, typer.Option("--out", help="Default: RUN/export/FORMAT.")] = None,
    name: Annotated[str, typer.Option(help="Of a plgg-model: what it is called.")] = "",
    about: Annotated[
        str, typer.Option(help="Of a plgg-model: what every page it makes must say.")
    ] = "",
) -> None:
    """Write a trained network for other programs, and check that it answers alike.

    Of onnx and openvino, plgg predict --engine can use the one in its default place. A plgg-model
    is a run or an ensemble to hand on: half the size, without names of cases or folders. A store
    for nnU-Net is written by plgg export nnunet STORE OUT.

    Example: plgg export runs/multitask --format onnx
    """
    from plgg import api

    if fmt == "plgg-model":
        folder = out or run / "export" / fmt
        found = api.export_model(run, folder, name=name, about=about, watch=Bars())
        show.export(folder, found)
        return
    made = api.export(run, cast("Format", fmt), out=out, watch=Bars())
    show.export(made.path, made.largest_difference)


@commands.command("export nnunet")
def export_nnunet(
    store: Annotated[Path, typer.Argument(help="Store made by plgg preprocess.")],
    out: Annotated[Path, typer.Argument(help="Folder of data sets, nnU-Net's nnUNet_raw.")],
    number: Annotated[int, typer.Option("--id", help="Of the data set: nnU-Net's -d.")] = 500,
    name: Annotated[str, typer.Option(help="Of the data set: letters and digits.")] = "plgg",
    splits: Annotated[
        int, typer.Option(help="Repeated splits, as plgg experiment has them.", min=1, max=1000)
    ] = 6,
    folds: Annotated[
        int | None, typer.Option(help="Instead, folds of a cross validation.", min=3)
    ] = None,
    seed: options.Seed = 0,
) -> None:
    """Write a store for nnU-Net v2: images, masks, dataset.json, plgg's splits.

    nnU-Net's fold K is plgg's split K; its test patients are in neither part of it and are listed
    in splits_test.json. What nnU-Net has trained on it, plgg predict --model takes.

    Example: plgg export nnunet store nnUNet_raw --id 501 --name glioma
    """
    from plgg import api

    made = api.export_nnunet(
        store,
        out,
        number=number,
        name=name,
        splits=splits,
        folds=folds,
        seed=seed,
        watch=Bars(),
    )
    show.nnunet_export(made, out)


@commands.command()
def models(as_json: options.Json = False) -> None:
    """The models that are installed: what plgg predict takes by itself, or by --model NAME.

    Example: plgg models
    """
    from plgg import api

    found = api.models()
    if as_json:
        typer.echo(json.dumps([asdict(model) for model in found], indent=2, default=str))
    else:
        show.models(found)
