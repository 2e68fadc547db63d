"""Registries of components that settings choose by name; other packages add to them.

    [project.entry-points."plgg.metrics"]
    jaccard = "my_package.metrics:jaccard"

>>> metrics = Registry("metric", "plgg.metrics", {"one": len})
>>> metrics.add("most", max)
>>> metrics.find("most")([1, 2])
2
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import EntryPoint, entry_points
from typing import TypeVar

from plgg.core.errors import ConfigError, PlggError

T = TypeVar("T")
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,39}")


class Registry(dict[str, T]):
    """Entries by name: plgg's own, and those of installed packages, loaded on demand.

    Packages are found in every process, worker processes included. Entries that a script adds by
    `add` exist in its own process only.

    Args:
        what: Kind of an entry, for messages.
        group: Group of the entry points that add to it.
        own: Entries of plgg.
        fits: Whether an object can be an entry.
        reserved: Names that no entry may have, since they mean something else.
    """

    def __init__(
        self,
        what: str,
        group: str,
        own: Mapping[str, T],
        *,
        fits: Callable[[object], bool] = callable,
        reserved: tuple[str, ...] = (),
    ) -> None:
        super().__init__(own)
        self.what, self.group, self.reserved = what, group, reserved
        self._own, self._fits = frozenset(own), fits
        self._is_whole = False

    def add(self, name: str, entry: T, *, where: str | None = None) -> None:
        """Add an entry, unless the name is taken by another.

        Args:
            name: Small letters, digits, `_` and `-`.
            entry: The entry.
            where: The package that it belongs to, for messages.

        Raises:
            ConfigError: If the name is invalid, or another entry has it.
        """
        if not _NAME.fullmatch(name):
            raise ConfigError(
                f"a {self.what} may not be called {name[:40]!r}",
                where=where,
                remedy="Use small letters, digits, _ and -, a letter first.",
            )
        if name in self.reserved or self.get(name, entry) is not entry:
            raise ConfigError(
                f"a {self.what} called {name!r} is there",
                where=where,
                remedy="Choose another name." if where is None else _MEND.format(where),
            )
        self[name] = entry

    def find(self, name: str) -> T:
        """The entry of that name, of plgg or of an installed package.

        Raises:
            ConfigError: If there is none, or its package cannot be loaded.
        """
        if name not in self:
            for found in entry_points(group=self.group, name=name):
                self._load(found)
        if name not in self:
            known = dict.fromkeys((*self.reserved, *self, *entry_points(group=self.group).names))
            raise ConfigError(
                f"no {self.what} is called {name[:40]!r}",
                remedy=f"Choose {', '.join(known)}, or install the package that has it "
                f"(entry points {self.group}).",
            )
        return self[name]

    def load_all(self) -> Registry[T]:
        """Load the entries of all installed packages, after plgg's own; returns the registry.

        Raises:
            ConfigError: If the package of one cannot be loaded, or its name is taken.
        """
        if not self._is_whole:
            for found in sorted(entry_points(group=self.group), key=lambda found: found.name):
                self._load(found)
            self._is_whole = True
        return self

    def added(self) -> list[str]:
        """Names of those that are not plgg's own."""
        return [name for name in self.load_all() if name not in self._own]

    @contextmanager
    def calling(self, name: str) -> Iterator[None]:
        """Convert exceptions, while an entry is called, to an error that names the entry.

        Raises:
            ConfigError: If an entry that is not plgg's own fails.
        """
        try:
            yield
        except PlggError:
            raise
        except Exception as error:
            if name in self._own:
                raise
            raise ConfigError(
                f"the {self.what} {name!r} failed ({_words(error)})",
                remedy="Mend or uninstall the package that it is of.",
            ) from error

    def _load(self, found: EntryPoint) -> None:
        package = _package(found)
        try:
            entry = found.load()
        except Exception as error:  # whatever a module of others raises at import
            raise ConfigError(
                f"the {self.what} {found.name!r} cannot be loaded ({_words(error)})",
                where=package,
                remedy=_MEND.format(package),
            ) from error
        if not self._fits(entry):
            raise ConfigError(
                f"{found.value} is no {self.what}", where=package, remedy=_MEND.format(package)
            )
        self.add(found.name, entry, where=package)


_MEND = "Mend or uninstall {}."


def _package(found: EntryPoint) -> str:
    dist = found.dist
    return f"the package {dist.name} {dist.version}" if dist else f"the package of {found.value}"


def _words(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(": ")
