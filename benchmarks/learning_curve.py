"""How good DAE and PCA latents grade when only a share of the training patients is labelled.

    .venv/bin/python benchmarks/learning_curve.py results

Reads a finished run: its latents, labels and splits. For each share of labelled training patients and each draw the
hyperplane and the calibrator are fitted again, and the test split is graded. The DAE itself saw no labels. Writes
<results>/learning_curve.tsv and prints the mean over the draws.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import yaml

from vertegrade.cohort.splits import in_split
from vertegrade.evaluation.cases import Cohort
from vertegrade.evaluation.evaluate import evaluate
from vertegrade.grading.calibration import calibrate
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.grading.prediction import predict
from vertegrade.settings.loading import check_settings
from vertegrade.tables import CROPS, LABELS, LATENTS, PATIENT_SPLITS, SCANS, read_table, read_tables, write_frame

SHARES = (0.05, 0.10, 0.25, 0.50, 1.00)
METRICS = ("auc", "spearman_height_loss", "macro_f1", "qwk", "mae", "interval_coverage")


def curve(results: Path, draws: int) -> pd.DataFrame:
    """One row per method, share and draw, with the metrics of the test split."""
    settings = check_settings(yaml.safe_load(Path("config.yaml").read_text(encoding="utf-8")))
    # the intervals of single draws are not shown, so the fewest resamples do
    evaluation = settings.evaluation.model_copy(update={"bootstrap_resamples": 20})
    splits = read_table(results / "cohort/splits.tsv", PATIENT_SPLITS)
    labels = read_table(results / "cohort/labels.parquet", LABELS)
    crops = read_tables(sorted(map(str, (results / "crops").glob("*.parquet"))), CROPS)
    scans = read_tables(sorted(map(str, (results / "landmarks").glob("*_scans.parquet"))), SCANS)
    cohort = Cohort(labels, scans, crops, splits)
    latents = {
        "dae": read_tables(sorted(map(str, (results / "latents/dae").glob("*.parquet"))), LATENTS),
        "pca": read_tables(sorted(map(str, (results / "latents/pca").glob("*.parquet"))), LATENTS),
    }
    rows = []
    for share in SHARES:
        for draw in range(draws if share < 1 else 1):
            kept = keep_labels_of(labels, splits, share, settings.grading.fracture_grade, draw)
            for method, table in latents.items():
                plane = fit_hyperplane(table, kept, splits, settings.grading, draw)
                calibration = calibrate(table, kept, splits, plane, settings.grading, draw)
                predictions = predict(table, plane, calibration, splits, method)
                test = evaluate(
                    predictions, cohort, evaluation,
                    calibration.fracture_grade, draw, method,
                )["splits"]["test"]  # fmt: skip
                row = {"method": method, "share": share, "draw": draw, "labelled_patients": plane.patients}
                row["patient_auc"] = test["patient"]["auc"]["value"]
                rows.append(row | {name: test["vertebra"][name]["value"] for name in METRICS})
                print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def keep_labels_of(
    labels: pd.DataFrame, splits: pd.DataFrame, fraction: float, fracture_grade: int, seed: int
) -> pd.DataFrame:
    """LABELS with only a share of the training patients kept, for learning curves; other splits keep all labels.

    Patients stay whole. The share is drawn separately among patients with and without a fracture, with at least three
    of those with one (fewer cannot be calibrated): `fraction` of 0.05 and the same seed choose the same patients.
    """
    train = labels[in_split(splits, labels["patient_id"], "train")]
    usable = train[train["usable"]]
    worst = usable.groupby("patient_id")["genant_grade"].max().sort_index()
    random = np.random.default_rng(seed)
    kept: set[str] = set()
    for group, least in ((worst[worst >= fracture_grade], 3), (worst[worst < fracture_grade], 0)):
        count = min(len(group), max(least, round(fraction * len(group))))
        kept |= set(random.permutation(group.index.to_numpy(dtype=object))[:count])
    return labels[~labels["patient_id"].isin(set(train["patient_id"]) - kept)].reset_index(drop=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path, help="results folder of a finished run")
    parser.add_argument("--draws", type=int, default=5, help="draws of labelled patients for each share below 1")
    arguments = parser.parse_args()
    table = curve(arguments.results, arguments.draws)
    write_frame(str(arguments.results / "learning_curve.tsv"), table)
    print(table.drop(columns="draw").groupby(["method", "share"]).mean().round(3).to_string())
