"""Writing evaluation folders and experiments with chosen scores."""

import csv
import json

COLUMNS = ("case_id", "patient_id", "marker", "dice", "hd95_mm", "volume_error_ml")


def write_evaluation(folder, rows, *, auc=None):
    """Write `cases.csv` and `summary.json`; `rows` maps a case to its columns, or to its Dice."""
    folder.mkdir(parents=True)
    with (folder / "cases.csv").open("w", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, COLUMNS, restval="")
        writer.writeheader()
        for case, row in rows.items():
            values = row if isinstance(row, dict) else {"dice": row}
            writer.writerow({"case_id": case, "patient_id": case.split("_")[0]} | values)
    marker = None if auc is None else {"classes": ["a", "b"], "n": 4, "auc": {"value": auc}}
    record = {"format": "plgg-evaluation", "version": 1, "marker": marker}
    (folder / "summary.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def write_experiment(folder, arms, *, n_splits, auc=0.75):
    """Write an experiment; `arms[arm][split][part]` maps cases to scores."""
    folder.mkdir(parents=True)
    record = {"format": "plgg-experiment", "version": 1, "arms": list(arms), "n_splits": n_splits}
    (folder / "experiment.json").write_text(json.dumps(record), encoding="utf-8")
    for arm, splits in arms.items():
        for k, parts in enumerate(splits):
            run = folder / f"split-{k}" / arm
            for part, rows in parts.items():
                named = auc if arm == "multitask" else None
                write_evaluation(run / "evaluation" / part, rows, auc=named)
            split = {part: list(rows) for part, rows in parts.items()}
            split |= {"train": [f"t{n}" for n in range(10)], "k": k, "seed": 0}
            (run / "split.json").write_text(json.dumps(split), encoding="utf-8")
    return folder
