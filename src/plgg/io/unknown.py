"""What tables write where nothing is known: the one list of placeholders.

A cell that says no more than "not known" is blank, in a manifest, in a table of labels and in any
other table, whatever its case, brackets and signs.
"""

from __future__ import annotations

import re
import unicodedata

_WORDS = frozenset((
    # English
    "na", "nan", "nat", "nd", "none", "null", "nil", "unknown", "unk", "unkn", "missing", "blank",
    "tbd", "tba", "tbc", "pending", "awaited", "awaiting", "awaitingresult", "resultpending",
    "inprogress", "nottested", "untested", "notavailable", "unavailable", "notapplicable",
    "notdone", "notperformed", "notdetermined", "undetermined", "notreported", "notknown",
    "notrecorded", "notspecified", "unspecified", "notprovided", "notassessed", "notevaluated",
    "notcollected", "noinformation", "nodata", "noresult", "nottestedyet", "discrepancy",
    "notallowedtocollect", "datanotavailable", "notyettested", "undefined",
    # As other languages write it
    "unbekannt", "keineangabe", "keineangaben", "ausstehend", "inconnu", "inconnue", "nonconnu",
    "desconocido", "desconhecido", "sconosciuto", "onbekend", "ukjent", "okänd", "ukendt",
    "неизвестно", "不明", "未知", "未検査",
))  # fmt: skip
# What a spreadsheet shows where a formula failed.
_FAILED = re.compile(
    r"#(N/?A|REF|VALUE|DIV/0|NAME|NUM|NULL|SPILL|CALC)[!?]?|#N/A N/A", re.IGNORECASE
)
_SIGNS = re.compile(r"[\s.\-‐-―−?¿_/…#~]+")
_SUSPICIOUS = re.compile(
    r"[?¿\[\]{}]|^#|^-\d+(\.0+)?$|^9{2,}(\.0+)?$"
    r"|\b(unknown|missing|pending|inconclusive|indeterminate|equivocal|insufficient|fail(ed|ure)?"
    r"|error|todo|awaiting|suspected|uncertain|unclear|qns)\b"
    r"|\bnot (yet )?(tested|available|known|done|determined|performed|reported|assessed|evaluable)",
    re.IGNORECASE,
)


def known(text: str | None) -> str | None:
    """The text without blanks around it, or None where it only says that nothing is known.

    >>> known(" BRAF fusion "), known("[Not Available]"), known("n.d."), known("-")
    ('BRAF fusion', None, None, None)
    """
    clean = unicodedata.normalize("NFC", text or "").strip()
    return None if not clean or is_placeholder(clean) else clean


def is_placeholder(text: str) -> bool:
    """Whether a text that is not blank stands for nothing known."""
    plain = unicodedata.normalize("NFKC", text).strip()
    if _FAILED.fullmatch(plain) or _SIGNS.fullmatch(plain):
        return True
    return re.sub(r"[\W_]+", "", plain).casefold() in _WORDS and not plain.startswith("+")


def is_suspicious(text: str) -> bool:
    """Whether a known text looks as if it said that nothing is known, or that it is not sure.

    >>> is_suspicious("BRAF fusion?"), is_suspicious("-9"), is_suspicious("BRAF V600E")
    (True, True, False)
    """
    return _SUSPICIOUS.search(text) is not None
