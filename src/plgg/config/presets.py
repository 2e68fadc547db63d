"""The named presets: `paper`, the published method, and `small`, the same at 2 mm for laptops."""

from __future__ import annotations

from plgg.config.schema import Config, GridConfig, ModelConfig, OptimiserConfig, PatchConfig

PRESETS: dict[str, Config] = {
    "paper": Config(preset="paper"),
    "small": Config(
        preset="small",
        grid=GridConfig(spacing_mm=2.0),
        model=ModelConfig(init_filters=16),
        # The paper's 128×128×112 mm at 2 mm.
        patches=PatchConfig(size=(64, 64, 56)),
        optimiser=OptimiserConfig(epochs=100),
    ),
}
