"""Memory that ran out in a step: said in one line, with what would do. Knows nothing of steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from plgg.config import Config
from plgg.errors import RunError

# A processor's allocator has no error class of its own, only its words.
_WORDS = ("can't allocate memory", "not enough memory", "out of memory")


@contextmanager
def memory_told(run: Path, config: Config) -> Iterator[None]:
    """Turn an allocation that failed into a `RunError` that says what would need less.

    Raises:
        RunError: If memory ran out.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not _ran_out(error):
            raise
        raise RunError(
            "memory ran out in a training step", where=run, remedy=_remedy(config)
        ) from error


def _ran_out(error: BaseException) -> bool:
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error).lower() for words in _WORDS)


def _remedy(config: Config) -> str:
    execution = config.execution
    if execution.accumulate < config.patches.batch:
        more = min(config.patches.batch, 2 * execution.accumulate)
        return (
            f"Repeat the command with --set execution.accumulate={more}: the result is the same, "
            "in less memory."
        )
    if not execution.checkpointing:
        return (
            "Repeat the command with --set execution.checkpointing=true: the result is the same, "
            "in less memory."
        )
    return "Begin a new run with smaller patches.size, or use a device with more memory."
