"""What the pages of patients are made of, for a synthetic cohort."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from helpers.drawn import drawn
from helpers.synthetic_predictions import Cohort, make_cohort
from vertegrade.cohort.qc import QcMark
from vertegrade.drawn_tables import COUNTERFACTUALS, LOSSES
from vertegrade.levels import LABEL_OF, craniocaudal_rank
from vertegrade.report.patients.findings import Height, Patient, Scan, Vertebra, patients_of, side_by_side
from vertegrade.report.patients.pages import About, graded_levels, index_page, patient_page
from vertegrade.report.patients.pictures import Pictures
from vertegrade.settings.report import ReportSettings
from vertegrade.tables import HEIGHTS, MEASUREMENTS, POINTS, check_table, empty_table

COHORT = make_cohort(20)
INTACT = {"anterior": 28.0, "middle": 27.0, "posterior": 29.0}
CARD: dict[str, Any] = {
    "name": "<b>Mine</b>",
    "licence": "",
    "taught_by": {"scans": "phantoms", "labels": "virtual"},
    "training": {"patients": 108, "vertebrae": 982, "fractured": 207},
    "test": {"dae": {"auc": {"value": 0.98, "low": 0.96, "high": 0.99}, "vertebrae_evaluated": 444}},
    "coverage": 0.9,
    "limits": "It has never learned from an image of a patient.",
}

LOST = (
    Height("anterior", 16.2, 28.4, 0.43),
    Height("middle", 20.0, 27.0, 0.26),
    Height("posterior", 29.0, 29.0, 0.0),
)
FRACTURE = Vertebra(20, "L1", 1.0, True, "", (), 3, 2.9, 2.6, 3.0, 0.99, 0.3, "wedge", LOST, {"pca": (2, 1.8)})


def intact(level: str) -> Vertebra:
    """An intact vertebra without measured heights."""
    return replace(FRACTURE, label=LABEL_OF[level], level=level, grade=0, severity=0.1, shape="", heights=())


def without(level: str, reason: str, *flags: str) -> Vertebra:
    """A vertebra without a grade."""
    return replace(intact(level), evaluable=False, grade=None, severity=math.nan, reason=reason, flags=flags)


def patient(*vertebrae: Vertebra, state: str = "done", reason: str = "") -> Patient:
    """A patient of one scan."""
    return Patient("p", (Scan("s", "p", state, reason, (), "", vertebrae, QcMark("", "")),), math.nan)


def about(**changes: Any) -> About:
    values: dict[str, Any] = {
        "own": False,
        "card": CARD,
        "strips": drawn(14),
        "notes": ["the model was made with other code"],
        "phantom": False,
        "methods": ["dae", "pca"],
        "graded": graded_levels(8, 25),
        "fracture_grade": 1,
        "coverage": 0.9,
        "recommendation": "",
    }
    return About(**(values | changes))


def measurements(cohort: Cohort = COHORT) -> pd.DataFrame:
    """Wedges: the anterior height has lost what the labels say; every vertebra is measured."""
    table = cohort.landmarks[["patient_id", "scan_id", "vertebra"]].merge(cohort.labels, how="left")
    loss = table["height_loss"].fillna(0.0).to_numpy()
    rows = table[["patient_id", "scan_id", "vertebra"]].reindex(columns=list(MEASUREMENTS.columns))
    for column in HEIGHTS:
        lost = loss * {"anterior": 1.0, "middle": 0.5, "posterior": 0.0}[column]
        rows[f"height_{column}_mm"] = INTACT[column] * (1 - lost)
        rows[f"intact_height_{column}_mm"] = INTACT[column]
        rows[f"loss_{column}"] = lost
    rows["shape"] = np.where(loss > 0.2, "wedge", "")
    rows["grade"], rows["evaluable"], rows["reason"], rows["flags"] = 0, True, "", ""
    return check_table(rows, MEASUREMENTS, "measurements")


def placed(landmarks: pd.DataFrame) -> pd.DataFrame:
    """Landmarks along a straight spine, 30 mm a level, with six points."""
    z = 800.0 - 30 * landmarks["vertebra"].map(craniocaudal_rank)
    table = landmarks.assign(centre_z_mm=z)
    for point in POINTS:
        column, end = point.split("_")
        table[f"{point}_x_mm"] = 0.0
        table[f"{point}_y_mm"] = {"anterior": 15.0, "middle": 0.0, "posterior": -15.0}[column]
        table[f"{point}_z_mm"] = z + (12 if end == "superior" else -12)
    return table


def patients(cohort: Cohort = COHORT, marks: dict[str, QcMark] | None = None, **dae: Any) -> list[Patient]:
    """The cohort's patients; `dae` are changes of columns of the main method's predictions."""
    grades = side_by_side({"dae": cohort.dae.assign(**dae), "pca": cohort.pca})
    return patients_of(cohort.scans, grades, measurements(cohort), marks or {})


def pictures(folder: Path | None = None, cohort: Cohort = COHORT, strips: pd.DataFrame | None = None) -> Pictures:
    """With a folder: crops of 4 x 4 pixels, spines of 100 x 200, written there. strips: six pictures of each row."""
    keys = list(zip(cohort.crops["scan_id"], cohort.crops["vertebra"], strict=True)) if folder else []
    names = sorted(cohort.scans["scan_id"]) if folder else []
    for name in names:
        Image.new("L", (100, 200)).save(f"{folder}/{name}.png")
    place = {"rows": 200, "columns": 100, "pixel_mm": 3.0, "top_mm": 600.0, "front_mm": 60.0}
    count = 0 if strips is None else strips["row"].nunique()
    return Pictures(
        crops=[np.zeros((len(keys), 3, 4, 4), np.int16)],
        place_of_crop={key: (0, n) for n, key in enumerate(keys)},
        spines=dict.fromkeys(names, place),
        folders=[folder] if folder else [],
        strips=empty_table(COUNTERFACTUALS) if strips is None else strips,
        images=np.zeros((count, 6, 1, 8, 8), np.int16),
        window=ReportSettings(),
        drawn=ReportSettings(),
    )


def strips_of(scan: str, label: int) -> pd.DataFrame:
    """Four pictures of one vertebra, at grades 0 to 3; the last misses its grade."""
    rows = []
    for grade, loss in enumerate((0.05, 0.22, 0.32, 0.30)):
        row = dict.fromkeys(COUNTERFACTUALS.columns, 0.0) | {f"wanted_{name}": loss for name in LOSSES}
        row |= dict.fromkeys([*LOSSES, "height_loss"], loss) | {
            "severity": float(grade),
            "wanted_severity": float(grade),
        }
        row |= {"patient_id": scan[:-2], "scan_id": scan, "vertebra": label, "row": 0, "picture": grade}
        row |= {"shape": "wedge" if grade else "", "wanted_grade": grade, "returns": True, "reached": grade < 3}
        row |= {"counted": True, "outside_share": 0.09, "return_error_hu": 33.2, "reconstruction_error_hu": 35.4}
        rows.append(row)
    return check_table(pd.DataFrame(rows), COUNTERFACTUALS, "strips")


def page(patient: Patient, shown: Pictures | None = None, **changes: Any) -> str:
    """The page of a patient."""
    return patient_page(patient, placed(COHORT.landmarks), shown or pictures(), about(**changes))


def index(of: list[Patient] | None = None, shown: Pictures | None = None, **changes: Any) -> str:
    """The page of all patients."""
    return index_page(patients() if of is None else of, about(**changes), shown or pictures())
