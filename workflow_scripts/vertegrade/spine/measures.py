"""What six points and the volume give beside the heights: tables SPINE_MEASURES and SPINE_CURVES of a shard."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.ct.volume import Volume
from vertegrade.levels import craniocaudal_rank
from vertegrade.spine.alignment import curves_of, disc_and_slip, neighbours
from vertegrade.spine.density import trabecular_attenuation
from vertegrade.tables import (
    KEY,
    NOT_GRADED,
    POINT_SD_COLUMNS,
    SPINE_CURVES,
    SPINE_MEASURES,
    check_table,
    doubt_of,
    empty_table,
    points_of,
)

CONTRAST_UNKNOWN = "contrast_unknown"


def spine_measures(
    landmarks: pd.DataFrame, volume_of: Callable[[str], Volume], contrast_known: Callable[[str], bool]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """SPINE_MEASURES and SPINE_CURVES of a shard's LANDMARKS.

    volume_of: the volume of a scan by its id. contrast_known: whether its source says if contrast was given.

    Vertebrae that are neither evaluable nor `not_graded` have no measures: their points or places are in doubt.
    """
    bodies, curves = [], []
    for scan_id, rows in landmarks.groupby("scan_id", sort=True):
        sound = rows[rows["evaluable"] | (rows["reason"] == NOT_GRADED)]
        order = np.argsort([craniocaudal_rank(int(label)) for label in sound["vertebra"]], kind="stable")
        sound = sound.iloc[order].reset_index(drop=True)
        if sound.empty:
            continue
        bodies += _bodies(sound, volume_of(str(scan_id)), "" if contrast_known(str(scan_id)) else CONTRAST_UNKNOWN)
        curves.append({"patient_id": sound["patient_id"].iloc[0], "scan_id": str(scan_id)} | curves_of(sound))
    if not bodies:
        return empty_table(SPINE_MEASURES), empty_table(SPINE_CURVES)
    named = pd.DataFrame(bodies).reindex(columns=list(SPINE_MEASURES.columns))
    return check_table(named, SPINE_MEASURES, "measures"), check_table(pd.DataFrame(curves), SPINE_CURVES, "curves")


def _bodies(rows: pd.DataFrame, volume: Volume, note: str) -> list[dict[str, Any]]:
    """Rows of SPINE_MEASURES of one scan's sound LANDMARKS, from head to feet. note: what goes with HU."""
    points = points_of(rows)
    sds = rows.reindex(columns=POINT_SD_COLUMNS).to_numpy(np.float64)
    flags = doubt_of(rows)["flags"]
    found: list[dict[str, Any]] = []
    for row, (patient, scan, label) in enumerate(rows[["patient_id", *KEY]].itertuples(index=False)):
        bone = trabecular_attenuation(volume, points[row], str(flags.iloc[row]))
        about: dict[str, Any] = {
            "trabecular_hu": bone.hu,
            "trabecular_hu_error": bone.error_hu,
            "hu_reason": bone.reason,
        }
        about["hu_note"] = "" if bone.reason else note
        found.append({"patient_id": patient, "scan_id": scan, "vertebra": label} | about)
    for upper, lower in neighbours(rows["vertebra"].to_numpy(int)):
        if np.isfinite(points[[upper, lower]]).all():
            found[upper] |= disc_and_slip(points, sds, upper, lower)
    return found
