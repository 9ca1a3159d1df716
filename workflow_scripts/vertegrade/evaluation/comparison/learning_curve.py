"""How good a method grades when only a share of the training patients is labelled.

For methods that learn their latents without labels, or measure them: hyperplane and calibrator are fitted again to the
kept labels. Validation and test patients stay as they are. A network that learns from labels would have to be trained
again for each share and draw, which this does not do.
"""

import numpy as np
import pandas as pd

from vertegrade.cohort.splits import in_split
from vertegrade.evaluation.cases import OF_PATIENT, patient_cases
from vertegrade.evaluation.comparison.measures import patient_figures, vertebra_figures
from vertegrade.evaluation.comparison.tables import LEARNING_CURVE, PATIENTS, VERTEBRAE
from vertegrade.grading.calibration import calibrate
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.grading.prediction import predict
from vertegrade.grading.rows import GradingError
from vertegrade.settings.compare import CompareSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.tables import KEY, check_table, empty_table

LEAST_FRACTURED = 3  # patients: fewer cannot be calibrated
PREDICTED = ["severity", "severity_low", "severity_high", "grade"]
OF_VERTEBRAE = ("auc", "sensitivity", "specificity", "macro_f1", "spearman_grade", "mae")


def learning_curve(
    method: str,
    latents: pd.DataFrame,
    labels: pd.DataFrame,
    splits: pd.DataFrame,
    cases: pd.DataFrame,
    settings: tuple[CompareSettings, GradingSettings],
    minimum_cases: int,
    seed: int,
) -> pd.DataFrame:
    """LEARNING_CURVE of one method on the compared vertebrae.

    latents: its LATENTS; labels: LABELS that teach; cases: its rows of COMPARED_CASES. seed: that of the run, which
    fits; so with all labels the figures are those of the run. Where the kept patients are too few to fit, the row says
    why and has no figure. Without a vertebra to compare there is no row.
    """
    compare, grading = settings
    if not cases["compared"].any():
        return empty_table(LEARNING_CURVE)
    wanted = latents.merge(cases.loc[cases["compared"], KEY], on=KEY)
    rows = []
    for share in compare.label_shares:
        for draw in range(compare.label_draws if share < 1 else 1):
            kept = keep_labels_of(labels, splits, share, grading.fracture_grade, seed + draw)
            usable = kept[in_split(splits, kept["patient_id"], "train") & kept["usable"]]
            row = {"method": method, "share": share, "draw": draw, "labelled": usable["patient_id"].nunique()}
            try:
                plane = fit_hyperplane(latents, kept, splits, grading, seed)
                calibration = calibrate(latents, kept, splits, plane, grading, seed)
            except GradingError as error:
                rows.append(row | {"unit": VERTEBRAE, "figure": "auc", "value": np.nan, "reason": str(error)})
                continue
            predictions = predict(wanted, plane, calibration, splits, method)
            for (unit, figure), value in figures_of(predictions, cases, grading.fracture_grade, minimum_cases).items():
                rows.append(row | {"unit": unit, "figure": figure, "value": value, "reason": ""})
    return check_table(pd.DataFrame(rows, columns=[*LEARNING_CURVE.columns]), LEARNING_CURVE, "learning curve")


def figures_of(
    predictions: pd.DataFrame, cases: pd.DataFrame, fracture_grade: int, minimum_cases: int
) -> dict[tuple[str, str], float]:
    """Figures by unit and name of PREDICTIONS of the compared vertebrae of COMPARED_CASES; NaN with too few cases."""
    graded = cases.drop(columns=PREDICTED).merge(predictions[[*KEY, *PREDICTED]], on=KEY, how="left")
    graded = graded.assign(**OF_PATIENT, evaluable=graded["compared"], grade=graded["grade"].fillna(-1).astype(int))
    patients = patient_cases(graded, fracture_grade)
    vertebrae = vertebra_figures(graded, fracture_grade)(np.ones((1, len(graded))))
    people = patient_figures(patients, patients["evaluable"].to_numpy(bool))(np.ones((1, len(patients))))
    found = {(VERTEBRAE, name): vertebrae[name] for name in OF_VERTEBRAE} | {(PATIENTS, "auc"): people["auc"]}
    return {
        name: float(metric.values[0]) if min(metric.cases) >= minimum_cases else np.nan
        for name, metric in found.items()
    }


def keep_labels_of(
    labels: pd.DataFrame, splits: pd.DataFrame, fraction: float, fracture_grade: int, seed: int
) -> pd.DataFrame:
    """LABELS with only a share of the training patients kept; other splits keep all labels.

    Patients stay whole. The share is drawn separately among patients with and without a fracture, with at least three
    of those with one: the same `fraction` and seed choose the same patients.
    """
    train = labels[in_split(splits, labels["patient_id"], "train")]
    usable = train[train["usable"]]
    worst = usable.groupby("patient_id")["genant_grade"].max().sort_index()
    random = np.random.default_rng(seed)
    kept: set[str] = set()
    for group, least in ((worst[worst >= fracture_grade], LEAST_FRACTURED), (worst[worst < fracture_grade], 0)):
        count = min(len(group), max(least, round(fraction * len(group))))
        kept |= set(random.permutation(group.index.to_numpy(dtype=object))[:count])
    return labels[~labels["patient_id"].isin(set(train["patient_id"]) - kept)].reset_index(drop=True)
