"""How much is done, counted: the same on every machine, where seconds are not."""

import sys


def calls(do):
    """How many functions `do` calls, of Python and of its libraries, to any depth."""
    count, before = 0, sys.getprofile()

    def watch(_frame, event, _argument):
        nonlocal count
        count += event in {"call", "c_call"}

    sys.setprofile(watch)
    try:
        do()
    finally:
        sys.setprofile(before)
    return count
