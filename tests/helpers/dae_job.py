"""A training of the tiny DAE as the workflow starts it: from crops and splits in files."""

from pathlib import Path

import numpy as np
import pandas as pd

from helpers.tiny_dae import DROPPING, TRAIN, pixels, states
from vertegrade.graders.dae.training_job import DaeTrainingJob
from vertegrade.tables import CROPS, PATIENT_SPLITS, check_table
from vertegrade.workflow.code_hash import code_of


def training_job(folder: Path) -> DaeTrainingJob:
    """The tiny crops as the workflow has them: ten of training patients, two of others."""
    folder.mkdir(exist_ok=True)
    patients = [f"P{n // 6}" if n < 10 else "P2" for n in range(12)]
    table = pd.DataFrame({"patient_id": patients, "scan_id": [f"{p}-1" for p in patients], "vertebra": range(8, 20)})
    table = table.assign(crop=range(12), inside_fraction=1.0, slice_thickness_mm=1.0, evaluable=True, reason="")
    check_table(table, CROPS, "crops").to_parquet(folder / "0.parquet")
    np.save(folder / "0.npy", pixels())
    splits = pd.DataFrame({"patient_id": ["P0", "P1", "P2"], "split": ["train", "train", "test"], "origin": "given"})
    check_table(splits, PATIENT_SPLITS, "splits").to_csv(folder / "splits.tsv", sep="\t", index=False)
    return DaeTrainingJob(
        crops=[folder / "0.parquet"], pixels=[folder / "0.npy"], splits=folder / "splits.tsv", crop_settings={},
        model=DROPPING, train=TRAIN, states=states(folder / "state", code_of("train_dae")),
        weights=folder / "weights.safetensors",
        metrics=folder / "training.json", log=folder / "log", seed=3, device="cpu", threads=2,
    )  # fmt: skip
