"""A small store and an experiment folder on it, of the files that the other rooms write.

Brains and tumours are balls; a prediction is the truth, moved by some voxels, and it is scored by
`plgg.evaluate`. Only training is made up, so that no network is needed.
"""

import json
from dataclasses import dataclass

import numpy as np

from plgg.core.placement import Placement, as_rows
from plgg.data.nifti.image import read_volume, write_probability, write_volume
from plgg.data.store import Store
from plgg.data.store_arrays import encode
from plgg.data.store_records import CaseRecord, Cohort, FailedCase, StoredCase
from plgg.data.store_writing import write_case, write_cohort
from plgg.evaluate.cohort import evaluate_predictions
from plgg.preprocess.normalise import restore

SHAPE = (36, 44, 36)
SPACING_MM = 4.0
CLASSES = ("BRAF_V600E", "BRAF_fusion", "other")
PARTS = ("validation", "test")


def placement():
    """A box on the atlas grid and a native scan that is turned, flipped and of other spacing."""
    box = np.diag([-SPACING_MM, -SPACING_MM, SPACING_MM, 1.0])
    box[:3, 3] = (70.0, 86.0, -70.0)
    native = np.array([[0, 0, 5.0, -88], [0, 3.5, 0, -92], [3.5, 0, 0, -74], [0, 0, 0, 1.0]])
    angle = np.deg2rad(5.0)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    return Placement(
        native_shape=(44, 54, 36),
        native_affine=as_rows(native),
        box_shape=SHAPE,
        box_affine=as_rows(box),
        native_to_atlas=as_rows(turn),
        method="test",
    )


def make_store(folder, *, names=None, markers=CLASSES, failed=()):
    """Write a store of one scan a patient; classes in turn."""
    names = names or [f"P{n:02d}" for n in range(14)]
    cases = []
    for index, name in enumerate(names):
        image, mask = ball_case(index)
        case = StoredCase(
            case_id=name,
            patient_id=name,
            marker=markers[index % len(markers)] if markers else None,
            has_mask=True,
            site="hill" if index % 2 else "harbour",
            age_years=4.0 + index / 2,
            sex="FM"[index % 2],
            flair=f"{name}.nii.gz",
            flair_sha256="0" * 64,
            shape=SHAPE,
        )
        record = CaseRecord(
            case=case, spacing_mm=SPACING_MM, placement=placement(), mask_sha256=None
        )
        truth = restore(mask, placement())
        truth = truth.with_data((truth.data >= 0.5).astype(np.uint8))
        write_case(folder, record, image=image, mask=mask, truth=truth)
        cases.append(case)
    gone = tuple(FailedCase(case_id=case_id, reason=reason) for case_id, reason in failed)
    classes = tuple(sorted(markers)) if markers else ()
    cohort = Cohort(spacing_mm=SPACING_MM, classes=classes, cases=tuple(cases), failed=gone)
    write_cohort(folder, cohort)
    return Store(folder)


def ball_case(seed):
    """Codes of a brain with one ball of a tumour, and the tumour's mask."""
    rng = np.random.default_rng(seed)
    size = np.array(SHAPE, dtype=float)
    points = np.moveaxis(np.indices(SHAPE), 0, -1) + 0.5
    brain = np.square((points / size - 0.5) * 2.1).sum(axis=-1) <= 1.0
    centre = size * rng.uniform(0.38, 0.62, size=3)
    tumour = np.linalg.norm(points - centre, axis=-1) <= rng.uniform(3.0, 7.0)
    return encode(rng.normal(0.0, 0.6, SHAPE) + 3.0 * tumour, brain), tumour.astype(np.uint8)


@dataclass(frozen=True)
class Skill:
    """How well an arm does: how far its masks are off in voxels, how sure it is of the marker."""

    shift: float
    certainty: float | None = None


SKILLS = {
    "single": Skill(2.6),
    "multitask": Skill(1.9, certainty=1.6),
    "wide": Skill(2.2),
    "best": Skill(1.2, certainty=2.0),
}


def make_experiment(folder, store, *, arms=("single", "multitask"), n_splits=2, epochs=8):
    """Write an experiment on a store, trained and evaluated on every split."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(7)
    for split in range(n_splits):
        drawn = draw(list(store.by_id), rng)
        for arm in arms:
            run = folder / f"split-{split}" / arm
            write_run(run, arm, split, drawn, epochs=epochs, rng=rng)
            for part in PARTS:
                for case_id in drawn[part]:
                    predict(run, part, store, case_id, SKILLS[arm], rng)
                evaluate_part(run, part, store, drawn[part])
    write_json(
        folder / "experiment.json",
        {
            "format": "plgg-experiment",
            "version": 1,
            "store": str(store.folder),
            "preset": "small",
            "arms": list(arms),
            "n_splits": n_splits,
            "seed": 0,
            "commands": [f"plgg experiment store --out {folder.name} --splits {n_splits}"],
            "seconds": 3725.0,
        },
    )
    return folder


def evaluate_part(run, part, store, names):
    """Score a part as the experiment does."""
    cases = [case for case in store.manifest_cases() if case.case_id in names]
    evaluate_predictions(run / "predictions" / part, cases, out=run / "evaluation" / part)


def draw(names, rng):
    """A third for test, a third for validation, the rest for training."""
    order = [names[index] for index in rng.permutation(len(names))]
    third = len(order) // 3
    return {
        "test": order[:third],
        "validation": order[third : 2 * third],
        "train": order[2 * third :],
    }


def write_run(run, arm, split, drawn, *, epochs, rng):
    """Everything of a run but its results."""
    write_json(run / "split.json", drawn | {"k": split, "seed": 0})
    kind = arm if arm in ("single", "multitask") else "multitask"
    config = {
        "preset": "small",
        "arm": kind,
        "optimiser": {"learning_rate": 1e-3, "epochs": epochs},
    }
    write_json(run / "config.json", config)
    machine = {"system": "Linux", "processor": "x86_64", "cores": 2, "memory_gib": 16.0}
    versions = {"plgg": "0.1.0", "numpy": np.__version__}
    write_json(run / "environment.json", {"versions": versions, "machine": machine})
    lines = [json.dumps(epoch_record(arm, n, epochs, rng)) for n in range(1, epochs + 1)]
    (run / "metrics.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


def epoch_record(arm, epoch, epochs, rng):
    """A line of metrics.jsonl: losses fall, validation every second epoch."""
    done = epoch / epochs
    segmentation = 0.9 * np.exp(-2.5 * done) + 0.1 + 0.02 * rng.normal()
    train = {"loss": segmentation, "segmentation": segmentation}
    named = SKILLS[arm].certainty is not None
    if named:
        train["marker"] = 1.1 - 0.5 * done + 0.03 * rng.normal()
        train["loss"] += 0.3 * train["marker"]
    record = {"epoch": epoch, "train": train, "learning_rate": 1e-3, "seconds": 2.5}
    record["waited"] = 0.05
    if named:
        norms = {"segmentation": 0.8 - 0.4 * done, "marker": 0.5}
        record["gradients"] = norms | {"cosine": 0.1 * float(rng.normal())}
        record["weights"] = {"segmentation": 1.0, "marker": 0.3}
    if epoch % 2 == 0:
        dice = 0.85 * (1 - np.exp(-4 * done)) + 0.02 * rng.normal()
        record["validation"] = {"dice": dice, "soft_dice": dice - 0.02} | (
            {
                "marker_auc": 0.5 + 0.3 * done,
                "marker_loss": 1.1 - 0.3 * done,
                "marker_collapsed": False,
            }
            if named
            else {"marker_auc": None, "marker_loss": None}
        )
    return record


def predict(run, part, store, case_id, skill, rng):
    """Write a prediction: the truth, moved, and a marker head that leans to the true class."""
    folder = run / "predictions" / part / case_id
    truth = read_volume(store.truth_path(case_id))
    steps = np.round(rng.normal(0.0, skill.shift / 2, 3)).astype(int)
    moved = np.roll(truth.data, steps, axis=(0, 1, 2)).astype(np.uint8)
    write_volume(folder / "mask.nii.gz", truth.with_data(moved))
    write_probability(folder / "probability.nii.gz", truth.with_data(0.9 * moved))
    classes = store.cohort.classes
    named = skill.certainty is not None and classes
    leaning = [skill.certainty * (c == store.by_id[case_id].marker) for c in classes if named]
    write_json(folder / "result.json", {"marker": marker_record(classes, leaning, rng)})


def marker_record(classes, leaning, rng):
    """What result.json says of the marker; None without a head."""
    if not leaning:
        return None
    odds = np.exp(rng.normal(0.0, 1.0, len(classes)) + np.array(leaning))
    p = dict(zip(classes, (odds / odds.sum()).tolist(), strict=True))
    return {"classes": list(classes), "probabilities": p, "predicted": max(p, key=p.get)}


def write_json(path, record):
    """A JSON file and the folders above it; NaN is refused."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, allow_nan=False), encoding="utf-8")
