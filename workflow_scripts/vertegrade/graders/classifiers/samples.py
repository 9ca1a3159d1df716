"""Graded images of the patients of one split."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from vertegrade.arrays import read_array
from vertegrade.cohort.splits import in_split
from vertegrade.graders.crops import Crops
from vertegrade.grading.rows import GradingError, Whole
from vertegrade.tables import CROPS, GRADES, PATIENT_KEY, read_table
from vertegrade.training.seeds import batch_positions


@dataclass(frozen=True)
class Graded:
    """images: crops or patches, memory-mapped. grade: (N,) their Genant grades 0-3. patients: whose they are.

    binary_from: where not 0, batches balance the grades from this one on against those below it, not each grade.
    """

    images: Crops
    grade: Whole
    patients: set[str]
    binary_from: int = 0

    @property
    def kind(self) -> Whole:
        """What batches balance (N,): grades, or 1 for fractured and 0 for others."""
        return (self.grade >= self.binary_from).astype(np.int64) if self.binary_from else self.grade

    def batch(self, step: int, batch_size: int, balanced: bool, seed: int) -> Whole:
        """Positions (batch_size,) of a step. balanced: kinds in turn, so that each part of a batch is balanced too."""
        if not balanced:
            return batch_positions(step, batch_size, len(self.grade), seed)
        kinds = [kind for kind in GRADES if (self.kind == kind).any()]
        each = -(-batch_size // len(kinds))
        drawn = []
        for kind in kinds:
            of_kind = np.flatnonzero(self.kind == kind)
            drawn.append(of_kind[batch_positions(step, each, len(of_kind), seed + kind)])
        # Where the batch is no multiple of the number of kinds, those that are left out change with the step.
        return np.roll(np.stack(drawn), step, axis=0).T.ravel()[:batch_size]


def graded_images(
    tables: Sequence[str | Path], arrays: Sequence[str | Path], labels: pd.DataFrame, splits: pd.DataFrame, split: str
) -> Graded:
    """The evaluable images of a split's patients that have a usable grade.

    tables, arrays: files of the shards, CROPS and their arrays, in the same order. GradingError where there are none.
    """
    usable = labels.loc[labels["usable"], [*PATIENT_KEY, "genant_grade"]]
    rows, grades, patients = list[np.ndarray](), list[np.ndarray](), set[str]()
    for file in tables:
        crops = read_table(file, CROPS)
        wanted = crops[crops["evaluable"] & in_split(splits, crops["patient_id"], split)]
        found = wanted.merge(usable, on=PATIENT_KEY, how="inner", validate="one_to_one")
        rows.append(found["crop"].to_numpy())
        grades.append(found["genant_grade"].to_numpy(np.int64))
        patients.update(found["patient_id"])
    grade = np.concatenate(grades)
    if len(np.unique(grade)) < 2:
        raise GradingError(
            f"the {split} split has {len(grade)} evaluable vertebrae with a grade, of the grades "
            f"{np.unique(grade).tolist()}; two grades are needed at least; check the labels and the splits"
        )
    return Graded(Crops([read_array(file) for file in arrays], rows), grade, patients)
