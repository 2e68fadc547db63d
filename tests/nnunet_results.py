"""Results as nnU-Net v2 leaves them after training, of a network whose answer is known.

Its weights are set by hand such that a voxel's logit depends on the voxel alone: what is brighter
than 1.7 standard deviations over the mean, as nnU-Net takes them, is tumour; of a network of
regions each further one begins at 0.7 deviations above that before it.
"""

import json
import warnings

import numpy as np
import pytest
import torch

from plgg.config import Label
from plgg.data.nnunet import nnunet_labels

UNET = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
BRIGHT = 1.7
STEP = 0.7
RESAMPLED = {
    f"resampling_fn_{what}": "resample_data_or_seg_to_shape"
    for what in ("data", "seg", "probabilities")
} | {
    f"resampling_fn_{what}_kwargs": {
        "is_seg": what == "seg",
        "order": 1,
        "order_z": 0,
        "force_separate_z": None,
    }
    for what in ("data", "seg", "probabilities")
}


def plans_of(dimensions, *, spacing_mm, network=UNET):
    """plans.json of a U-Net of two levels."""
    conv = f"Conv{dimensions}d"
    name = "2d" if dimensions == 2 else "3d_fullres"
    configuration = {
        "data_identifier": f"nnUNetPlans_{name}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [32] * dimensions,
        "median_image_size_in_voxels": [32] * dimensions,
        "spacing": [spacing_mm] * dimensions,
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        **RESAMPLED,
        "architecture": {
            "network_class_name": network,
            "arch_kwargs": {
                "n_stages": 2,
                "features_per_stage": [4, 8],
                "conv_op": f"torch.nn.modules.conv.{conv}",
                "kernel_sizes": [[3] * dimensions] * 2,
                "strides": [[1] * dimensions, [2] * dimensions],
                "n_conv_per_stage": [1, 1],
                "n_conv_per_stage_decoder": [1],
                "conv_bias": True,
                "norm_op": None,
                "norm_op_kwargs": None,
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": True,
    }
    return {
        "dataset_name": "Dataset500_plgg",
        "plans_name": "nnUNetPlans",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "image_reader_writer": "NibabelIO",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": {"mean": 100.0, "std": 20.0}},
        "experiment_planner_used": "ExperimentPlanner",
        "configurations": {name: configuration},
    }


def dataset_of(export=None):
    """dataset.json; with what `plgg export nnunet` says of its scans, if it is to."""
    regions = [Label(**one) for one in (export or {}).get("labels", ())]
    found = {
        "channel_names": {"0": "FLAIR"},
        **nnunet_labels(regions),
        "numTraining": 8,
        "file_ending": ".nii.gz",
    }
    return found if export is None else {**found, "plgg": export}


def checkpoint_of(weights, *, configuration="2d", **changed):
    """What nnUNetv2_train saves, numbers of NumPy among it."""
    return {
        "network_weights": weights,
        "optimizer_state": {},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5)], "ema_fg_dice": [np.float32(0.5)]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 2,
        "init_args": {"configuration": configuration, "fold": 0, "plans": {}},
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1),
        **changed,
    }


def set_by_hand(network, slope, outputs=(1,)):
    """Pass the image on to the last layer, and compare it there with `BRIGHT` and what follows."""
    parameters = dict(network.named_parameters())
    with torch.no_grad():
        for value in parameters.values():
            value.zero_()
        first = parameters["encoder.stages.0.0.convs.0.conv.weight"]
        middle = tuple(side // 2 for side in first.shape[2:])
        first[(0, 0, *middle)] = 1.0
        # After four channels of the coarser level, those of this one.
        parameters["decoder.stages.0.convs.0.conv.weight"][(0, 4, *middle)] = 1.0
        for number, output in enumerate(outputs):
            parameters["decoder.seg_layers.0.weight"][output, 0] = slope
            parameters["decoder.seg_layers.0.bias"][output] = -slope * (BRIGHT + number * STEP)


def results(folder, *, dimensions=2, export=None, folds=(0,), spacing_mm=4.0):
    """A folder of results; skips where nnunetv2 is not installed."""
    pytest.importorskip("nnunetv2", reason='nnunetv2 is absent: pip install "plgg[nnunet]"')
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    plans = plans_of(dimensions, spacing_mm=spacing_mm)
    ((name, configuration),) = plans["configurations"].items()
    own = configuration["architecture"]
    regions = len((export or {}).get("labels", ()))
    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(plans))
    (folder / "dataset.json").write_text(json.dumps(dataset_of(export)))
    for fold in folds:
        network = get_network_from_plans(
            own["network_class_name"],
            own["arch_kwargs"],
            own["_kw_requires_import"],
            1,
            regions or 2,
        )
        set_by_hand(network, slope=8.0 + fold, outputs=range(regions) if regions else (1,))
        (folder / f"fold_{fold}").mkdir()
        saved = checkpoint_of(network.state_dict(), configuration=name)
        torch.save(saved, folder / f"fold_{fold}" / "checkpoint_final.pth")
    return folder
