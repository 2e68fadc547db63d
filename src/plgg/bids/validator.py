"""The BIDS validator, where it is installed: `pip install "plgg[bids]"`."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

from plgg.core.errors import InputError

PROGRAM = "bids-validator-deno"
_SECONDS = 1800.0


def validator() -> str | None:
    """The program, beside this Python or on the path; None where it is not installed."""
    beside = Path(sys.executable).parent
    return shutil.which(PROGRAM, path=str(beside)) or shutil.which(PROGRAM)


def validation_errors(root: Path, program: str) -> list[str]:
    """The errors that the validator finds, `CODE: /sub-01/…`; no warnings.

    Headers of images are not checked: with a broken one only its own scan fails, later.

    Raises:
        InputError: If the validator gives no answer.
    """
    command = [program, str(root), "--format", "json", "--ignoreWarnings", "--ignoreNiftiHeaders"]
    try:
        done = subprocess.run(  # noqa: S603 - the program is the validator, the path is data
            command, capture_output=True, timeout=_SECONDS, check=False, stdin=subprocess.DEVNULL
        )
        said = json.loads(done.stdout)
        issues = said["issues"]["issues"]
        return [
            f"{issue['code']}: {issue.get('location', '')}"
            for issue in issues
            if issue["severity"] == "error"
        ]
    except (OSError, subprocess.SubprocessError, ValueError, LookupError, TypeError) as error:
        raise InputError(
            f"the BIDS validator gave no answer ({type(error).__name__})",
            where=root,
            remedy="Install it again, or give --skip-bids-validation.",
        ) from error


def require_valid(root: Path) -> bool:
    """Check a dataset; False where there is no validator.

    Raises:
        InputError: If the validator finds errors.
    """
    program = validator()
    if program is None:
        return False
    errors = validation_errors(root, program)
    if errors:
        more = f" and {len(errors) - 1} more" if len(errors) > 1 else ""
        raise InputError(
            f"is no valid BIDS dataset ({errors[0]}{more})",
            where=root,
            remedy=f"Run {PROGRAM} on it and mend it, or give --skip-bids-validation.",
        )
    return True
