"""How well grades learned from virtual fractures hold on a scanner that they were not learned from.

    .venv/bin/python benchmarks/leave_scanner_out.py results/grader --method dae

Reads a finished run of presets/grader.yaml (see benchmarks/grader_cohort.py). The scans of one scanner after the other
are left out while hyperplane, calibrator and novelty are fitted, and then graded; latents stay as they are. Vertebrae
that are unlike the training are withheld and counted apart. Of the others: false alarms on the scans' own vertebrae (no
person has read them; all look intact), shams and untouched ones, the AUC of virtual fractures of 25 % loss and more
against all of these and the rank correlation with the loss, per shape, and the share of true severities in their
interval. Then the errors of the heights that the localizer measures. `--without-virtual` fits on the phantoms alone.
`--keep-unlike` withholds nothing.
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.metrics import roc_auc_score

from grader_cohort import LIDC, TOTALSEGMENTATOR, UNLABELLED
from vertegrade.arrays import read_array
from vertegrade.drawn_tables import VIRTUAL_TRUTH
from vertegrade.grading.appearance import appearance_table
from vertegrade.grading.calibration import calibrate
from vertegrade.grading.hyperplane import fit_hyperplane
from vertegrade.grading.novelty import fit_novelty
from vertegrade.grading.prediction import predict, with_novelty
from vertegrade.settings.grading import GradingSettings
from vertegrade.spine.heights import genant_severity
from vertegrade.tables import (
    CROPS,
    HEIGHTS,
    KEY,
    LABELS,
    LANDMARKS,
    LATENTS,
    MEASUREMENTS,
    PATIENT_SPLITS,
    SHAPES,
    read_table,
    read_tables,
)
from vertegrade.virtual_fractures.truth import found_truth

SCANNERS = {name: scanner for name, (_, _, scanner) in UNLABELLED.items()}
SCANNERS |= {"lidc0001": LIDC[2], "totalseg": TOTALSEGMENTATOR[2]}
AUC_LOSS = 0.25
SEVERE_LOSS = 0.4


def tables(results: Path, pattern: str, schema: object) -> pd.DataFrame:
    """All shards' tables of one kind."""
    return read_tables(sorted(str(path) for path in results.glob(pattern)), schema)


def looks_of(results: Path) -> pd.DataFrame:
    """APPEARANCE of all crops."""
    files = [*sorted(results.glob("crops/*.parquet")), *sorted(results.glob("virtual/crops/*.parquet"))]
    return pd.concat(
        [appearance_table(read_table(str(file), CROPS), read_array(file.with_suffix(".npy"))) for file in files]
    )


def graded(results: Path, method: str, virtual: bool, withhold: bool) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Predictions of the real scans and their virtual ones, each by a model that has not seen its scanner.

    And those of all phantoms, by a model of all scanners.
    """
    own = tables(results, f"latents/{method}/*.parquet", LATENTS)
    made = tables(results, f"virtual/latents/{method}/*.parquet", LATENTS)
    labels = read_table(results / "cohort/labels.parquet", LABELS)
    taught = tables(results, "virtual/labels/*.parquet", LABELS)
    splits = read_table(results / "cohort/splits.tsv", PATIENT_SPLITS)
    latents, looks = pd.concat([own, made], ignore_index=True), looks_of(results)
    scanner = latents["scan_id"].str.replace(r"-virtual-\d+$", "", regex=True).map(SCANNERS)
    parts = []
    for left_out in [*sorted(set(SCANNERS.values())), ""]:
        known = latents[(scanner != left_out) & (scanner.isna() | virtual)]
        right = pd.concat([labels, taught]) if virtual else labels
        plane = fit_hyperplane(known, right, splits, GradingSettings(), 1)
        calibration = calibrate(known, right, splits, plane, GradingSettings(), 1)
        novelty = fit_novelty(known[known["evaluable"]], looks, splits, plane, calibration)
        chosen = (latents[scanner == left_out] if left_out else latents[scanner.isna()]).reset_index(drop=True)
        answers = predict(chosen, plane, calibration, splits, method)
        answers = with_novelty(answers, chosen, looks, novelty, withhold)
        parts.append(answers.assign(scanner=left_out, was_evaluable=answers["novelty"].notna()))
    every = pd.concat(parts)
    return every[every["scanner"] != ""], every[every["scanner"] == ""]


def with_truth(predictions: pd.DataFrame, results: Path) -> pd.DataFrame:
    """Predictions with kind (`own` for the scans as they are), loss and shape of each vertebra."""
    truth = tables(results, "virtual/truth/*.parquet", VIRTUAL_TRUTH)
    found = found_truth(truth, tables(results, "virtual/landmarks/*[0-9].parquet", LANDMARKS))
    found = found[(found["found"] >= 0) & found["intact"]]
    virtual = found[["scan_id", "found", "kind", "height_loss", "shape"]].rename(columns={"found": KEY[1]})
    real = predictions.loc[~predictions["scan_id"].str.contains("-virtual-"), KEY]
    known = pd.concat([virtual, real.assign(kind="own", height_loss=0.0, shape="")])
    return predictions[predictions["was_evaluable"]].merge(known, on=KEY)


def report(rows: pd.DataFrame, name: str) -> None:
    """Print the figures of some predictions."""
    words = []
    for kind in ("own", "sham", "untouched"):
        of_kind = rows[rows["kind"] == kind]
        here = of_kind[of_kind["evaluable"]]
        words.append(f"{kind} {(here['grade'] > 0).sum()}/{len(here)} and {len(of_kind) - len(here)} withheld")
    severe = rows[(rows["kind"] == "fracture") & (rows["height_loss"] >= SEVERE_LOSS)]
    words.append(f"losses from {SEVERE_LOSS:g} {(~severe['evaluable']).sum()}/{len(severe)} withheld")
    rows = rows[rows["evaluable"]]
    true = genant_severity(rows["height_loss"].to_numpy())
    words.append(f"coverage {((rows['severity_low'] <= true) & (true <= rows['severity_high'])).mean():.3f}")
    intact = rows.loc[rows["kind"] != "fracture", "severity"]
    for shape in SHAPES:
        these = rows[(rows["kind"] == "fracture") & (rows["shape"] == shape)]
        large = these.loc[these["height_loss"] >= AUC_LOSS, "severity"]
        if len(large) >= 3:
            truth = np.repeat([1, 0], [len(large), len(intact)])
            auc = roc_auc_score(truth, np.concatenate([large, intact]))
            rho = spearmanr(these["height_loss"], these["severity"]).statistic
            words.append(f"{shape} {len(large)}: AUC {auc:.3f}, rho {rho:.2f}")
    print(f"{name}: false alarms {', '.join(words)}")


def report_phantoms(rows: pd.DataFrame, results: Path) -> None:
    """Print AUC and rank correlation of the phantoms' test split."""
    labels = read_table(results / "cohort/labels.parquet", LABELS)
    rows = rows[(rows["split"] == "test") & rows["evaluable"]].merge(labels[labels["usable"]], on=KEY)
    auc = roc_auc_score(rows["genant_grade"] > 0, rows["severity"])
    rho = spearmanr(rows["genant_grade"], rows["severity"]).statistic
    print(f"phantoms, test split, {len(rows)} vertebrae: AUC {auc:.3f}, Spearman {rho:.3f}")


def report_heights(results: Path) -> None:
    """Print the error of measured heights, mm, over all columns, by kind and by shape."""
    truth = tables(results, "virtual/truth/*.parquet", VIRTUAL_TRUTH)
    found = found_truth(truth, tables(results, "virtual/landmarks/*[0-9].parquet", LANDMARKS))
    found = found[(found["found"] >= 0) & found["intact"]]
    measured = tables(results, "virtual/measurements/*.parquet", MEASUREMENTS).rename(columns={"vertebra": "found"})
    names = [f"height_{column}_mm" for column in HEIGHTS]
    rows = found.merge(measured[["scan_id", "found", *names]], on=["scan_id", "found"], suffixes=("", "_measured"))
    error = rows[[f"{name}_measured" for name in names]].to_numpy() - rows[names].to_numpy()
    for what, group in (("kind", rows["kind"]), ("shape", rows["shape"])):
        for name in sorted(set(group) - {""}):
            its = error[(group == name).to_numpy()]
            its = its[np.isfinite(its).all(axis=1)]
            print(f"heights, {what} {name}, {len(its)}: error {np.abs(its).mean():.2f} mm, bias {its.mean():+.2f} mm")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("results", type=Path)
    parser.add_argument("--method", default="dae")
    parser.add_argument("--without-virtual", action="store_true")
    parser.add_argument("--keep-unlike", action="store_true")
    given = parser.parse_args()
    real, phantoms = graded(given.results, given.method, not given.without_virtual, not given.keep_unlike)
    real = with_truth(real, given.results)
    for scanner, rows in real.groupby("scanner"):
        report(rows, f"without {scanner}")
    report(real, "all, each by a model that has not seen its scanner")
    report_phantoms(phantoms, given.results)
    report_heights(given.results)
