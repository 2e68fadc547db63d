"""Runs shown by other people's tools while they train: TensorBoard, MLflow. Both are extras.

`metrics.jsonl` is the truth; a tracker repeats what is in it, no more. Knows nothing of training.
"""

from plgg.track.tracked import TRACKERS, require_trackers, tracked

__all__ = ["TRACKERS", "require_trackers", "tracked"]
