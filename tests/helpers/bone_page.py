"""The page of bone quality, with answers that are made up."""

from collections.abc import Mapping

import pandas as pd

from helpers.bone_predictions import all_tables
from vertegrade.evaluation.bone_quality import bone_metrics
from vertegrade.metastasis.classes import BASELINE, MULTITASK
from vertegrade.report.metastasis.page import Example, bone_quality_page
from vertegrade.report.metastasis.pictures import picture
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.report import ReportSettings

DATA, LABELS, KNOWN, WHOLE, SLICES = all_tables()
LEARNED = {
    **{"chosen_step": 5.0, "steps": 12.0, "validation_loss": 0.5, "training_vertebrae": 40.0},
    **{"training_patients": 10.0, "seconds": 60.0, "learned_sides": 1.0},
}
TRAINING = {
    MULTITASK: LEARNED | {"tasks": 2.0, "fused_slices": 1.0, "fused_vertebrae": 1.0},
    BASELINE: LEARNED | {"tasks": 1.0, "learned_sides": 0.0},
}


def page(
    drawn: bool = True,
    labels: pd.DataFrame = LABELS,
    known: pd.DataFrame = KNOWN,
    training: Mapping[str, Mapping[str, float]] = TRAINING,
) -> str:
    metrics = bone_metrics(labels, known, WHOLE, SLICES, EvaluationSettings(bootstrap_resamples=20), 0.9, 1)
    examples = [
        Example("mp0001-1, L1", picture(DATA, 0, ReportSettings(), "PHANTOM"), "lytic", {"Two tasks": "lytic (0.90)"})
    ]
    return bone_quality_page(metrics, training, examples, {"done": 3, "failed": 1}, drawn)
