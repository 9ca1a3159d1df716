"""How good Genant's indices are before any network errs: on experts' six points, and on the phantoms' true points.

Run: .venv/bin/python benchmarks/genant_indices.py \
        ../shared/data/mosmed_keypoints.zip results/phantom

1. MosMed (3607 vertebrae, 2-4 experts each): agreement of two experts by the plain rule, G = 1 - min/max of a
   vertebra's own heights, and by the loss against intact heights (spine/normal_ratios.py), from the very same points.
2. Phantoms: the rule's loss from true points with noise against the true grade.
"""

import json
import sys
import zipfile
from collections import defaultdict
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr
from sklearn.metrics import cohen_kappa_score, roc_auc_score

from derive_level_statistics import ANNOTATED, corners
from vertegrade.spine.indices import EXPERT_SD_MM, measure
from vertegrade.spine.intact_heights import published
from vertegrade.spine.normal_ratios import intact_log_heights
from vertegrade.tables import LANDMARKS, POINT_COLUMNS, POINT_SD_COLUMNS

NOISE_MM = (0.0, 0.5, 0.7, 1.0)


def expert_pairs(archive: str) -> np.ndarray:
    """Pairs of readings of the same vertebra: (pairs, 2 experts, (G, loss))."""
    readings: dict[tuple[str, int], list[tuple[float, float]]] = defaultdict(list)
    with zipfile.ZipFile(archive) as handle:
        for name in handle.namelist():
            for vertebrae in json.loads(handle.read(name))["Annotation"].values():
                found = {ANNOTATED.get(v["type"].replace("Th", "T"), 0): corners(v["segments"]) for v in vertebrae}
                labels = np.array(sorted(label for label in found if label), dtype=np.int64)
                heights = np.array([np.linalg.norm(found[k][:, 1] - found[k][:, 0], axis=1) for k in labels])
                intact, _ = intact_log_heights(
                    heights, np.full_like(heights, EXPERT_SD_MM), labels, np.ones(len(labels)), published()
                )
                plain = 1 - heights.min(axis=1) / heights.max(axis=1)
                loss = (1 - heights / np.exp(intact)).max(axis=1)
                for label, *values in zip(labels, plain, loss, strict=True):
                    readings[name, int(label)].append((values[0], values[1]))
    return np.array([pair for several in readings.values() for pair in combinations(several, 2)])


def phantom_landmarks(truth: pd.DataFrame, noise_mm: float) -> pd.DataFrame:
    """LANDMARKS with the true points of complete vertebrae, each coordinate off by normal noise."""
    table = truth[[name for name in LANDMARKS.columns if name in truth]].copy()
    table[POINT_COLUMNS] += np.random.default_rng(0).normal(0, noise_mm, (len(table), len(POINT_COLUMNS)))
    table[POINT_SD_COLUMNS] = max(noise_mm, 0.01)
    table[["confidence", "source", "evaluable", "reason"]] = [1.0, "truth", True, ""]
    return table


def main(archive: str, phantom: str) -> None:
    """Print the figures."""
    pairs = expert_pairs(archive)
    for rule, values in (("1 - min/max", pairs[:, :, 0]), ("loss", pairs[:, :, 1])):
        first, second = values.T
        grades = np.digitize(values, [0.20, 0.25, 0.40]).T
        print(
            f"MosMed, {len(pairs)} pairs, {rule}: median {np.median(values):.3f}, "
            f">= 0.20 {np.mean(values >= 0.2):.3f}, "
            f"difference {np.abs(first - second).mean():.4f}, correlation {np.corrcoef(first, second)[0, 1]:.3f}, "
            f"kappa at 0.20 {cohen_kappa_score(first >= 0.2, second >= 0.2):.2f}, "
            f"at 0.25 {cohen_kappa_score(first >= 0.25, second >= 0.25):.2f}, "
            f"four grades, quadratic {cohen_kappa_score(*grades, weights='quadratic'):.2f}"
        )
    truth = pd.concat(map(pd.read_parquet, sorted(Path(phantom).glob("*/truth.parquet"))), ignore_index=True)
    truth = truth[truth["complete"]].reset_index(drop=True)
    for noise in NOISE_MM:
        both = measure(phantom_landmarks(truth, noise), published()).merge(
            truth[["scan_id", "vertebra", "genant_grade", "height_loss"]],
            on=["scan_id", "vertebra"],
            suffixes=("", "_true"),
        )
        true = both["genant_grade"] > 0
        worst = both.assign(true=true).groupby("patient_id")[["true", "height_loss"]].max()
        rho = spearmanr(both["height_loss"][true], both["height_loss_true"][true]).statistic
        print(
            f"phantoms, {worst.shape[0]} patients, {len(both)} vertebrae, noise {noise} mm: "
            f"vertebra AUC {roc_auc_score(true, both['height_loss']):.3f}, "
            f"patient AUC {roc_auc_score(worst['true'], worst['height_loss']):.3f}, Spearman of fractures {rho:.3f}, "
            f"sensitivity {np.mean(both['grade'][true] > 0):.3f} "
            f"at specificity {np.mean(both['grade'][~true] == 0):.3f}"
        )


if __name__ == "__main__":
    main(*sys.argv[1:3])
