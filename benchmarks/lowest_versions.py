"""Tests with the oldest releases that pyproject.toml allows, to see that its lower bounds are true.

    python benchmarks/lowest_versions.py --folder /tmp/lowest --torch 2.13.0 tests/io tests/config

Each direct dependency is installed at the lowest release that its bound allows and that there is
for this Python, in a fresh environment; what they need in turn is as new as they allow. `--torch`
names another release of torch, where the lowest has no build for a processor at hand. Bounds that
contradict each other, fail to install or fail a test are too low.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
TOOLS = ("beartype", "hypothesis", "jsonschema", "pytest", "pytest-timeout", "pytest-xdist")


def requirements(extras: list[str]) -> list[Requirement]:
    """What pyproject.toml asks for, with these extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    optional = project["optional-dependencies"]
    texts = [*project["dependencies"], *(text for extra in extras for text in optional[extra])]
    wanted: dict[str, Requirement] = {}
    for one in map(Requirement, texts):
        wanted.setdefault(one.name, one).specifier &= one.specifier
    return list(wanted.values())


def lowest(requirement: Requirement) -> Version:
    """The lowest release for this Python that is within the bounds."""
    found = subprocess.run(  # noqa: S603 - pip, for a name of pyproject.toml
        [sys.executable, "-m", "pip", "index", "versions", requirement.name],
        capture_output=True,
        text=True,
        check=True,
    )
    listed = re.search(r"^Available versions: (.*)$", found.stdout, flags=re.MULTILINE)
    versions = [Version(text) for text in listed[1].split(", ")] if listed else []
    allowed = [version for version in versions if version in requirement.specifier]
    if not allowed:
        raise SystemExit(f"{requirement}: there is no such release")
    return min(allowed)


def pinned(extras: list[str], torch: str | None) -> list[str]:
    """One line of a requirements file for each direct dependency."""
    lines = []
    for requirement in requirements(extras):
        chosen = torch if requirement.name == "torch" and torch else lowest(requirement)
        bracket = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else ""
        lines.append(f"{requirement.name}{bracket}=={chosen}")
        print(lines[-1], flush=True)
    return lines


def main() -> int:
    """Install and test; the exit status is that of the tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="where the environment goes")
    parser.add_argument("--torch", help="another release of torch than the lowest")
    parser.add_argument("--extra", action="append", default=[], help="an extra of pyproject.toml")
    parser.add_argument("tests", nargs="*", default=["tests"], help="what pytest is to run")
    args = parser.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    listing = args.folder / "lowest.txt"
    listing.write_text("\n".join(pinned(args.extra, args.torch)) + "\n", "utf-8")
    subprocess.run([sys.executable, "-m", "venv", "--clear", args.folder / "venv"], check=True)  # noqa: S603
    python = args.folder / "venv" / "bin" / "python"
    pip = [python, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, "-r", listing, *TOOLS], check=True)  # noqa: S603
    subprocess.run([*pip, "--no-deps", "-e", ROOT], check=True)  # noqa: S603
    # Old releases beside new ones of what they need are full of deprecations.
    pytest = [python, "-m", "pytest", "-W", "ignore::DeprecationWarning", *args.tests]
    return subprocess.run(pytest, cwd=ROOT, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    sys.exit(main())
