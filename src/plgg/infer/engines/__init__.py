"""What runs a trained network: PyTorch, or what `plgg export` has made of it."""

from plgg.infer.engines.engine import Answer, Engine
from plgg.infer.engines.load import ENGINES, load_engine
from plgg.infer.engines.onnx import onnx_engine
from plgg.infer.engines.openvino import openvino_engine
from plgg.infer.engines.pytorch import torch_engine

__all__ = [
    "ENGINES",
    "Answer",
    "Engine",
    "load_engine",
    "onnx_engine",
    "openvino_engine",
    "torch_engine",
]
