"""`Rule`: which studies `plgg pacs watch` takes: `modality=MR description~flair`.

>>> rule = parse_rule("modality=MR description~'t2 flair'")
>>> [(term.name, term.sign, term.value) for term in rule.terms]
[('modality', '=', 'MR'), ('description', '~', 't2 flair')]

All terms must match, ignoring case: `=` the whole value, `~` a part of it. `modality` and
`description` match any series; `description` matches the study, too.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Literal, cast

from plgg.core.errors import ConfigError
from plgg.pacs.records import Study

DEFAULT_RULE = "modality=MR description~flair"
_TERM = re.compile(r"([a-z-]+)([=~])(.+)", flags=re.DOTALL)
_NAMES = ("modality", "description", "study-description", "series-description")


@dataclass(frozen=True)
class Term:
    """One condition."""

    name: str
    sign: Literal["=", "~"]
    value: str

    def fits(self, study: Study) -> bool:
        """Whether a value of the study matches."""
        wanted = self.value.casefold()
        values = (text.casefold() for text in self._values(study))
        return any(wanted == text if self.sign == "=" else wanted in text for text in values)

    def _values(self, study: Study) -> list[str]:
        if self.name == "modality":
            return [one.modality for one in study.series]
        if self.name == "study-description":
            return [study.description]
        if self.name == "series-description":
            return [one.description for one in study.series]
        return study.descriptions()


@dataclass(frozen=True)
class Rule:
    """Conditions that a study must all meet."""

    terms: tuple[Term, ...]

    def fits(self, study: Study) -> bool:
        """Whether a study, with its series, meets them all."""
        return all(term.fits(study) for term in self.terms)

    @property
    def modality(self) -> str | None:
        """The modality to search for on the server; None if no term demands one."""
        found = (t.value for t in self.terms if t.name == "modality" and t.sign == "=")
        return next(found, None)


def parse_rule(text: str) -> Rule:
    """Parse a rule.

    Raises:
        ConfigError: If it is not valid.
    """
    try:
        words = shlex.split(text)
    except ValueError:
        raise _no_rule("has a quotation mark without its other one") from None
    if not words:
        raise _no_rule("is empty")
    return Rule(tuple(_term(word) for word in words))


def _term(word: str) -> Term:
    found = _TERM.fullmatch(word)
    if found is None or found[1] not in _NAMES:
        raise _no_rule(f"has {word[:40]!a} in it")
    return Term(found[1], cast("Literal['=', '~']", found[2]), found[3])


def _no_rule(what: str) -> ConfigError:
    return ConfigError(
        f"the rule {what}",
        where="--rule",
        remedy=f"Of {', '.join(_NAMES)}, each with = or ~, as in: {DEFAULT_RULE}",
    )
