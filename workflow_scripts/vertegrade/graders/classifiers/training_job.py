"""The training of a classifier as a job of the workflow: its files, and what all methods do with them."""

import json
from pathlib import Path
from typing import Any

from vertegrade.files import write_json
from vertegrade.graders.classifiers.samples import Graded, graded_images
from vertegrade.tables import LABELS, PATIENT_SPLITS, read_table, read_tables
from vertegrade.training.launch import TrainingJob


class ClassifierTrainingJob(TrainingJob):
    """Graded images to weights. tables, arrays: the shards', of crops or patches, in the same order.

    geometry: settings that say of how many millimetres the images are.
    """

    tables: list[Path]
    arrays: list[Path]
    labels: list[Path]
    splits: Path
    geometry: dict[str, Any]

    def graded(self, split: str) -> Graded:
        """The graded images of a split's patients."""
        labels, splits = read_tables([*map(str, self.labels)], LABELS), read_table(self.splits, PATIENT_SPLITS)
        return graded_images(self.tables, self.arrays, labels, splits, split)

    def geometry_text(self) -> str:
        """The geometry, as it is compared."""
        return geometry_text(self.geometry)

    def report(self, figures: dict[str, float], train: Graded, validation: Graded) -> None:
        """Write the figures of the process that has them, with the number of patients."""
        if figures:
            counts = {"patients": len(train.patients), "validation_patients": len(validation.patients)}
            write_json(self.metrics, figures | counts)


def geometry_text(settings: dict[str, Any]) -> str:
    """Settings of crops or patches as one text."""
    return json.dumps(settings, sort_keys=True)
