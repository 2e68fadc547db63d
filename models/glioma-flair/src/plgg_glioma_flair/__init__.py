"""Where the model lies, for plgg, which finds it by the entry-point group `plgg.models`."""

from pathlib import Path

FOLDER = Path(__file__).parent / "model"
