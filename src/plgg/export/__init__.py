"""Trained networks in the formats of others: ONNX, OpenVINO, MONAI bundle."""
