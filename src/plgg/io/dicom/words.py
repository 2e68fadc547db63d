"""The words of a series' description that are passed on: those that name a sequence or a plane.

A description is free text and may hold a patient's name, so all that is not in the list here is
dropped. Knows nothing of DICOM.
"""

from __future__ import annotations

import re

_WORDS = {
    "flair": "FLAIR", "tirm": "TIRM", "darkfluid": "dark-fluid", "stir": "STIR", "3d": "3D",
    "2d": "2D", "fs": "FS", "fatsat": "FS", "space": "SPACE", "cube": "CUBE", "vista": "VISTA",
    "dwi": "DWI", "dti": "DTI", "adc": "ADC", "swi": "SWI", "trace": "trace", "bold": "BOLD",
    "perfusion": "perfusion", "asl": "ASL", "mprage": "MPRAGE", "bravo": "BRAVO", "pd": "PD",
    "mpr": "MPR", "mip": "MIP", "loc": "localizer", "localizer": "localizer", "scout": "localizer",
    "localiser": "localizer", "survey": "localizer", "tse": "TSE", "fse": "FSE", "gre": "GRE",
    "propeller": "PROPELLER", "blade": "BLADE", "post": "post", "pre": "pre", "gd": "Gd",
    "gad": "Gd", "dir": "DIR", "psir": "PSIR", "minip": "MIP", "diff": "DWI", "diffusion": "DWI",
    "swan": "SWI", "mra": "MRA", "tof": "MRA",
}  # fmt: skip
_AGENT = r"(?:gd|gad|gado\w*|[ck]ontrast\w*|km|mdc|ce|c\b)"
_EVENT = r"(?:op|surg|rt|rad|chem|treat|ther|bio|resect|shunt|trauma)"
# In this order; what one finds is taken out of the text before the next looks.
_INSIDE = (
    ("flair", "flair"), ("tirm", "tirm"), (r"dark[^a-z0-9]?fluid", "darkfluid"),
    (rf"\b(?:pre|post)[\s./-]*{_EVENT}\w*", None),
    (rf"\b(?:w[/\s]?o|without|no|non|pre|ohne|vor|sans|sin|senza|sem)[\s./+-]*{_AGENT}\b", "pre"),
    (rf"\bpost[\s./+-]*{_AGENT}\b", "post"),
    (rf"\+\s?c\b|\bc\s?\+|\b(?!c\b){_AGENT}\b", "gd"),
)  # fmt: skip
_WEIGHTING = re.compile(r"(?:ax|tra|sag|cor|e|s)?(t[12])w?i?")


def known_words(text: str) -> tuple[str, ...]:
    """The recognised words of a text, each once, in the list's own spelling."""
    lower = text.lower().replace("_", " ")
    found: list[str] = []
    for pattern, word in _INSIDE:
        if re.search(pattern, lower):
            found += [_WORDS[word]] if word else []
            lower = re.sub(pattern, " ", lower)
    for token in re.findall(r"[a-z0-9]+", lower):
        weighting = _WEIGHTING.fullmatch(token)
        known = str(weighting[1]).upper() if weighting else _WORDS.get(token)
        if known is not None:
            found.append(known)
    # T1 and T2 lead, as people write them.
    return tuple(sorted(dict.fromkeys(found), key=lambda word: word not in ("T1", "T2")))
