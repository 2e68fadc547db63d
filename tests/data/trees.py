"""Small trees of known layouts, and the command that reads them, run in this process."""

import csv
from dataclasses import dataclass

import numpy as np
from typer.testing import CliRunner

from helper import write_nifti
from plgg.cli.app import app
from plgg.core.errors import PlggError
from plgg.data.manifest import read_manifest

AFFINE = np.array([[-1.0, 0, 0, 9], [0, -1.5, 0, 8], [0, 0, 2, -7], [0, 0, 0, 1]])
SHAPE = (6, 5, 4)


@dataclass(frozen=True)
class Done:
    """What the command left: status, both outputs, and the manifest row by row."""

    status: int
    out: str
    err: str
    rows: list

    @property
    def by_scan(self):
        return {(row["patient_id"], row["scan_id"]): row for row in self.rows}


def manifest(layout, folder, *options, out, status=0):
    """Run `plgg manifest` and read what it wrote, as a table and with plgg's own reader."""
    arguments = ["manifest", layout, folder, "--out", out, *options]
    ran = CliRunner().invoke(app, list(map(str, arguments)))
    refused = isinstance(ran.exception, PlggError)
    if ran.exception and not refused and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    found = 2 if refused else ran.exit_code
    assert found == status, f"{ran.output}\n{ran.exception}"
    if refused:
        return Done(2, ran.stdout, str(ran.exception), [])
    cases = read_manifest(out)
    with out.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert len(cases) == len(rows)
    assert all(case.flair.exists() and (case.mask is None or case.mask.exists()) for case in cases)
    return Done(found, ran.stdout, " ".join(ran.stderr.split()), rows)


def image(path, *, seed=0):
    """A tiny FLAIR."""
    data = np.random.default_rng(seed).normal(100, 20, SHAPE).astype(np.float32)
    return write_nifti(path, data, AFFINE)


def labels(path, values=(0, 1)):
    """A tiny mask that holds exactly these values."""
    data = np.resize(np.array(values), SHAPE).astype(np.int16)
    return write_nifti(path, data, AFFINE)


def text(path, *lines, encoding="utf-8", end="\n"):
    """A table from its lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes((end.join(lines) + end).encode(encoding))
    return path
