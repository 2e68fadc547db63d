"""Means over an epoch: losses, gradients, and the time that was spent waiting for patches."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from plgg.train.descent import Found

_Item = TypeVar("_Item")


class Means:
    """Running means of what the steps of an epoch showed."""

    def __init__(self) -> None:
        self.losses: dict[str, float] = {}
        self.gradients: dict[str, float] | None = None
        self.waited = 0.0
        self._n_losses = 0
        self._n_gradients = 0

    @property
    def tasks(self) -> dict[str, float]:
        """Losses without the total."""
        return {name: value for name, value in self.losses.items() if name != "loss"}

    def add(self, found: Found) -> None:
        """Take in one step."""
        self._n_losses += 1
        self.losses = _moved(self.losses, found.losses, self._n_losses)
        if found.gradients is not None:
            self._n_gradients += 1
            self.gradients = _moved(self.gradients or {}, found.gradients, self._n_gradients)

    def waiting(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """The same items, the time until each one comes counted."""
        iterator = iter(items)
        while True:
            started = time.monotonic()
            try:
                item = next(iterator)
            except StopIteration:
                return
            self.waited += time.monotonic() - started
            yield item


def _moved(means: dict[str, float], new: dict[str, float], n: int) -> dict[str, float]:
    return {key: (old := means.get(key, value)) + (value - old) / n for key, value in new.items()}
