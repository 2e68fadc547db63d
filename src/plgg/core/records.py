"""Read untrusted JSON safely, and seal records by a SHA-256 of their own contents.

    plan = read_record(
        folder / "experiment.json", ExperimentRecord, error=RunError,
        what="cannot be read as an experiment", remedy="Repeat plgg experiment.",
    )

Rejected are irregular or very large files, text that is not UTF-8 or not JSON, deep nesting, huge
numbers, NaN and Infinity, duplicate keys, and contents that do not fit the model.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import BaseModel, ValidationError

from plgg.core.errors import PlggError
from plgg.core.regular import open_regular

MAX_BYTES = 64 * 2**20
MAX_DEPTH = 64
_MAX_INT = 2**63
_MAX_DIGITS = 40
_SHOWN = 60
Record = TypeVar("Record", bound=BaseModel)


class JsonError(ValueError):
    """Contents that are not JSON, or that plgg rejects.

    Args:
        fault: The reason, in a clause.
        is_missing: Whether there is no such file at all.
    """

    def __init__(self, fault: str, *, is_missing: bool = False) -> None:
        self.fault = fault
        self.is_missing = is_missing
        super().__init__(fault)


def read_json(path: Path) -> Any:  # noqa: ANN401 - JSON is any
    """The contents of a JSON file.

    Raises:
        JsonError: If it is missing, no regular file, too large, or not JSON.
    """
    return parse_json(read_text(path))


def read_record(
    path: Path,
    model: type[Record],
    *,
    error: type[PlggError],
    what: str,
    remedy: str,
    absent: PlggError | None = None,
    upgrade: Callable[[Any], Any] | None = None,
) -> Record:
    """Read a JSON file as a typed record.

    Args:
        path: The file.
        model: Class of the record.
        error: Class of the error.
        what: What is wrong then, in a clause: `is not a store of this version`.
        remedy: What to do about it, in a sentence.
        absent: Raised instead where there is no such file.
        upgrade: Converts the contents of an older version to those of this one.

    Raises:
        PlggError: Of the class `error`, for any fault of the file; or `absent`.
    """
    try:
        raw = read_json(path)
        return as_record(raw if upgrade is None else _upgraded(raw, upgrade), model)
    except JsonError as fault:
        if fault.is_missing and absent is not None:
            raise absent from fault
        raise error(f"{what} ({fault.fault})", where=path, remedy=remedy) from fault


def as_record(raw: object, model: type[Record]) -> Record:
    """Validate the contents of a JSON file as a typed record.

    Raises:
        JsonError: If they do not fit.
    """
    try:
        return model.model_validate(raw)
    except (ValidationError, RecursionError) as error:
        raise JsonError(misfit(error)) from error


def misfit(error: ValidationError | RecursionError) -> str:
    """The first error of validation, in a clause: `cases.0.case_id: field required`."""
    if isinstance(error, RecursionError):
        return "nested too deep"
    first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    place = ".".join(_cut(str(part)) for part in first["loc"])
    said = first["msg"].removeprefix("Value error, ")
    return f"{place}: {_cut(said, 3 * _SHOWN)}" if place else _cut(said, 3 * _SHOWN)


def _upgraded(raw: object, upgrade: Callable[[Any], Any]) -> Any:  # noqa: ANN401
    try:
        return upgrade(raw)
    except (LookupError, TypeError, AttributeError) as error:
        raise JsonError("it lacks what its version has") from error


def parse_json(text: str) -> Any:  # noqa: ANN401 - JSON is any
    """Parse a JSON text.

    Raises:
        JsonError: If it is not JSON, nested too deep, or has rejected values.
    """
    try:
        value = json.loads(
            text,
            parse_int=_whole,
            parse_float=_number,
            parse_constant=_no_constant,
            object_pairs_hook=_once,
        )
    except json.JSONDecodeError as error:
        raise JsonError(
            "it is empty" if not text.strip() else f"not JSON from line {error.lineno} on"
        ) from error
    except RecursionError as error:
        raise JsonError("nested too deep") from error
    if _nests(value):
        raise JsonError("nested too deep")
    return value


def read_text(path: Path) -> str:
    """Read a regular file as UTF-8.

    Raises:
        JsonError: If it is missing, not readable as UTF-8, or too large.
    """
    try:
        with open_regular(path) as handle:
            raw = handle.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise JsonError("no such file", is_missing=True) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is none"
        raise JsonError(f"cannot be opened: {reason}") from error
    if len(raw) > MAX_BYTES:
        raise JsonError(f"larger than {MAX_BYTES >> 20} MiB")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise JsonError("not text in UTF-8") from error


def _whole(text: str) -> int:
    if len(text) <= _MAX_DIGITS and -_MAX_INT <= int(text) < _MAX_INT:
        return int(text)
    raise JsonError("a number in it is too large")


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise JsonError("a number in it is too large")
    return value


def _no_constant(text: str) -> NoReturn:
    raise JsonError(f"{text} is not JSON")


def _once(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise JsonError(f"the key {_cut(twin)!a} stands in it twice")
    return record


def _nests(value: object) -> bool:
    """Whether lists and objects are nested deeper than `MAX_DEPTH`."""
    level = _containers([value])
    for _ in range(MAX_DEPTH):
        if not level:
            return False
        level = [
            child
            for parent in level
            for child in _containers(parent.values() if isinstance(parent, dict) else parent)
        ]
    return True


def _containers(values: Iterable[Any]) -> list[dict[str, Any] | list[Any]]:
    return [value for value in values if isinstance(value, dict | list)]


def _cut(text: str, most: int = _SHOWN) -> str:
    """Make a text printable, and shorten it to fit into one line."""
    plain = text if text.isprintable() else ascii(text)[1:-1]
    return plain if len(plain) <= most else f"{plain[:most]}…"


SEAL = "seal"


def sealed(record: dict[str, Any]) -> dict[str, Any]:
    """Add the SHA-256 of a JSON record to it, under the key `seal`.

    >>> unsealed(sealed({"spacing_mm": 2.0}))
    {'spacing_mm': 2.0}
    """
    return {**record, SEAL: _digest(record)}


def unsealed(record: Any) -> Any:  # noqa: ANN401 - JSON is any
    """Verify and remove the seal of a record; a record without one is returned unchanged.

    Raises:
        ValueError: If the record was altered after it was sealed.
    """
    if not isinstance(record, dict) or SEAL not in record:
        return record
    bare = {key: value for key, value in record.items() if key != SEAL}
    if record[SEAL] != _digest(bare):
        raise ValueError("was altered since it was written (SHA-256)")
    return bare


def _digest(record: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(record, sort_keys=True).encode()).hexdigest()
