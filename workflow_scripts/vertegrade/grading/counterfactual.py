"""What a vertebra at another grade should have lost, in the three columns, and what its severity should then be."""

import numpy as np

from vertegrade.arrays import Floats
from vertegrade.fractures.collapse import PROFILES
from vertegrade.fractures.kinds import kinds
from vertegrade.level_texts import region
from vertegrade.spine.heights import genant_severity
from vertegrade.tables import GRADES, SHAPES

# Largest loss of a column that stands for each grade: the middle of the grade's losses (0.2, 0.25, 0.4), 60 % at most.
# Grade 0 is meant to look intact, not half-way to a fracture: of three heights that are measured with an error of 1 mm,
# the lowest one of an intact body seems to have lost about this much.
LOSS_OF_GRADE = (0.05, 0.225, 0.325, 0.5)
MIDDLE_OF_GRADE = (0.1, 0.225, 0.325, 0.5)


def column_losses(shape: str, grade: int) -> Floats:
    """Fractions (3,) that the anterior, middle and posterior column should have lost at a grade (0-3).

    At grade 0 all three alike, whatever the shape.
    """
    middles = np.array([np.mean(limits) for limits in PROFILES[shape]]) if grade else np.ones(3)
    losses: Floats = LOSS_OF_GRADE[grade] * middles / middles.max()
    return losses


def severity_of_grade(grade: int) -> float:
    """Severity (0-3) that stands for a grade: that of its loss."""
    return float(genant_severity(np.array([LOSS_OF_GRADE[grade]]))[0])


def likeliest_shape(label: int, measured: str) -> str:
    """Shape in which a vertebra is shown at other grades: its own where it is fractured, else the commonest here."""
    return measured or SHAPES[int(kinds(region(label)).sum(axis=0).argmax())]


def targets(labels: list[int], measured: list[str], every_shape: bool) -> tuple[list[list[str]], list[list[int]]]:
    """Shape and grade of each picture of each vertebra: grades 0-3 in its likeliest shape, or 1-3 in every shape.

    Grade 0 has one picture, of no shape. measured: shapes of the vertebrae as they were measured, "" of intact ones.
    """
    shapes, grades = [], []
    for label, found in zip(labels, measured, strict=True):
        wanted = SHAPES if every_shape else (likeliest_shape(label, found),)
        fractured = [grade for grade in GRADES if grade]
        shapes.append(["", *(shape for shape in wanted for _ in fractured)])
        grades.append([0, *(grade for _ in wanted for grade in fractured)])
    return shapes, grades
