"""Damage for JSON of stores, runs, experiments, evaluations and predictions, and their readers.

    rng = random.Random(0)
    with damage(folder, rng):       # one JSON file below the folder is another while this runs
        attempt("store", folder)    # raises for all but a result or one clear line

A mutator takes a JSON value and a random generator and gives another value; the value it was given
stays as it was.
"""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

from plgg.core.errors import PlggError
from plgg.core.records import SEAL, sealed
from plgg.data.calibration import read_calibration
from plgg.data.experiment_folder import read_choice, read_failure
from plgg.data.result import read_result
from plgg.data.run_folder import (
    read_config,
    read_environment,
    read_metrics,
    read_split,
    split_number,
)
from plgg.data.store import Store, read_record
from plgg.evaluate.compare.experiment import compare_experiment
from plgg.evaluate.evaluation import read_evaluation
from plgg.evaluate.experiment_records import read_experiment
from plgg.evaluate.predictions import read_reported
from plgg.report.experiment.facts import run_facts, version_facts
from plgg.report.experiment.runs import run_records

Json: TypeAlias = Any
Mutator = Callable[[Json, random.Random], Json]

NUMBERS = (0, -1, 1, 0.5, 2, 1e-300, 1e300, -1e300, 2**31, 2**53 + 1, 2**62, 2**64, 10**30)
TEXTS = (
    "", " ", ".", "..", "../../outside", "/etc/passwd", "a/b", "C:\\x", "x\x00y", "NUL", "a" * 5000,
    "\u202e", "\ud800", "nan", "inf", "1e999", "true", "=1+1", "<script>", "1" * 5000,
)  # fmt: skip
WORDS = ("NaN", "Infinity", "-Infinity", "1e999", "9" * 100_000, "[" * 2000, '{"a":' * 2000)


def _nodes(value: Json, place: tuple[Json, ...] = ()) -> Iterator[tuple[Json, ...]]:
    """The place of every value in it, as keys and indices."""
    yield place
    pairs = value.items() if isinstance(value, dict) else ()
    pairs = enumerate(value) if isinstance(value, list) else pairs
    for key, inner in pairs:
        yield from _nodes(inner, (*place, key))


def _at(value: Json, place: tuple[Json, ...]) -> Json:
    for key in place:
        value = value[key]
    return value


def _replaced(value: Json, rng: random.Random, new: Callable[[Json], Json]) -> Json:
    """The value with that of one place replaced."""
    value = copy.deepcopy(value)
    place = rng.choice(list(_nodes(value)))
    if not place:
        return new(value)
    parent = _at(value, place[:-1])
    parent[place[-1]] = new(parent[place[-1]])
    return value


def _left_out(value: Json, rng: random.Random) -> Json:
    value = copy.deepcopy(value)
    places = [place for place in _nodes(value) if place]
    if places:
        place = rng.choice(places)
        del _at(value, place[:-1])[place[-1]]
    return value


def _added(value: Json, rng: random.Random) -> Json:
    def more(inner: Json) -> Json:
        if isinstance(inner, dict):
            return {**inner, rng.choice(TEXTS): rng.choice(NUMBERS)}
        return [*inner, *inner[:1], None] if isinstance(inner, list) else [inner]

    return _replaced(value, rng, more)


def _other_type(value: Json, rng: random.Random) -> Json:
    others = (None, True, 0, 1.5, "text", [], {}, [[]], {"a": {}}, [None], [1, "a"])
    return _replaced(value, rng, lambda _: copy.deepcopy(rng.choice(others)))


def _number(value: Json, rng: random.Random) -> Json:
    return _replaced(value, rng, lambda _: rng.choice(NUMBERS))


def _text(value: Json, rng: random.Random) -> Json:
    return _replaced(value, rng, lambda _: rng.choice(TEXTS))


def _renamed(value: Json, rng: random.Random) -> Json:
    def other(inner: Json) -> Json:
        if not isinstance(inner, dict) or not inner:
            return inner
        key = rng.choice(list(inner))
        return {rng.choice(TEXTS) if name == key else name: item for name, item in inner.items()}

    return _replaced(value, rng, other)


def _nested(value: Json, rng: random.Random) -> Json:
    def deep(inner: Json) -> Json:
        for _ in range(rng.choice((1, 5, 70, 100))):
            inner = [inner] if rng.random() < 0.5 else {"a": inner}
        return inner

    return _replaced(value, rng, deep)


def _swapped(value: Json, rng: random.Random) -> Json:
    """The value of one place put at another."""
    other = copy.deepcopy(_at(value, rng.choice(list(_nodes(value)))))
    return _replaced(value, rng, lambda _: other)


MUTATORS: tuple[Mutator, ...] = (
    _left_out, _added, _other_type, _number, _text, _renamed, _nested, _swapped,
)  # fmt: skip


def mutated(value: Json, rng: random.Random) -> Json:
    """The value, changed one to three times."""
    for _ in range(rng.randint(1, 3)):
        value = rng.choice(MUTATORS)(value, rng)
    return value


def damaged(content: bytes, rng: random.Random) -> bytes:
    """The bytes of a JSON file, or of lines of JSON, changed as values, as text or as bytes."""
    kind = rng.random()
    if kind < 0.8:
        return _damaged_values(content, rng)
    if kind < 0.9:
        return _damaged_text(content, rng)
    altered = bytearray(content)
    for _ in range(rng.randint(1, 8)):
        if altered:
            altered[rng.randrange(len(altered))] = rng.randrange(256)
    return bytes(altered[: rng.randint(0, len(altered))] if rng.random() < 0.3 else altered)


def _damaged_values(content: bytes, rng: random.Random) -> bytes:
    try:
        whole = json.loads(content)
        altered = mutated(whole, rng)
        if isinstance(whole, dict) and SEAL in whole and isinstance(altered, dict):
            # Mostly sealed anew, or all damage would end at the seal.
            altered = sealed(_without_seal(altered)) if rng.random() < 0.9 else altered
        return json.dumps(altered).encode()
    except ValueError:
        lines = content.decode().splitlines()
        number = rng.randrange(len(lines))
        lines[number] = json.dumps(mutated(json.loads(lines[number]), rng))
        return ("\n".join(lines) + "\n").encode()


def _without_seal(record: dict[str, Json]) -> dict[str, Json]:
    return {key: value for key, value in record.items() if key != SEAL}


def _damaged_text(content: bytes, rng: random.Random) -> bytes:
    """A word that is no JSON, or no more than a number of it, in the place of a digit."""
    text = content.decode()
    digits = [place for place, letter in enumerate(text) if letter.isdigit()]
    place = rng.choice(digits) if digits else 0
    return (text[:place] + rng.choice(WORDS) + text[place + 1 :]).encode()


def json_files(folder: Path) -> list[Path]:
    """Every file of JSON below a folder."""
    return sorted(path for path in folder.rglob("*.json*") if path.suffix in {".json", ".jsonl"})


@contextmanager
def damage(folder: Path, rng: random.Random) -> Iterator[Path]:
    """Damage one file below a folder while this runs; gives its path."""
    path = rng.choice(json_files(folder))
    whole = path.read_bytes()
    path.write_bytes(damaged(whole, rng))
    try:
        yield path
    finally:
        path.write_bytes(whole)


def _store(folder: Path) -> None:
    store = Store(folder)
    for case_id in store.by_id:
        read_record(folder, case_id)
        store.placement(case_id).box_from_native()
        store.image(case_id)
        store.mask(case_id)
    store.manifest_cases()


def _run(folder: Path) -> bool:
    reads = (read_config, read_split, read_metrics, read_calibration, split_number)
    told = [_told(read, folder) for read in reads]
    read_environment(folder)
    return all(told)


def _experiment(folder: Path) -> bool:
    told = []
    experiment = read_experiment(folder)
    run_facts(experiment, run_records(experiment))
    version_facts(experiment)
    for run in experiment.runs:
        told.append(_run(run.folder))
        read_choice(run.folder)
        read_failure(run.folder)
        for path in sorted(run.folder.rglob("result.json")):
            told += [_told(read_result, path), _told(read_reported, path)]
        for path in sorted(run.folder.rglob("summary.json")):
            told.append(_told(read_evaluation, path.parent))
    return all([*told, _told(compare_experiment, folder)])


READERS: dict[str, Callable[[Path], object]] = {
    "store": _store,
    "run": _run,
    "experiment": _experiment,
}


def _told(read: Callable[[Path], object], path: Path) -> bool:
    """Read; a refusal is fine if it is one printable line of a bearable length.

    Returns:
        Whether all was read.
    """
    try:
        return read(path) is not False
    except PlggError as error:
        text = str(error)
        if not text.isprintable() or len(text) > 2000:
            raise AssertionError(f"the message is no line: {text[:200]!r}") from error
        return False


def attempt(kind: str, folder: Path) -> bool:
    """Read a folder by all readers of its kind.

    Returns:
        Whether all was read; else some was refused in one line each.

    Raises:
        AssertionError: If a refusal is not one clear line.
        Exception: Whatever a reader raises that is no refusal: a fault of plgg.
    """
    return _told(READERS[kind], folder)
