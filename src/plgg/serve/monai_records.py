"""Records of MONAI Label's protocol: server, datastore, samples and tasks.

They have the format of MONAI Label 0.8, without the fields that none of its clients reads.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from plgg import __version__
from plgg.core.files import sha256
from plgg.data.result import RESEARCH_ONLY
from plgg.serve.cases import Case
from plgg.serve.labels import TUMOUR
from plgg.serve.mask_formats import scan_file
from plgg.serve.models import current_model
from plgg.serve.records import Job
from plgg.serve.room import Room
from plgg.serve.strategies import STRATEGIES

MODEL = "plgg"
LABELS = {TUMOUR: 1}
NEWEST, MODELS_OWN = "newest", "model"
"""Values of `start_from` for `infer`: the newest correction, or the model's own mask."""
_ABOUT_STRATEGY = {
    "entropy": "the least certain outline",
    "agreement": "where the networks agree least",
    "out-of-distribution": "the scan least like the training scans",
    "random": "any",
}
_STATUS = {
    "queued": "SUBMITTED",
    "running": "RUNNING",
    "done": "DONE",
    "failed": "ERROR",
    "cancelled": "STOPPED",
}
Record = dict[str, Any]


def server_record(room: Room) -> Record:
    """`GET /info/`: one model, one trainer, the strategies and how far the work is."""
    about = current_model(room.work)
    described = f"{about.name}: tumour outline. {about.about or RESEARCH_ONLY}".strip()
    model = {
        "type": "segmentation",
        "labels": LABELS,
        "dimension": 3,
        "description": described,
        "config": {"start_from": [NEWEST, MODELS_OWN]},
    }
    return {
        "name": f"plgg {__version__}",
        "description": RESEARCH_ONLY,
        "version": __version__,
        "labels": [*LABELS],
        "models": {MODEL: model},
        "trainers": {MODEL: {"description": "A round of learning from corrections", "config": {}}},
        "strategies": {
            name: {"description": _ABOUT_STRATEGY.get(name, name), "config": {}}
            for name in STRATEGIES
        },
        "scoring": {},
        "train_stats": {MODEL: _training(room)},
        "datastore": store_status(room.cases.all()),
    }


def _training(room: Room) -> Record:
    """Progress of the newest round and Dice of the current model, for progress bars."""
    stats: Record = {"best_metric": 0.0}
    number = room.work.current_round()
    found = room.work.comparison(number) if number is not None else None
    if found and isinstance(found.get("dice_after"), float):
        stats["best_metric"] = found["dice_after"]
    job = newest_round(room)
    if job is not None and job.progress is not None:
        stats |= {"epoch": job.progress.done, "total_epochs": max(job.progress.total, 1)}
    return stats


def store_status(cases: list[Case]) -> Record:
    """`GET /datastore/`: how many cases there are, and how many are corrected."""
    n_final = sum(case.edited for case in cases)
    n_original = sum(case.etag is not None for case in cases)
    return {
        "total": len(cases),
        "completed": n_final,
        "label_tags": {"original": n_original, "final": n_final},
    }


def store_objects(cases: list[Case]) -> Record:
    """`GET /datastore/?output=all`: every case with its labels."""
    return {
        "name": "plgg",
        "description": RESEARCH_ONLY,
        "images_dir": ".",
        "labels_dir": "labels",
        "objects": {
            case.id: {
                "image": {"ext": ".nii.gz", "info": image_info(case)},
                "labels": _labels(case),
            }
            for case in cases
        },
    }


def image_info(case: Case) -> Record:
    """Metadata of an image, without patient data."""
    return {"name": f"{case.id}.nii.gz", "created": case.created, "state": case.state}


def label_info(case: Case) -> Record:
    """Metadata of a label."""
    return {"params": {"label_names": LABELS}, "volume_ml": case.volume_ml, "edits": case.n_edits}


def _labels(case: Case) -> Record:
    tags = [tag for tag, there in (("original", case.etag), ("final", case.edited)) if there]
    return {tag: {"ext": ".nii.gz", "info": label_info(case)} for tag in tags}


def sample_record(room: Room, case: Case, strategy: str, *, is_near: bool) -> Record:
    """`POST /activelearning/{strategy}`: the case to look at next.

    Args:
        room: The reading room.
        case: A predicted case with a view.
        strategy: Strategy that chose it.
        is_near: Whether the client is on this machine: 3D Slicer then opens the file by its path,
            which also works if the server needs a token.
    """
    path = scan_file(room.work, case.id)
    record = {
        "id": case.id,
        **image_info(case),
        "name": f"{case.id}{''.join(path.suffixes)}",
        "checksum": f"SHA256:{_sha256(path, path.stat().st_mtime_ns)}",
        "strategy": {strategy: {}},
    }
    return {**record, "path": str(path.resolve())} if is_near else record


@lru_cache(maxsize=256)
def _sha256(path: Path, _written_ns: int) -> str:
    return sha256(path)


def newest_round(room: Room, *, under_way: bool = False) -> Job | None:
    """The job of the newest round; with `under_way`, of the newest that has not ended."""
    jobs = [job for job in room.queue.all() if job.kind == "round"]
    found = [job for job in jobs if not (under_way and job.finished)]
    return found[-1] if found else None


def task_record(room: Room, job: Job) -> Record:
    """`/train/`: a fine-tuning round as a task; its last detail is the progress or the result."""
    comparison = room.work.comparison(job.round) if job.round is not None else None
    record = {
        "id": job.id,
        "status": _STATUS[job.state],
        "request": {"model": MODEL, "round": job.round},
        "start_ts": job.started or job.created,
        "details": [_detail(job, comparison)],
    }
    return record | ({"end_ts": job.ended} if job.ended else {})


def _detail(job: Job, comparison: Record | None) -> str:
    if job.finished:
        return job.error or json.dumps(comparison or {})
    if job.progress is None:
        return job.state
    return f"{job.progress.label}: {job.progress.done} of {job.progress.total}"


def log_text(jobs: list[Job], lines: int) -> str:
    """`GET /logs/`: the newest jobs, a line each."""
    told = [_line(job) for job in jobs[-lines:]] if lines > 0 else [_line(job) for job in jobs]
    return "".join(f"{line}\n" for line in told)


def _line(job: Job) -> str:
    what = f"round {job.round}" if job.kind == "round" else job.case
    return " ".join(filter(None, (job.created, job.kind, what, job.state, job.error)))
