"""Genant's indices of a scan's vertebrae from their six points: table MEASUREMENTS.

Definitions (Genant 1993; McCloskey 1993, Osteoporos Int 3:138, for a crush against the height
that other vertebrae predict). With measured heights H and the heights E that the vertebra would have if intact
(`intact_log_heights`: level, patient, neighbours):

- wedge = 1 - (Ha / Hp) / (Ea / Ep), biconcave = 1 - (Hm / max(Ha, Hp)) / (Em / max(Ea, Ep)), crush = 1 - Hp / Ep;
- the loss of a column is 1 - H / E, height_loss the largest of the three, which gives grade and severity by rule.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vertegrade.arrays import Floats
from vertegrade.levels import craniocaudal_rank
from vertegrade.spine.heights import column_height_sds, column_heights, genant_grade, genant_severity
from vertegrade.spine.intact_heights import IntactHeights
from vertegrade.spine.normal_ratios import intact_log_heights
from vertegrade.tables import (
    HEIGHTS,
    MEASUREMENTS,
    NOT_GRADED,
    POINT_SD_COLUMNS,
    check_table,
    doubt_of,
    empty_table,
    points_of,
)

MIN_HEIGHT_MM = 1.0  # less is no body: the ends of a column coincide
# Standard deviation of a height where that of the points is unknown: one expert's, from the 0.75 mm by which two
# experts' heights differ on average.
EXPERT_SD_MM = 0.7
# A fracture whose posterior column lost this share of the largest loss is a crush.
CRUSH_SHARE = 0.7
INDICES = ["wedge", "biconcave", "crush", "height_loss"]


@dataclass(frozen=True)
class Measured:
    """LANDMARKS by scan, then head to feet, with their heights.

    heights, sds: (N, 3) in mm with their standard deviations, NaN where unknown. reason (N,): why a vertebra is not
    evaluable; without six points `no_points`, with a column of no height `no_height`. usable (N,): evaluable or
    `not_graded`, with three heights.
    """

    rows: pd.DataFrame
    heights: Floats
    sds: Floats
    reason: NDArray[np.object_]
    usable: NDArray[np.bool_]


def measured(landmarks: pd.DataFrame) -> Measured:
    """The heights of the vertebrae of LANDMARKS."""
    order = np.lexsort([landmarks["vertebra"].map(craniocaudal_rank), landmarks["scan_id"]])
    rows = landmarks.iloc[order].reset_index(drop=True)
    heights = column_heights(points_of(rows))
    sds = column_height_sds(rows.reindex(columns=POINT_SD_COLUMNS).to_numpy(np.float64))
    reason = rows["reason"].to_numpy(dtype=object)
    reason = np.where((reason == "") & np.isnan(heights).any(axis=1), "no_points", reason)
    reason = np.where((reason == "") & (heights < MIN_HEIGHT_MM).any(axis=1), "no_height", reason)
    usable = np.isin(reason, ["", NOT_GRADED]) & (heights >= MIN_HEIGHT_MM).all(axis=1)
    return Measured(rows, heights, sds, reason, usable)


def measure(landmarks: pd.DataFrame, expected: IntactHeights) -> pd.DataFrame:
    """Table MEASUREMENTS of a shard's LANDMARKS: by scan, then head to feet, without those that are `not_graded`.

    Vertebrae that are not evaluable keep their reason. Neighbours are all that are usable, also those `not_graded`.
    expected: heights of intact vertebrae before anything is known of the patient.
    """
    if landmarks.empty:
        return empty_table(MEASUREMENTS)
    found = measured(landmarks)
    rows, reason = found.rows, found.reason
    doubt = doubt_of(rows)
    label_confidence = doubt["label_confidence"].to_numpy(np.float64)
    labels = rows["vertebra"].to_numpy(np.int64)
    table = rows[["patient_id", "scan_id", "vertebra"]]
    if found.usable.any():
        scans = (np.array(index) for index in rows[found.usable].groupby("scan_id").groups.values())
        of_scans = ((i, (found.heights[i], found.sds[i], labels[i], label_confidence[i])) for i in scans)
        parts = [_numbers(*of_scan, expected).set_index(i) for i, of_scan in of_scans]
        table = table.join(pd.concat(parts))
    table = table.reindex(columns=list(MEASUREMENTS.columns))
    table["evaluable"], table["reason"] = reason == "", reason
    table[list(doubt.columns)] = doubt
    table["grade"], table["shape"] = table["grade"].fillna(-1), table["shape"].astype(object).fillna("")
    return check_table(table[reason != NOT_GRADED], MEASUREMENTS, "measurements")


def _numbers(
    heights: Floats, sds: Floats, labels: NDArray[np.int64], label_confidence: Floats, expected: IntactHeights
) -> pd.DataFrame:
    """The numbers of MEASUREMENTS for the measured vertebrae (N) of one scan, heights (N, 3) in mm."""
    used_sds = known_sds(sds)
    log_intact, log_sd = intact_log_heights(heights, used_sds, labels, label_confidence, expected)
    intact = np.exp(log_intact)
    loss = 1 - heights / intact
    loss_sd = heights / intact * np.hypot(used_sds / heights, log_sd)
    worst = loss.argmax(axis=1)
    height_loss, height_loss_sd = (part[np.arange(len(loss)), worst] for part in (loss, loss_sd))
    grade = np.array([genant_grade(value) for value in np.clip(height_loss, 0, 1)])
    columns = {f"height_{name}_mm": heights[:, n] for n, name in enumerate(HEIGHTS)}
    columns |= {f"height_{name}_sd_mm": sds[:, n] for n, name in enumerate(HEIGHTS)}
    columns |= {f"intact_height_{name}_mm": intact[:, n] for n, name in enumerate(HEIGHTS)}
    columns |= {f"loss_{name}": loss[:, n] for n, name in enumerate(HEIGHTS)}
    severity_low, severity_high = (
        genant_severity(height_loss - height_loss_sd),
        genant_severity(height_loss + height_loss_sd),
    )
    columns |= {
        **dict(zip(INDICES, _indices(heights, intact).T, strict=True)),
        "height_loss_sd": height_loss_sd,
        "shape": np.where(grade > 0, _shapes(loss), ""),
        "severity": genant_severity(height_loss),
        "severity_sd": (severity_high - severity_low) / 2,
        "grade": grade,
    }
    return pd.DataFrame(columns)


def known_sds(sds: Floats) -> Floats:
    """Standard deviations of heights in mm, an expert's where they are unknown."""
    return np.where(np.isnan(sds), EXPERT_SD_MM, sds)


def _indices(heights: Floats, intact: Floats) -> Floats:
    """INDICES (N, 4) of heights and of those that intact vertebrae would have, both (N, 3) in mm."""
    share, rims, intact_rims = heights / intact, heights[:, ::2].max(axis=1), intact[:, ::2].max(axis=1)
    wedge = 1 - share[:, 0] / share[:, 2]
    biconcave = 1 - (heights[:, 1] / rims) / (intact[:, 1] / intact_rims)
    return np.stack([wedge, biconcave, 1 - share[:, 2], 1 - share.min(axis=1)], axis=1)


def index_errors(heights: Floats, sds: Floats, intact: Floats) -> Floats:
    """What one standard deviation of each height changes the indices by: (N, 3 heights, 4), NaN where it is unknown.

    All arguments are (N, 3). Half the difference between a deviation more and one less, at which a height stays a
    height. What intact vertebrae would have is kept: its own errors are alike in all scans, so that a calibrator
    includes them from its training.
    """
    errors = np.empty((*heights.shape, len(INDICES)))
    for column in range(len(HEIGHTS)):
        more, less = heights.copy(), heights.copy()
        more[:, column] += sds[:, column]
        less[:, column] = np.maximum(less[:, column] - sds[:, column], MIN_HEIGHT_MM)
        errors[:, column] = (_indices(more, intact) - _indices(less, intact)) / 2
    return np.where(np.isnan(sds)[:, :, None], np.nan, errors)


def _shapes(loss: Floats) -> NDArray[np.object_]:
    """wedge, biconcave or crush (N,) of the losses (N, 3): crush where the posterior column fell with the worst."""
    crushed = loss[:, 2] >= CRUSH_SHARE * loss.max(axis=1)
    return np.where(crushed, "crush", np.where(loss[:, 1] > loss[:, 0], "biconcave", "wedge")).astype(object)
