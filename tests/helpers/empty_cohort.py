"""A cohort of which nothing is left, as files: what scripts read of it, and a model to grade it by."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa

from helpers.script_jobs import run_script
from helpers.simulated_latents import appearance_of, cohort
from helpers.tiny_dae import MODEL
from vertegrade.files import sha256_of, write_json
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.graders.dae.weights import save_dae
from vertegrade.graders.pca import CropPca, save_pca
from vertegrade.grading.calibration import calibrate
from vertegrade.grading.grades import grade_table
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.grading.novelty import fit_novelty
from vertegrade.methods import INTACT_HEIGHTS
from vertegrade.settings.grading import GradingSettings
from vertegrade.spine.intact_heights import content_of, published
from vertegrade.tables import (
    APPEARANCE,
    CROPS,
    GRADE_TABLE,
    LABELS,
    LANDMARKS,
    LATENTS,
    MEASUREMENTS,
    PATIENT_SPLITS,
    PREDICTIONS,
    SCANS,
    SEPARATORS,
    check_table,
    empty_table,
)

CROP = (5, 64, 64)
METHODS = ["dae", "keypoints", "pca"]
UNKNOWN = {"slices": np.nan, "slice_spacing_mm": np.nan, "slice_thickness_mm": np.nan, "pixel_mm": np.nan}
TEXTS = dict.fromkeys(["manufacturer", "kernel", "image_sha256", "warnings", "flags"], "")


def write(path: Path, table: pd.DataFrame, schema: pa.DataFrameSchema) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    checked = check_table(table, schema, str(path))
    if path.suffix in SEPARATORS:
        checked.to_csv(path, sep=SEPARATORS[path.suffix], index=False)
    else:
        checked.to_parquet(path, index=False)
    return str(path)


def none_of(schema: pa.DataFrameSchema) -> pd.DataFrame:
    """A table without a row as the stages write it, with the columns that may be left out but are not."""
    table = empty_table(schema)
    table = table.assign(flags="") if "flags" in schema.columns else table
    return check_table(table[[name for name in schema.columns if name in table]], schema, "none")


class Cohort:
    """Files of a cohort of one scan that failed: no volume, no vertebra; labels as asked."""

    def __init__(self, folder: Path, model: Path, labels: pd.DataFrame) -> None:
        self.folder, self.model = folder, model
        (folder / "ct/0").mkdir(parents=True)
        state = {"state": "failed", "reason": "path_missing", "message": "no such file"}
        scan = pd.DataFrame([{"patient_id": "p", "scan_id": "a"} | state | UNKNOWN | TEXTS])
        split = pd.DataFrame([{"patient_id": "p", "split": "test", "origin": "given"}])
        self.scans = write(folder / "ct/0.parquet", scan, SCANS)
        self.landmarks = write(folder / "landmarks/0.parquet", none_of(LANDMARKS), LANDMARKS)
        self.states = write(folder / "landmarks/0_scans.parquet", scan, SCANS)
        self.crops = write(folder / "crops/0.parquet", none_of(CROPS), CROPS)
        self.latents = write(folder / "latents/dae/0.parquet", none_of(LATENTS), LATENTS)
        self.appearance = write(folder / "appearance/0.parquet", none_of(APPEARANCE), APPEARANCE)
        self.splits = write(folder / "cohort/splits.tsv", split, PATIENT_SPLITS)
        self.labels = write(folder / "cohort/labels.parquet", labels, LABELS)
        self.pixels = str(folder / "crops/0.npy")
        self.frames = str(folder / "crops/0_frames.npy")
        np.save(self.pixels, np.empty((0, *CROP), np.int16))
        np.save(self.frames, np.empty((0, 64, 3, 3)))
        self.measurements = write(folder / "measurements/0.parquet", none_of(MEASUREMENTS), MEASUREMENTS)
        self.heights = str(folder / INTACT_HEIGHTS)
        write_json(self.heights, content_of(published(), "as asked"))
        for method in METHODS:
            write(folder / f"predictions/{method}.parquet", none_of(PREDICTIONS), PREDICTIONS)
        self.grades = write(
            folder / "grades.csv", grade_table(dict.fromkeys(METHODS, none_of(PREDICTIONS))), GRADE_TABLE
        )

    def predictions(self, method: str = "dae") -> str:
        return str(self.folder / f"predictions/{method}.parquet")

    def calibrator(self, method: str = "dae") -> str:
        return str(self.model / f"grading/{method}/calibrator.json")

    def novelty(self) -> str:
        return str(self.model / "grading/dae/novelty.json")

    def hyperplane(self, method: str = "dae") -> str:
        return str(self.model / f"grading/{method}/hyperplane.json")

    def tables(self) -> dict[str, Any]:
        """What evaluation reads of the cohort."""
        scans, crops = [self.states], [self.crops]
        return {"labels": self.labels, "splits": self.splits, "scans": scans, "crops": crops}

    def out(self, name: str) -> str:
        path = self.folder / "out" / name
        path.parent.mkdir(exist_ok=True)
        return str(path)

    def run(self, rule: str, inputs: dict[str, Any], outputs: dict[str, Any], **more: Any) -> None:
        run_script(self.folder, rule, inputs, outputs, **more)


def no_labels() -> pd.DataFrame:
    return empty_table(LABELS)


def labels_of(scan: str, patient: str) -> pd.DataFrame:
    known = {"genant_grade": 1.0, "shape": "", "height_loss": np.nan, "usable": True, "reason": ""}
    return pd.DataFrame([{"patient_id": patient, "scan_id": scan, "vertebra": 20} | known])


def write_model(folder: Path) -> Path:
    """Weights, components, hyperplane and calibrator, as a finished run has them."""
    (folder / "dae").mkdir()
    (folder / "pca").mkdir()
    numbers = np.ones((MODEL.z_dim + 1, int(np.prod(CROP))), np.float32)
    save_pca(folder / "pca/components.safetensors", CropPca(numbers[0], numbers[1:], (0.0, 400.0), CROP))
    weights = folder / "dae/weights.safetensors"
    save_dae(weights, DaeNetwork(MODEL, 16), MODEL, (3, 16, 16), {"crop": "{}"})
    latents, labels, splits = cohort(dimensions=MODEL.z_dim, model=sha256_of(weights))
    hyperplane = fit_hyperplane(latents, labels, splits, GradingSettings(), 0)
    calibration = calibrate(latents, labels, splits, hyperplane, GradingSettings(), 0)
    novelty = fit_novelty(latents, appearance_of(latents), splits, hyperplane, calibration)
    for method in METHODS:
        write_json(folder / f"grading/{method}/hyperplane.json", hyperplane.to_dict())
        write_json(folder / f"grading/{method}/calibrator.json", calibration.to_dict())
        write_json(folder / f"grading/{method}/novelty.json", novelty.to_dict())
    return folder
