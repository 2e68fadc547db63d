"""Stands in for the work on a case, in a process that is killed at the case called `killer`."""

import os
import signal

from plgg.preprocess.stored import Outcome


def work(case, store, config):  # noqa: ARG001 - called as the real one
    if case.case_id == "killer":
        os.kill(os.getpid(), signal.SIGKILL)
    return Outcome(case.case_id, None, "done")
