"""Damage for zips of DICOM series: names that lead away, links, bombs, sizes that are not so.

    for number in range(10_000):
        dicom.attempt({"all.zip": damaged(number)}, folder)   # raises for all but a clear answer

A mutator of `ENTRIES` takes what is to be packed, one of `PACKED` the bytes of the zip.
"""

from __future__ import annotations

import random
import struct
import warnings
import zipfile
from collections.abc import Callable
from io import BytesIO

from fuzzing import dicom

Entry = tuple[zipfile.ZipInfo, bytes, int]
"""What is packed: its name, its bytes, and how many zeros follow them."""
Change = Callable[[list[Entry], random.Random], list[Entry]]
Mutator = Callable[[bytes, random.Random], bytes]

NAMES = (
    "../beside/kept.txt", "../../beside/kept.txt", "../../../beside/kept.txt", "..", ".", "/",
    "/etc/plgg-fuzz", "C:\\x.dcm", "..\\..\\beside\\kept.txt", "a" * 300, "a/" * 200 + "b", "",
    "x\ny", "\x1b[2J", "\u202egnp", "//host/share", "study/", "DICOMDIR", "CON", "a:b", "~/x",
    "\U0001f9e0.dcm", " ", "__MACOSX/._1.dcm", "all.zip",
)  # fmt: skip
METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA)
NUMBERS = (0, 1, 2, 8, 9, 12, 14, 93, 255, 4096, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1)
# Offsets and sizes in bytes of the numbers of a record, by its signature.
FIELDS = {
    b"PK\x01\x02": ((4, 2), (6, 2), (8, 2), (10, 2), (16, 4), (20, 4), (24, 4), (28, 2), (30, 2),
                    (32, 2), (34, 2), (36, 2), (38, 4), (42, 4)),
    b"PK\x03\x04": ((4, 2), (6, 2), (8, 2), (14, 4), (18, 4), (22, 4), (26, 2), (28, 2)),
    b"PK\x05\x06": ((4, 2), (6, 2), (8, 2), (10, 2), (12, 4), (16, 4), (20, 2)),
}  # fmt: skip


def _named(entries: list[Entry], rng: random.Random) -> list[Entry]:
    """A name that leads away, that no system takes, or that hides something."""
    if not entries:
        return entries
    at = rng.randrange(len(entries))
    return [*entries[:at], _entry(rng.choice(NAMES), entries[at][1]), *entries[at + 1 :]]


def _linked(entries: list[Entry], rng: random.Random) -> list[Entry]:
    """An entry that says it is a link, a folder, a device or a pipe."""
    info = zipfile.ZipInfo(rng.choice(("study", "1.dcm", "link.dcm")))
    info.create_system = 3
    info.external_attr = (rng.choice((0o12, 0o04, 0o02, 0o01)) << 12 | 0o777) << 16
    return [(info, rng.choice((b"../../beside", b"/etc/passwd", b".")), 0), *entries]


def _bomb(entries: list[Entry], rng: random.Random) -> list[Entry]:
    """An entry of a few KB that unpacks to many MB, as the zip says."""
    content = rng.choice((b"", b"\0" * 128 + b"DICM"))
    return [
        *entries,
        (zipfile.ZipInfo("bomb.dcm"), content, rng.choice((2**22, 2**22, 2**26 + 2**20))),
    ]


def _many(entries: list[Entry], rng: random.Random) -> list[Entry]:
    content = rng.choice((b"", b"\0" * 128 + b"DICM"))
    return [*entries, *(_entry(f"{number}.dcm", content) for number in range(400))]


def _doubled(entries: list[Entry], rng: random.Random) -> list[Entry]:
    """A name there twice, with the same or with other content."""
    if not entries:
        return entries
    info, content, _ = rng.choice(entries)
    return [*entries, _entry(info.filename, rng.choice((content, b"else", b"")))]


def _nested(entries: list[Entry], rng: random.Random) -> list[Entry]:
    inner = _packed(entries[: rng.randint(0, 4)], zipfile.ZIP_DEFLATED)
    return [*(entries if rng.random() < 0.5 else []), _entry("inner.zip", inner)]


def _fewer(entries: list[Entry], rng: random.Random) -> list[Entry]:
    return rng.sample(entries, rng.randint(0, len(entries)))


def _number(raw: bytes, rng: random.Random) -> bytes:
    """One number of one record of the zip: a size, an offset, a method, a flag, a count."""
    signature = rng.choice(list(FIELDS))
    places = [at for at in range(len(raw) - 45) if raw.startswith(signature, at)]
    if signature == b"PK\x05\x06":
        places = [raw.rfind(signature)]
    if not places or places[-1] < 0:
        return raw
    offset, size = rng.choice(FIELDS[signature])
    new = struct.pack("<Q", rng.choice((*NUMBERS, rng.randrange(2**32))))[:size]
    return _put(raw, rng.choice(places) + offset, new)


def _bit(raw: bytes, rng: random.Random) -> bytes:
    if not raw:
        return raw
    at = rng.randrange(len(raw))
    return _put(raw, at, bytes([raw[at] ^ 1 << rng.randrange(8)]))


def _cut(raw: bytes, rng: random.Random) -> bytes:
    at = rng.randrange(len(raw) + 1)
    return raw[:at] if rng.random() < 0.5 else raw[at:]


def _around(raw: bytes, rng: random.Random) -> bytes:
    """Something before or after it: noise, another zip, the end of one."""
    other = rng.choice(
        (rng.randbytes(200), raw, b"PK\x05\x06" + bytes(18), b"PK\x03\x04", bytes(9))
    )
    return other + raw if rng.random() < 0.5 else raw + other


ENTRIES: tuple[Change, ...] = (
    _named, _named, _linked, _bomb, _many, _doubled, _nested, _fewer,
)  # fmt: skip
PACKED: tuple[Mutator, ...] = (_number, _number, _number, _bit, _bit, _cut, _around)


def damaged(number: int) -> bytes:
    """The zip of that number; the same one always."""
    rng = random.Random(number)  # noqa: S311 - not for secrets
    files = dicom.series(rng.choice(dicom.SEEDS))
    entries = [_entry(name, content) for name, content in files.items()]
    for change in rng.choices(ENTRIES, k=rng.choice((0, 1, 1, 2))):
        entries = change(entries, rng)
    raw = _packed(entries, rng.choices(METHODS, (2, 6, 1, 1))[0])
    for mutate in rng.choices(PACKED, k=rng.choice((0, 1, 1, 2))):
        raw = mutate(raw, rng)
    return raw


def _entry(name: str, content: bytes) -> Entry:
    return zipfile.ZipInfo(name), content, 0


def _packed(entries: list[Entry], method: int) -> bytes:
    packed = BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(packed, "w", compresslevel=1) as archive:
        warnings.simplefilter("ignore")  # a name there twice is meant
        for info, content, zeros in entries:
            info.compress_type = zipfile.ZIP_DEFLATED if zeros else method
            with archive.open(info, "w") as handle:
                handle.write(content)
                for _ in range(0, zeros, 2**20):
                    handle.write(bytes(2**20))
    return packed.getvalue()


def _put(raw: bytes, at: int, new: bytes) -> bytes:
    return raw[:at] + new + raw[at + len(new) :]
