"""From raw scans to their report pages, step by step: a table of wall seconds.

    python benchmarks/prediction.py SCAN... --model RUN [--atlas sri24/] [--repeats 3]

SCANs are NIfTI files or DICOM folders. Each goes the way of `plgg predict`, pages and all, in one
process; reading the model and the atlas is a row of its own, for it is done once.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path
from statistics import median

from common import peak_gib
from plgg.core.environment import machine
from plgg.predict.ensemble import build_ensemble
from plgg.predict.member import load_member
from plgg.predict.scan import Predictor
from plgg.predict.source import Scan, find_scans
from plgg.preprocess.setup import route_for
from plgg.report.case.page import write_case_report

WHOLE = "all, with reading and writing"
STEPS = (
    "brain",
    "bias field",
    "registration",
    "gates",
    "resampling",
    "network",
    "back to the native grid",
    "measures",
    "page",
    WHOLE,
)


def main() -> None:
    """Time scans and print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("scans", nargs="+", type=Path)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--atlas")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    pages: list[float] = []

    def page(folder: Path, native: object) -> None:
        began = time.perf_counter()
        write_case_report(folder, native)
        pages.append(time.perf_counter() - began)

    began = time.perf_counter()
    predictor = Predictor(
        build_ensemble([load_member(options.model)]), atlas=options.atlas, page=page
    )
    route_for(predictor.config)
    ready = time.perf_counter() - began
    rows = {
        scan.case_id: timed(scan, predictor, pages, repeats=options.repeats)
        for scan in find_scans(options.scans)
    }
    found = {
        "model and atlas": ready,
        "seconds": rows,
        "peak_gib": peak_gib(),
        "engine": predictor.networks.engine,
        "machine": machine(),
    }
    print(json.dumps(found, indent=2) if options.json else table(found))


def timed(
    scan: Scan, predictor: Predictor, pages: list[float], *, repeats: int
) -> dict[str, float]:
    """Median seconds of each step of one scan."""
    runs: list[dict[str, float]] = []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as out:
            began = time.perf_counter()
            result = predictor.predict(scan, Path(out))
            whole = time.perf_counter() - began
        prepared = result.quality.seconds if result.quality else {}
        runs.append(
            {
                **prepared,
                **result.seconds,
                "page": pages[-1],
                WHOLE: whole,
            }
        )
    return {step: median(run.get(step, 0.0) for run in runs) for step in STEPS}


def table(found: dict[str, object]) -> str:
    """Steps by scans, as Markdown."""
    rows = found["seconds"]
    lines = [
        f"| seconds | {' | '.join(rows)} |",
        f"|---|{'---|' * len(rows)}",
        *(
            f"| {step} | {' | '.join(f'{row[step]:.2f}' for row in rows.values())} |"
            for step in STEPS
        ),
        "",
        f"model and atlas, once: {found['model and atlas']:.1f} s; largest memory "
        f"{found['peak_gib']:.2f} GiB; {found['engine']}; {found['machine']}",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
