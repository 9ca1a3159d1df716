"""Cases of the challenge: what was done to each vertebra, what was found of it, and what a method answered.

Only patients of the test split count, since grades were learned from the others. Only vertebrae count that were intact
before: measured as grade 0, and not graded as fractured by a person. Each stands here once for each virtual scan, and
once (`source`) as it is in the patient's own scan.
"""

import numpy as np
import pandas as pd

from vertegrade.cohort.splits import split_of
from vertegrade.drawn_tables import SOURCE, VIRTUAL_CASES
from vertegrade.evaluation.bands import thickness_bands
from vertegrade.evaluation.challenge.thresholds import thresholds
from vertegrade.level_texts import region
from vertegrade.tables import HEIGHTS, KEY, check_table
from vertegrade.virtual_fractures.truth import found_truth

NOT_FOUND, NO_PREDICTION = "not_found", "no_prediction"
UNLIKE_TRAINING = "unlike_training"
UNKNOWN = {"manufacturer": "unknown scanner", "kernel": "unknown kernel"}


def challenge_bodies(
    truth: pd.DataFrame,
    landmarks: pd.DataFrame,
    measurements: pd.DataFrame,
    scans: pd.DataFrame,
    labels: pd.DataFrame,
    splits: pd.DataFrame,
    thickness_bands_mm: list[float],
) -> pd.DataFrame:
    """The vertebrae that count, with what was found and measured of them: VIRTUAL_CASES before any method's answer.

    truth, landmarks, measurements: of the virtual scans. scans: SCANS of them or of their sources after localization.
    labels: LABELS of the cohort's own scans, which may have none. splits: PATIENT_SPLITS.
    """
    rows = found_truth(truth, landmarks)
    fractured = labels.loc[labels["usable"] & (labels["genant_grade"] > 0), KEY].itertuples(index=False, name=None)
    deformed = pd.MultiIndex.from_frame(rows[["source_scan_id", "vertebra"]]).isin(list(fractured))
    tested = np.array(split_of(splits, rows["patient_id"]), dtype=object) == "test"
    rows = rows[rows["intact"].to_numpy(dtype=bool) & ~deformed & tested]
    measured = measurements[[*KEY, *(f"height_{column}_mm" for column in HEIGHTS)]].rename(
        columns={"vertebra": "found"} | {f"height_{column}_mm": f"measured_{column}_mm" for column in HEIGHTS}
    )
    rows = rows.merge(measured, on=["scan_id", "found"], how="left", validate="many_to_one")
    table = pd.concat([rows, _sources(rows)], ignore_index=True)
    table["region"] = [region(label) for label in table["vertebra"]]
    table["scanner"] = table["source_scan_id"].map(_scanners(scans, truth, thickness_bands_mm))
    return table


def _sources(rows: pd.DataFrame) -> pd.DataFrame:
    """The same vertebrae as they are in the patients' own scans, of whose heights nothing is known."""
    own = rows.drop_duplicates(["source_scan_id", "vertebra"])
    unknown = dict.fromkeys([f"{of}_{column}_mm" for of in ("height", "measured") for column in HEIGHTS], np.nan)
    own = own.assign(scan_id=own["source_scan_id"], found=own["vertebra"], **unknown)
    return own.assign(kind=SOURCE, shape="", height_loss=0.0, genant_grade=0)


def _scanners(scans: pd.DataFrame, truth: pd.DataFrame, thickness_bands_mm: list[float]) -> dict[str, str]:
    """Maker, kernel and band of slice thickness by the source scan. A NIfTI has no thickness: its spacing counts."""
    thickness = scans["slice_thickness_mm"].fillna(scans["slice_spacing_mm"])
    named = scans[["manufacturer", "kernel"]].replace("", np.nan).fillna(UNKNOWN)
    names = named["manufacturer"] + ", " + named["kernel"] + ", " + thickness_bands(thickness, thickness_bands_mm)[0]
    by_scan = dict(zip(scans["scan_id"], names, strict=True))
    pairs = truth[["scan_id", "source_scan_id"]].drop_duplicates()
    return {source: by_scan[scan] for scan, source in pairs.itertuples(index=False) if scan in by_scan}


def challenge_cases(
    bodies: pd.DataFrame, virtual: pd.DataFrame, own: pd.DataFrame, method: str, fracture_grade: int
) -> pd.DataFrame:
    """VIRTUAL_CASES of one method.

    bodies: of `challenge_bodies`. virtual, own: PREDICTIONS of the virtual scans and of the cohort's own. `noticed` is
    graded as fractured by the whole chain: a vertebra that was not found, or not graded, is not noticed.
    """
    answers = pd.concat([virtual, own], ignore_index=True).rename(columns={"vertebra": "found"})
    answers["unlike_training"] = (answers["reason"] == UNLIKE_TRAINING) | _flagged(answers)
    answers["novelty"] = answers.get("novelty", np.nan)
    columns = [
        "severity",
        "grade",
        "severity_low",
        "severity_high",
        "evaluable",
        "reason",
        "novelty",
        "unlike_training",
    ]
    table = bodies.merge(
        answers[["scan_id", "found", *columns]], on=["scan_id", "found"], how="left", validate="many_to_one"
    )
    unanswered = table["evaluable"].isna()
    table["reason"] = np.where(table["found"] < 0, NOT_FOUND, table["reason"].fillna(NO_PREDICTION))
    for column, value in (("grade", -1), ("evaluable", False), ("unlike_training", False)):
        table[column] = table[column].astype(object).where(~unanswered, value)
    table = table.assign(method=method, noticed=table["grade"].astype(int) >= fracture_grade)
    table["threshold"] = thresholds(table)
    return check_table(table[list(VIRTUAL_CASES.columns)], VIRTUAL_CASES, f"cases of {method}")


def _flagged(answers: pd.DataFrame) -> pd.Series:
    flags = answers["flags"] if "flags" in answers else pd.Series("", index=answers.index)
    return flags.str.split().map(lambda names: UNLIKE_TRAINING in names)
