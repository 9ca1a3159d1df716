"""The charts of a synthetic cohort, as the rule `charts` writes them."""

from pathlib import Path

import numpy as np
import pandas as pd

from helpers.script_jobs import run_script
from helpers.simulated_latents import MODEL
from helpers.synthetic_predictions import Cohort, make_cohort
from vertegrade.files import write_json
from vertegrade.grading.grades import grade_table
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.tables import LATENTS, PREDICTIONS, check_table

COHORT = make_cohort(20)
DIMENSIONS = 6
PLANE = Hyperplane(
    mean=np.full(DIMENSIONS, 2.0),
    whitening=np.diag([1.0, 0.5, 1.0, 1.0, 1.0, 1.0]),
    w=np.array([3.0, 0, 0, 0, 0, 0]),
    pattern=np.array([1.0, 0, 0, 0, 0, 0]),
    b=-1.5,
    fracture_grade=1,
    classifier="svm",
    whitened=1.0,
    C=1.0,
    auc_cv=0.9,
    vertebrae=100,
    fractured=20,
    patients=10,
    model_sha256=MODEL,
)
WINDOW = ["report.window_centre_hu", "report.window_width_hu"]


def latents_of(predictions: pd.DataFrame) -> pd.DataFrame:
    """Latents whose first dimension is the severity; the second differs most of the others."""
    rows = predictions[["patient_id", "scan_id", "vertebra"]].assign(crop=range(len(predictions)))
    z = np.random.default_rng(0).normal(size=(len(rows), DIMENSIONS)) + 2
    z[:, 0] = predictions["severity"].fillna(0.0) + 2
    z[:, 1] = 2 + 20 * (z[:, 1] - 2)
    rows["evaluable"], rows["reason"], rows["model_sha256"] = predictions["evaluable"], "", MODEL
    return check_table(rows.assign(z=list(z.astype(np.float32))), LATENTS, "latents")


def write_charts(
    folder: Path, cohort: Cohort = COHORT, phantom: bool = True, predictions: dict[str, pd.DataFrame] | None = None
) -> Path:
    """The folder `report/charts` of this cohort, made by the script itself. predictions: by method, else of both."""
    predictions = predictions or {"dae": cohort.dae, "pca": cohort.pca}
    for method, table in predictions.items():
        check_table(table, PREDICTIONS, method).to_parquet(folder / f"{method}.parquet")
    grade_table(predictions).to_csv(folder / "grades.csv", index=False)
    cohort.labels.to_parquet(folder / "labels.parquet")
    latents_of(cohort.dae).to_parquet(folder / "latents.parquet")
    write_json(folder / "hyperplane.json", PLANE.to_dict())
    crops = cohort.crops.assign(crop=range(len(cohort.crops)))
    crops.to_parquet(folder / "crops.parquet")
    pixels = np.linspace(-200, 800, len(crops)).astype(np.int16)[:, None, None, None]
    np.save(folder / "pixels.npy", np.broadcast_to(pixels, (len(crops), 3, 16, 16)))
    named = {name: str(folder / f"{name}.parquet") for name in ("labels",)}
    listed = {name: [str(folder / f"{name}.parquet")] for name in ("latents", "crops")}
    run_script(
        folder,
        "charts",
        named
        | listed
        | {"predictions": [str(folder / f"{method}.parquet") for method in predictions]}
        | {"pixels": [str(folder / "pixels.npy")], "grades": str(folder / "grades.csv")}
        | {"hyperplane": str(folder / "hyperplane.json")},
        {"": str(folder / "charts")},
        params={"phantom": phantom},
        sections=WINDOW,
    )
    return folder / "charts"
