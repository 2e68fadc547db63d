"""The kinds of damaged input that `benchmarks/fuzz.py` tries, and a trial of some of one kind."""

from __future__ import annotations

import json
import random
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from fuzzing import dicom, manifest, nifti, records, zips
from fuzzing.watched import Yard, yard
from plgg.data.budget import scan_limit

Attempt = Callable[[Path], object]
"""Tries one input in an empty folder; a result, or None or False where it was refused."""
Kind = Callable[[Path, Sequence[int]], Iterator[Attempt]]
"""Makes the inputs of some numbers; it may lay sound data into the folder first."""

APART = 10**9
"""Numbers of two seeds lie so far apart."""


def _nifti(_: Path, numbers: Sequence[int]) -> Iterator[Attempt]:
    for number in numbers:
        yield partial(nifti.attempt, nifti.damaged(number))


def _dicom(_: Path, numbers: Sequence[int]) -> Iterator[Attempt]:
    for damage in drawn(dicom.damages(), numbers):
        yield partial(dicom.attempt, damage.apply())


def _zip(_: Path, numbers: Sequence[int]) -> Iterator[Attempt]:
    for number in numbers:
        yield partial(dicom.attempt, {"all.zip": zips.damaged(number)})


def _manifest(_: Path, numbers: Sequence[int]) -> Iterator[Attempt]:
    for number in numbers:
        yield partial(manifest.attempt, manifest.damaged(number))


def _store(folder: Path, numbers: Sequence[int]) -> Iterator[Attempt]:
    return _records("store", sound_store(folder), numbers)


def _run(folder: Path, numbers: Sequence[int]) -> Iterator[Attempt]:
    return _records("experiment", sound_experiment(folder), numbers)


def _records(kind: str, sound: Path, numbers: Sequence[int]) -> Iterator[Attempt]:
    def attempt(number: int, folder: Path) -> bool:
        rng = random.Random(number)  # noqa: S311 - not for secrets
        with records.damage(sound, rng) as path:
            shutil.copy(path, folder)
            return records.attempt(kind, sound)

    for number in numbers:
        yield partial(attempt, number)


def sound_store(folder: Path) -> Path:
    """A store of two patients."""
    made: Path = (
        _of_tests("report", "make_experiment").make_store(folder / "store", names=["A", "B"]).folder
    )
    return made


def sound_experiment(folder: Path) -> Path:
    """An experiment of two runs, with predictions, all of whose results say everything."""
    make = _of_tests("report", "make_experiment")
    made: Path = make.make_experiment(
        folder / "runs", make.make_store(folder / "cohort"), n_splits=1, epochs=2
    )
    whole = _of_tests("measure", "measured").make_result().model_dump(mode="json")
    for path in made.rglob("result.json"):
        marker = json.loads(path.read_bytes())["marker"]
        name = {"case_id": path.parent.name, "patient_id": path.parent.name}
        said = {**whole, **name, "marker": marker and {**whole["marker"], **marker}}
        path.write_text(json.dumps(said), encoding="utf-8")
    return made


def _of_tests(room: str, module: str) -> Any:  # noqa: ANN401 - any module
    tests = str(Path(__file__).parents[2] / "tests" / room)
    sys.path.append(tests)
    try:
        return import_module(module)
    finally:
        sys.path.remove(tests)


KINDS: dict[str, Kind] = {
    "NIfTI": _nifti,
    "DICOM": _dicom,
    "zip": _zip,
    "CSV": _manifest,
    "JSON of stores": _store,
    "JSON of runs": _run,
}


def drawn(strategy: st.SearchStrategy[Any], numbers: Sequence[int]) -> list[Any]:
    """As many values as there are numbers; the same ones always."""
    found: list[Any] = []

    def keep(value: object) -> None:
        found.append(value)

    always = settings(
        max_examples=len(numbers),
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    seeded(numbers[0])(always(given(strategy)(keep)))()
    return found


@dataclass
class Trial:
    """What became of some inputs of a kind.

    Attributes:
        kind: One of `KINDS`.
        results: How many ended in a result.
        refusals: How many were refused in one line.
        violations: What is neither, in one line each, with the input's place in the trial.
        peak_mib: Largest resident memory of the process.
        grown_mib: By how much that is more than after the first tenth of the inputs.
        seconds: Of all.
    """

    kind: str
    results: int = 0
    refusals: int = 0
    violations: list[str] = field(default_factory=list)
    peak_mib: float = 0.0
    grown_mib: float = 0.0
    seconds: float = 0.0


def trial(kind: str, numbers: Sequence[int], *, keep: Path | None = None) -> Trial:
    """Try the inputs of some numbers, within the budget of memory that NIfTI is tried under.

    Args:
        kind: One of `KINDS`.
        numbers: Which.
        keep: Folder that gets the files of each violation; None for none.
    """
    found, started = Trial(kind), time.monotonic()
    warm, settled = max(1, len(numbers) // 10), 0.0
    with (
        tempfile.TemporaryDirectory() as folder,
        yard(Path(folder)) as ground,
        scan_limit(nifti.LIMIT_BYTES / 2**30),
    ):
        for place, attempt in enumerate(KINDS[kind](ground.work, numbers)):
            _count(found, ground, attempt, f"{numbers[0]}+{place}", keep)
            settled = peak_mib() if place < warm else settled
    found.peak_mib = round(peak_mib(), 1)
    found.grown_mib = round(max(0.0, peak_mib() - settled), 1)
    found.seconds = round(time.monotonic() - started, 1)
    return found


def _count(found: Trial, ground: Yard, attempt: Attempt, name: str, keep: Path | None) -> None:
    def kept(folder: Path) -> object:
        try:
            return attempt(folder)
        except BaseException:
            if keep is not None:
                shutil.copytree(folder, keep / f"{found.kind}-{name}", symlinks=True)
            raise

    try:
        if ground.tried(kept):
            found.results += 1
        else:
            found.refusals += 1
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is a violation
        at = traceback.extract_tb(error.__traceback__)[-1]
        said = f"{type(error).__name__}: {error}".split("\n")[0][:300]
        found.violations.append(
            f"{found.kind} {name}: {said} ({Path(at.filename).name}:{at.lineno})"
        )


def peak_mib() -> float:
    """Largest resident memory of this process so far, in MiB."""
    scale = 2**20 if sys.platform == "darwin" else 2**10
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / scale
