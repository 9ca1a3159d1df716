"""Suspicious vertebrae: those that are drawn are those of the patients' pages, in the same order."""

import numpy as np

from helpers.patients import COHORT, measurements
from vertegrade.grading.grades import grade_table
from vertegrade.report.patients.findings import patients_of, side_by_side
from vertegrade.report.spread import suspicious_vertebrae


def test_they_are_those_of_the_pages_worst_first_whatever_their_split() -> None:
    dae = COHORT.dae.assign(flags="")
    withheld = dae.index[dae["evaluable"]][:4]
    dae.loc[withheld, ["evaluable", "reason", "grade", "severity"]] = [False, "unlike_training", -1, np.nan]
    dae.loc[withheld, "flags"] = ["look_at_this unlike_training"] * 2 + ["unlike_training"] * 2
    predictions = {"dae": dae, "pca": COHORT.pca}
    found = suspicious_vertebrae(grade_table(predictions))
    people = patients_of(COHORT.scans, side_by_side(predictions), measurements(), {})
    pairs = [pair for one in people for pair in one.found if pair[1].suspicious]
    wanted = {(scan.id, vertebra.label): vertebra.urgency for scan, vertebra in pairs}
    keys = list(zip(found["scan_id"], found["vertebra"], strict=True))
    assert len(keys) == len(wanted) > 10
    assert set(keys) == set(wanted)
    urgency = [wanted[key] for key in keys]
    assert np.all(np.diff(urgency) < 1e-5)  # a grade table is rounded
    splits = dae.set_index(["scan_id", "vertebra"])["split"]
    assert {splits[key] for key in keys} == {"train", "validation", "test"}
    looks = [key for key in keys if "look_at_this" in dae.set_index(["scan_id", "vertebra"])["flags"][key]]
    assert len(looks) == 2
    assert {wanted[key] for key in looks} == {2.0}


def test_a_vertebra_that_another_method_withholds_is_one_of_them() -> None:
    points = COHORT.pca.assign(method="keypoints", flags="")
    intact = COHORT.dae.index[COHORT.dae["evaluable"] & (COHORT.dae["grade"] == 0)][0]
    points.loc[intact, ["evaluable", "reason", "grade", "severity", "flags"]] = [
        False, "unlike_training", -1, np.nan, "look_at_this unlike_training",
    ]  # fmt: skip
    found = suspicious_vertebrae(grade_table({"dae": COHORT.dae, "keypoints": points}))
    row = COHORT.dae.loc[intact]
    assert ((found["scan_id"] == row["scan_id"]) & (found["vertebra"] == row["vertebra"])).sum() == 1
