"""What one grade changes in the heights, from pictures and vertebrae made by hand."""

import numpy as np
import pandas as pd
import pytest

from vertegrade.drawn_tables import COUNTERFACTUALS, LOSSES
from vertegrade.evaluation.grade_heights import grade_heights
from vertegrade.levels import LABEL_OF
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import empty_table

SETTINGS = EvaluationSettings(bootstrap_resamples=100)
KEY = ["source", "part", "shape", "step", "column"]


def pictures() -> pd.DataFrame:
    """Six patients: a wedge at T7 whose anterior column loses 10 points for a grade, in half of them 20."""
    rows = []
    for row in range(6):
        for grade in range(4):
            loss = (0.1 if row < 3 else 0.2) * grade
            shape = "wedge" if grade else ""
            rows.append(
                {"patient_id": f"p{row}", "vertebra": LABEL_OF["T7"], "row": row, "shape": shape, "wanted_grade": grade,
                 "severity": 2.0 * grade if row == 5 else 1.0 * grade, LOSSES[0]: loss, LOSSES[1]: loss / 2,
                 LOSSES[2]: -0.01 * grade, "counted": True}
            )  # fmt: skip
    return pd.DataFrame(rows)


def crops() -> pd.DataFrame:
    """Lumbar crops: four intact, losing 4 points at severity 0.2, and four crushes."""
    rows = [("", 0.04, 0.2), ("crush", 0.34, 1.7)] * 4
    columns = {"patient_id": [f"q{n // 2}" for n in range(8)], "vertebra": LABEL_OF["L4"]}
    return pd.DataFrame(rows, columns=["shape", LOSSES[0], "severity"]).assign(
        **columns, **{LOSSES[1]: 0.0, LOSSES[2]: lambda table: table[LOSSES[0]]}
    )


def cell(table: pd.DataFrame, *key: str) -> pd.Series:
    return table.set_index(KEY).sort_index().loc[key]


@pytest.mark.parametrize("step", ["0-1", "1-2", "2-3", "0-3"])
@pytest.mark.parametrize("part", ["all", "thoracic"])
def test_changes_of_height_are_for_one_grade_of_severity(step: str, part: str) -> None:
    table = grade_heights(pictures(), crops(), SETTINGS, 1)
    found = cell(table, "pictures", part, "wedge", step, "anterior")
    assert found["change"] == pytest.approx(-(3 * 0.1 + 3 * 0.2) / 7)  # six vertebrae rise by seven grades
    assert found["low"] < found["change"] < found["high"]
    assert (found["vertebrae"], found["patients"]) == (6, 6)
    assert cell(table, "pictures", part, "wedge", step, "posterior")["change"] == pytest.approx(0.06 / 7)
    for empty in (("lumbar", "wedge"), (part, "crush")):
        assert np.isnan(cell(table, "pictures", *empty, step, "anterior")["change"])


def test_crops_are_compared_with_intact_ones() -> None:
    table = grade_heights(pictures(), crops(), SETTINGS, 1)
    found = cell(table, "crops", "lumbar", "crush", "0-3", "anterior")
    assert found["change"] == pytest.approx(-0.3 / 1.5)
    assert (found["vertebrae"], found["patients"]) == (4, 4)
    assert cell(table, "crops", "all", "crush", "0-3", "middle")["change"] == pytest.approx(0)
    assert np.isnan(cell(table, "crops", "thoracic", "crush", "0-3", "anterior")["change"])
    assert np.isnan(cell(table, "crops", "lumbar", "wedge", "0-3", "anterior")["change"])


def test_nothing_drawn_and_nothing_measured() -> None:
    table = grade_heights(empty_table(COUNTERFACTUALS), crops().iloc[:0], SETTINGS, 1)
    assert table["change"].isna().all()
    assert (table["vertebrae"] == 0).all()
    assert len(table) == 3 * 4 * 3 * (4 + 1)


def test_suspicious_vertebrae_that_were_drawn_beside_the_others_change_nothing() -> None:
    beside = pictures().assign(counted=False, row=lambda table: table["row"] + 6)
    beside[LOSSES[0]] *= 3
    both = pd.concat([pictures(), beside], ignore_index=True)
    pd.testing.assert_frame_equal(
        grade_heights(both, crops(), SETTINGS, 1), grade_heights(pictures(), crops(), SETTINGS, 1)
    )
