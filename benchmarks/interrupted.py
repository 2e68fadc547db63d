"""The commands that `interrupt.py` disturbs, on tiny data, and what their folders must hold."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from helper import blob_brain, make_affine, write_csv, write_nifti
from runs import CLASSES, make_run
from tiny import SETTINGS, tiny_store

_N_SCANS = 3
_PLAIN = ("preprocess.registration=centre", "preprocess.stripping=none", "grid.spacing_mm=4")
# What these say differs from one time to the next: times, process numbers, places.
_TIMES = {"seconds", "waited", "versions", "machine", "commands", "store", "seal"}
_TIME_ROW = b"Time of training"
_UNREAD = {".html", ".lock", ".png"}


def make_data(place: Path) -> None:
    """Scans and their manifest, two networks, and a store."""
    affine = make_affine((4.5, 4.5, 4.5))
    rows = []
    for index in range(_N_SCANS):
        name = f"S{index:02d}"
        flair, mask = blob_brain((36, 40, 32), affine, seed=index)
        write_nifti(place / f"{name}.nii.gz", flair.data.astype(np.float32), affine)
        write_nifti(place / f"{name}_mask.nii.gz", mask.data, affine)
        rows.append(f"{name},{name}.nii.gz,{name}_mask.nii.gz,{CLASSES[index % 3]}")
    write_csv(place / "manifest.csv", "patient_id,flair,mask,marker", *rows)
    for seed in (0, 1):
        make_run(place / f"network-{seed}", seed=seed)
    tiny_store(place / "store", 9)


def commands(place: Path, out: Path) -> dict[str, list[list[str]]]:
    """Each command that writes into `out`, as it is started first and second."""
    manifest, store = str(place / "manifest.csv"), str(place / "store")
    tiny = [word for setting in SETTINGS for word in ("--set", setting)]
    plain = [word for setting in _PLAIN for word in ("--set", setting)]
    preprocess = ["preprocess", manifest, str(out), "--workers", "2", *plain]
    train = ["train", store, "--run", str(out), "--epochs", "2", *tiny]
    trial = ["experiment", store, "--out", str(out), "--splits", "2", "--epochs", "1", *tiny]
    predict = [
        ["predict", manifest, "--model", str(place / f"network-{seed}"), "--out", str(out)]
        for seed in (0, 1)
    ]
    same = {"preprocess": preprocess, "train": train, "experiment": trial}
    return {name: [words, words] for name, words in same.items()} | {"predict": predict}


def contents(out: Path) -> dict[str, str]:
    """The numbers of every file below a folder, as hashes, without times and places."""
    return {
        path.relative_to(out).as_posix(): hashlib.sha256(_numbers(path)).hexdigest()
        for path in sorted(out.rglob("*"))
        if path.is_file()
    }


def _numbers(path: Path) -> bytes:
    if path.suffix in _UNREAD:
        return b""
    content = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(content)
    if path.suffix == ".json":
        return _timeless(json.loads(content))
    if path.suffix == ".md":
        return b"\n".join(line for line in content.splitlines() if _TIME_ROW not in line)
    if path.suffix == ".jsonl":
        return b"\n".join(_timeless(json.loads(line)) for line in content.splitlines())
    return content


def _timeless(record: Any) -> bytes:  # noqa: ANN401 - JSON is any
    return json.dumps(_without(record), sort_keys=True).encode()


def _without(record: Any) -> Any:  # noqa: ANN401 - JSON is any
    if isinstance(record, dict):
        return {key: _without(value) for key, value in record.items() if key not in _TIMES}
    return [_without(value) for value in record] if isinstance(record, list) else record


def faults(out: Path, wanted: list[dict[str, str]]) -> Iterator[str]:
    """What is wrong with a folder that should hold one of these results, whole."""
    found = contents(out)
    if found not in wanted:
        nearest = min(wanted, key=lambda one: len(_differing(one, found)))
        yield "differs in " + ", ".join(_differing(nearest, found)[:3])
    for path in sorted(out.rglob("*")):
        if path.name.startswith((".plgg-", "tmp", ".tmp")) or path.name.endswith(".tmp"):
            yield f"left over: {path.relative_to(out)}"
    yield from _altered(out)
    for path in out.rglob("metrics.jsonl"):
        epochs = [json.loads(line)["epoch"] for line in path.read_text().splitlines()]
        if epochs != list(range(1, len(epochs) + 1)):
            yield f"epochs {epochs}"


def _differing(one: dict[str, str], other: dict[str, str]) -> list[str]:
    return sorted(name for name in {*one, *other} if one.get(name) != other.get(name))


def _altered(out: Path) -> Iterator[str]:
    """Files that are not what the record beside them says."""
    for name, field in (("result.json", "files"), ("case.json", "sha256")):
        for record in out.rglob(name):
            for file, digest in json.loads(record.read_bytes())[field].items():
                path = record.parent / file
                if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != digest:
                    yield f"{path.relative_to(out)} is not what {name} says"
