"""What keypoints' figures owe to the heights that it expects of intact vertebrae: published, or fitted to training.

    .venv/bin/python benchmarks/intact_heights.py RESULTS [--seed 1]

RESULTS: a finished run with labels. Its landmarks are measured by the published statistics, by heights fitted to the
training split with its labels, and by such fitted without labels; with each, hyperplane and calibration are made again.
Printed are figures of the test split with their intervals, and paired differences from the published ones (bootstrap
over patients). Where the run learned from virtual fractures, also how real scans with VIRTUAL fractures are graded.
"""

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from vertegrade.evaluation.cases import Cohort, read_cohort
from vertegrade.evaluation.evaluate import compare, evaluate
from vertegrade.files import write_json
from vertegrade.graders.keypoints.latents import keypoint_latents
from vertegrade.grading.calibration import calibrate
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.grading.prediction import predict, with_patients
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.settings.grading import GradingSettings
from vertegrade.spine.fit_intact_heights import fit_intact_heights
from vertegrade.spine.indices import measure
from vertegrade.spine.intact_heights import IntactHeights, content_of, published, read_intact_heights
from vertegrade.tables import KEY, LABELS, LANDMARKS, read_tables

FIGURES = ["auc", "spearman_height_loss", "macro_f1", "sensitivity", "specificity", "interval_coverage"]
FIGURES += ["interval_width", "mae"]
GRADING, EVALUATION = GradingSettings(), EvaluationSettings()


def text_of(cell: dict[str, Any]) -> str:
    """An estimate with its interval; evaluation leaves the interval out where too few cases are there."""
    low, high = (math.nan if cell[end] is None else cell[end] for end in ("low", "high"))
    return f"{cell['value']:+.4f} ({low:+.4f} to {high:+.4f})" if cell["value"] is not None else "n/a"


class Files:
    """The files that `read_cohort` reads, of a results folder."""

    def __init__(self, results: Path) -> None:
        self.labels, self.splits = str(results / "cohort/labels.parquet"), str(results / "cohort/splits.tsv")
        self.scans = sorted(map(str, results.glob("landmarks/*_scans.parquet")))
        self.crops = sorted(map(str, results.glob("crops/*.parquet")))


def landmarks_of(results: Path) -> pd.DataFrame:
    """LANDMARKS of all shards."""
    return read_tables(sorted(map(str, results.glob("landmarks/*[0-9].parquet"))), LANDMARKS)


def predictions(
    results: Path, cohort: Cohort, heights: IntactHeights, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """PREDICTIONS of the run's scans, and of its virtual ones where it has them."""
    own = keypoint_latents(measure(landmarks_of(results), heights), "networks", heights.sha256)
    latents, labels, virtual = own, cohort.labels, None
    if (results / "virtual/labels").is_dir():
        virtual = keypoint_latents(measure(landmarks_of(results / "virtual"), heights), "networks", heights.sha256)
        made = read_tables(sorted(map(str, results.glob("virtual/labels/*.parquet"))), LABELS)
        latents, labels = pd.concat([own, virtual]), pd.concat([labels, made]).drop_duplicates(KEY)
        latents = latents.reset_index(drop=True)
    plane = fit_hyperplane(latents, labels, cohort.splits, GRADING, seed)
    calibration = calibrate(latents, labels, cohort.splits, plane, GRADING, seed)

    def graded(rows: pd.DataFrame) -> pd.DataFrame:
        return with_patients(predict(rows, plane, calibration, cohort.splits, "keypoints"), calibration)

    return graded(own), None if virtual is None else graded(virtual)


def of_real_scans(results: Path, own: pd.DataFrame, virtual: pd.DataFrame, people: set[str]) -> pd.DataFrame:
    """Grades of VIRTUAL fractures and of intact vertebrae of these people: patient_id, fractured, alarm, severity."""
    made = read_tables(sorted(map(str, results.glob("virtual/labels/*.parquet"))), LABELS)
    rows = pd.concat([own, virtual]).merge(made[[*KEY, "genant_grade"]], on=KEY)
    rows = rows[rows["evaluable"] & rows["patient_id"].isin(people)]
    return rows.assign(fractured=rows["genant_grade"] > 0, alarm=rows["grade"] > 0)[
        ["patient_id", *KEY, "split", "fractured", "alarm", "severity"]
    ]


def rates(rows: pd.DataFrame) -> np.ndarray:
    """False alarms per intact vertebra, noticed per fracture, and ROC AUC, of `of_real_scans`."""
    intact = ~rows["fractured"]
    return np.array(
        [rows.loc[intact, "alarm"].mean(), rows.loc[~intact, "alarm"].mean(), roc_auc_score(~intact, rows["severity"])]
    )


def interval(values: Callable[[pd.DataFrame], np.ndarray], rows: pd.DataFrame, seed: int) -> np.ndarray:
    """95 % interval (2, k) by bootstrap over patients."""
    rng, parts = np.random.default_rng(seed), dict(list(rows.groupby("patient_id")))
    drawn = (rng.choice(sorted(parts), len(parts)) for _ in range(1000))
    return np.quantile([values(pd.concat([parts[name] for name in names])) for names in drawn], [0.025, 0.975], axis=0)


def real_scans(results: Path, graded: dict[str, Any], seed: int) -> None:
    """Print how VIRTUAL fractures in the scans of real people are graded, by source of the heights."""
    drawn = {path.name for path in results.glob("virtual/labels/*")}
    assert drawn, results
    truth = read_tables([str(results / "cohort/labels.parquet")], LABELS)
    people = set(graded["published"][0]["patient_id"]) - set(truth["patient_id"])
    tables = {name: of_real_scans(results, own, virtual, people) for name, (own, virtual) in graded.items()}
    for split in ("train", "validation"):
        parts = {name: rows[rows["split"] == split] for name, rows in tables.items()}
        first = parts["published"]
        print(
            f"\nreal scans, {split}: {first['patient_id'].nunique()} patients, {(~first['fractured']).sum()} intact, "
            f"{first['fractured'].sum()} VIRTUAL fractures: false alarms, noticed, ROC AUC"
        )
        for name, rows in parts.items():
            both = first.merge(rows, on=["patient_id", *KEY, "split", "fractured"], suffixes=("", "_other"))

            def change(table: pd.DataFrame) -> np.ndarray:
                other = table[["fractured"]].assign(alarm=table["alarm_other"], severity=table["severity_other"])
                return rates(other) - rates(table)

            few = both["patient_id"].nunique() < 5
            low, high = np.full((2, 3), np.nan) if few else interval(change, both, seed)
            text = ", ".join(
                f"{a:+.4f} ({b:+.4f} to {c:+.4f})" for a, b, c in zip(change(both), low, high, strict=True)
            )
            print(name, np.round(rates(rows), 4), "" if name == "published" else f"minus published {text}")


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/out/intact_heights"))
    given = parser.parse_args()
    cohort = read_cohort(Files(given.results))
    landmarks = landmarks_of(given.results)
    contents = {
        "published": content_of(published(), "as asked"),
        "fitted": fit_intact_heights(landmarks, cohort.splits, cohort.labels),
        "fitted without labels": fit_intact_heights(landmarks, cohort.splits, None),
    }
    graded = {}
    for name, content in contents.items():
        path = given.out / f"{name.replace(' ', '_')}.json"
        write_json(path, content)
        graded[name] = predictions(given.results, cohort, read_intact_heights(path), given.seed)
        print(f"\n{name}: {content['about']}")
        found = evaluate(graded[name][0], cohort, EVALUATION, 1, given.seed, "keypoints")["splits"]["test"]
        patient = {"patient_auc": found["patient"]["auc"]}
        for figure, cell in ({key: found["vertebra"][key] for key in FIGURES} | patient).items():
            print(f"  {figure} {text_of(cell)}")
        if name != "published":
            pair = compare(
                graded[name][0], graded["published"][0], cohort, EVALUATION, 1, given.seed, ("keypoints",) * 2
            )
            patient = {"patient_auc": pair["patient"]["auc"]}
            print(f"  minus published, {pair['vertebrae']} vertebrae")
            for figure, cell in ({key: pair["vertebra"][key] for key in FIGURES} | patient).items():
                print(f"    {figure} {text_of(cell)}")
    if graded["published"][1] is not None:
        real_scans(given.results, graded, given.seed)


if __name__ == "__main__":
    main()
