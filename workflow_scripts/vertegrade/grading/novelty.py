"""How unusual a vertebra is among those that a method learned from: by its latent, and by what its image looks like.

A model answers any image with a grade. Six signs say that its answer may be wrong, each of them a number that grows:
the Mahalanobis distance of the latent (Lee et al., NeurIPS 2018) and that of the appearance (appearance.py), and how
much more the crop looks like training crops that were turned front to back or head to feet, or whose HU were halved or
doubled. One sign is enough. What was compared, and what each sign finds: docs/results/novelty.md.

A severe fracture is rare, and so lies far from the mean: five times as many of grade 3 as of intact vertebrae would be
withheld. So each sign is compared with what is usual at the same predicted severity, level and spread.

How a sign changes with severity is seen on the training patients, of whom most fractures are known. Its level and the
limits come from validation patients, on whom no distance was fitted. Each patient has the same weight (as in
conformal.py), so that the share beyond a limit holds for new patients, however long their scans are.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.grading.appearance import ACQUISITION, LAYOUT_PART, LENGTH, TEXTURE, rescaled, turned
from vertegrade.grading.calibration import Calibration
from vertegrade.grading.hyperplane import Hyperplane, whitening_of
from vertegrade.grading.rows import GradingError, in_split, stack_errors, stack_latents
from vertegrade.model_files import NOVELTY_KEYS, check_keys
from vertegrade.tables import KEY

LIMIT = 0.99  # share of the validation vertebrae, by patient; one beyond it is unlike the training
STEPS = 1000  # of the validation scores, as they are stored
CLIP = 6.0  # spreads: no number alone makes a vertebra unusual, nor does metal in a few crops hide what is
LEAST_SPREAD = 0.05  # of the standard deviation: most values of a number may be the same
STEEPEST = 1.0  # per grade; found are 0.6 at most, and any number where severities hardly vary
HU_FACTORS = (0.5, 2.0)


@dataclass(frozen=True, eq=False)
class Distance:
    """Mahalanobis distance to the training mean, of numbers clipped at CLIP spreads from their median.

    median, spread (half of what lies between the 16th and the 84th percentile), mean of the clipped: (D,). whitening:
    (D, D), with the covariance shrunk as by Ledoit and Wolf.
    """

    median: Floats
    spread: Floats
    mean: Floats
    whitening: Floats

    def log_of(self, x: Floats) -> Floats:
        """Log of the distance (N,) of rows (N, D); GradingError where D differs."""
        if x.shape[1] != len(self.median):
            raise GradingError(f"rows of {x.shape[1]} numbers, novelty was fitted on {len(self.median)}; fit it again")
        lengths = np.linalg.norm((_clipped(x, self.median, self.spread) - self.mean) @ self.whitening, axis=1)
        logs: Floats = np.log(np.maximum(lengths, 1e-9))
        return logs


def _clipped(x: Floats, median: Floats, spread: Floats) -> Floats:
    clipped: Floats = np.clip((x - median) / spread, -CLIP, CLIP)
    return clipped


def fit_distance(x: Floats) -> Distance:
    """The distance to training rows (N, D)."""
    low, median, high = np.percentile(x, [16, 50, 84], axis=0)
    spread = np.maximum((high - low) / 2, LEAST_SPREAD * x.std(axis=0))
    spread = np.where(spread > 1e-6 * np.maximum(np.abs(median), 1e-12), spread, 1.0)
    mean, whitening = whitening_of(_clipped(x, median, spread), 1.0)
    return Distance(median, spread, mean, whitening)


@dataclass(frozen=True, eq=False)
class Novelty:
    """All that says how unusual a vertebra is.

    latent, image: distances of latents and of ACQUISITION. contrasts (LENGTH, 4) and offsets (4,): see `fit_contrasts`.
    usual: of each sign what `_usual` fits, (3, 6). limits: (6,) by how much, at severity 0, a sign exceeds the usual in
    all but a share 1 - LIMIT of the validation vertebrae. scores: (STEPS,) of the most unusual sign of validation
    vertebrae, rising; each stands for the same share of them. calibrator_sha256: of the calibration whose severities
    these are.
    """

    calibrator_sha256: str
    latent: Distance
    image: Distance
    contrasts: Floats
    offsets: Floats
    usual: Floats
    limits: Floats
    scores: Floats
    vertebrae: int
    patients: int

    def excess(self, z: Floats, x: Floats, severity: Floats) -> Floats:
        """Each sign (N, 6): 0 as usual at the severity (N,), 1 at its limit; z (N, D), appearance x (N, LENGTH)."""
        signs = _signs(z, x, self.latent, self.image, self.contrasts, self.offsets)
        return _excess(signs, severity, self.usual, self.limits)

    def shares(self, z: Floats, x: Floats, severity: Floats) -> Floats:
        """Share (N,) of the validation vertebrae that are less unusual, by the most unusual sign of each vertebra."""
        found: Floats = np.searchsorted(self.scores, self.excess(z, x, severity).max(axis=1)) / STEPS
        return found

    def check(self, calibration: Calibration) -> None:
        """GradingError where the calibration is another one than that of the fit."""
        if calibration.sha256() != self.calibrator_sha256:
            raise GradingError("novelty belongs to another calibration; fit it again")

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return _plain(vars(self))

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> "Novelty":
        """The novelty of `to_dict`; ModelFileError for that of another version."""
        check_keys(numbers, NOVELTY_KEYS, "novelty")
        arrays = {name: np.array(numbers[name]) for name in ("contrasts", "offsets", "usual", "limits", "scores")}
        distances = {
            name: Distance(**{part: np.array(values) for part, values in numbers[name].items()})
            for name in ("latent", "image")
        }
        return cls(**(numbers | arrays | distances))


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = {}
    for name, value in values.items():
        plain[name] = value.tolist() if isinstance(value, np.ndarray) else value
        if isinstance(value, Distance):
            plain[name] = _plain(vars(value))
    return plain


def fit_novelty(
    latents: pd.DataFrame,
    appearance: pd.DataFrame,
    splits: pd.DataFrame,
    hyperplane: Hyperplane,
    calibration: Calibration,
) -> Novelty:
    """Fit distances, contrasts and slopes over severity on the training split, levels and limits on validation.

    LATENTS, APPEARANCE and PATIENT_SPLITS of the cohort: all evaluable crops, labelled or not.
    """
    hyperplane.check_latents(latents)
    train = in_split(latents, splits, "train")
    x = appearance_of(train, appearance)
    latent, image = fit_distance(stack_latents(train)), fit_distance(x[:, ACQUISITION])
    contrasts, offsets = fit_contrasts(x)
    validation = in_split(latents, splits, "validation")
    if validation.empty:
        raise GradingError("no evaluable vertebra in the validation split; change the splits")

    def seen(rows: pd.DataFrame) -> tuple[Floats, Floats, Floats]:
        """Signs (N, 6), severity (N,) and weight (N,) of rows of LATENTS."""
        z = stack_latents(rows)
        signs = _signs(z, appearance_of(rows, appearance), latent, image, contrasts, offsets)
        severity = calibration.predict_measured(z, stack_errors(rows), hyperplane).severity
        return signs, severity, patient_weights(rows["patient_id"])

    usual = _usual(*seen(train))
    signs, severity, weight = seen(validation)
    usual[0] = weight @ (signs - severity[:, None] * usual[1])
    beyond = _excess(signs, severity, usual, np.ones(signs.shape[1]))
    limits = np.array([weighted_quantile(sign, weight, np.array([LIMIT]))[0] for sign in beyond.T])
    limits = np.maximum(limits, 1e-6)
    score = (beyond / limits).max(axis=1)
    return Novelty(
        calibrator_sha256=calibration.sha256(),
        latent=latent,
        image=image,
        contrasts=contrasts,
        offsets=offsets,
        usual=usual,
        limits=limits,
        scores=weighted_quantile(score, weight, (np.arange(STEPS) + 0.5) / STEPS),
        vertebrae=len(validation),
        patients=validation["patient_id"].nunique(),
    )


def appearance_of(latents: pd.DataFrame, appearance: pd.DataFrame) -> Floats:
    """Appearance (N, LENGTH) of the vertebrae of LATENTS; GradingError where one has none."""
    found = latents[KEY].merge(appearance[[*KEY, "x"]], on=KEY, how="left", validate="one_to_one")["x"]
    if found.isna().any():
        scan = latents["scan_id"].iloc[int(np.flatnonzero(found.isna())[0])]
        raise GradingError(f"no appearance of vertebrae of scan {scan}; run the rule `appearance` again")
    return np.array(found.tolist(), dtype=np.float64).reshape(len(latents), LENGTH)


def fit_contrasts(x: Floats) -> tuple[Floats, Floats]:
    """Directions (LENGTH, 4) and offsets (4,): positive where a crop looks more like training crops that were altered.

    Linear discriminants between the appearance (N, LENGTH) of training crops and the same crops turned (`turned`, axis
    1 and 2) or with other HU (`rescaled`). Their unit is the standard deviation within the two groups.
    """
    altered = [(LAYOUT_PART, turned(x, axis)[:, LAYOUT_PART]) for axis in (1, 2)]
    altered += [(TEXTURE, rescaled(x, factor)) for factor in HU_FACTORS]
    directions, offsets = np.zeros((LENGTH, len(altered))), np.zeros(len(altered))
    for column, (part, other) in enumerate(altered):
        own = x[:, part]
        means = own.mean(axis=0), other.mean(axis=0)
        _, whitening = whitening_of(np.concatenate([own - means[0], other - means[1]]), 1.0)
        apart = (means[1] - means[0]) @ whitening
        directions[part, column] = whitening @ apart / max(float(np.linalg.norm(apart)), 1e-9)
        offsets[column] = -(means[0] + means[1]) / 2 @ directions[part, column]
    return directions, offsets


def _signs(z: Floats, x: Floats, latent: Distance, image: Distance, contrasts: Floats, offsets: Floats) -> Floats:
    """The six signs (N, 6)."""
    distances = np.stack([latent.log_of(z), image.log_of(x[:, ACQUISITION])], axis=1)
    return np.concatenate([distances, x @ contrasts + offsets], axis=1)


def _usual(signs: Floats, severity: Floats, weight: Floats) -> Floats:
    """Intercept and slope over severity, and slope of the log of the spread, (3, 6), by weighted least squares."""
    root: Floats = np.sqrt(weight)[:, None]
    terms = np.stack([np.ones_like(severity), severity], axis=1)

    def line(values: Floats) -> Floats:
        fitted: Floats = np.linalg.lstsq(terms * root, values * root, rcond=None)[0].astype(np.float64)
        return fitted

    level = line(signs)
    beyond = signs - terms @ level
    spread = line(np.log(np.abs(beyond) + LEAST_SPREAD * beyond.std(axis=0) + 1e-9))
    slopes: Floats = np.clip([level[1], spread[1]], -STEEPEST, STEEPEST)
    return np.concatenate([level[:1], slopes])


def _excess(signs: Floats, severity: Floats, usual: Floats, limits: Floats) -> Floats:
    beyond = signs - usual[0] - severity[:, None] * usual[1]
    excess: Floats = beyond / np.exp(severity[:, None] * usual[2]) / limits
    return excess


def patient_weights(patients: "pd.Series[str]") -> Floats:
    """Weight (N,) of each vertebra: that of a patient, shared among the patient's vertebrae; their sum is 1."""
    _, patient, vertebrae = np.unique(patients.to_numpy(str), return_inverse=True, return_counts=True)
    weights: Floats = 1 / (vertebrae[patient] * len(vertebrae))
    return weights


def weighted_quantile(values: Floats, weights: Floats, shares: Floats) -> Floats:
    """The smallest values (M,) up to which lie at least these shares (M,) of the weights (N,) of values (N,)."""
    order = np.argsort(values, kind="stable")
    reached = np.searchsorted(np.cumsum(weights[order]), shares - 1e-9)
    return values[order][np.minimum(reached, len(values) - 1)]
