"""`Stack`: the pictures of one image, and properties of it that identify no one.

A series is one stack, unless its images are of several kinds, such as a scan and its localizer or
phase, or its places are taken more than once and echoes or types tell the layers apart. `geometry`
checks that the pictures of a stack lie well, `choose` says which stack is wanted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np

from plgg.data.dicom.frame import Picture

FLAIR_INVERSION_MS = (1500.0, 3000.0)
"""A FLAIR's time of inversion at 1.5 to 3 T, where water gives no signal."""

FLAIR_ECHO_MS = 70.0
"""Shorter echoes are not T2-weighted: a T1 FLAIR, an MPRAGE."""

STIR_INVERSION_MS = (80.0, 350.0)
"""A STIR's time of inversion at 1.5 to 3 T, where fat gives no signal."""

_MOST_TIMES_DIFFER = 1.05
"""Times of echo or inversion in one image, the longest over the shortest."""

_PROJECTION, _DIFFUSION, _FUNCTION = "a projection (MIP)", "diffusion", "perfusion or function"
_OTHER_TYPES = {
    "LOCALIZER": "a localizer", "PROJECTION IMAGE": _PROJECTION, "MIP": _PROJECTION,
    "MAX_IP": _PROJECTION, "MIN_IP": _PROJECTION, "MAXIMUM": _PROJECTION, "MINIMUM": _PROJECTION,
    "MNIP": _PROJECTION, "ADC": "an ADC map",
    "DIFFUSION": _DIFFUSION, "TRACEW": _DIFFUSION, "MOSAIC": "a mosaic", "SWI": "susceptibility",
    "PERFUSION": _FUNCTION, "ASL": _FUNCTION, "FMRI": _FUNCTION, "SCREEN SAVE": "a screenshot",
}  # fmt: skip
_OTHER_WORDS = {
    "localizer": "a localizer", "MIP": _PROJECTION, "MRA": "an angiogram", "ADC": "an ADC map",
    "DWI": _DIFFUSION, "DTI": _DIFFUSION, "trace": _DIFFUSION, "SWI": "susceptibility",
    "BOLD": _FUNCTION, "perfusion": _FUNCTION, "ASL": _FUNCTION,
}  # fmt: skip


@dataclass(frozen=True, eq=False)
class Stack:
    """Pictures of one series that make one image; never empty.

    Attributes:
        pictures: In the order of their files.
    """

    pictures: tuple[Picture, ...]

    @property
    def first(self) -> Picture:
        """The picture whose header represents the series."""
        return self.pictures[0]

    @property
    def differing_times(self) -> str | None:
        """Echo or inversion times that differ from slice to slice, in words; None if none do."""
        for name, attribute in (("echo", "echo_ms"), ("inversion", "inversion_ms")):
            times = {getattr(picture, attribute) for picture in self.pictures}
            known = sorted(times - {None})
            if known and (None in times or known[-1] > _MOST_TIMES_DIFFER * known[0]):
                named = [f"{time:.4g} ms" for time in (known[0], known[-1])]
                return f"{name} times ({' and '.join(dict.fromkeys(named))}" + (
                    ", and none)" if None in times else ")"
                )
        return None

    @property
    def n_images(self) -> int:
        """Number of images, including those without a position."""
        return sum(picture.stands_for for picture in self.pictures)

    @property
    def acquired(self) -> str:
        """Date and time, for sorting; never in messages."""
        return min(picture.acquired for picture in self.pictures)

    @property
    def derived(self) -> bool:
        """Whether it was computed from other images, such as a reformatted stack."""
        return any(part in ("DERIVED", "SECONDARY") for part in self.first.image_type)

    @property
    def non_structural_reason(self) -> str | None:
        """Why this cannot be a structural MR scan; None where it can."""
        first = self.first
        if first.modality != "MR":
            return "not MR"
        kind = _kind_of(first) or _named(_OTHER_WORDS, first.words)
        if not kind and (first.plane is None or first.colour):
            return "a screenshot or report"
        return kind

    @property
    def described_flair(self) -> bool:
        """Whether the description says FLAIR."""
        return bool({"FLAIR", "TIRM", "dark-fluid"} & set(self.first.words))

    @property
    def named_flair(self) -> bool:
        """Whether description or type says FLAIR, and nothing speaks for a T1 FLAIR or a STIR."""
        said = self.described_flair or "FLUID_ATTENUATED" in self.first.image_type
        return said and "T1" not in self.first.words and not self._timed_otherwise

    @property
    def timed_flair(self) -> bool:
        """Whether the echo is long and water is nulled."""
        echo, inversion = self.first.echo_ms, self.first.inversion_ms
        if echo is None or inversion is None or "T1" in self.first.words:
            return False
        low, high = FLAIR_INVERSION_MS
        return echo > FLAIR_ECHO_MS and low <= inversion <= high

    @property
    def _timed_otherwise(self) -> bool:
        echo, inversion = self.first.echo_ms, self.first.inversion_ms
        low, high = FLAIR_INVERSION_MS
        short = echo is not None and echo <= FLAIR_ECHO_MS
        return short or (inversion is not None and not 0.8 * low <= inversion <= 1.2 * high)

    @property
    def sequence(self) -> str:
        """Sequence by the words of its description and by its times."""
        words, echo, inversion = self.first.words, self.first.echo_ms, self.first.inversion_ms
        if self.named_flair or self.timed_flair:
            return "a FLAIR"
        low, high = STIR_INVERSION_MS
        if "STIR" in words or (inversion is not None and low <= inversion <= high):
            return "a STIR"
        named = next((word for word in ("T1", "MPRAGE", "PD", "T2") if word in words), None)
        if named:
            return "T1-like" if named == "MPRAGE" else f"{named}-like"
        if echo is None or 30 <= echo <= FLAIR_ECHO_MS:
            return "of an unknown kind"
        return "T1-like" if echo < 30 else "T2-like"

    @property
    def is_flair(self) -> bool:
        """Whether it is a FLAIR, acquired or derived, and nothing speaks against it."""
        return not self.non_structural_reason and self.sequence == "a FLAIR"

    def is_of(self, sequence: str) -> bool:
        """Whether its headers say that it is a sequence of `plgg.config.SEQUENCES`."""
        if sequence == "flair":
            return self.is_flair
        if self.non_structural_reason:
            return False
        if sequence in ("t1", "t1c"):
            return self.sequence == "T1-like" and self.after_contrast == (sequence == "t1c")
        if sequence in ("swi", "adc"):
            return sequence.upper() in self.first.words
        return self.sequence == f"{sequence.upper()}-like"

    @property
    def after_contrast(self) -> bool:
        """Whether a contrast agent is named, or the description says that it was given."""
        words = self.first.words
        said = "post" in words or ("Gd" in words and "pre" not in words)
        return said or any(picture.contrast for picture in self.pictures)

    @property
    def kind(self) -> str:
        """What it looks like, in a word or two."""
        if self.non_structural_reason:
            return self.non_structural_reason
        if not self.derived:
            return self.sequence
        return "a derived FLAIR" if self.sequence == "a FLAIR" else f"derived, {self.sequence}"

    def describe(self) -> str:
        """Describe the series in one line, without patient identifiers."""
        first = self.first
        number = "unnumbered series" if first.number is None else f"series {first.number}"
        name = " ".join([*first.words, *([self._plane] if first.plane else [])])
        times = [
            f"{label} {value:.4g} ms"
            for label, value in (("TE", first.echo_ms), ("TI", first.inversion_ms))
            if value is not None
        ]
        count = self.n_images
        slices = f"{count} slice{'' if count == 1 else 's'}"
        return ", ".join(part for part in (number, name, *times, slices) if part)

    @property
    def _plane(self) -> str:
        if self.first.plane is None:
            return ""
        normal = np.cross(self.first.plane.across, self.first.plane.down)
        return ("sagittal", "coronal", "axial")[int(np.argmax(np.abs(normal)))]


def _named(table: Mapping[str, str], words: Iterable[str]) -> str | None:
    return next((table[word] for word in table if word in words), None)


def _kind_of(picture: Picture) -> str | None:
    """What else than a plain image its type says that it is; None where it says nothing else."""
    named = _named(_OTHER_TYPES, picture.image_type)
    if named:
        return named
    parts = ("P", "I", "R", "PHASE MAP", "PHASE")
    is_phase = picture.component in ("PHASE", "REAL", "IMAGINARY")
    if is_phase or any(part in parts for part in picture.image_type[2:4]):
        return "a phase image"
    return None


def stacks_of(pictures: Iterable[Picture]) -> list[Stack]:
    """The stacks of all series, by number."""
    found = [
        stack
        # A screenshot may carry the identifier of the series that it shows.
        for series in _grouped(pictures, lambda one: (one.series, one.mr, _kind_of(one)))
        for stack in _layers(series)
    ]
    return sorted(found, key=lambda stack: (stack.first.number or 0, stack.first.echo_ms or 0.0))


def _layers(series: tuple[Picture, ...]) -> list[Stack]:
    if _all_apart(series):
        return [Stack(series)]
    # Slices of one echo may be partly derived: whether they are tells layers apart only if need be.
    for first_part in (2, 0):
        layers = _grouped(series, partial(_layer_key, first_part=first_part))
        if all(map(_all_apart, layers)):
            return [Stack(layer) for layer in layers]
    # Nothing tells them apart: the whole is refused as taken twice.
    return [Stack(series)]


def _layer_key(picture: Picture, *, first_part: int) -> Hashable:
    echo = picture.echo_ms and round(picture.echo_ms, 1)
    return echo, picture.component, picture.image_type[first_part:]


def _all_apart(pictures: tuple[Picture, ...]) -> bool:
    places = [picture.place for picture in pictures if picture.place is not None]
    return len(set(places)) == len(places)


def _grouped(
    pictures: Iterable[Picture], key: Callable[[Picture], Hashable]
) -> list[tuple[Picture, ...]]:
    groups: dict[Hashable, list[Picture]] = {}
    for picture in pictures:
        groups.setdefault(key(picture), []).append(picture)
    return [tuple(group) for group in groups.values()]
