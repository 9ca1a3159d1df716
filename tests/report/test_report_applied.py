"""The cohort's page tells of other scans that its model graded, and nothing of grades by another model."""

import re
from typing import Any

import numpy as np

from helpers.synthetic_predictions import make_cohort
from helpers.virtual import case, cases_of, states_of, truth_of
from vertegrade.evaluation.challenge.measures import challenge_measures
from vertegrade.evaluation.evaluate import evaluate
from vertegrade.grading.grades import grade_table
from vertegrade.report.applied import applied_run
from vertegrade.report.cohort_page import cohort_page
from vertegrade.report.flow import cohort_flow
from vertegrade.settings.evaluation import EvaluationSettings

SETTINGS = EvaluationSettings(bootstrap_resamples=40)
COHORT = make_cohort(20)
GRADES = grade_table({"dae": COHORT.dae})


def challenge() -> dict[str, Any]:
    made = []
    for patient in range(4):
        losses = np.linspace(0.26, 0.58, 6)
        made += [case("fracture", float(loss), 2.0, shape="wedge", patient_id=f"p{patient}") for loss in losses]
        made += [case(kind, patient_id=f"p{patient}") for kind in ("sham", "untouched", "source") for _ in range(3)]
    states = states_of(truth_of([{"vertebra": 20, "kind": "sham"}]))
    return challenge_measures({"dae": cases_of(made)}, states, SETTINGS, 1, 1)


def page_with(*runs: dict[str, Any]) -> str:
    metrics = {"dae": evaluate(COHORT.dae, COHORT.tables(), SETTINGS, 1, 7, "dae")}
    flow = cohort_flow([scan for scan, _ in COHORT.sheet], COHORT.scans, COHORT.landmarks, COHORT.tables(), COHORT.dae)
    return cohort_page(metrics, flow, {}, {}, applied=runs)


def test_a_run_is_counted_with_what_was_withheld() -> None:
    grades = GRADES.copy()
    rows = grades.index[grades["evaluable"]][:3]
    grades.loc[rows, "evaluable"], grades.loc[rows, "reason"] = False, "unlike_training"
    grades.loc[rows, "flags"] = "unlike_training"
    grades.loc[rows, "grade"] = None
    run = applied_run("lidc", grades, None, True)
    assert (run["withheld"], run["graded"], run["found"]) == (3, int(GRADES["evaluable"].sum()) - 3, len(GRADES))
    assert sum(run["by_grade"]) == run["graded"]
    assert ("unlike training", 3) in run["flags"]
    words = f"DAE graded {run['graded']} of them"
    rest = len(GRADES) - run["graded"] - 3
    page = page_with(run)
    assert words in page
    assert f"The other {rest} cannot be graded" in page


def test_the_page_shows_novelty_and_the_challenge_of_other_scans() -> None:
    page = page_with(applied_run("lidc", GRADES, challenge(), True))
    assert '<a href="#applied">Other scans</a>' in page
    assert "VIRTUAL fractures made in these scans: 24 fractures, 36 intact vertebrae" in page
    section = page[page.index('<section id="applied">') :]
    row = re.search(r'<tr><th scope="row">DAE</th>(.*?)</tr>', section, re.DOTALL)
    assert row
    cells = re.findall(r'class="number">\s*([0-9.]+|n/a)', row[1])
    assert cells[:3] == ["1.00", "0.00", "1.00"]
    assert len(cells) == 6


def test_grades_of_another_model_are_not_told() -> None:
    page = page_with(applied_run("lidc", GRADES, challenge(), False))
    assert "graded by another model" in page
    assert "VIRTUAL" not in page


def test_a_cohort_without_other_scans_has_no_such_section() -> None:
    assert 'id="applied"' not in page_with()
