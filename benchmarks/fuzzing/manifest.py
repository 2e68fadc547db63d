"""Damage for manifests and tables of labels: cells, columns, quotes, encodings, ends of lines.

    for number in range(10_000):
        attempt(damaged(number), folder)   # raises for all but a clear answer

A mutator of `CELLS` takes rows and gives rows, one of `BYTES` takes the bytes of the file.
"""

from __future__ import annotations

import csv
import io
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fuzzing import nifti
from plgg.core.errors import PlggError
from plgg.data.check.cohort import check_manifest
from plgg.data.layouts.build import LAYOUTS, build_manifest
from plgg.data.layouts.listing import Choices
from plgg.data.manifest import COLUMNS, read_manifest

Rows = list[list[str]]
Change = Callable[[Rows, random.Random], Rows]
Mutator = Callable[[bytes, random.Random], bytes]

ROWS: Rows = [
    list(COLUMNS),
    ["P01", "P01.nii.gz", "P01-mask.nii.gz", "BRAF-V600E", "", "Aarau", "4.5", "f"],
    ["P02", "P02.nii.gz", "", "BRAF-fusion", "", "Basel", "11", "m"],
    ["P03", "data/P02.nii.gz", "", "", "t1", "Chur", "", "unknown"],
]
TEXTS = (
    "", " ", "\t", ".", "..", "../../beside/kept.txt", "../../../beside/manifest.csv",
    "/etc/passwd", "/dev/zero", "/proc/self/mem", "/", "~", "~/x.nii.gz",
    "http://127.0.0.1:9/x.nii.gz", "https://example.org/P01.nii.gz", "file:///etc/passwd",
    "\\\\host\\share\\x.nii.gz", "s3://b/x", "C:\\x.nii.gz", "a" * 300, "a" * 300 + ".nii.gz",
    "a/" * 3000, "\U0001f9e0" * 80, "CON", "nul.nii", "=1+1", "=HYPERLINK(\"http://x\")",
    "+SUM(A1)", "-2+3", "@x", "\u202egnp.iin", "\u200b", "e\u0301", "x\ny", "x\r\ny", "x\ry",
    "x\u2028y", "\x1b[2J", "\x07", "\x00", "\x85", "\ufeff", "\ufffd", "nan", "inf", "-1",
    "1e999", "1" * 5000, "12,5", "0x10", "\u0664", "n/a", "None", "NULL", "?", "P01", "p01",
    "P01.nii.gz", "x" * 140_000, '"', '""', "'", ",", ";", "|", "<script>", "%s%n", "{x}",
    "$(id)", "`id`", "[bold]", "\\", "patient_id", "data", "P01.nii.gz/x", "loop.nii.gz",
)  # fmt: skip
ENCODINGS = ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7", "cp037")
NAMES = (
    "patient_id",
    "flair",
    "Patient ID",
    "PATIENT_ID",
    "mask",
    "marker",
    "age",
    "participant_id",
)
MOST_LETTERS = 2**21
"""Of what is added at a time, so that the damage itself takes little memory."""
WAYS = ("manifest", "labels", "participants")


@dataclass(frozen=True)
class Csv:
    """A damaged table: what it is read as, and its bytes."""

    way: str
    content: bytes


def _cell(rows: Rows, rng: random.Random) -> Rows:
    row = rng.choice(rows)
    if row:
        row[rng.randrange(len(row))] = rng.choice(TEXTS)
    return rows


def _column(rows: Rows, rng: random.Random) -> Rows:
    """A whole column of one text."""
    at, text = rng.randrange(len(COLUMNS)), rng.choice(TEXTS)
    return [row if row is rows[0] else [*row[:at], text, *row[at + 1 :]] for row in rows]


def _header(rows: Rows, rng: random.Random) -> Rows:
    """A column that is there twice, has another name, or lacks its name."""
    if rows[0]:
        rows[0][rng.randrange(len(rows[0]))] = rng.choice((*NAMES, *TEXTS))
    return rows


def _ragged(rows: Rows, rng: random.Random) -> Rows:
    """A row of more or fewer cells than columns."""
    at = rng.randrange(len(rows))
    text = rng.choice(TEXTS)
    more = [text] * min(rng.choice((1, 2, 3000)), 1 + MOST_LETTERS // (1 + len(text)))
    rows[at] = rows[at] + more if rng.random() < 0.5 else rows[at][: rng.randint(0, 7)]
    return rows


def _doubled(rows: Rows, rng: random.Random) -> Rows:
    row = list(rng.choice(rows))
    letters = sum(len(cell) + 1 for cell in row)
    return [*rows, *[row] * min(rng.choice((1, 2, 300)), 1 + MOST_LETTERS // (1 + letters))]


def _without(rows: Rows, rng: random.Random) -> Rows:
    """A row, or a column, less."""
    if rng.random() < 0.5 and len(rows) > 1:
        return [row for row in rows if row is not rng.choice(rows)] or rows
    at = rng.randrange(len(COLUMNS))
    return [[*row[:at], *row[at + 1 :]] for row in rows]


def _shuffled(rows: Rows, rng: random.Random) -> Rows:
    return rng.sample(rows, len(rows))


def _put_in(raw: bytes, rng: random.Random) -> bytes:
    """Bytes that mean something to CSV, or are no text, put somewhere."""
    new = rng.choice(
        (
            b'"',
            b'""',
            b"\0",
            b"\r",
            b"\n",
            b",",
            b";",
            b"\t",
            b"\xff",
            b"\xef\xbb\xbf",
            b"\x1a",
            b"\xc3",
            b"\xed\xa0\x80",
            b'"' * 999,
            b",\n" * 999,
            rng.randbytes(5),
        )
    )
    at = rng.randrange(len(raw) + 1)
    return raw[:at] + new + raw[at + rng.choice((0, 0, 1, 9)) :]


def _ends(raw: bytes, rng: random.Random) -> bytes:
    """Other ends of lines, or another delimiter, in some places or all."""
    old, new = rng.choice(
        (
            (b"\r\n", b"\n"),
            (b"\r\n", b"\r"),
            (b"\r\n", b"\n\n"),
            (b",", b";"),
            (b",", b"\t"),
            (b",", b"|"),
            (b",", b", "),
            (b"\r\n", b"\x0b"),
        )
    )
    return raw.replace(old, new, rng.choice((1, 3, -1)))


def _encoded(raw: bytes, rng: random.Random) -> bytes:
    return raw.decode(errors="replace").encode(rng.choice(ENCODINGS), errors="replace")


def _bits(raw: bytes, rng: random.Random) -> bytes:
    altered = bytearray(raw)
    for _ in range(rng.randint(1, 6) if raw else 0):
        altered[rng.randrange(len(raw))] = rng.randrange(256)
    return bytes(altered)


def _cut(raw: bytes, rng: random.Random) -> bytes:
    return raw[: rng.randrange(len(raw) + 1)]


def _other(raw: bytes, rng: random.Random) -> bytes:
    """No table at all."""
    return rng.choice(
        (b"", b"\n" * 99, rng.randbytes(300), nifti.seed_bytes("plain"), b"{}", raw * 9)
    )


CELLS: tuple[Change, ...] = (
    _cell, _cell, _cell, _cell, _column, _header, _ragged, _doubled, _without, _shuffled,
)  # fmt: skip
BYTES: tuple[Mutator, ...] = (_put_in, _put_in, _ends, _ends, _encoded, _bits, _cut, _other)


def damaged(number: int) -> Csv:
    """The table of that number; the same one always."""
    rng = random.Random(number)  # noqa: S311 - not for secrets
    way = rng.choices(WAYS, (3, 1, 1))[0]
    rows = [list(row) for row in ROWS]
    if way == "participants":
        rows[0][0] = "participant_id"
    for change in rng.choices(CELLS, k=rng.choice((0, 1, 1, 2, 3))):
        rows = [list(row) for row in change(rows, rng)]
    packed = io.StringIO(newline="")
    quoting = rng.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    csv.writer(packed, delimiter=rng.choice(",,,;\t"), quoting=quoting).writerows(rows)
    raw = packed.getvalue().encode(errors="surrogatepass")
    for mutate in rng.choices(BYTES, k=rng.choice((0, 0, 1, 1, 2))):
        raw = mutate(raw, rng)
    return Csv(way, raw)


def attempt(table: Csv, folder: Path) -> bool:
    """Read a table from a folder of small scans, as what it is read as.

    Returns:
        Whether it was read; else it was refused in one line.

    Raises:
        Exception: Whatever is neither.
    """
    data = folder / "data"
    for name in ("P01.nii.gz", "data/P02.nii.gz", "data/sub-P03/anat/sub-P03_FLAIR.nii.gz"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(nifti.gzipped("plain"))
    (data / "loop.nii.gz").symlink_to("loop.nii.gz")
    path = data / "participants.tsv" if table.way == "participants" else folder / "table.csv"
    path.write_bytes(table.content)
    refused = None
    try:
        _read(table.way, path, data)
    except PlggError as error:
        refused = error
    assert refused is None or str(refused).isprintable(), refused
    assert refused is None or (refused.remedy and len(str(refused)) < 4000), refused
    return refused is None


def _read(way: str, path: Path, data: Path) -> None:
    if way == "manifest":
        cases = read_manifest(path)
        report = check_manifest(path, scan_gib=nifti.LIMIT_BYTES / 2**30)
        assert report.n_cases == len(cases)
        return
    layout = LAYOUTS["bids" if way == "participants" else "folder"]
    choices = Choices(labels=None if way == "participants" else path)
    written = build_manifest(
        layout, data, path.with_name("out.csv"), choices=choices, overwrite=False, progress=_quiet
    )
    assert written.cases


def _quiet(done: int, total: int) -> None:
    """Say nothing."""
    assert done <= total
