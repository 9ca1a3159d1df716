"""The hyperplane between intact and fractured vertebrae in the normalised latent space.

After Keicher et al. (2023) and Atad et al. (2024): a linear classifier on frozen latents. Unlike their released code
the plane is fitted and the latents are moved in the same space, and the distance is Euclidean: (w.z_n + b) / |w|.

DiffAE (Preechakul et al., CVPR 2022) z-normalises each dimension. Here the latents' covariance is removed too: not at
all, by half or completely, as cross-validation allows. The few directions in which crops differ most then weigh no
more than others. With a hundred labelled patients that orders fractures better, with ten it is noise
(docs/results/dae-experiments.md).
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.grading.rows import (
    Flags,
    GradingError,
    Whole,
    graded_latents,
    in_split,
    one_model,
    patient_folds,
    stack_latents,
)
from vertegrade.model_files import HYPERPLANE_KEYS, check_keys
from vertegrade.settings.grading import GradingSettings

# How far latents are whitened: not at all (each dimension has unit variance), by half, completely.
WHITENINGS = (0.0, 0.5, 1.0)
# Inverse strengths of the L2 penalty, strongest first: latents have unit variance, so this spans a plane of class means
# to a nearly unpenalised one. Where an end is the best, the grid goes on beyond it, as far as C_LIMITS.
C_GRID = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)
C_LIMITS = (1e-6, 1e3)
LEAST_GAIN = 5e-4  # of AUC: less is noise, and beyond the grid the AUC is nearly flat


@dataclass(frozen=True, eq=False)
class Hyperplane:
    """w.z_n + b = 0 with z_n = (z - mean) whitening; positive distances are fractured.

    mean, w: (D,). whitening: (D, D). pattern: (D,) what changes in z_n when the distance grows by 1, see `pattern_of`.
    whitened, C: strength of the whitening and inverse penalty that cross-validation chose. model_sha256: weights that
    made the latents.
    """

    mean: Floats
    whitening: Floats
    w: Floats
    pattern: Floats
    b: float
    fracture_grade: int
    classifier: str
    whitened: float
    C: float
    auc_cv: float
    vertebrae: int
    fractured: int
    patients: int
    model_sha256: str

    def normalise(self, z: Floats) -> Floats:
        """z_n of latents (N, D); GradingError where D differs."""
        if z.shape[1] != len(self.mean):
            raise GradingError(
                f"latents have the shape {z.shape}, the hyperplane was fitted on {len(self.mean)} dimensions; "
                "fit the hyperplane again"
            )
        normalised: Floats = (z - self.mean) @ self.whitening
        return normalised

    def signed_distance(self, z: Floats) -> Floats:
        """Signed distance (N,) of latents (N, D), in the units of the normalised latents."""
        return plane_distance(self.normalise(z), self.w, self.b)

    def check_latents(self, latents: pd.DataFrame) -> None:
        """GradingError where the latents were made by other weights than those that this plane was fitted on."""
        model = one_model(latents)
        if model != self.model_sha256:
            raise GradingError(
                f"stale latents: made by the encoder {model[:12]}, the hyperplane by {self.model_sha256[:12]}; "
                "encode the crops and fit the hyperplane with the same weights (method keypoints: the same version, "
                "with points from the same source, localize.method `learned` or masks)"
            )

    def at_the_end(self) -> bool:
        """Whether the chosen penalty is the last one that is ever tried, so that the best may lie beyond."""
        return self.C in C_LIMITS

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {key: value.tolist() if isinstance(value, np.ndarray) else value for key, value in vars(self).items()}

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> "Hyperplane":
        """The hyperplane of `to_dict`; ModelFileError for that of another version."""
        check_keys(numbers, HYPERPLANE_KEYS, "the hyperplane")
        arrays = {key: np.array(numbers[key], dtype=np.float64) for key in ("mean", "whitening", "w", "pattern")}
        return cls(**(numbers | arrays))

    def sha256(self) -> str:
        """Fingerprint of all numbers, which ties a calibration to its plane."""
        return hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()


def plane_distance(z_n: Floats, w: Floats, b: float) -> Floats:
    """Signed Euclidean distance (N,) of normalised latents (N, D) to w.z_n + b = 0."""
    distance: Floats = (z_n @ w + b) / np.linalg.norm(w)
    return distance


def fit_hyperplane(
    latents: pd.DataFrame, labels: pd.DataFrame, splits: pd.DataFrame, settings: GradingSettings, seed: int
) -> Hyperplane:
    """Fit on the training split: LATENTS, LABELS and PATIENT_SPLITS of the cohort.

    mean and whitening are those of all evaluable training crops, labelled or not (the encoder was trained on the same
    crops); the plane sees the labelled ones. GradingError where one class is missing.
    """
    model = one_model(latents)
    rows = graded_latents(latents, labels, splits, "train")
    crops = stack_latents(in_split(latents, splits, "train"))
    fractured = rows.grade >= settings.fracture_grade
    folds = patient_folds(rows.grade, rows.patient, settings.fracture_grade, settings.folds, seed)
    tried = {}
    for strength in WHITENINGS:
        mean, whitening = whitening_of(crops, strength)
        z_n = (rows.z - mean) @ whitening
        tried[strength] = choose_penalty(z_n, fractured, folds, settings.classifier)[:2]
    strength = strongest_whitening({strength: auc for strength, (_, auc) in tried.items()}, fractured)
    best_c, auc = tried[strength]
    mean, whitening = whitening_of(crops, strength)
    w, b = fit_plane((rows.z - mean) @ whitening, fractured, settings.classifier, best_c)
    return Hyperplane(
        mean=mean,
        whitening=whitening,
        w=w,
        pattern=pattern_of((crops - mean) @ whitening, w),
        b=b,
        fracture_grade=settings.fracture_grade,
        classifier=settings.classifier,
        whitened=strength,
        C=best_c,
        auc_cv=auc,
        vertebrae=len(rows.grade),
        fractured=int(fractured.sum()),
        patients=len(np.unique(rows.patient)),
        model_sha256=model,
    )


def strongest_whitening(auc: dict[float, float], fractured: Flags) -> float:
    """The strongest whitening whose out-of-fold AUC is within a standard error of the best one's.

    The AUC does not distinguish such strengths, and stronger whitening orders fractures better. The standard error is
    that of Hanley and McNeil (Radiology 1982, equation 2), as if vertebrae were independent.
    """
    best, ill, well = max(auc.values()), int(fractured.sum()), int((~fractured).sum())
    both_ill, both_well = best / (2 - best), 2 * best**2 / (1 + best)
    variance = best * (1 - best) + (ill - 1) * (both_ill - best**2) + (well - 1) * (both_well - best**2)
    error = np.sqrt(variance / (ill * well))
    return max(strength for strength, value in auc.items() if value >= best - error)


def pattern_of(z_n: Floats, w: Floats) -> Floats:
    """Change (D,) of normalised latents (N, D) that goes with the signed distance to w, scaled to a distance of 1.

    Covariance times w: the weights of a linear classifier suppress noise as well as find the signal, the pattern is the
    signal (Haufe et al., NeuroImage 2014, equation 6).
    """
    signal = np.atleast_2d(np.cov(z_n, rowvar=False)) @ w
    pattern: Floats = signal * np.linalg.norm(w) / (w @ signal)
    return pattern


def whitening_of(z: Floats, strength: float) -> tuple[Floats, Floats]:
    """Mean (D,) and whitening (D, D) of latents (N, D): (z - mean) whitening of about unit variance.

    strength: 0 leaves the correlations unchanged; with 1 the covariance is about the identity. It is shrunk before
    (Ledoit and Wolf, J Multivar Anal 2004), so that directions that hardly vary, or fewer crops than dimensions, do no
    harm. Symmetric but for each dimension's scale: z_n stays as near to z as possible.
    """
    from sklearn.covariance import LedoitWolf  # takes most of a second; only fitting waits for it

    mean, std = z.mean(axis=0), z.std(axis=0)
    std = np.where(std > 1e-6 * np.maximum(np.abs(mean), 1e-12), std, 1.0)  # float32 noise is no variation
    variance, axes = np.linalg.eigh(LedoitWolf(assume_centered=True).fit((z - mean) / std).covariance_)
    # A dimension that never varies has no variance to divide by, and no distance from the mean either.
    scale = np.maximum(variance, 1e-6 * variance.max()) ** (-strength / 2)
    return mean, (axes * scale) @ axes.T / std[:, None]


def fit_plane(z_n: Floats, fractured: Flags, classifier: str, penalty: float) -> tuple[Floats, float]:
    """w (D,) and b of the classifier on normalised latents (N, D), the two classes weighted equally."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    if fractured.all():  # each fold has a fracture (`patient_folds`)
        raise GradingError("only one class among the vertebrae of a fold; add graded patients")
    model = (
        LinearSVC(C=penalty, class_weight="balanced", dual=False, max_iter=10000)
        if classifier == "svm"
        else LogisticRegression(C=penalty, class_weight="balanced", max_iter=10000)
    )
    model.fit(z_n, fractured)
    w = model.coef_[0].astype(np.float64)
    if not np.any(w):
        raise GradingError("the latents do not differ between the classes at all; was the encoder trained?")
    return w, float(model.intercept_[0])


def cross_fitted_distance(z_n: Floats, fractured: Flags, folds: Whole, classifier: str, penalty: float) -> Floats:
    """Signed distance (N,) of each vertebra to a plane that was fitted without its fold."""
    distance = np.empty(len(z_n))
    for fold in np.unique(folds):
        held_out = folds == fold
        w, b = fit_plane(z_n[~held_out], fractured[~held_out], classifier, penalty)
        distance[held_out] = plane_distance(z_n[held_out], w, b)
    return distance


def choose_penalty(z_n: Floats, fractured: Flags, folds: Whole, classifier: str) -> tuple[float, float, Floats]:
    """(C, its AUC, its out-of-fold distances): the C of the best AUC over all folds pooled, the strongest among equals.

    Pooled, because the calibrators see the distances of all folds on one scale. While the best C is the first or last
    of the grid, the next power of ten is tried, as far as C_LIMITS; it counts where its AUC is larger by LEAST_GAIN.
    """
    from sklearn.metrics import roc_auc_score

    tried: dict[float, tuple[float, Floats]] = {}

    def auc(penalty: float) -> float:
        distance = cross_fitted_distance(z_n, fractured, folds, classifier, penalty)
        tried[penalty] = float(roc_auc_score(fractured, distance)), distance
        return tried[penalty][0]

    best = max(C_GRID, key=auc)
    while best in (min(tried), max(tried)) and best not in C_LIMITS:
        further = best / 10 if best == min(tried) else best * 10
        further = float(f"{further:.0e}")  # a power of ten to the last bit, which 1e-4 / 10 is not
        if auc(further) < tried[best][0] + LEAST_GAIN:
            break
        best = further
    return best, *tried[best]
