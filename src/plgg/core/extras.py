"""Optional dependencies, installed by `pip install "plgg[EXTRA]"`."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

from plgg.core.errors import ConfigError


def require_extra(extra: str, packages: Sequence[str]) -> None:
    """Check that the packages of an extra are installed.

    Args:
        extra: Name of the extra.
        packages: Import names of its packages.

    Raises:
        ConfigError: If one is not installed.
    """
    lacking = [name for name in packages if find_spec(name) is None]
    if lacking:
        raise ConfigError(
            f"the package {lacking[0].replace('_', '-')} is not installed",
            remedy=f'Run: pip install "plgg[{extra}]".',
        )
