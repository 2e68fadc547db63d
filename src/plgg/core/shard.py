"""`Shard`: one of N equal parts of a list, for the tasks of a job array.

Shard.parse("3/20").of_items(cases)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from plgg.core.errors import ConfigError

Item = TypeVar("Item")
_MOST = 10_000


@dataclass(frozen=True)
class Shard:
    """One of the parts of a list.

    Attributes:
        number: From 1.
        of: How many parts there are.
    """

    number: int
    of: int

    @classmethod
    def parse(cls, words: str) -> Shard:
        """Parse a part, such as `3/20`.

        Raises:
            ConfigError: If it is invalid.
        """
        parts = words.split("/")
        if len(parts) == 2 and all(part.isascii() and part.isdecimal() for part in parts):
            number, of = (int(part[:9]) for part in parts)
            if 1 <= number <= of <= _MOST:
                return cls(number, of)
        raise ConfigError(
            f"no part is called {words!r}",
            remedy=f"Give --shard NUMBER/COUNT, from 1/COUNT to COUNT/COUNT, of {_MOST} at most.",
        )

    @property
    def name(self) -> str:
        """Name of the part in file names: `3-of-20`."""
        return f"{self.number}-of-{self.of}"

    def of_items(self, items: Sequence[Item]) -> list[Item]:
        """Every `of`-th item, from the `number`-th on: large and small cases are spread evenly.

        >>> Shard(2, 3).of_items("abcdefg")
        ['b', 'e']
        """
        return list(items[self.number - 1 :: self.of])
