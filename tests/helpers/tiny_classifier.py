"""Graded images and a classifier small enough for tests, and their files as the workflow has them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from helpers.tiny_dae import states
from vertegrade.tables import CROPS, LABELS, PATIENT_SPLITS, check_table, write_table
from vertegrade.workflow.code_hash import code_of

GRADES = [0, 0, 1, 2, 3, 0]  # of a patient's vertebrae


def images(side: int = 16, patches: bool = False, seed: int = 0) -> np.ndarray:
    """Crops (24, 3, side, side), or patches (24, 2, side, side, side); the higher the grade, the lower the body."""
    random = np.random.default_rng(seed)
    depth = side if patches else 3
    hu = random.normal(0, 30, (4 * len(GRADES), depth, side, side))
    label = np.zeros(hu.shape, np.int16)
    for n in range(len(hu)):
        half = side // 3 - GRADES[n % len(GRADES)] * side // 16
        rows = slice(side // 2 - half, side // 2 + half)
        hu[n, :, rows, side // 4 : -side // 4] += 300
        label[n, :, rows, side // 4 : -side // 4] = 18 + n % len(GRADES)
    hu = hu.astype(np.int16)
    return np.stack([hu, label], axis=1) if patches else hu


USUAL = {"P0": "train", "P1": "train", "P2": "validation", "P3": "test"}


def write_files(folder: Path, pixels: np.ndarray, split_of: dict[str, str] = USUAL) -> dict[str, Any]:
    """The files of a training job, of four patients."""
    folder.mkdir(exist_ok=True)
    count = len(GRADES)
    patients = [f"P{n // count}" for n in range(4 * count)]
    keys = {"patient_id": patients, "scan_id": [f"{p}-1" for p in patients], "vertebra": [*range(18, 18 + count)] * 4}
    crops = pd.DataFrame(keys).assign(
        crop=range(4 * count), inside_fraction=1.0, slice_thickness_mm=1.0, evaluable=True, reason=""
    )
    labels = pd.DataFrame(keys).assign(
        genant_grade=[float(grade) for grade in GRADES * 4], shape="", height_loss=np.nan, usable=True, reason=""
    )
    write_table(folder / "0.parquet", crops, CROPS)
    write_table(folder / "labels.parquet", labels, LABELS)
    np.save(folder / "0.npy", pixels)
    splits = pd.DataFrame({"patient_id": [*split_of], "split": [*split_of.values()], "origin": "given"})
    check_table(splits, PATIENT_SPLITS, "splits").to_csv(folder / "splits.tsv", sep="\t", index=False)
    return {
        "tables": [folder / "0.parquet"], "arrays": [folder / "0.npy"], "labels": [folder / "labels.parquet"],
        "splits": folder / "splits.tsv", "geometry": {"crop.size": 16}, "log": folder / "log",
        "weights": folder / "weights.safetensors", "metrics": folder / "training.json", "seed": 3, "device": "cpu",
        "threads": 1,
    }  # fmt: skip


def job_of(kind: Any, folder: Path, pixels: np.ndarray, model: Any, train: Any, **changes: Any) -> Any:
    """A training job of a method on these images."""
    files = write_files(folder, pixels) | changes
    return kind(model=model, train=train, states=states(folder / "state", code_of(f"train_{kind.method}")), **files)
