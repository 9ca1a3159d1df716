"""What is doubtful of single vertebrae, as flags (vertebra_reasons.py: VERTEBRA_FLAGS) in addition to their scan's.

The limits were set on phantoms that no network was trained on. On the part scans of 2 to 6 vertebrae among them a level
of less than `UNCERTAIN_LEVEL` is right in 6 of 10 cases, one of more in 99 of 100. Points are doubtful where the
expected error of a height is large and far above that of the scan's other vertebrae: 1 of 915 phantom vertebrae, and
none of 239 fractured ones. Where the networks meet what phantoms lack (osteophytes, discs without air, an edge of the
scan) it is 1 of 10 in real chest CT.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from vertegrade.annotations.overrides import SOURCE
from vertegrade.level_texts import is_uncertain
from vertegrade.spine.heights import column_height_sds
from vertegrade.tables import POINT_SD_COLUMNS, doubt_of, flags_with

# A height is doubtful whose standard deviation is above the first, in mm, and so many times that of its neighbours.
DOUBTFUL_SD_MM, TIMES_NEIGHBOURS = 1.0, 1.5


def with_flags(landmarks: pd.DataFrame) -> pd.DataFrame:
    """Table LANDMARKS of any number of scans with each vertebra's own flags and those of its scan."""
    mine = {
        "uncertain_level": is_uncertain(doubt_of(landmarks)["label_confidence"]).to_numpy(bool),
        "doubtful_points": _doubtful_points(landmarks),
        "corrected": (landmarks["source"] == SOURCE).to_numpy(bool),
    }
    return landmarks.assign(flags=flags_with(landmarks, mine))


def _doubtful_points(landmarks: pd.DataFrame) -> NDArray[np.bool_]:
    """Which vertebrae (N,) have a height whose error is out of line with those of the scan's other ones."""
    sds = column_height_sds(landmarks.reindex(columns=POINT_SD_COLUMNS).to_numpy(np.float64))
    doubtful = np.zeros(len(landmarks), dtype=bool)
    evaluable = landmarks["evaluable"].to_numpy(dtype=bool)
    scan = landmarks["scan_id"].to_numpy(dtype=object)
    for rows in (np.flatnonzero(scan == name) for name in landmarks["scan_id"].unique()):
        for row in rows[evaluable[rows]]:
            others = rows[evaluable[rows] & (rows != row)]
            # With no neighbours to compare with, a large error is enough.
            usual = np.median(sds[others], axis=0) if len(others) else np.zeros(3)
            doubtful[row] = ((sds[row] >= DOUBTFUL_SD_MM) & (sds[row] >= TIMES_NEIGHBOURS * usual)).any()
    return doubtful
