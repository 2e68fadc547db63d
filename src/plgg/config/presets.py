"""The named presets.

`paper` is the published method, `small` the same at 2 mm for laptops, `best` what measured best on
real patients at 2 mm (docs/results.md).
"""

from __future__ import annotations

from plgg.config.network import MarkerHeadConfig, ModelConfig
from plgg.config.scan import GridConfig
from plgg.config.schema import Config
from plgg.config.training import Augmentation, LossConfig, OptimiserConfig, PatchConfig

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
    "best": Config(
        preset="best",
        grid=GridConfig(spacing_mm=2.0),
        model=ModelConfig(
            stem=2,
            init_filters=32,
            blocks_down=(2, 2, 4),
            blocks_up=(1, 1),
            marker=MarkerHeadConfig(inputs=("tumour", "clinical"), hidden=(64,)),
        ),
        loss=LossConfig(voxel_weight=1.0),
        patches=PatchConfig(
            size=(80, 96, 72),
            batch=1,
            augmentation=Augmentation(
                shift=0.25, scale=0.25, warp=0.8, blur=0.3, gamma=0.3, bias=0.4, noise=0.4
            ),
        ),
        optimiser=OptimiserConfig(
            learning_rate=1e-3, schedule="cosine", warmup_epochs=1, ema=0.99, epochs=40
        ),
        validate_every=4,
    ),
}
