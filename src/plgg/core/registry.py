"""Registries: what settings choose by name, to which other packages may add.

>>> metrics = {}
>>> register(metrics, "one", len, what="metric")
>>> list(metrics)
['one']
"""

from __future__ import annotations

import re
from typing import TypeVar

from plgg.core.errors import ConfigError

T = TypeVar("T")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


def register(registry: dict[str, T], name: str, entry: T, *, what: str) -> None:
    """Add an entry, unless the name is taken by another.

    Args:
        registry: To add to.
        name: Small letters, digits, `_` and `-`.
        entry: What is meant by the name.
        what: It is, for the message.

    Raises:
        ConfigError: If the name is none, or another entry has it.
    """
    if not _NAME.fullmatch(name):
        raise ConfigError(
            f"a {what} may not be called {name[:40]!r}",
            remedy="Use small letters, digits, _ and -, a letter first.",
        )
    if registry.get(name, entry) is not entry:
        raise ConfigError(f"a {what} called {name!r} is there", remedy="Choose another name.")
    registry[name] = entry
