"""One table of all methods' grades for people (GRADE_TABLE), and where the methods contradict each other."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from vertegrade.levels import NAMES
from vertegrade.methods import BASELINES
from vertegrade.tables import GRADE_TABLE, PATIENT_KEY, PREDICTIONS, check_table, doubt_of, flags_with, has_flag

DISAGREEMENT = 1.0  # severities further apart than this many grades are flagged
DECIMALS = 6  # so that people can read the numbers, and a severity still rounds to its grade
# A comment above the header would break many readers of CSV, so this is a column, the first one.
NOTICE = {"research_use_only": "not a medical device"}


def grade_table(predictions: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """GRADE_TABLE of PREDICTIONS by method, the main method first; sorted by patient, scan and vertebra.

    A vertebra that a method did not grade has empty cells of that method. Flags are those of the main method,
    `look_at_this` of any, and `methods_disagree`. Baselines are shown, but what they say raises no flag.
    """
    main, *others = predictions
    of_main = predictions[main].sort_values(PATIENT_KEY, ignore_index=True)
    table = of_main[[name for name in PREDICTIONS.columns if name in GRADE_TABLE.columns and name in of_main]]
    table = table.assign(**NOTICE, **doubt_of(of_main), **_patients(of_main), method=main, grade=_grades(of_main))
    table["level"] = table["vertebra"].map(NAMES)
    counted = [table]
    for method in others:
        its = table[PATIENT_KEY].merge(predictions[method], on=PATIENT_KEY, how="left", validate="one_to_one")
        table[f"grade_{method}"], table[f"severity_{method}"] = _grades(its), its["severity"]
        if method not in BASELINES:
            counted.append(its)
    severities = pd.concat([its["severity"] for its in counted], axis=1)
    apart = severities.max(axis=1) - severities.min(axis=1) > DISAGREEMENT
    look = np.any([has_flag(its.fillna({"flags": ""}), "look_at_this") for its in counted], axis=0)
    table["flags"] = flags_with(table, {"look_at_this": look, "methods_disagree": apart.to_numpy(bool)})
    columns = [*GRADE_TABLE.columns, *(f"{number}_{method}" for method in others for number in ("grade", "severity"))]
    return check_table(table[columns].round(DECIMALS), GRADE_TABLE, "table of all methods' grades")


def _patients(predictions: pd.DataFrame) -> dict[str, pd.Series]:
    """What is said of each row's patient, unknown where nothing is."""
    found = predictions.reindex(columns=["patient_p_fracture", "patient_fractured"])
    called = found["patient_fractured"].where(found["patient_fractured"] >= 0).astype("Int64")
    return {"patient_p_fracture": found["patient_p_fracture"].astype(float), "patient_fractured": called}


def _grades(predictions: pd.DataFrame) -> "pd.Series[int]":
    """Grades, unknown where there is none."""
    return predictions["grade"].where(predictions["grade"] >= 0).astype("Int64")
