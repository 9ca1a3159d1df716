"""A smooth centreline through the vertebral bodies, and frames along it that neither twist nor drift."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import CubicSpline

HEAD_TO_FEET = np.array([0.0, 0.0, -1.0])
TABLE_STEP_MM = 0.25


@dataclass(frozen=True)
class Centreline:
    """A curve in RAS mm from head to feet, parametrised by its arc length in mm (0 at the first body centre).

    Beyond the first and the last centre it continues straight.
    spline: position over the knots' chord length. chords, arcs: the same places in both parameters.
    """

    spline: CubicSpline
    chords: np.ndarray
    arcs: np.ndarray

    def at(self, arcs_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points (..., 3) in RAS mm and unit tangents (..., 3) towards the feet, at arc lengths (...)."""
        arcs_mm = np.asarray(arcs_mm, dtype=np.float64)
        within = np.clip(arcs_mm, self.arcs[0], self.arcs[-1])
        chord = np.interp(within, self.arcs, self.chords)
        tangents = self.spline(chord, 1)
        tangents /= np.linalg.norm(tangents, axis=-1, keepdims=True)
        return self.spline(chord) + (arcs_mm - within)[..., None] * tangents, tangents

    def nearest(self, points_mm: np.ndarray) -> np.ndarray:
        """Arc lengths (N,) of the places on the curve that are nearest to points (N, 3), straight ends included."""
        table = self.spline(self.chords)
        place = np.linalg.norm(points_mm[:, None] - table, axis=-1).argmin(axis=1)
        arcs = self.arcs[place]
        for _ in range(3):  # Newton for (point - curve) . tangent = 0; the table's step makes the start good
            curve, tangents = self.at(arcs)
            arcs = arcs + ((points_mm - curve) * tangents).sum(axis=-1)
        return arcs


def fit_centreline(centres_mm: np.ndarray, smoothing_mm: float) -> Centreline:
    """The centreline through one or more body centres (n, 3), RAS mm, head to feet.

    A natural cubic smoothing spline over chord length (Reinsch 1967; Green and Silverman 1994, section 2.3): it
    minimises sum |centre - g|^2 + lambda * integral |g''|^2. lambda is such that for equally spaced centres a wave of
    length `smoothing_mm` keeps half of its height: (smoothing_mm / 2 pi)^4 / spacing. Straight for two centres, and
    for a single one straight down.
    ValueError: two successive centres coincide.
    """
    if len(centres_mm) == 1:
        centres_mm = centres_mm + np.array([[0.0], [1.0]]) * HEAD_TO_FEET
    steps = np.linalg.norm(np.diff(centres_mm, axis=0), axis=1)
    if (steps <= 0).any():
        raise ValueError("two successive body centres coincide: a centreline needs distinct points")
    knots = np.concatenate([[0.0], np.cumsum(steps)])
    weight = (smoothing_mm / (2 * np.pi)) ** 4 / steps.mean()
    spline = CubicSpline(knots, _smooth(steps, centres_mm, weight), bc_type="natural")
    chords = np.linspace(0, knots[-1], int(np.ceil(knots[-1] / TABLE_STEP_MM)) + 1)
    arcs = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(spline(chords), axis=0), axis=1))])
    return Centreline(spline, chords, arcs)


def _smooth(steps: np.ndarray, values: np.ndarray, weight: float) -> np.ndarray:
    """Values (n, 3) of the smoothing spline at its knots: (1 + weight Q R^-1 Q') g = y (Green and Silverman, 2.3.3)."""
    n = len(values)
    q, r = np.zeros((n, n - 2)), np.zeros((n - 2, n - 2))
    for j in range(n - 2):
        q[j : j + 3, j] = [1 / steps[j], -1 / steps[j] - 1 / steps[j + 1], 1 / steps[j + 1]]
        r[j, j] = (steps[j] + steps[j + 1]) / 3
        if j + 1 < n - 2:
            r[j, j + 1] = r[j + 1, j] = steps[j + 1] / 6
    smoothed: np.ndarray = np.linalg.solve(np.eye(n) + weight * q @ np.linalg.solve(r, q.T), values)
    return smoothed


def rotation_minimising(points: np.ndarray, tangents: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Unit vectors (K, N, 3) perpendicular to N curves that turn about their tangents as little as possible.

    points, tangents: (K, N, 3), K successive places on each curve. first: (N, 3), the vector at the first place.
    Double reflection (Wang, Juettler, Zheng and Liu, ACM TOG 2008): fourth order in the step.
    """
    vectors = [first]
    for k in range(len(points) - 1):
        chord = points[k + 1] - points[k]
        mirrored = _reflect(vectors[-1], chord)
        vectors.append(_reflect(mirrored, tangents[k + 1] - _reflect(tangents[k], chord)))
    return np.stack(vectors)


def _reflect(vectors: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Mirror vectors (N, 3) in the planes with the given normals (any length; a zero normal mirrors nothing)."""
    square = (normals * normals).sum(axis=-1, keepdims=True)
    scale = np.divide(2.0, square, out=np.zeros_like(square), where=square > 1e-30)
    return vectors - scale * (vectors * normals).sum(axis=-1, keepdims=True) * normals
