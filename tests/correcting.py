"""Patients whose tumours are bright, as a model has learnt, or dark, as corrections must teach."""

import shutil

import numpy as np

from helper import blob_brain, write_csv, write_nifti
from plgg import api
from plgg.core.output import ROUND, output_folder
from plgg.core.progress import Silent
from plgg.data.store import Store
from plgg.experiment.scoring import calibrate_run
from plgg.train.run import train
from tiny import hand_split, tiny_config

CONFIG = tiny_config(
    "arm=single",
    "grid.spacing_mm=8",
    "model.blocks_down=[1,1,1]",
    "model.blocks_up=[1,1]",
    "patches.size=[16,20,16]",
    "optimiser.epochs=10",
    "optimiser.learning_rate=0.01",
    "patches.per_case=4",
    "loss.voxel_weight=1",
    "validate_every=10",
)
# More than a round does by itself: these networks know next to nothing.
LESSON = ("optimiser.epochs=3", "optimiser.learning_rate=0.01", "patches.per_case=8")
HEADER = "patient_id,flair,mask"
OLD = 7


def write_patients(folder, n, *, dark=False, first=0, shifted=(), inverted=False):
    """Images, masks and a manifest.

    The masks of those in `shifted` lie where no tumour is; `inverted` ones are the upper brain
    but for it.
    """
    rows = []
    for number in range(first, first + n):
        flair, mask = blob_brain(seed=number + 1)
        data = np.where(mask.data > 0, flair.data * (0.35 if dark else 1.0), flair.data)
        drawn = np.flip(mask.data, (0, 1)) if number in shifted else mask.data
        if inverted:
            drawn = ((flair.data > 0) & (mask.data == 0)).astype(np.uint8)
            drawn[..., : drawn.shape[2] // 2] = 0
        name = f"P{number:02d}"
        write_nifti(folder / f"{name}.nii.gz", data.astype(np.float32), flair.affine)
        write_nifti(folder / f"{name}_mask.nii.gz", drawn, flair.affine)
        rows.append(f"{name},{name}.nii.gz,{name}_mask.nii.gz")
    return write_csv(folder / "manifest.csv", HEADER, *rows)


def trained(folder):
    """A model of bright tumours and the store that it was trained on."""
    manifest = write_patients(folder / "old", OLD)
    api.preprocess(manifest, folder / "store", CONFIG, workers=0)
    store, model = Store(folder / "store"), folder / "model"
    split = hand_split(store, validation=("P00", "P01"), test=())
    train(store, model, CONFIG, split)
    calibrate_run(store, model, split, Silent(), label="before")
    return model, folder / "store"


def a_round(model, manifest, out, **more):
    """A round that learns much; scans that another round of this manifest has prepared are kept."""
    prepared = manifest.parent / "prepared"
    if prepared.is_dir() and not out.joinpath("store").exists():
        with output_folder(out, ROUND):
            shutil.copytree(prepared, out / "store")
    found = api.fine_tune(model, manifest, out, settings=LESSON, workers=0, **more)
    if not prepared.is_dir():
        shutil.copytree(out / "store", prepared)
    return found


def contents(folder):
    """Every file of a folder and its bytes; locks say who holds them."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return {path: path.read_bytes() for path in paths if path.name != ".plgg.lock"}
