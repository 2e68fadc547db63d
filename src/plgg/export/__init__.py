"""Trained networks in the formats of others: ONNX, OpenVINO, MONAI bundle."""

from plgg.export.run import Exported, export_run

__all__ = ["Exported", "export_run"]
