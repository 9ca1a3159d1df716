"""One table of all methods' grades: what a person reads in a spreadsheet, and where methods contradict each other."""

import csv
from pathlib import Path

import numpy as np
import pandas as pd

from helpers.synthetic_predictions import make_cohort
from vertegrade.grading.grades import grade_table
from vertegrade.levels import NAMES
from vertegrade.tables import GRADE_TABLE, PREDICTIONS, empty_table, has_flag, read_table, write_table

COHORT = make_cohort(20)


def tables() -> dict[str, pd.DataFrame]:
    keypoints = COHORT.pca.assign(method="keypoints")
    return {"dae": COHORT.dae, "keypoints": keypoints, "pca": COHORT.pca}


def test_every_vertebra_has_one_row_with_the_numbers_of_each_method() -> None:
    grades = grade_table(tables())
    assert len(grades) == len(COHORT.dae)
    assert set(grades["method"]) == {"dae"}
    assert (grades["level"] == grades["vertebra"].map(NAMES)).all()
    of = {method: table.set_index(["scan_id", "vertebra"])["severity"] for method, table in tables().items()}
    rows = grades.set_index(["scan_id", "vertebra"])
    for method, column in (("dae", "severity"), ("keypoints", "severity_keypoints"), ("pca", "severity_pca")):
        np.testing.assert_allclose(rows[column], of[method].loc[rows.index], atol=1e-6)
    graded = grades[grades["evaluable"]]
    assert (graded["grade"] == graded["severity"].round()).all()


def test_cells_of_a_vertebra_without_a_grade_are_empty(tmp_path: Path) -> None:
    write_table(tmp_path / "grades.csv", grade_table(tables()), GRADE_TABLE)
    with (tmp_path / "grades.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    out = [row for row in rows if row["evaluable"] == "False"]
    assert out
    assert {row[name] for row in out for name in ("grade", "severity", "p_fracture", "grade_keypoints")} == {""}
    assert all(row["reason"] for row in out)
    assert {row["grade"] for row in rows} == {"", "0", "1", "2", "3"}


def test_no_reader_can_miss_that_it_is_for_research_alone(tmp_path: Path) -> None:
    write_table(tmp_path / "grades.csv", grade_table(tables()), GRADE_TABLE)
    first, second = (tmp_path / "grades.csv").read_text().splitlines()[:2]
    assert first.startswith("research_use_only,")
    assert second.startswith("not a medical device,")
    assert pd.read_csv(tmp_path / "grades.csv")["research_use_only"].eq("not a medical device").all()


def test_the_table_is_read_as_it_was_written(tmp_path: Path) -> None:
    grades = grade_table(tables() | {"dae": COHORT.dae.assign(flags="metal", label_confidence=0.5)})
    write_table(tmp_path / "grades.csv", grades, GRADE_TABLE)
    again = read_table(tmp_path / "grades.csv", GRADE_TABLE)
    pd.testing.assert_frame_equal(again[[*GRADE_TABLE.columns]], grades[[*GRADE_TABLE.columns]])


def moved(table: pd.DataFrame, by: float) -> pd.DataFrame:
    """The same grades with all severities in the lower half raised."""
    severity = np.where(table["severity"] < 1, table["severity"] + by, table["severity"])
    return table.assign(severity=severity, grade=np.where(table["evaluable"], np.rint(severity), -1).astype(int))


def test_methods_more_than_a_grade_apart_are_flagged_and_baselines_do_not_count() -> None:
    for by, flagged in ((0.99, False), (1.01, True)):
        others = {"keypoints": COHORT.dae.assign(method="keypoints"), "pca": COHORT.pca}
        grades = grade_table({"dae": moved(COHORT.dae, by)} | others)
        low = (COHORT.dae["severity"] < 1).to_numpy()
        assert low.any()
        assert (has_flag(grades, "methods_disagree") == (low if flagged else False)).all()
    pca = moved(COHORT.dae, 1.5).assign(method="pca")
    assert not has_flag(grade_table({"dae": COHORT.dae, "pca": pca}), "methods_disagree").any()


def test_a_method_that_did_not_grade_a_vertebra_contradicts_nobody() -> None:
    silent = COHORT.dae.assign(method="keypoints", severity=np.nan, grade=-1, evaluable=False, reason="no_points")
    grades = grade_table({"dae": COHORT.dae, "keypoints": silent})
    assert grades["grade_keypoints"].isna().all()
    assert not has_flag(grades, "methods_disagree").any()


def test_a_severe_finding_that_any_method_withholds_is_listed() -> None:
    withheld = COHORT.dae.assign(method="keypoints", flags="")
    withheld.loc[3, "flags"] = "look_at_this unlike_training"
    grades = grade_table({"dae": COHORT.dae, "keypoints": withheld})
    assert np.flatnonzero(has_flag(grades, "look_at_this")).tolist() == [3]
    assert not has_flag(grades, "unlike_training").any()  # of the main method alone


def test_nothing_graded_is_a_table_without_rows() -> None:
    none = empty_table(PREDICTIONS)
    grades = grade_table({"dae": none, "keypoints": none})
    assert grades.empty
    assert list(grades.columns) == [*GRADE_TABLE.columns, "grade_keypoints", "severity_keypoints"]
