"""Weighting of the tasks' losses or gradients; `loss.weighting` names a method."""
