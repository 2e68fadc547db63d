"""Settings of the arms of an experiment, by their names."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from plgg.config import MARKER, PRESETS, SEGMENTATION, Config, TaskConfig, with_settings
from plgg.core.case_id import case_id_fault, first_duplicate
from plgg.core.errors import ConfigError

PUBLISHED = ("single", "multitask")
DENSE, DENSE_MARKER, ORACLE = "dense", "dense-marker", "oracle"
KINDS = (*PUBLISHED, DENSE, DENSE_MARKER, ORACLE)
# Tasks that need no column of the manifest, and their weights: with these the gradient of each on
# the encoder is about a third of the outline's (docs/experiment.md).
_MASK_TASKS = {"signed_distance": 0.3, "tumour_slice": 0.1}

# Blanks within braces and brackets belong to a value: tasks={segmentation: segmentation}.
_WORDS = re.compile(r"(?:\{(?:[^{}]|\{[^{}]*\})*\}|\[[^\]]*\]|\S)+")


def resolve_arms(names: Sequence[str], defined: Sequence[str], base: Config) -> dict[str, Config]:
    """The settings of each arm, in the order of their names.

    `single` and `multitask` are the base with that arm; `dense` adds tasks that are computed from
    the mask to segmentation, `dense-marker` these and the base's own; `oracle` is `single` with the
    true marker as an input. A preset's name is that preset, with the base's seed, tasks,
    preprocessing, inference and execution. `NAME=ARM key=value …` defines one more from one of
    these; it need not be among the names.

    Raises:
        ConfigError: If there is no name, one is unknown or occurs twice, or a setting does not fit.
    """
    definitions = dict(_parsed(text, base) for text in defined)
    wanted = [*names, *(name for name in definitions if name not in names)]
    if not wanted:
        raise ConfigError("no arm is named", remedy="Name one: --arms single,multitask.")
    if first_duplicate(wanted) is not None or len(definitions) < len(defined):
        raise ConfigError("an arm is named twice", remedy="Give every arm a name of its own.")
    return {name: definitions.get(name) or _known(name, base) for name in wanted}


def require_no_overlap(defined: Sequence[str], grid: Iterable[str]) -> None:
    """Check that no arm sets a key that the grid varies.

    Raises:
        ConfigError: If one does.
    """
    searched = set(grid)
    for text in defined:
        name, _, rest = text.partition("=")
        both = sorted({part.partition("=")[0] for part in _WORDS.findall(rest)} & searched)
        if both:
            raise ConfigError(
                f"the arm {name.strip()!r} sets {both[0]}, and so does the grid",
                remedy="Leave it out of one of them, or run them as two experiments.",
            )


def _parsed(text: str, base: Config) -> tuple[str, Config]:
    name, _, rest = text.partition("=")
    kind, *settings = _WORDS.findall(rest) or [""]
    if kind not in (*KINDS, *PRESETS) or not _is_name(name.strip()):
        raise ConfigError(
            f"{text!r} defines no arm",
            remedy='Write --define "NAME=multitask key=value key=value", with a new name.',
        )
    return name.strip(), with_settings(_known(kind, base), settings)


def _is_name(name: str) -> bool:
    """Whether this is a valid new name of an arm, which also names the folders of its runs."""
    return name not in (*KINDS, *PRESETS) and "." not in name and case_id_fault(name) is None


def _known(name: str, base: Config) -> Config:
    if name in PUBLISHED:
        return base.model_copy(update={"arm": name})
    if name == ORACLE:
        model = base.model.model_copy(update={"marker_planes": True})
        return with_settings(base.model_copy(update={"arm": "single", "model": model}), ())
    if name in KINDS:
        return _dense(base, marker=name == DENSE_MARKER)
    if name not in PRESETS:
        raise ConfigError(
            f"no arm is called {name!r}",
            remedy=f"Choose among {', '.join((*KINDS, *PRESETS))}, or define it with --define.",
        )
    kept = ("seed", "tasks", "preprocess", "inference", "execution")
    chosen = PRESETS[name].model_copy(update={key: getattr(base, key) for key in kept})
    # Not every network may learn every task.
    return with_settings(chosen, ())


def _dense(base: Config, *, marker: bool) -> Config:
    tasks = {SEGMENTATION: base.tasks[SEGMENTATION]}
    tasks |= {kind: TaskConfig(kind=kind, weight=weight) for kind, weight in _MASK_TASKS.items()}
    if marker:
        # In the base's order; one without the marker gets it.
        tasks |= {name: task for name, task in base.tasks.items() if name not in tasks}
        tasks.setdefault(MARKER, TaskConfig(kind="classification"))
    return with_settings(base.model_copy(update={"arm": "multitask", "tasks": tasks}), ())
