"""The page of all methods side by side, of a synthetic cohort."""

from pathlib import Path

import numpy as np
import pandas as pd

from helpers.synthetic_predictions import make_cohort, scan_scores, unread
from vertegrade.evaluation.comparison.cases import cases_of, cases_table, left_out_table
from vertegrade.evaluation.comparison.figure import comparison_figure
from vertegrade.evaluation.comparison.groups import Acquired, groups_table
from vertegrade.evaluation.comparison.measures import comparison_table
from vertegrade.evaluation.comparison.tables import LEARNING_CURVE, METHOD_COST, SEQ2SEQ, VERTEBRAE
from vertegrade.evaluation.scan_scores import scan_metrics, whole_scans
from vertegrade.grading.appearance import LENGTH
from vertegrade.plotting import save_figure
from vertegrade.report.comparison.page import Compared, comparison_page
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import KEY, PATIENT_KEY

COHORT = make_cohort(30)
CASES = cases_of({"dae": COHORT.dae, "pca": COHORT.pca}, COHORT.tables())
SETTINGS = EvaluationSettings(bootstrap_resamples=50)
TABLE = comparison_table(CASES, SETTINGS, 1, 7)
FINDINGS = COHORT.landmarks[KEY].assign(finding="schmorl+short")
LOOKS = COHORT.crops[PATIENT_KEY].assign(x=[*np.full((len(COHORT.crops), LENGTH), 0.5)])
ACQUIRED = Acquired(COHORT.scans, COHORT.crops, LOOKS, FINDINGS)
GROUPS = groups_table(cases_table(CASES), ACQUIRED, SETTINGS, 1, 7)
LEARNING = pd.DataFrame(
    [
        ("dae", share, draw, labelled, VERTEBRAE, figure, share - 0.01 * draw, "")
        for share, labelled in ((0.5, 6), (1.0, 12))
        for draw in range(2)
        for figure in ("auc", "macro_f1", "spearman_grade")
    ]
    + [("pca", 0.5, 0, 6, VERTEBRAE, "auc", np.nan, "fitting needs at least 2 patients")],
    columns=[*LEARNING_CURVE.columns],
)
COST = pd.DataFrame(
    [
        ("dae", "training", "train_dae", 2, 600.0, 300.0, 0.0, 900.0, 4),
        ("dae", "shared", "crop", 4, 40.0, 30.0, 0.0, 500.0, 4),
        ("dae", "grading", "encode", 4, 10.0, 8.0, 0.0, 700.0, 4),
    ],
    columns=[*METHOD_COST.columns],
)
UNKNOWN = {"value": None, "low": None, "high": None, "n": 3}
CHALLENGES = {
    "lidc": {
        "clear_loss": 0.25,
        "vertebrae": {"fracture": 16, "sham": 16, "source": 14},
        "patients": 1,
        "methods": {
            "dae": {
                "all": {
                    "auc": {"value": 0.924, "low": None, "high": None, "n": 27},
                    **dict.fromkeys(("spearman", "sensitivity", "loss_noticed", "false_alarms"), UNKNOWN),
                }
            }
        },
    },
    "old": None,
}


def draw(folder: Path, *suffixes: str) -> None:
    """The figure beside the page."""
    for suffix in suffixes:
        save_figure(comparison_figure(TABLE, LEARNING, GROUPS, "phantoms"), folder / f"comparison.{suffix}")


def page_of(drawn: Path, phantom: bool = True) -> str:
    compared = Compared(TABLE, left_out_table(CASES), LEARNING, GROUPS, COST, CHALLENGES, drawn / "comparison.svg")
    return comparison_page(compared, 0.95, phantom)


def with_seq2seq(drawn: Path) -> Compared:
    """What a page with seq2seq shows, which could read no scan of one test patient; the figure is drawn too."""
    of = {"dae": COHORT.dae, "pca": COHORT.pca, SEQ2SEQ: COHORT.pca.assign(method=SEQ2SEQ)}
    labelled = COHORT.labels, COHORT.splits
    scores = unread(scan_scores(COHORT), "P016")
    scans = whole_scans(scores, *labelled, 1)
    cases = cases_of(of, COHORT.tables(), scans)
    table = comparison_table(cases, SETTINGS, 1, 7, scans)
    groups = groups_table(cases_table(cases), ACQUIRED, SETTINGS, 1, 7)
    save_figure(comparison_figure(table, LEARNING, groups, "phantoms"), drawn / "seq2seq.svg")
    counts = scan_metrics(scores, *labelled, SETTINGS, 1, 7)["scans"]
    return Compared(table, left_out_table(cases), LEARNING, groups, COST, CHALLENGES, drawn / "seq2seq.svg", counts)
