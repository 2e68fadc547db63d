"""Curves of a training run for those who look at them elsewhere; `metrics.jsonl` stays the source.

A tracker is brought the epochs of `metrics.jsonl` and adds what it does not have yet, so that a run
that was killed and resumed shows each epoch once. Training knows nothing of this room: what it
passes on is a `plgg.watch.Listener`.
"""

from plgg.track.choice import TRACKERS, Tracking, choose_trackers
from plgg.track.follow import tracked

__all__ = ["TRACKERS", "Tracking", "choose_trackers", "tracked"]
