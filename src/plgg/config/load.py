"""Make a `Config` from a preset's name, `key=value` settings or a run's JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any

from pydantic import BaseModel, ValidationError

from plgg.config.scan import PreprocessConfig
from plgg.config.schema import PRESETS, Config
from plgg.config.tasks import TaskConfig
from plgg.core.errors import ConfigError

_SHOWN = 60


def preset(name: str) -> Config:
    """The preset of that name.

    Raises:
        ConfigError: If there is none.
    """
    if name not in PRESETS:
        raise ConfigError(f"no preset is called {name!r}", remedy=f"Choose {' or '.join(PRESETS)}.")
    return PRESETS[name]


def with_settings(config: Config, settings: Iterable[str]) -> Config:
    """A config with some `key=value` settings changed, for example `loss.marker_weight=0.5`.

    Values are JSON where they parse as JSON and plain text otherwise.

    Raises:
        ConfigError: If a key is unknown or a value out of range.
    """
    raw = config.model_dump(mode="json")
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals:
            raise ConfigError(f"{setting!r} is not key=value", remedy="Write --set key=value.")
        _put(raw, key.strip().split("."), _value(text.strip()), setting)
    return _validated(raw, where="settings")


def config_from_json(text: str, *, where: str) -> Config:
    """Read a saved config.

    Raises:
        ConfigError: If it does not fit this version's schema.
    """
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ConfigError("is not JSON", where=where, remedy="Copy the file again.") from error
    return _validated(raw, where=where)


def config_from_record(raw: object, *, where: str) -> Config:
    """Validate a saved config that is already parsed from JSON.

    Raises:
        ConfigError: If it does not fit this version's schema.
    """
    return _validated(raw, where=where)


def known_keys(model: type[BaseModel] = Config, prefix: str = "") -> list[str]:
    """All dotted keys, such as `loss.marker_weight`."""
    keys: list[str] = []
    for name, field in model.model_fields.items():
        inner = field.annotation
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            keys += known_keys(inner, f"{prefix}{name}.")
        else:
            keys.append(f"{prefix}{name}")
    return keys


def _task_keys(tasks: object) -> list[str]:
    """Dotted keys of the tasks in a config, such as `tasks.grade.weight`."""
    names = tasks if isinstance(tasks, dict) else {}
    fields = TaskConfig.model_fields
    whole = [name for name, task in names.items() if isinstance(task, dict)]
    return [f"tasks.{name}.{field}" for name in whole for field in fields]


def _value(text: str) -> Any:  # noqa: ANN401 - JSON is any
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _plain_words(text) if text.startswith(("{", "[")) else text


_BARE = re.compile(r"[A-Za-z_][\w-]*")


def _plain_words(text: str) -> Any:  # noqa: ANN401
    """Parse JSON whose words have no quotes, such as `{name: kind}` or `[flair, t2]`."""
    words = {"true", "false", "null"}
    parts = re.split(r'("(?:[^"\\]|\\.)*")', text)
    quoted = [
        part
        if part.startswith('"')
        else _BARE.sub(lambda m: m[0] if m[0] in words else f'"{m[0]}"', part)
        for part in parts
    ]
    try:
        return json.loads("".join(quoted))
    except (ValueError, RecursionError):
        return text


def _put(raw: dict[str, Any], path: list[str], value: object, setting: str) -> None:
    key = ".".join(path)
    if key not in (*known_keys(), *_task_keys(raw["tasks"])):
        near = get_close_matches(key, known_keys(), n=1, cutoff=0.4)
        hint = f"Did you mean {near[0]}?" if near else "plgg info lists the settings."
        raise ConfigError(f"no setting is called {key!r}", where=f"--set {setting}", remedy=hint)
    for part in path[:-1]:
        raw = raw[part]
    raw[path[-1]] = value


def _validated(raw: object, *, where: str) -> Config:
    try:
        return Config.model_validate(raw)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(str(part)[:_SHOWN] for part in first["loc"])
        raise ConfigError(
            f"{place + ': ' if place else ''}{first['msg'].removeprefix('Value error, ')}",
            where=where,
            remedy="plgg info lists the settings and their ranges.",
        ) from error


def with_atlas(config: Config, atlas: str | None) -> Config:
    """A config whose scans are registered to another atlas; the same one for None."""
    if atlas is None:
        return config
    settings = config.preprocess.model_copy(update={"atlas": atlas})
    return config.model_copy(update={"preprocess": settings})


def same_preprocessing(one: PreprocessConfig, other: PreprocessConfig) -> bool:
    """Whether two settings give compatible scans; atlases are compared by hash, not by path."""
    return one.model_copy(update={"atlas": other.atlas}) == other
