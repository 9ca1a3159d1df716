"""Whether there are enough patients of each split to train on, before a run."""

from pathlib import Path

import numpy as np
import pytest

from helpers.small_cohort import training_cohort, write_nifti
from vertegrade.grading.calibrators import Graded
from vertegrade.grading.conformal import Predicted, fit_intervals, patients_needed
from vertegrade.grading.rows import LEAST_PATIENTS, GradingError, patient_folds
from vertegrade.preflight.labels import check_labels
from vertegrade.preflight.sheet import check_sheet
from vertegrade.preflight.training import check_training
from vertegrade.settings import Settings


def shortages(settings: Settings) -> list[str]:
    return check_training(settings, check_sheet(settings)[0])


def test_too_few_patients_to_train_are_told_by_split(tmp_path: Path) -> None:  # field test B8
    write_nifti(tmp_path / "b.nii.gz")
    assert shortages(training_cohort(tmp_path, train=3, validation=9)) == []
    intact, fractured, validation = shortages(training_cohort(tmp_path, train=2, validation=8))
    assert intact.startswith("labels: the training split has 2 patient(s) with an intact vertebra (grading.fracture_")
    assert fractured.startswith("labels: the training split has 2 patient(s) with a fractured vertebra")
    assert validation.startswith(
        "labels: the validation split has 8 graded patient(s), intervals of coverage 0.9 need 9"
    )


def test_the_least_that_the_check_asks_for_is_the_least_that_can_be_fitted(tmp_path: Path) -> None:  # field test B8
    train, random = np.repeat([0, 1, 2], 8), np.random.default_rng(0)
    grade = np.tile([0, 0, 0, 0, 0, 1, 2, 3], 3)
    with pytest.raises(GradingError, match="fitting needs at least 3 patients"):
        patient_folds(grade[:16], train[:16], 1, 5, 0, least=LEAST_PATIENTS)
    assert len(patient_folds(grade, train, 1, 5, 0, least=LEAST_PATIENTS)) == len(train)
    p_grade = random.dirichlet(np.ones(4), 9)
    for patients in (patients_needed(0.9) - 1, patients_needed(0.9)):
        graded = Graded(p_grade[:patients] @ np.arange(4), p_grade[:patients])
        numbers = np.zeros(patients, int), np.arange(patients)
        if patients < patients_needed(0.9):
            with pytest.raises(GradingError, match="need 9 patients"):
                fit_intervals([Predicted(graded, *numbers)], 0.9)
        else:
            assert fit_intervals([Predicted(graded, *numbers)], 0.9).patients == [patients, 0, 0, 0]


def test_labels_of_scans_that_are_not_in_the_sheet_do_not_count(tmp_path: Path) -> None:  # field test B8
    write_nifti(tmp_path / "b.nii.gz")
    good = training_cohort(tmp_path, train=3, validation=9)
    text = (tmp_path / "labels.csv").read_text()
    (tmp_path / "labels.csv").write_text(text + "zz,zz,L1,1\n")
    rows = check_sheet(good)[0]
    assert check_labels(good, rows) == ([], ["labels of 1 scans that are not in the sheet are not used ('zz' first)"])
    settings = training_cohort(tmp_path, 3, 9, labels=text.replace(",s0,", ",t0,"))
    assert [problem.split(" patient(s)")[0] for problem in shortages(settings)] == [
        "labels: the training split has 2"
    ] * 2


def test_two_splits_of_a_patient_are_told(tmp_path: Path) -> None:  # field test B8
    write_nifti(tmp_path / "b.nii.gz")
    text = "patient_id,scan_id,vertebra,genant_grade,split\np0,s0,L1,0,test\n"
    (problem,) = shortages(training_cohort(tmp_path, train=3, validation=9, labels=text))
    assert problem.startswith("labels: two different splits are given for p0 (train in the sheet, test in the labels)")
