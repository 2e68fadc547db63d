"""Put known faults into a healthy scan and see whether plgg says so: a table, a row a fault.

    python benchmarks/faults.py --atlas built-in [--scan FILE] [--dicom FOLDER] [--only PATTERN]

Every faulty scan goes through the door that users' scans go through. A fault is caught if the scan
is refused, or kept with a doubt that the healthy scan does not raise. Ends with status 1 if one is
not, or if the healthy scan is refused. The scan is a phantom unless one is given, stripped or raw.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from faulty import FAULTS, Fault, Healthy
from plgg.api import configure
from plgg.core.errors import PlggError
from plgg.core.volume import Volume
from plgg.data.check.usable import require_usable
from plgg.data.manifest import Case
from plgg.data.nifti.image import write_volume
from plgg.data.scan import read_scan
from plgg.phantom.patient import make_scan
from plgg.phantom.settings import phantom_settings
from plgg.preprocess.pipeline import PreprocessedScan, preprocess_scan
from plgg.preprocess.setup import Route, route_for

# What may become of a scan, in the words of the table.
REFUSED, DOUBTED, NOTED, PASSED = "refused", "doubted", "noted", "passed"
WANTED = {"nothing": {PASSED, NOTED, DOUBTED}, "registered already": {NOTED}}
CAUGHT = {REFUSED, DOUBTED}


def main() -> int:
    """Print the table; 1 if a fault was not caught."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--atlas", default="built-in", help="as for plgg preprocess")
    parser.add_argument("--scan", type=Path, help="a healthy FLAIR, stripped or raw")
    parser.add_argument("--dicom", type=Path, help="a folder of one DICOM series of a FLAIR")
    parser.add_argument("--only", default="", help="faults whose name fits this pattern")
    options = parser.parse_args()
    route = route_for(configure("small", atlas=options.atlas))
    with tempfile.TemporaryDirectory() as folder:
        healthy = found_healthy(options, route, Path(folder))
        print("| fault | caught | what was said |\n|---|---|---|", flush=True)
        chosen = {name: fault for name, fault in FAULTS.items() if re.search(options.only, name)}
        return max([row(name, fault, healthy, route) for name, fault in chosen.items()], default=0)


def found_healthy(options: argparse.Namespace, route: Route, folder: Path) -> Healthy:
    """The scan, and where its brain and the atlas are found to be in it."""
    if options.scan:
        scan = read_scan(options.scan)
    else:
        made, _ = make_scan(phantom_settings(), 0, "other", scan=0)
        # Off the atlas' grid, as any scan is that was not registered.
        moved = made.affine + np.array([[0, 0, 0, 9.0], [0, 0, 0, -7.0], [0, 0, 0, 5.0], [0] * 4])
        scan = Volume(made.data.astype(np.float32), moved)
    preprocessed = preprocess_scan(scan, None, route)
    placed, doubts = preprocessed.placed, _doubtful(preprocessed)
    return Healthy(scan, placed.brain, placed.native_to_atlas, doubts, options.dicom, folder)


def row(name: str, fault: Fault, healthy: Healthy, route: Route) -> int:
    """Print one row; 1 if the fault was not caught."""
    made = fault(healthy)
    path = made if isinstance(made, Path) else healthy.folder / "fault.nii.gz"
    if isinstance(made, Volume):
        write_volume(path, made)
    began = time.perf_counter()
    found, said = asked(path, route, known=frozenset() if name == "nothing" else healthy.doubts)
    good = bool(found & WANTED.get(name, CAUGHT))
    said = said.replace(str(healthy.folder), "…").replace("|", "/")
    seconds = time.perf_counter() - began
    shown = " and ".join(sorted(found)) + ("" if good else " **(WRONG)**")
    print(f"| {name} | {shown} | {said} |", flush=True)
    print(f"{name}: {seconds:.0f} s", file=sys.stderr)
    return int(not good)


def asked(path: Path, route: Route, *, known: frozenset[str]) -> tuple[set[str], str]:
    """What becomes of a scan at the users' door, and in which words; known doubts do not count."""
    try:
        flair, _ = require_usable(Case("fault", "fault", path))
        preprocessed = preprocess_scan(flair, None, route)
    except PlggError as error:
        return {REFUSED}, str(error)
    doubts = _doubtful(preprocessed) - known
    notes = {verdict.gate for verdict in preprocessed.quality.verdicts} & {"already-registered"}
    found = {word for word, gates in ((DOUBTED, doubts), (NOTED, notes)) if gates}
    said = [v.message for v in preprocessed.quality.verdicts if v.gate in doubts | notes]
    return found or {PASSED}, "; ".join(said)


def _doubtful(preprocessed: PreprocessedScan) -> frozenset[str]:
    """Names of the gates that are in doubt."""
    return frozenset(v.gate for v in preprocessed.quality.verdicts if v.status == "doubtful")


if __name__ == "__main__":
    sys.exit(main())
