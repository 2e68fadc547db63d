"""Stands in for the work on a case: what a case does is in its name."""

import os
import signal
import time

from plgg.preprocess.case import Outcome


def ready(config, one_of_many):
    """No atlas is needed."""


def work(store, route, case):  # noqa: ARG001 - called as the real one
    if case.case_id == "killer":
        os.kill(os.getpid(), signal.SIGKILL)
    if case.case_id == "crasher":
        os.kill(os.getpid(), signal.SIGSEGV)
    if case.case_id == "sleeper":
        time.sleep(3600)
    if case.case_id == "eater":
        held = [bytearray(os.urandom(1) * 2**25) for _ in range(48)]
        time.sleep(3600 * len(held))
    return Outcome(case.case_id, None, "done")
