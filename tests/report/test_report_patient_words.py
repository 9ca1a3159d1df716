"""What is said of a patient: worst first, in the words of a report, with what could not be evaluated."""

import math
from dataclasses import replace

import pytest

from helpers.patients import COHORT, FRACTURE, intact, patient, patients, without
from vertegrade.levels import LABEL_OF
from vertegrade.report.patients import words
from vertegrade.report.patients.pages import graded_levels


def test_the_worst_finding_is_told_in_one_line() -> None:
    text = "L1: severe wedge fracture, grade 3 (2.6 to 3.0), anterior height 16 mm, 43 % below expected"
    assert words.headline(patient(intact("T12"), FRACTURE), 1) == text
    assert words.bone_integrity(patient(intact("T12"), FRACTURE), 1) == "Vertebral fracture of L1 (grade 3, severe)."


def test_where_nothing_is_fractured_it_says_what_was_and_was_not_evaluable() -> None:
    someone = patient(without("T4", "cut_by_scan"), intact("T5"), intact("T6"), intact("L1"))
    assert words.headline(someone, 1) == "No vertebral fracture in 3 evaluable vertebrae, T5–T6, L1"
    assert words.bone_integrity(someone, 1) == "No vertebral fracture of T5–T6, L1."
    assert words.not_evaluable(someone) == ["T4: The body does not lie completely in the scan."]
    assert words.not_found(someone, graded_levels(11, 24)) == "T7–T12, L2–L5"


def test_nothing_evaluable_is_no_statement_on_bone() -> None:
    nobody = patient(without("T4", "cut_by_scan"))
    assert words.headline(nobody, 1) == "Not evaluable. None of the vertebrae that were found has a grade (1)."
    assert words.bone_integrity(nobody, 1) == "Not evaluable: no vertebra has a grade."
    failed = patient(state="failed", reason="broken_file")
    assert words.headline(failed, 1) == "Not evaluable. A DICOM or NIfTI file is empty, cut short or damaged."
    assert words.not_found(failed, graded_levels(8, 25)) == ""


def test_a_withheld_grade_that_would_be_severe_stands_before_mild_ones_and_asks_for_a_look() -> None:
    withheld = without("T9", "unlike_training", "look_at_this", "unlike_training")
    mild = replace(FRACTURE, grade=1, severity=1.2)
    someone = patient(withheld, mild)
    assert words.headline(someone, 1).startswith("T9: not evaluable by the program, but it may be a moderate or severe")
    assert words.headline(patient(withheld, FRACTURE), 1).startswith("L1: severe")
    assert [vertebra.name for _, vertebra in patient(withheld, mild, FRACTURE).found] == ["L1", "T9", "L1"]


def test_a_run_that_counts_fractures_from_grade_2_calls_grade_1_a_loss_of_height() -> None:
    mild = replace(FRACTURE, grade=1, severity=1.2)
    assert words.finding(mild, 2).startswith("L1: mild wedge loss of height, below this run's limit of a fracture")
    assert words.bone_integrity(patient(mild), 2) == "No vertebral fracture of L1."
    assert words.headline(patient(mild), 2) == "No vertebral fracture in 1 evaluable vertebra, L1"


@pytest.mark.parametrize(
    ("levels", "text"),
    [((), ""), (("T5",), "T5"), (("L1", "T12", "T11"), "T11–L1"), (("T12", "T13", "L1", "L3"), "T12–L1, L3")],
)
def test_levels_stand_from_head_to_feet_with_neighbours_together(levels: tuple[str, ...], text: str) -> None:
    assert words.spans(LABEL_OF[level] for level in levels) == text


def test_patients_are_sorted_worst_first_and_those_without_a_vertebra_last() -> None:
    found = patients()
    assert len(found) == len(COHORT.scans)
    urgency = [patient.found[0][1].urgency if patient.found else -2 for patient in found]
    assert urgency == sorted(urgency, reverse=True)
    assert {patient.scans[0].state for patient in found[-2:]} == {"failed", "excluded"}


def test_a_patients_probability_is_that_of_the_table() -> None:
    assert math.isnan(patients()[0].p_fracture)
    assert patients(patient_p_fracture=0.7)[0].p_fracture == 0.7
