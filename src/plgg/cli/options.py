"""Options that several commands share."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from plgg.config import Arm
from plgg.core.errors import ConfigError
from plgg.core.jobs import Workers as AnyWorkers
from plgg.core.ray_session import RayWorkers


def number(*names: str, **words: Any) -> Any:  # noqa: ANN401 - typer's own
    """An option for a finite number; NaN would pass any bound."""
    return typer.Option(*names, callback=_finite, **words)


def _finite(value: float | None) -> float | None:
    if value is not None and not math.isfinite(value):
        raise typer.BadParameter(f"{value} is not a finite number.")
    return value


DEFAULT_WORKERS = min(os.cpu_count() or 1, 8)

Preset = Annotated[
    str,
    typer.Option(
        help="paper (1 mm, the published method), small (the same at 2 mm) or best (slices as "
        "acquired, pretrained: what measured best)."
    ),
]
Atlas = Annotated[
    str | None,
    typer.Option(
        help="built-in, sri24 (downloaded once), or the path of one: a folder with SRI24, or a "
        "stripped template in its space."
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a setting; plgg info lists them. Several are several --set.",
    ),
]


def _seed(value: int) -> int:
    # Not as an upper bound of the option: its nineteen digits would fill half of the help.
    if value >= 2**63:
        raise typer.BadParameter(f"{value} is not less than 2**63.")
    return value


Seed = Annotated[
    int, typer.Option(help="Seed of splits, weights and patches.", min=0, callback=_seed)
]
BootstrapSeed = Annotated[
    int, typer.Option(help="Seed of the bootstrap's intervals.", min=0, callback=_seed)
]
Epochs = Annotated[int | None, typer.Option(help="Epochs; the preset's if not given.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Track = Annotated[
    list[str] | None,
    typer.Option(
        help="Show the curves of metrics.jsonl elsewhere, too: tensorboard, mlflow, or both."
    ),
]
Models = Annotated[
    list[Path] | None,
    typer.Option(
        "--model",
        help="Folder of a run or an ensemble, several of them, or the name of an installed "
        "model; by default the one that plgg models lists.",
    ),
]
Engine = Annotated[str, typer.Option(help="pytorch; or onnx, openvino as made by plgg export.")]
Mirror = Annotated[
    bool, typer.Option("--mirror", help="Average with the mirror image: twice the time.")
]
NetworkGib = Annotated[
    float | None, number(help="GiB that the network may take; beyond it, windows.")
]
ScanGib = Annotated[
    float | None,
    number(
        "--scan-gib", min=0.001, max=1024, help="GiB that one scan may unpack to; 2 by default."
    ),
]
CaseMinutes = Annotated[
    float,
    number("--case-minutes", min=0.01, help="A case that takes longer is stopped and named."),
]
CaseGib = Annotated[
    float | None,
    number("--case-gib", min=0.5, help="A case that takes more GiB of memory is stopped, too."),
]
Workers = Annotated[int, typer.Option(help="Processes that work side by side.", min=1)]
WorkersOrRay = Annotated[
    str,
    typer.Option(
        "--workers",
        metavar="N|ray",
        help="Processes that work side by side; or ray: as many as Ray has room for, here or on a "
        "cluster (docs/scale.md).",
    ),
]
RayAddress = Annotated[
    str | None,
    typer.Option(
        help="Ray cluster whose nodes see these folders, e.g. auto or HOST:6379; default: this "
        "machine."
    ),
]

ShardOf = Annotated[
    str | None,
    typer.Option(
        "--shard",
        metavar="I/N",
        help="Do every N-th case from the I-th on, as one task of a job array; then the same "
        "command without --shard completes the rest (docs/scale.md).",
    ),
]


def workers_of(words: str, address: str | None) -> AnyWorkers:
    """Parse --workers and --ray-address.

    Raises:
        ConfigError: If it is neither a number of processes nor Ray, or an address is not Ray's.
    """
    if words == "ray":
        return RayWorkers(address)
    if address is not None:
        raise ConfigError("--ray-address is Ray's", remedy="Add --workers ray.")
    if not words.isascii() or not words.isdecimal() or not 1 <= int(words[:9]) <= 1024:
        raise ConfigError(
            f"no workers are called {words!r}",
            remedy="Give --workers a number of processes (1 to 1024), or ray.",
        )
    return int(words)


def with_epochs(settings: list[str] | None, epochs: int | None) -> list[str]:
    """Add the number of epochs to the settings."""
    chosen = list(settings or [])
    return chosen if epochs is None else [*chosen, f"optimiser.epochs={epochs}"]


def with_scan_gib(settings: list[str] | None, scan_gib: float | None) -> list[str]:
    """Add the limit of a scan to the settings."""
    chosen = list(settings or [])
    return chosen if scan_gib is None else [*chosen, f"execution.scan_gib={scan_gib}"]


def with_init(settings: list[str], run: Path | None, frozen_stages: int) -> list[str]:
    """Add the run of the initial weights to the settings."""
    if run is None:
        return settings
    given = [f"init.run={json.dumps(str(run))}", f"init.frozen_stages={frozen_stages}"]
    return [*settings, *given]


def with_inference(
    settings: list[str] | None, *, mirror: bool, memory_gib: float | None
) -> tuple[str, ...]:
    """Add the settings that have options of their own."""
    mirrored = ("inference.mirror=true",) if mirror else ()
    bounded = () if memory_gib is None else (f"inference.memory_gib={memory_gib}",)
    return (*(settings or ()), *mirrored, *bounded)


def arm_named(name: str) -> Arm:
    """Check the name of an arm.

    Raises:
        ConfigError: If there is none.
    """
    if name not in {"single", "multitask"}:
        raise ConfigError(f"no arm is called {name!r}", remedy="Choose single or multitask.")
    return cast("Arm", name)
