"""Which vertebrae are compared: labelled ones of the test split that every method graded.

Where whole scans are scored too, their patients must have such a score: all rows are of the same patients.
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from vertegrade.evaluation.cases import Cohort, EvaluationError, check_method, labelled_cases, split_cases
from vertegrade.evaluation.comparison.tables import COMPARED_CASES, LEFT_OUT
from vertegrade.evaluation.metrics import Flags
from vertegrade.evaluation.scan_scores import WholeScans
from vertegrade.tables import KEY, check_table

Cases = Mapping[str, pd.DataFrame]


def cases_of(predictions: Cases, cohort: Cohort, scans: WholeScans | None = None) -> dict[str, pd.DataFrame]:
    """`labelled_cases` of the test split by method, with the column `compared`: the same rows in the same order.

    predictions: PREDICTIONS by method. scans: of the sequence model among them; no vertebra of a patient without a
    score is compared. EvaluationError where tables do not fit, or there is no method.
    """
    if not predictions:
        raise EvaluationError("there is no method to compare")
    for method, table in predictions.items():
        check_method(table, method)
    cases = {name: split_cases(labelled_cases(table, cohort), "test") for name, table in predictions.items()}
    compared = np.logical_and.reduce([_graded(table) for table in cases.values()])
    if scans is not None:
        compared &= next(iter(cases.values()))["patient_id"].isin(scans.p_fracture.index).to_numpy(bool)
    return {name: table.assign(compared=compared) for name, table in cases.items()}


def _graded(cases: pd.DataFrame) -> Flags:
    return cases["evaluable"].to_numpy(dtype=bool)


def cases_table(cases: Cases) -> pd.DataFrame:
    """COMPARED_CASES of `cases_of`."""
    tables = [table.assign(method=name)[[*COMPARED_CASES.columns]] for name, table in cases.items()]
    return check_table(pd.concat(tables, ignore_index=True), COMPARED_CASES, "compared cases")


def left_out_table(cases: Cases) -> pd.DataFrame:
    """LEFT_OUT of `cases_of`, most frequent reason of each method first."""
    missing = {name: ~_graded(table) for name, table in cases.items()}
    together = np.sum([*missing.values()], axis=0)
    rows = []
    for name, table in cases.items():
        lost = table.assign(alone=together == 1)[missing[name]]
        counts = lost.groupby("reason", sort=True).agg(vertebrae=(KEY[0], "size"), alone=("alone", "sum"))
        counts = counts.sort_values("vertebrae", ascending=False, kind="stable").reset_index()
        rows.append(counts.assign(method=name))
    table = pd.concat(rows, ignore_index=True)[[*LEFT_OUT.columns]]
    return check_table(table, LEFT_OUT, "vertebrae left out")
