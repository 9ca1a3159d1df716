"""The page of a challenge of made-up patients: the grades of virtual fractures, intact vertebrae and shams."""

from pathlib import Path
from typing import Any

import numpy as np

from helpers.synthetic_crops import make_crops
from helpers.virtual import case, cases_of, states_of, truth_of
from vertegrade.evaluation.challenge.measures import challenge_measures
from vertegrade.plotting import save_figure
from vertegrade.report.challenge.figures import all_figures
from vertegrade.report.challenge.page import Shown, challenge_page
from vertegrade.report.challenge.pictures import chosen_examples, picture
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.report import ReportSettings

SETTINGS = EvaluationSettings(bootstrap_resamples=40)
ABOUT = {"phantom": False, "given": False, "taught": False}
CARD = {
    "wanted_auc": 0.6,
    "sham_against_untouched": {
        "cases": [20, 40],
        "patients": [4, 4],
        "texture": {"value": 0.55, "low": 0.4, "high": 0.7, "n": 60, "skipped": 0},
        "picture": {"value": 0.52, "low": 0.4, "high": 0.6, "n": 60, "skipped": 0},
    },
    "virtual_against_real": {"cases": [20, 0], "patients": [4, 0], "why": "fewer than 3 patients have one"},
}
STATES = states_of(truth_of([{"vertebra": 20, "kind": "sham"}]))


def rows(patients: int = 4, **more: Any) -> list[dict[str, Any]]:
    """Of each patient a row of fractures of every shape, noticed from 30 % on, and controls."""
    made = []
    for n in range(patients):
        for shape in ("wedge", "biconcave", "crush"):
            for loss in np.linspace(0.06, 0.58, 8) + 0.01 * n:
                made.append(case("fracture", float(loss), 2.0 if loss > 0.3 else 0.2, shape=shape, patient_id=f"p{n}"))
        made += [case(kind, patient_id=f"p{n}") for kind in ("sham", "untouched", "source") for _ in range(3)]
    return [row | more for row in made]


def page_of(made: list[dict[str, Any]], tmp_path: Path, about: dict[str, bool] = ABOUT) -> str:
    cases = cases_of(made)
    numbers = challenge_measures({"dae": cases}, STATES, SETTINGS, 1, 1) | {"credibility": CARD}
    figures = {}
    for name, figure in all_figures(numbers, cases).items():
        figures[name] = tmp_path / f"{name}.svg"
        save_figure(figure, figures[name])
    crops = make_crops([0.0, 2.0])
    examples = [Shown(rows_of, picture(crops[0], crops[1], ReportSettings())) for rows_of in chosen_examples(cases)]
    return challenge_page(numbers, figures, examples, about)
