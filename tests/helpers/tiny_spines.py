"""Straight spines with graded bodies, small enough for tests, and their files as the workflow has them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers.tiny_classifier import GRADES
from helpers.tiny_dae import states
from vertegrade.settings.seq2seq import (
    Seq2seqAugmentSettings,
    Seq2seqModelSettings,
    Seq2seqTrainSettings,
    StraightSpineSettings,
)
from vertegrade.tables import LABELS, PATIENT_SPLITS, SPINE_BODIES, STRAIGHT_SPINES, check_table, write_table
from vertegrade.workflow.code_hash import code_of

SPINE = StraightSpineSettings(voxel_mm=4.0, size=12, patch_mm=40.0, step_mm=20.0)
MODEL = Seq2seqModelSettings.model_validate({"features": 16, "layers": 1, "seresnet": {"channels": 8}})
TRAIN = Seq2seqTrainSettings(
    steps=4,
    batch_size=2,
    warmup_steps=1,
    validate_every=2,
    save_every_s=1e-9,
    patches=3,
    augment=Seq2seqAugmentSettings(shift=1),
)
PITCH = 10  # rows from a body to the next
USUAL = {"P0": "train", "P1": "train", "P2": "validation", "P3": "test"}


def spine(seed: int, grades: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Rows (R, 12, 12) with a bright body for each grade, the lower the worse, and the bodies' ends (V, 2)."""
    hu = np.random.default_rng(seed).normal(0, 30, (PITCH * len(grades) + 5, 12, 12))
    ends = np.array([(PITCH * n + 2.0 + grade, PITCH * n + 9.0) for n, grade in enumerate(grades)])
    for top, bottom in ends.astype(int):
        hu[top : bottom + 1, 2:-2, 2:-2] += 300
    return hu.astype(np.int16), ends


def write_spines(folder: Path, split_of: dict[str, str] = USUAL) -> dict[str, Any]:
    """The files of a training job, of a scan of each patient, and of one more of P0 without a canal."""
    folder.mkdir(exist_ok=True)
    made = [spine(n, GRADES if n % 2 == 0 else GRADES[::-1]) for n in range(len(split_of))]
    rows, bodies, first = [], [], 0
    for n, (patient, (pixels, ends)) in enumerate(zip(split_of, made, strict=True)):
        rows.append((patient, f"{patient}-1", first, len(pixels), 1.0, True, ""))
        heights = np.diff(ends, axis=1) * SPINE.voxel_mm * [1.0, 0.9, 1.1]
        bodies += [
            (patient, f"{patient}-1", 18 + v, n * len(ends) + v, *end, *heights[v], True, "")
            for v, end in enumerate(ends)
        ]
        first += len(pixels)
    rows.append(("P0", "P0-2", first, 0, 0.0, False, "no_canal"))
    bodies.append(("P0", "P0-2", 20, len(bodies), *[np.nan] * 5, False, "no_canal"))
    names = [name for name in SPINE_BODIES.columns if name not in ("label_confidence", "flags")]
    table = pd.DataFrame(bodies, columns=names)
    labels = table[["patient_id", "scan_id", "vertebra"]].assign(
        genant_grade=[float(g) for n in range(len(made)) for g in (GRADES if n % 2 == 0 else GRADES[::-1])] + [0.0],
        shape="",
        height_loss=np.nan,
        usable=True,
        reason="",
    )
    write_table(folder / "0.parquet", pd.DataFrame(rows, columns=list(STRAIGHT_SPINES.columns)), STRAIGHT_SPINES)
    write_table(folder / "0_bodies.parquet", table, SPINE_BODIES)
    write_table(folder / "labels.parquet", labels, LABELS)
    np.save(folder / "0.npy", np.concatenate([pixels for pixels, _ in made]))
    (folder / "canal.safetensors").write_bytes(b"what found the canals")
    splits = pd.DataFrame({"patient_id": [*split_of], "split": [*split_of.values()], "origin": "given"})
    check_table(splits, PATIENT_SPLITS, "splits").to_csv(folder / "splits.tsv", sep="\t", index=False)
    return {
        "arrays": [folder / "0.npy"], "spines": [folder / "0.parquet"], "bodies": [folder / "0_bodies.parquet"],
        "canal": folder / "canal.safetensors", "labels": [folder / "labels.parquet"], "splits": folder / "splits.tsv",
        "log": folder / "log", "weights": folder / "weights.safetensors", "metrics": folder / "training.json",
        "seed": 3, "device": "cpu", "threads": 1, "fracture_grade": 1,
    }  # fmt: skip


def spine_job(kind: Any, folder: Path, **changes: Any) -> Any:
    """A training job of seq2seq on these spines."""
    given = {"spine": SPINE, "model": MODEL, "train": TRAIN} | write_spines(folder) | changes
    return kind(states=states(folder / "state", code_of("train_seq2seq")), **given)
