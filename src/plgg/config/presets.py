"""The named presets: `paper`, the published method, and `small`, the same at 2 mm for laptops."""

from __future__ import annotations

from plgg.config.network import MarkerHeadConfig, ModelConfig
from plgg.config.scan import GridConfig
from plgg.config.schema import Config
from plgg.config.training import OptimiserConfig, PatchConfig

PRESETS: dict[str, Config] = {
    "paper": Config(preset="paper"),
    "small": Config(
        preset="small",
        grid=GridConfig(spacing_mm=2.0),
        model=ModelConfig(init_filters=16, marker=MarkerHeadConfig(inputs=("average", "tumour"))),
        # 160×192×144 mm: the whole brain of most patients. A network with group normalisation that
        # was trained on halves of brains outlines far too much on whole ones (docs/results.md).
        patches=PatchConfig(size=(80, 96, 72), batch=1),
        optimiser=OptimiserConfig(learning_rate=1e-3, warmup_epochs=1, epochs=24),
        validate_every=2,
    ),
}
