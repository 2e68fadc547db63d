"""Start Ray on this machine or connect to a cluster; only this module imports Ray.

with ray_session(workers.address) as ray:
    room = worker_resources(ray, workers)
"""

from __future__ import annotations

import logging
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from plgg.core.errors import ConfigError

_GIB = 2**30


@dataclass(frozen=True)
class RayWorkers:
    """Workers that Ray places, on this machine or on a cluster.

    Attributes:
        address: Of a cluster, such as `auto` or `ray-head:6379`; None starts Ray on this machine.
        cpus: Processor cores of a worker.
        gpus: GPUs of a worker, or a share of one; None takes one where there are any.
        gib: Memory of its node that a worker requests, in GiB; None requests none.
        most: Largest number of parallel workers; None for as many as there is room for.

    Example:
        >>> RayWorkers("auto").cpus
        1
    """

    address: str | None = None
    cpus: int = 1
    gpus: float | None = 0.0
    gib: float | None = None
    most: int | None = None


@dataclass(frozen=True)
class Room:
    """Resources of a cluster for workers.

    Attributes:
        workers: How many fit in parallel, at least one.
        gpus: GPUs of each.
        reserved_gib: Memory that each requests from Ray; None for none.
        share_gib: Memory of a node divided by its number of workers, the least of all nodes.
    """

    workers: int
    gpus: float
    reserved_gib: float | None
    share_gib: float


@contextmanager
def ray_session(address: str | None) -> Iterator[Any]:
    """Connect to Ray, and shut it down at the end, unless the program had started it already.

    Raises:
        ConfigError: If Ray is not installed or cannot be reached.
    """
    ray = import_ray()
    if ray.is_initialized():
        yield ray
        return
    handlers = _handlers()
    try:
        _connect(ray, address)
        _restore(handlers)
        yield ray
    finally:
        ray.shutdown()
        _restore(handlers)


def import_ray() -> Any:  # noqa: ANN401 - Ray is optional
    """Ray's module.

    Raises:
        ConfigError: If it is not installed.
    """
    # Before the import, which reads it: no telemetry.
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    # By default, Ray lowers the priority of its workers.
    os.environ.setdefault("RAY_worker_niceness", "0")
    # A worker that requests no GPU sees none; without Ray's warning that this will change.
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "1")
    try:
        import ray
    except ImportError as error:
        raise ConfigError("Ray is not installed", remedy='pip install "plgg[ray]"') from error
    return ray


def _connect(ray: Any, address: str | None) -> None:  # noqa: ANN401
    try:
        ray.init(
            # By default, Ray would connect to the cluster that it used last.
            address=address or "local",
            include_dashboard=None if address else False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        _quieten()
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"Ray does not answer ({error})",
            where=address,
            remedy="Check the address, or leave it out to use this machine.",
        ) from error
    except ray.exceptions.RayError as error:
        raise ConfigError(
            f"Ray does not let this program in ({type(error).__name__})",
            where=address,
            remedy="Set RAY_AUTH_MODE=token, and give it the cluster's token: ~/.ray/auth_token.",
        ) from error


def _quieten() -> None:
    """Keep Ray from printing on standard output, where JSON may be, that a worker has died."""
    with suppress(ImportError, AttributeError):
        import_module("ray._private.worker").__dict__["_worker_logs_enabled"] = False


def _handlers() -> dict[int, Any]:
    """Signal handlers of the program; only its main thread may set them."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    return {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}


def _restore(handlers: dict[int, Any]) -> None:
    """Restore the signal handlers of the program, which Ray replaces by its own."""
    for number, handler in handlers.items():
        with suppress(TypeError, ValueError):
            signal.signal(number, handler)


def worker_resources(ray: Any, wanted: RayWorkers) -> Room:  # noqa: ANN401
    """Count the workers that fit, and their resources. Ray would wait for ever for missing ones.

    Raises:
        ConfigError: If no machine has the cores or the GPUs of one worker.
    """
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    gpus = _gpus(nodes, wanted)
    able = [node for node in nodes if _holds(node, wanted.cpus, gpus)]
    if not able:
        raise ConfigError(
            f"no machine has both {wanted.cpus} CPUs and {gpus:g} GPUs for one worker",
            remedy="Start Ray with other resources, or ask for fewer.",
        )
    slots = [_slots(node, wanted.cpus, gpus) for node in able]
    memory = [node.get("memory", 0.0) / _GIB for node in able]
    share = min(gib / n for gib, n in zip(memory, slots, strict=True))
    # A machine with less memory than requested still runs one case at a time.
    reserved = wanted.gib if wanted.gib and max(memory) >= wanted.gib else None
    if wanted.gib:
        slots = [min(n, int(g / wanted.gib)) for n, g in zip(slots, memory, strict=True)]
    most = max(1, sum(slots))
    return Room(min(most, wanted.most or most), gpus, reserved, share)


def _gpus(nodes: list[dict[str, float]], wanted: RayWorkers) -> float:
    most = {kind: max(node.get(kind, 0.0) for node in nodes) for kind in ("CPU", "GPU")}
    gpus = min(1.0, most["GPU"]) if wanted.gpus is None else wanted.gpus
    for kind, asked, option in (("CPU", wanted.cpus, "cpus"), ("GPU", gpus, "gpus")):
        if asked > most[kind]:
            raise ConfigError(
                f"a run asks for {asked:g} {kind}s and the largest machine has {most[kind]:g}",
                remedy=f"Lower --{option}-per-run.",
            )
    return gpus


def _holds(node: dict[str, float], cpus: int, gpus: float) -> bool:
    return node.get("CPU", 0.0) >= cpus and node.get("GPU", 0.0) >= gpus


def _slots(node: dict[str, float], cpus: int, gpus: float) -> int:
    by_cpus = int(node.get("CPU", 0.0) / cpus)
    return min(by_cpus, int(node.get("GPU", 0.0) / gpus)) if gpus else by_cpus
