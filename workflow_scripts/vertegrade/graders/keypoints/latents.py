"""Genant's indices of a vertebra as its latents, and how far the errors of its heights move them."""

import numpy as np
import pandas as pd

from vertegrade.graders.keypoints.definition import definition_sha256
from vertegrade.spine.indices import INDICES, index_errors
from vertegrade.tables import HEIGHTS, LATENTS, check_table, doubt_of


def keypoint_latents(measurements: pd.DataFrame, points_from: str, heights_sha256: str) -> pd.DataFrame:
    """Table LATENTS of a shard's MEASUREMENTS: z is INDICES, zeros where a vertebra is not evaluable.

    z_errors are those of the three heights. points_from: what set the six points, `networks` or `masks`.
    heights_sha256: of the file of intact heights that the measurements were made by. crop counts the rows, which are
    the shard's crops in their order. model_sha256 names both and the definition of the indices.
    """
    table = measurements[["patient_id", "scan_id", "vertebra", "evaluable", "reason"]].copy()
    doubt = doubt_of(measurements)
    table["crop"], table[list(doubt.columns)] = np.arange(len(table)), doubt
    table["model_sha256"] = definition_sha256(points_from, heights_sha256)
    heights, sds, intact = (
        measurements[[name.format(column) for column in HEIGHTS]].to_numpy(np.float64)
        for name in ("height_{}_mm", "height_{}_sd_mm", "intact_height_{}_mm")
    )
    errors = index_errors(heights, sds, intact)
    numbers = {
        "z": measurements[INDICES].fillna(0.0).to_numpy(np.float64),
        "z_errors": errors.reshape(len(table), int(np.prod(errors.shape[1:]))),
    }
    for name, values in numbers.items():
        table[name] = pd.Series(list(values.astype(np.float32)), index=table.index, dtype=object)
    return check_table(table[[*LATENTS.columns]], LATENTS, "latents of keypoints")
