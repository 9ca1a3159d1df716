"""Method `fusion`: the DAE's latent and the indices of the six points, side by side, graded as one latent.

What the picture shows and what was measured miss different fractures (docs/results/grader.md); the ridge of the
hyperplane, which sees every number with the same spread, finds out how much each counts.
"""

import numpy as np
import pandas as pd

from vertegrade.graders.fusion.definition import fusion_sha256
from vertegrade.tables import KEY, LATENTS, check_table


def fused_latents(dae: pd.DataFrame, keypoints: pd.DataFrame) -> pd.DataFrame:
    """LATENTS of a shard from those of both methods, for the vertebrae that both know, in the order of the DAE's.

    z: (D + K,). A vertebra is evaluable where it is for both; else the reason is the DAE's, or that of the points.
    z_errors: those of the points; they say nothing of the DAE's part.
    """
    both = dae.merge(keypoints[KEY], on=KEY, validate="one_to_one")
    points = both[KEY].merge(keypoints, on=KEY, validate="one_to_one")
    table = both.assign(
        evaluable=both["evaluable"] & points["evaluable"],
        reason=both["reason"].where(both["reason"] != "", points["reason"]),
        model_sha256=[fusion_sha256(*pair) for pair in zip(both["model_sha256"], points["model_sha256"], strict=True)],
    )
    z = [np.concatenate([a, b]) for a, b in zip(both["z"], points["z"], strict=True)]
    errors = [_padded(e, len(a), len(b)) for e, a, b in zip(points["z_errors"], both["z"], points["z"], strict=True)]
    for name, values in (("z", z), ("z_errors", errors)):
        table[name] = pd.Series(values, index=table.index, dtype=object)
    return check_table(table[[name for name in LATENTS.columns if name in table]], LATENTS, "latents of both methods")


def _padded(errors: np.ndarray, before: int, length: int) -> np.ndarray:
    """Errors of the points' part (E * length,), one after the other, as errors of both parts."""
    rows = np.asarray(errors, np.float32).reshape(-1, length)
    return np.pad(rows, ((0, 0), (before, 0))).ravel()
