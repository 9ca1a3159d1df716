"""The credibility card: whether a classifier can tell shams from untouched vertebrae, and virtual from real fractures.

If it can tell shams, the warp leaves traces, and a grader may have seen these instead of the loss of height. A
classifier that was made for it sees more than a grader that was not.
"""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from vertegrade.arrays import Floats, Floats32
from vertegrade.evaluation.bootstrap import Metric, estimate
from vertegrade.evaluation.challenge.thresholds import LEAST_PATIENTS
from vertegrade.evaluation.metrics import Flags, auc
from vertegrade.levels import craniocaudal_rank
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import KEY

WANTED_AUC = 0.6  # at most: shams should be hardly told from untouched vertebrae
LEAST_GRADE = 2  # of real and virtual fractures that are compared
FOLDS = 5
COMPONENTS = 20
GRID = 16  # picture features: the mid-sagittal slice in GRID x GRID means
WINDOW_HU = (-200, 1000)
PERCENTILES = (5, 25, 50, 75, 95)
SCALES_PX = (0.7, 1.5, 3.0)  # of the detail whose strength is measured
TEXTURES = len(PERCENTILES) * (1 + 2 * len(SCALES_PX))
SHAM, UNTOUCHED, VIRTUAL, REAL = "sham", "untouched", "virtual", "real"


class Looks(NamedTuple):
    """What crops look like: texture (N, T) and picture (N, P)."""

    texture: Floats
    picture: Floats


def groups_of(truth: pd.DataFrame, labels: pd.DataFrame) -> pd.DataFrame:
    """Which vertebrae are compared: columns patient_id, scan_id, vertebra, group (SHAM, UNTOUCHED, VIRTUAL, REAL).

    truth: `found_truth` of virtual scans, whose `found` becomes the vertebra. labels: LABELS of the cohort's own scans.
    Only bodies that were intact before count. Of the untouched ones the first and last of each scan do not: a sham is
    never at the end of the spine that is seen.
    """
    rank = truth["vertebra"].map(craniocaudal_rank)
    of_scan = rank.groupby(truth["scan_id"])
    inner = (rank > of_scan.transform("min")) & (rank < of_scan.transform("max"))
    group = truth["kind"].where(truth["kind"] != "fracture", VIRTUAL)
    kept = truth["intact"] & (truth["found"] >= 0) & (inner | (group != UNTOUCHED))
    kept &= (group != VIRTUAL) | (truth["genant_grade"] >= LEAST_GRADE)
    virtual = truth[kept].assign(vertebra=truth["found"], group=group)
    real = labels[labels["usable"] & (labels["genant_grade"] >= LEAST_GRADE)].assign(group=REAL)
    columns = ["patient_id", *KEY, "group"]
    return pd.concat([virtual[columns], real[columns]], ignore_index=True)


def looks_of(pixels: NDArray[np.int16]) -> Looks:
    """What crops (N, S, H, W) in HU look like, by their mid-sagittal slices.

    Texture: percentiles of HU and of the strength of detail at some scales along rows and columns, in the middle of the
    slice. Picture: its means over a coarse grid, windowed to 0-1.
    """
    middle = pixels[:, pixels.shape[1] // 2].astype(np.float32)
    texture, picture = [_texture(image) for image in middle], [_picture(image) for image in middle]
    return Looks(np.reshape(texture, (len(middle), TEXTURES)), np.reshape(picture, (len(middle), GRID * GRID)))


def _texture(image: Floats32) -> Floats:
    height, width = image.shape
    inside = (slice(height // 4, -(height // 4)), slice(width // 4, -(width // 4)))
    details = [ndimage.gaussian_filter1d(image, scale, axis, order=2) for scale in SCALES_PX for axis in (0, 1)]
    values = [image[inside], *(np.abs(detail[inside]) for detail in details)]
    return np.concatenate([np.percentile(part, PERCENTILES) for part in values]).astype(np.float64)


def _picture(image: Floats32) -> Floats:
    low, high = WINDOW_HU
    rows, columns = (side // GRID for side in image.shape)
    shown = (image[: rows * GRID, : columns * GRID].clip(low, high) - low) / (high - low)
    return shown.reshape(GRID, rows, GRID, columns).mean(axis=(1, 3)).astype(np.float64).ravel()


def told_apart(
    looks: Looks, positive: Flags, patient: NDArray[np.int64], settings: EvaluationSettings, seed: int
) -> dict[str, Any]:
    """How well positives (N,) are told from the others by patients whom a classifier has not seen.

    Returns counts and, for texture (random forest) and picture (logistic regression on principal components), the
    cross-validated AUC with its interval over patients. Where fewer than LEAST_PATIENTS have one of either kind, `why`
    says so instead.
    """
    both = [len(np.unique(patient[chosen])) for chosen in (positive, ~positive)]
    counts = {"cases": [int(positive.sum()), int((~positive).sum())], "patients": both}
    if min(both) < LEAST_PATIENTS:
        return {**counts, "why": f"fewer than {LEAST_PATIENTS} patients have one"}
    scores = {
        "texture": _held_out(looks.texture, positive, patient, _forest(seed)),
        "picture": _held_out(looks.picture, positive, patient, _linear(looks.picture.shape, seed)),
    }

    def metrics(weights: Floats) -> dict[str, Metric]:
        cases = (int(positive.sum()), int((~positive).sum()))
        return {name: Metric(auc(score, positive, weights), cases) for name, score in scores.items()}

    return {**counts, **estimate(metrics, patient, settings, seed)}


def _held_out(features: Floats, positive: Flags, patient: NDArray[np.int64], model: Any) -> Floats:
    """Probability (N,) of being positive, by a model that has seen no case of the same patient."""
    from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict

    folds = StratifiedGroupKFold(min(FOLDS, len(np.unique(patient[positive])), len(np.unique(patient[~positive]))))
    found = cross_val_predict(model, features, positive, groups=patient, cv=folds, method="predict_proba")
    score: Floats = found[:, 1]
    return score


def _forest(seed: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier

    return RandomForestClassifier(200, min_samples_leaf=3, class_weight="balanced", random_state=seed, n_jobs=1)


def _linear(shape: tuple[int, ...], seed: int) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    components = min(COMPONENTS, shape[0] // 2, shape[1])
    regression = LogisticRegression(C=0.1, class_weight="balanced", max_iter=1000)
    return make_pipeline(PCA(components, svd_solver="full", random_state=seed), StandardScaler(), regression)
