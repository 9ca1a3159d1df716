"""What is asked for of a picture at another grade: losses within the grade, in the shape of the vertebra."""

import numpy as np
import pytest

from vertegrade.grading.counterfactual import (
    MIDDLE_OF_GRADE,
    column_losses,
    likeliest_shape,
    severity_of_grade,
    targets,
)
from vertegrade.grading.grade_scale import grade_of
from vertegrade.levels import LABEL_OF
from vertegrade.spine.heights import genant_grade
from vertegrade.tables import GRADES, SHAPES


@pytest.mark.parametrize("grade", GRADES)
@pytest.mark.parametrize("shape", SHAPES)
def test_the_column_that_loses_most_says_the_grade(shape: str, grade: int) -> None:
    losses = column_losses(shape, grade)
    assert genant_grade(losses.max()) == grade
    assert abs(losses.max() - MIDDLE_OF_GRADE[grade]) <= 0.05 + 1e-9
    assert grade_of(np.array([severity_of_grade(grade)])).tolist() == [grade]


def test_shapes_differ_in_their_columns() -> None:
    wedge, biconcave, crush = (column_losses(shape, 3) for shape in SHAPES)
    assert wedge.argmax() == 0
    assert wedge[2] < 0.1
    assert biconcave.argmax() == 1
    assert biconcave[2] < 0.1
    assert crush.min() > 0.45
    assert np.ptp(column_losses("wedge", 0)) == 0


def test_a_fractured_vertebra_keeps_its_shape_and_an_intact_one_gets_the_commonest_of_its_region() -> None:
    assert likeliest_shape(LABEL_OF["L4"], "crush") == "crush"
    assert likeliest_shape(LABEL_OF["T7"], "") == "wedge"
    assert likeliest_shape(LABEL_OF["L4"], "") == "biconcave"  # 75 % of them in VerSe'19


def test_pictures_are_grades_0_to_3_in_one_shape_or_in_all() -> None:
    labels, measured = [LABEL_OF["T7"], LABEL_OF["L4"]], ["", "crush"]
    shapes, grades = targets(labels, measured, every_shape=False)
    assert grades == [[0, 1, 2, 3]] * 2
    assert shapes == [["", *["wedge"] * 3], ["", *["crush"] * 3]]
    shapes, grades = targets(labels, measured, every_shape=True)
    assert grades == [[0, *[1, 2, 3] * 3]] * 2
    assert shapes[0] == shapes[1] == ["", *(shape for shape in SHAPES for _ in range(3))]
