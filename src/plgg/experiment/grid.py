"""A grid of settings and its points."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

from plgg.config import Config, with_settings
from plgg.core.errors import ConfigError

Grid = Mapping[str, Sequence[str]]
"""Values of each setting, as typed."""

# Settings that only the marker uses; they have no effect on an arm without it.
_MARKER_SETTINGS = (
    "loss.marker_weight",
    "loss.weight",
    "loss.class_weights",
    "loss.gradients_every",
    "loss.uncertainty_",
    "loss.dwa_",
    "loss.gradnorm_",
    "loss.cagrad_",
    "model.marker.",
    "patches.marker",
)
# Settings that define an arm, an experiment or its folder, so that a grid cannot vary them.
_NO_SETTINGS = ("arm", "preset", "seed", "grid.", "preprocess.", "init.run")
_COMMAS = re.compile(r",(?![^\[]*\])")


def parse_grid(texts: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Parse `key=value,value,…`; commas within brackets belong to a value.

    Raises:
        ConfigError: If a text has another form, or a key occurs twice or cannot be varied.
    """
    grid: dict[str, tuple[str, ...]] = {}
    for text in texts:
        key, equals, values = text.partition("=")
        found = tuple(value.strip() for value in _COMMAS.split(values) if value.strip())
        fixed = key.strip() == "tasks" or key.strip().startswith(_NO_SETTINGS)
        if not (key.strip() and equals) or fixed or len(found) < 2 or key.strip() in grid:
            raise ConfigError(
                f"{text!r} is no row of a grid",
                remedy="Write each setting of the training once, with two values or more: "
                "--grid loss.marker_weight=0,.1,.3",
            )
        grid[key.strip()] = found
    return grid


def values_of(config: Config, grid: Grid) -> dict[str, tuple[Any, ...]]:
    """The grid's values as the settings understand them: `.1` and `0.10` are both 0.1.

    Raises:
        ConfigError: If a key is unknown or a value out of range.
    """
    return {
        key: tuple(_value(with_settings(config, [f"{key}={text}"]), key) for text in texts)
        for key, texts in grid.items()
    }


def points(config: Config, grid: Grid) -> dict[str, Config]:
    """Settings of every grid point by the name of its folder; without a grid, one with a blank.

    Raises:
        ConfigError: If a key is unknown or a value out of range.
    """
    keys = [key for key in grid if _affects(config, key)]
    found = {}
    for values in product(*(grid[key] for key in keys)):
        changed = with_settings(config, [f"{k}={v}" for k, v in zip(keys, values, strict=True)])
        name = _name(changed, keys)
        if name in found:
            raise ConfigError(
                f"two points of the grid are both {name}", remedy="Leave one of them out."
            )
        found[name] = changed
    return found


def _affects(config: Config, key: str) -> bool:
    """Whether a setting has an effect on an arm."""
    if key.startswith("tasks."):
        return key.split(".")[1] in config.auxiliary
    return config.arm == "multitask" or not key.startswith(_MARKER_SETTINGS)


def _name(config: Config, keys: Sequence[str]) -> str:
    return ",".join(f"{key}={_text(_value(config, key))}" for key in keys)


def _value(config: Config, key: str) -> Any:  # noqa: ANN401 - a setting may be anything
    value: Any = config
    for part in key.split("."):
        value = value[part] if isinstance(value, Mapping) else getattr(value, part)
    return value


def _text(value: Any) -> str:  # noqa: ANN401
    text = f"{value:.12g}" if isinstance(value, float) else str(value)
    return re.sub(r"[^\w.+-]+", "_", text).strip("_")
