"""Virtual scans of a real one, as a shard's job makes them."""

import pandas as pd

from vertegrade.arrays import generator_of
from vertegrade.cohort.splits import split_of
from vertegrade.ct.volume import Volume
from vertegrade.reasons import Refused
from vertegrade.virtual_fractures.body import real_bodies
from vertegrade.virtual_fractures.draw import candidates, draw_changes
from vertegrade.virtual_fractures.scan import changed_scan
from vertegrade.virtual_fractures.truth import truth_table


def require_tested(splits: pd.DataFrame, patient_id: str, scan_id: str) -> None:
    """Refused where a patient is not of the test split of PATIENT_SPLITS: models learned from the others."""
    if split_of(splits, [patient_id]) != ["test"]:
        why = f"scan {scan_id}: its patient is not of the test split, and only those are challenged"
        raise Refused("not_challenged", why)


def virtual_scan(
    volume: Volume,
    landmarks: pd.DataFrame,
    measurements: pd.DataFrame,
    scan_id: str,
    thickness_mm: float,
    seed: int,
) -> tuple[Volume, pd.DataFrame]:
    """A scan with virtual fractures and shams, named scan_id, and its VIRTUAL_TRUTH; follows from seed and scan_id.

    landmarks, measurements: LANDMARKS and MEASUREMENTS of the one scan. Vertebrae that are evaluable and measured as
    grade 0 may be changed, if their neighbours up and down have six points too. thickness_mm: of the slices.
    Refused (`nothing_to_collapse`): no vertebra may be changed.
    """
    sound = set(measurements.loc[measurements["evaluable"] & (measurements["grade"] == 0), "vertebra"])
    bodies = real_bodies(landmarks)
    if not candidates(bodies, sound):
        raise Refused(
            "nothing_to_collapse",
            f"scan {scan_id}: no vertebra is measured as intact and has both of its neighbours in the scan",
        )
    rng = generator_of(f"{seed}/virtual/{scan_id}")
    made, chain = changed_scan(volume, bodies, draw_changes(rng, bodies, sound, thickness_mm))
    source = landmarks.iloc[0]
    return made, truth_table(chain, sound, source["patient_id"], scan_id, source["scan_id"])
