"""Export networks to ONNX, OpenVINO and MONAI bundles, models to folders, stores to nnU-Net."""
