"""Versions, device, presets and schemas of this installation."""

from __future__ import annotations

from typing import Any

from plgg.config import PRESETS, Config


def info() -> dict[str, Any]:
    """Versions, machine, device, presets, and the schemas of settings and of `result.json`.

    Example:
        >>> sorted(api.info()["presets"])
        ['best', 'paper', 'small']
    """
    from plgg.core.environment import machine, versions
    from plgg.data.result import Result
    from plgg.model.device import choose_runtime

    return {
        "versions": versions(),
        "machine": machine(),
        "device": choose_runtime().name,
        "presets": {name: config.model_dump(mode="json") for name, config in PRESETS.items()},
        "config_schema": Config.model_json_schema(),
        "result_schema": Result.model_json_schema(),
    }
