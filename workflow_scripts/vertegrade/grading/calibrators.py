"""Calibrators: from a vertebra's signed distance (or normalised latent) to a continuous severity and P(grade).

All kinds share one interface: `fit` on out-of-fold distances, normalised latents and Genant grades; `predict`;
`to_dict` / `from_dict` in plain numbers. Severity is Genant's scale, continuous in 0-3. Grades missing from the
training data get probability 0. No kind ever sees a height loss.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from scipy.special import ndtr

from vertegrade.arrays import Floats
from vertegrade.grading.ordinal import CumulativeLogit, fit_cumulative_logit
from vertegrade.grading.rows import Whole
from vertegrade.tables import GRADES

# Keeps the one-dimensional fit finite where the grades are separable; too weak to matter elsewhere.
DISTANCE_RIDGE = 0.1
# Between vertebrae alike (0) and grades alike (1): orders fractures better at the same ranked probability score.
BALANCE = 0.5
Z_RIDGES = (3000.0, 1000.0, 300.0, 100.0, 30.0, 10.0, 3.0)


@dataclass(frozen=True, eq=False)
class Graded:
    """severity: (N,) in 0-3. p_grade: (N, 4), rows sum to 1."""

    severity: Floats
    p_grade: Floats

    def p_at_least(self, grade: int) -> Floats:
        """P(Genant grade >= grade) (N,)."""
        total: Floats = self.p_grade[:, grade:].sum(axis=1)
        return np.clip(total, 0.0, 1.0)


def expected_grade(p_grade: Floats) -> Graded:
    """Severity as the expected grade sum_k k P(k): rises strictly with an ordinal model's predictor, so no ties."""
    return Graded(np.clip(p_grade @ np.array(GRADES, dtype=np.float64), 0.0, 3.0), p_grade)


class Calibrator(Protocol):
    """What all kinds share. distance: (N,) signed distances. z_n: (N, D) normalised latents of the same vertebrae."""

    kind: ClassVar[str]

    @classmethod
    def fit(cls, distance: Floats, z_n: Floats, grade: Whole, folds: Whole) -> "Calibrator":
        """Fit to Genant grades (N,); folds: (N,) fold of each vertebra's patient, for kinds that choose a penalty."""
        ...

    def predict(self, distance: Floats, z_n: Floats) -> Graded:
        """Severity and grade probabilities."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        ...

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> "Calibrator":
        """The calibrator of `to_dict`."""
        ...


@dataclass(frozen=True)
class Linear:
    """The published one: least squares of grade on distance (Keicher 2023), clipped to 0-3.

    P(grade) is that of a normal residual cut at 0.5, 1.5 and 2.5, where the released code rounds.
    """

    kind: ClassVar[str] = "linear"
    slope: float
    intercept: float
    residual_sd: float

    @classmethod
    def fit(cls, distance: Floats, z_n: Floats, grade: Whole, folds: Whole) -> "Linear":
        """Least squares with a slope that never falls; residual_sd is the residuals' root mean square."""
        slope = max(float(np.polyfit(distance, grade, 1)[0]), 0.0)
        intercept = float(grade.mean() - slope * distance.mean())
        residual = grade - (intercept + slope * distance)
        return cls(slope, intercept, float(max(np.sqrt(np.mean(residual**2)), 1e-6)))

    def predict(self, distance: Floats, z_n: Floats) -> Graded:
        """Severity and grade probabilities."""
        raw = self.intercept + self.slope * distance
        below = ndtr((np.array([0.5, 1.5, 2.5])[None, :] - raw[:, None]) / self.residual_sd)
        edges = np.concatenate([np.zeros((len(raw), 1)), below, np.ones((len(raw), 1))], axis=1)
        return Graded(np.clip(raw, 0.0, 3.0), np.diff(edges, axis=1))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return dict(vars(self))

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> "Linear":
        """The calibrator of `to_dict`."""
        return cls(**numbers)


@dataclass(frozen=True)
class Isotonic:
    """P(grade >= k) as a rising function of distance for k = 1, 2, 3, without a shape assumed.

    Centred isotonic regression (Oron & Flournoy, Stat Biopharm Res 2017): each flat stretch of the isotonic fit becomes
    one knot at its mean distance, with straight lines between. Plain isotonic regression would tie most vertebrae.
    knots: for each k its (distances, probabilities); no knots where grade k and above did not occur.
    """

    kind: ClassVar[str] = "isotonic"
    knots: list[tuple[list[float], list[float]]]

    @classmethod
    def fit(cls, distance: Floats, z_n: Floats, grade: Whole, folds: Whole) -> "Isotonic":
        """Pool adjacent violators, then one knot per pool."""
        return cls([_centred_isotonic(distance, grade >= k) if (grade >= k).any() else ([], []) for k in GRADES[1:]])

    def predict(self, distance: Floats, z_n: Floats) -> Graded:
        """Severity and grade probabilities."""
        at_least = np.stack(
            [np.interp(distance, x, p) if x else np.zeros(len(distance)) for x, p in self.knots], axis=1
        )
        at_least = np.minimum.accumulate(at_least, axis=1)
        edges = np.concatenate([np.ones((len(distance), 1)), at_least, np.zeros((len(distance), 1))], axis=1)
        return expected_grade(-np.diff(edges, axis=1))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {"knots": [[list(x), list(p)] for x, p in self.knots]}

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> "Isotonic":
        """The calibrator of `to_dict`."""
        return cls([(x, p) for x, p in numbers["knots"]])


def _centred_isotonic(distance: Floats, event: np.ndarray) -> tuple[list[float], list[float]]:
    """Knots of the centred isotonic regression of a binary event on distance."""
    from sklearn.isotonic import IsotonicRegression  # takes half a second; only fitting waits for it

    fitted = IsotonicRegression().fit_transform(distance, event.astype(np.float64))
    levels = np.unique(fitted)
    return [float(distance[fitted == level].mean()) for level in levels], [float(level) for level in levels]


@dataclass(frozen=True, eq=False)
class OrdinalDistance:
    """Cumulative logistic regression on the distance, standardised by its training mean and deviation."""

    kind: ClassVar[str] = "ordinal_distance"
    centre: float
    scale: float
    model: CumulativeLogit

    @classmethod
    def fit(cls, distance: Floats, z_n: Floats, grade: Whole, folds: Whole) -> "OrdinalDistance":
        """Penalised maximum likelihood with a fixed, weak ridge and a slope above zero."""
        centre, scale = float(distance.mean()), float(max(distance.std(), 1e-12))
        x = (distance[:, None] - centre) / scale
        return cls(centre, scale, fit_cumulative_logit(x, grade, DISTANCE_RIDGE, rising=True))

    def predict(self, distance: Floats, z_n: Floats) -> Graded:
        """Severity and grade probabilities."""
        return expected_grade(self.model.probabilities((distance[:, None] - self.centre) / self.scale))

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {"centre": self.centre, "scale": self.scale, "model": self.model.to_dict()}

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> "OrdinalDistance":
        """The calibrator of `to_dict`."""
        return cls(numbers["centre"], numbers["scale"], CumulativeLogit.from_dict(numbers["model"]))


@dataclass(frozen=True, eq=False)
class OrdinalZ:
    """Cumulative logistic regression on the whole normalised latent; the distance is not used.

    Rare grades weigh more in the fit of the direction: otherwise the many unfractured set it, and it orders fractures
    badly (docs/results/dae-experiments.md). Weights and ridge distort the logistic curve's probabilities, so they are
    taken from a centred isotonic regression of the grades on the out-of-fold predictor instead.
    """

    kind: ClassVar[str] = "ordinal_z"
    ridge: float
    model: CumulativeLogit
    link: Isotonic

    @classmethod
    def fit(cls, distance: Floats, z_n: Floats, grade: Whole, folds: Whole) -> "OrdinalZ":
        """Penalised maximum likelihood; ridge and link have the best out-of-fold ranked probability score."""
        tried: list[tuple[float, float, Isotonic]] = []
        for ridge in Z_RIDGES:
            predictor = np.empty(len(grade))
            for fold in np.unique(folds):
                out = folds == fold
                model = fit_cumulative_logit(z_n[~out], grade[~out], ridge, balance=BALANCE)
                predictor[out] = model.predictor(z_n[out])
            link = Isotonic.fit(predictor, z_n, grade, folds)
            score = float(ranked_probability_scores(link.predict(predictor, z_n).p_grade, grade).mean())
            tried.append((score, ridge, link))
        _, ridge, link = min(tried, key=lambda entry: entry[0])
        return cls(ridge, fit_cumulative_logit(z_n, grade, ridge, balance=BALANCE), link)

    def predict(self, distance: Floats, z_n: Floats) -> Graded:
        """Severity and grade probabilities."""
        return self.link.predict(self.model.predictor(z_n), z_n)

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers for JSON."""
        return {"ridge": self.ridge, "model": self.model.to_dict(), "link": self.link.to_dict()}

    @classmethod
    def from_dict(cls, numbers: dict[str, Any]) -> "OrdinalZ":
        """The calibrator of `to_dict`."""
        model, link = CumulativeLogit.from_dict(numbers["model"]), Isotonic.from_dict(numbers["link"])
        return cls(numbers["ridge"], model, link)


def ranked_probability_scores(p_grade: Floats, grade: Whole) -> Floats:
    """sum_k (P(grade <= k) - [grade <= k])^2 of each vertebra (N,) (Epstein, J Appl Meteorol 1969); 0 is perfect.

    Proper, so honest probabilities win, and bounded, so a grade that a fold has never seen does not decide alone.
    """
    reached = grade[:, None] <= np.array(GRADES)[None, :]
    scores: Floats = np.sum((np.cumsum(p_grade, axis=1) - reached) ** 2, axis=1)
    return scores


KINDS: dict[str, type[Calibrator]] = {kind.kind: kind for kind in (OrdinalDistance, OrdinalZ, Isotonic, Linear)}
