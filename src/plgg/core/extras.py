"""Packages that are installed only where they are wanted: `pip install "plgg[EXTRA]"`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from plgg.core.errors import ConfigError


def require_extra(extra: str, packages: Sequence[str]) -> None:
    """Check that what an extra brings is installed.

    Args:
        extra: Its name.
        packages: That it brings, as they are imported.

    Raises:
        ConfigError: If one is not installed.
    """
    lacking = [name for name in packages if find_spec(name) is None]
    if lacking:
        raise ConfigError(
            f"the package {lacking[0].replace('_', '-')} is not installed",
            remedy=f'Run: pip install "plgg[{extra}]".',
        )
