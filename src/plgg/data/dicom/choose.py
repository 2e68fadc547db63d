"""Choose the stack of a sequence among several by headers only, never by pixels, and say why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from plgg.config.base import TITLES
from plgg.core.errors import InputError
from plgg.data.dicom.frame import Picture
from plgg.data.dicom.stack import Stack

_MOST_LISTED = 12
_SAME_PLACE_MM = 0.1


def choose_stack(
    stacks: list[Stack], *, series: int | None, path: Path, sequence: str = "flair"
) -> tuple[Stack, str]:
    """The stack to read, and one clause that says why.

    Args:
        stacks: All that were found; at least one.
        series: SeriesNumber that the user named, if any.
        path: For messages.
        sequence: What is looked for.

    Raises:
        InputError: If the choice is not clear, the named one is not there, or patients are mixed.
    """
    _refuse_several_patients(stacks, path)
    if series is not None:
        return _named(stacks, series, path), "named by its number"
    if len(stacks) == 1:
        return stacks[0], _why_only(stacks[0], sequence)
    return _best(stacks, path, sequence)


def _refuse_several_patients(stacks: list[Stack], path: Path) -> None:
    patients = {stack.first.patient for stack in stacks}
    studies = {stack.first.study for stack in stacks}
    what = None
    if len(patients - {""}) > 1:
        what = f"holds scans of {len(patients - {''})} patients"
    elif "" in patients and len(studies) > 1:
        what = f"holds {len(studies)} studies without a patient's number that makes them one's"
    if what:
        raise InputError(what, where=path, remedy="Give each patient a folder of its own.")


def _named(stacks: list[Stack], number: int, path: Path) -> Stack:
    found = [stack for stack in stacks if stack.first.number == number]
    if len(found) > 1:  # Its localizer, projections or phase images are not what is meant.
        found = [stack for stack in found if not stack.non_structural_reason] or found
    if len(found) != 1:
        count = "no series has" if not found else f"{len(found)} stacks have"
        raise InputError(
            f"{count} the number {number}; there are {listing(stacks)}",
            where=path,
            remedy="Name another series, or keep only the FLAIR's files in the folder.",
        )
    return found[0]


def _why_only(stack: Stack, sequence: str) -> str:
    said = stack.is_of(sequence)
    evidence = _evidence(stack) if said else f"; its headers do not say {TITLES[sequence]}"
    return f"the only series{evidence}"


def _evidence(stack: Stack) -> str:
    if not stack.is_flair:
        return f"; its headers say {_bare(stack.kind)}"
    where = "description" if stack.described_flair else "type (FLUID_ATTENUATED)"
    said = [f"FLAIR is in its {where}"] if stack.named_flair else []
    if stack.timed_flair:
        said.append(f"TE {stack.first.echo_ms:.4g} ms and TI {stack.first.inversion_ms:.4g} ms fit")
    return f"; {', '.join(said)}" if said else ""


def _rank(stack: Stack) -> tuple[bool, bool, bool, int]:
    """Originals first, then without contrast, then evidence of both kinds, then more slices."""
    both = stack.named_flair and stack.timed_flair
    return not stack.derived, not stack.after_contrast, both, stack.n_images


def _best(stacks: list[Stack], path: Path, sequence: str) -> tuple[Stack, str]:
    title = TITLES[sequence]
    flairs = [stack for stack in stacks if stack.is_of(sequence)]
    if not flairs:
        raise InputError(
            f"none of {len(stacks)} series looks like a {title}: {listing(stacks)}",
            where=path,
            remedy="Name the one that is by its series number, or keep only its files.",
        )
    studies = len({stack.first.study for stack in flairs})
    if studies > 1:
        raise InputError(
            f"holds {title}s of {studies} studies: {listing(flairs)}",
            where=path,
            remedy="Give each study a folder of its own, or name one by its series number.",
        )
    first, *others = sorted(flairs, key=lambda s: (*(-int(part) for part in _rank(s)), s.acquired))
    if others and (_rank(first), first.acquired) == (_rank(others[0]), others[0].acquired):
        raise InputError(
            f"holds {title}s that their headers do not tell apart: {listing([first, others[0]])}",
            where=path,
            remedy="Keep only the files of the one that is meant.",
        )
    rest = [stack for stack in stacks if stack not in flairs]
    kinds = Counter(stack.kind for stack in rest)
    told = ", ".join(f"{count} {_bare(kind)}" for kind, count in kinds.items())
    why = _evidence(first).removeprefix("; ")
    why += f"; {_over(first, others, title)}" if others else ""
    return first, why + (f"; the other series: {told}" if told else "")


def _bare(kind: str) -> str:
    return kind.removeprefix("a ").removeprefix("an ")


def _over(first: Stack, others: list[Stack], title: str) -> str:
    """Which stacks it was preferred to, and by which rule."""
    names = " and ".join(_short(stack) for stack in others[:3])
    mine, theirs = _rank(first), _rank(others[0])
    if mine[0] != theirs[0]:
        rule = "is original"
    elif mine[1] != theirs[1]:
        rule = "names no contrast agent"
    elif mine[2] != theirs[2]:
        rule = "has both the name and the times of a FLAIR"
    elif mine[3] != theirs[3]:
        rule = "has more slices"
    else:
        rule = "was acquired first"
    return f"{names} would be a {title} too, but this one {rule}"


def _short(stack: Stack) -> str:
    number = stack.first.number
    return "an unnumbered series" if number is None else f"series {number}"


def doubts_of(
    stack: Stack, sequence: str = "flair", series: Sequence[Picture] = ()
) -> tuple[str, ...]:
    """What the headers of the chosen stack say against its being that sequence; one clause each.

    Args:
        stack: The chosen one.
        sequence: What was looked for.
        series: All images of its series, those of other stacks included.
    """
    found = []
    if stack.kind == "of an unknown kind":
        found.append("its headers do not say which sequence it is")
    elif not stack.is_of(sequence):
        found.append(f"by its headers it is {stack.kind}, not a {TITLES[sequence]}")
    elif stack.derived:
        found.append("its headers say that it was derived from other images, not acquired")
    if stack.differing_times:
        found.append(f"its slices have different {stack.differing_times}")
    n_images, n_acquired = sum(one.stands_for for one in series), stack.first.n_acquired or 0
    if 0 < n_images < n_acquired:
        found.append(f"its headers count {n_acquired} images, and {n_images} are there")
    elsewhere = _n_elsewhere(series, stack)
    if elsewhere:
        images = "1 image" if elsewhere == 1 else f"{elsewhere} images"
        found.append(f"its series holds {images} of another kind elsewhere")
    if stack.after_contrast and sequence != "t1c":
        found.append("its headers name a contrast agent")
    return tuple(f"{clause} ({stack.describe()})" for clause in found)


def _n_elsewhere(series: Sequence[Picture], stack: Stack) -> int:
    """How many images of a series lie where no slice of the stack does, or do not say where."""
    mine = {id(picture) for picture in stack.pictures}
    others = [picture for picture in series if id(picture) not in mine]
    planes = [picture.plane for picture in stack.pictures if picture.plane is not None]
    places = np.array([plane.position for plane in planes]).reshape(-1, 3)

    def is_elsewhere(picture: Picture) -> bool:
        if picture.plane is None:
            return True
        apart = np.abs(places - picture.plane.position).max(axis=1)
        return not bool((apart < _SAME_PLACE_MM).any())

    return sum(picture.stands_for for picture in others if is_elsewhere(picture))


def listing(stacks: list[Stack]) -> str:
    """All stacks in one line, each with its kind."""
    shown = [f"{stack.describe()} ({stack.kind})" for stack in stacks[:_MOST_LISTED]]
    more = len(stacks) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")
