"""How well pictures of a vertebra at other grades show what they should.

After the axioms of counterfactuals (Monteiro et al., ICLR 2023): effectiveness (heights and severity that were asked
for), composition (asked for nothing, nothing changes), reversibility (asked back, the vertebra returns), and minimality
(what lies outside of the body stays).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.spatial import KDTree

from vertegrade.arrays import Floats, Floats32
from vertegrade.drawn_tables import COUNTERFACTUALS, LOSSES
from vertegrade.graders.dae.counterfactual import Pictures, Shown, outlines
from vertegrade.graders.dae.decoding import body_masks
from vertegrade.grading.counterfactual import MIDDLE_OF_GRADE, column_losses, severity_of_grade, targets
from vertegrade.spine.heights import SEVERE
from vertegrade.tables import GRADES, PATIENT_KEY, SHAPES, check_table

WITHIN = 0.08  # of the middle of a grade
BODY_MM = 1.0  # the body and its edge, as far as a change counts as within it


@dataclass(frozen=True, eq=False)
class Wanted:
    """Of M vertebrae and T pictures: shapes and grades (M lists of T), losses (M, T, 3), severities (M, T)."""

    shapes: list[list[str]]
    grades: list[list[int]]
    losses: Floats
    severities: Floats


def wanted_of(labels: list[int], measured: list[str], every_shape: bool) -> Wanted:
    """What is asked for of vertebrae by their labels and measured shapes; see `targets`."""
    shapes, grades = targets(labels, measured, every_shape)
    count = 1 + 3 * (len(SHAPES) if every_shape else 1)
    losses = [
        column_losses(shape, grade) for of in zip(shapes, grades, strict=True) for shape, grade in zip(*of, strict=True)
    ]
    severities = [severity_of_grade(grade) for of in grades for grade in of]
    return Wanted(shapes, grades, np.reshape(losses, (-1, count, 3)), np.reshape(severities, (-1, count)))


def counterfactual_table(
    rows: pd.DataFrame,
    wanted: Wanted,
    pictures: Pictures,
    shown: Shown,
    scale: Floats,
    training: Floats,
    beside: Floats | None = None,
) -> pd.DataFrame:
    """COUNTERFACTUALS. rows: M vertebrae with KEY. scale: (D,) of the latents; training: latents (K, D).

    beside: latents (L, D) of vertebrae that were drawn before. Then these here are not counted, and told from them too.
    """
    vertebrae, count = wanted.severities.shape
    own = pictures.original.astype(np.float64)
    within = body_masks(outlines(shown), own.shape[-1], shown.pixel_mm, BODY_MM)[:, None, None] > 0.5
    change = np.abs(pictures.images - own[:, None])
    inside, beyond = (_mean_where(change, np.broadcast_to(part, change.shape)) for part in (within, ~within))
    largest = pictures.loss.max(axis=2)
    grades = np.reshape(wanted.grades, (vertebrae, count)).astype(np.int64)
    columns: dict[str, Any] = {
        "row": np.repeat(np.arange(vertebrae), count) + (0 if beside is None else len(beside)),
        "counted": beside is None,
        "picture": np.tile(np.arange(count), vertebrae),
        "shape": np.reshape(wanted.shapes, -1).astype(object),
        "wanted_grade": grades.ravel(),
        **{f"wanted_{name}": wanted.losses[..., n].ravel() for n, name in enumerate(LOSSES)},
        **{name: pictures.loss[..., n].ravel() for n, name in enumerate(LOSSES)},
        "height_loss": largest.ravel(),
        "wanted_severity": wanted.severities.ravel(),
        "severity": pictures.severity.ravel(),
        "outside_to_inside": (beyond / np.maximum(inside, 1e-9)).ravel(),
        "outside_share": _share_outside(change, within).ravel(),
        "reconstruction_error_hu": np.repeat(_rms_where(pictures.reconstruction - own, within[:, 0]), count),
        "return_error_hu": _rms_where(pictures.back - pictures.reconstruction[:, None].astype(float), within).ravel(),
        "nearest_training": _nearest(pictures.z.reshape(vertebrae * count, len(scale)), training, scale),
        "returns": _returns(pictures.z_back, pictures.own, scale, beside).ravel(),
        "reached": np.abs(largest - np.array(MIDDLE_OF_GRADE)[grades]).ravel() <= WITHIN,
    }
    table = rows[PATIENT_KEY].loc[rows.index.repeat(count)].reset_index(drop=True).assign(**columns)
    return check_table(table[list(COUNTERFACTUALS.columns)], COUNTERFACTUALS, "pictures at other grades")


def counterfactual_metrics(table: pd.DataFrame, noise: Floats32) -> dict[str, Any]:
    """Figures of COUNTERFACTUALS, for programs; None where there is no picture. noise: x_T (M, C, H, W).

    By grade: mean_loss, within_8_points, severity, severity_gap (mean difference of given from asked severity, and its
    mean size). order_right: share of strips whose largest losses rise from grade to grade. reached_40_percent: at grade
    3. The rest are means over all pictures, or over the strips.
    """
    grades = {str(grade): table[table["wanted_grade"] == grade] for grade in GRADES}
    gap = table["severity"] - table["wanted_severity"]
    return {
        "vertebrae": int(table["row"].nunique()),
        "order_right": _mean(_in_order(table)),
        "mean_loss": {name: _mean(rows["height_loss"]) for name, rows in grades.items()},
        "within_8_points": {name: _mean(rows["reached"]) for name, rows in grades.items()},
        "reached_40_percent": _mean(grades["3"]["height_loss"] >= SEVERE),
        "middle_of_grade": dict(zip(grades, MIDDLE_OF_GRADE, strict=True)),
        "wanted_severity": {name: severity_of_grade(grade) for name, grade in zip(grades, GRADES, strict=True)},
        "severity_gap": _mean(gap.abs()),
        "severity_gap_by_grade": {name: _mean(gap[rows.index].abs()) for name, rows in grades.items()},
        "severity_bias_by_grade": {name: _mean(gap[rows.index]) for name, rows in grades.items()},
        "outside_to_inside": _mean(table["outside_to_inside"]),
        "outside_share": _mean(table["outside_share"]),
        "composition_hu": _mean(table["reconstruction_error_hu"]),
        "reversibility_hu": _mean(table["return_error_hu"]),
        "identity_kept": _mean(table["returns"]),
        "nearer_than_training": _mean(table["nearest_training"].dropna()),
        "x_t_sd": float(noise.std()) if noise.size else None,
        "x_t_neighbour_correlation": _neighbour_correlation(noise),
    }


def _mean(values: Any) -> float | None:
    return float(np.mean(values)) if len(values) else None


def _in_order(table: pd.DataFrame) -> list[bool]:
    """Of each strip and shape whether the largest losses rise from grade 0 to 3."""
    right = []
    for _, strip in table.groupby("row"):
        intact = strip.loc[strip["wanted_grade"] == 0, "height_loss"]
        for _, shape in strip[strip["wanted_grade"] > 0].groupby("shape"):
            losses = np.concatenate([intact, shape.sort_values("wanted_grade")["height_loss"]])
            right.append(bool((np.diff(losses) > 0).all()))
    return right


def _neighbour_correlation(noise: Floats32) -> float | None:
    """Of pixels beside each other, in a row; 0 where x_T is noise."""
    if not noise.size:
        return None
    return float(np.corrcoef(noise[..., :-1].ravel(), noise[..., 1:].ravel())[0, 1])


def _mean_where(values: Floats, where: np.ndarray) -> Floats:
    """Means (M, T) of (M, T, C, H, W) where it counts."""
    total: Floats = (values * where).sum(axis=(2, 3, 4)) / np.maximum(where.sum(axis=(2, 3, 4)), 1)
    return total


def _share_outside(change: Floats, within: np.ndarray) -> Floats:
    """Share (M, T) of all change that lies outside of the body."""
    total = change.sum(axis=(2, 3, 4))
    outside: Floats = (change * ~within).sum(axis=(2, 3, 4)) / np.maximum(total, 1e-9)
    return outside


def _rms_where(difference: Floats, where: np.ndarray) -> Floats:
    """Root mean square over the last three axes where it counts."""
    where = np.broadcast_to(where, difference.shape)
    axes = (-3, -2, -1)
    error: Floats = np.sqrt((difference**2 * where).sum(axis=axes) / np.maximum(where.sum(axis=axes), 1))
    return error


def _returns(back: Floats, own: Floats, scale: Floats, beside: Floats | None = None) -> np.ndarray:
    """Whether latents (M, T, D), moved back, are nearer to that of their own crop (M, D) than to any other (M, T).

    beside: (L, D) more others.
    """
    known = own if beside is None else np.concatenate([own, beside])
    nearest = np.zeros(back.shape[:2], bool)
    for n, its in enumerate(back):  # one at a time: all distances at once are too many
        apart = np.linalg.norm((its[:, None] - known[None]) / scale, axis=-1)
        nearest[n] = apart.argmin(axis=-1) == n
    return nearest


def _nearest(z: Floats, training: Floats, scale: Floats) -> Floats:
    """Share (N,) of training vertebrae that lie further from their nearest neighbour than z (N, D) from a training one.

    1: as near as any; 0: further than all. NaN without training latents, as of a frozen model.
    """
    if len(training) < 2 or not len(z):
        return np.full(len(z), np.nan)
    known = training / scale
    tree = KDTree(known)
    usual = tree.query(known, k=2)[0][:, 1]
    found: Floats = np.mean(usual[None] >= tree.query(z / scale)[0][:, None], axis=1)
    return found
