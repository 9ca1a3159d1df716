"""What is true of the vertebrae of a scan with virtual fractures, and which of them a localizer found."""

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.drawn_tables import VIRTUAL_TRUTH
from vertegrade.spine.heights import genant_grade
from vertegrade.tables import CENTRE_COLUMNS, HEIGHTS, KEY, LABELS, PATIENT_KEY, POINT_COLUMNS, centres_of, check_table
from vertegrade.virtual_fractures.body import INFERIOR, SUPERIOR
from vertegrade.virtual_fractures.spine import Link

NEAR_MM = 8.0  # between the true centre of a body and the one that was found; crushed neighbours are 9 mm apart


def truth_table(
    chain: list[Link], intact: set[int], patient_id: str, scan_id: str, source_scan_id: str
) -> pd.DataFrame:
    """VIRTUAL_TRUTH of one new scan: every body of its chain, with its six points and heights after the changes.

    intact: labels of the bodies that were measured without a fracture before.
    """
    rows = [_row(link) | {"intact": link.body.label in intact} for link in chain]
    table = pd.DataFrame(rows).assign(patient_id=patient_id, scan_id=scan_id, source_scan_id=source_scan_id)
    return check_table(table[list(VIRTUAL_TRUTH.columns)], VIRTUAL_TRUTH, f"truth of scan {scan_id}")


def _row(link: Link) -> dict[str, object]:
    body, collapse = link.body, link.collapse
    ends = body.ends if collapse is None else collapse.new_ends()
    heights = ends[SUPERIOR] - ends[INFERIOR]
    loss = 0.0 if collapse is None else collapse.fracture.loss
    points: Floats = body.points(ends) @ link.pose[:3, :3].T + link.pose[:3, 3]
    return {
        "vertebra": body.label,
        "kind": "untouched" if collapse is None else "fracture" if loss else "sham",
        "genant_grade": genant_grade(loss),
        "shape": collapse.fracture.shape if collapse is not None and loss else "",
        "height_loss": loss,
        **{f"height_{column}_mm": float(heights[n]) for n, column in enumerate(HEIGHTS)},
        **{f"healthy_height_{column}_mm": float(body.heights[n]) for n, column in enumerate(HEIGHTS)},
        **dict(zip(CENTRE_COLUMNS, points.mean(axis=0), strict=True)),
        **dict(zip(POINT_COLUMNS, points.ravel(), strict=True)),
    }


def found_truth(truth: pd.DataFrame, landmarks: pd.DataFrame) -> pd.DataFrame:
    """VIRTUAL_TRUTH rows of the bodies that were found, with `found`: the label that they were found by.

    truth, landmarks: VIRTUAL_TRUTH and LANDMARKS of any scans. By place, since a label may be off by a level. A body is
    found where one centre is nearest to it and within NEAR_MM; `found` is -1 where none is.
    """
    found = np.full(len(truth), -1)
    for scan_id, rows in truth.groupby("scan_id"):
        there = landmarks[landmarks["scan_id"] == scan_id]
        if there.empty:
            continue
        apart = np.linalg.norm(centres_of(rows)[:, None] - centres_of(there)[None], axis=2)
        nearest = apart.argmin(axis=1)
        mutual = apart.argmin(axis=0)[nearest] == np.arange(len(rows))
        near = mutual & (apart.min(axis=1) <= NEAR_MM)
        found[truth.index.get_indexer(rows.index)] = np.where(near, there["vertebra"].to_numpy()[nearest], -1)
    return truth.assign(found=found)


def virtual_labels(truth: pd.DataFrame, landmarks: pd.DataFrame) -> pd.DataFrame:
    """LABELS of the bodies that were found, by the labels that they were found by.

    Bodies that were not intact before are unusable: their own deformity is no part of the truth.
    """
    rows = found_truth(truth, landmarks)
    rows = rows[rows["found"] >= 0]
    intact = rows["intact"].to_numpy(dtype=bool)
    table = rows[["patient_id", "scan_id", "found", "genant_grade", "shape", "height_loss"]]
    table = table.rename(columns={"found": KEY[1]}).assign(
        shape=table["shape"].where(table["genant_grade"] > 0, ""),
        usable=intact,
        reason=np.where(intact, "", "deformed_before"),
    )
    return check_table(table, LABELS, "labels of virtual fractures")


def intact_labels(measurements: pd.DataFrame) -> pd.DataFrame:
    """LABELS of grade 0 for the vertebrae of MEASUREMENTS that are measured as intact; nothing is said of the others.

    No person has graded them: a fracture that the measurement misses is taught as intact.
    """
    rows = measurements[measurements["evaluable"] & (measurements["grade"] == 0)]
    table = rows[PATIENT_KEY].assign(genant_grade=0.0, shape="", height_loss=0.0, usable=True, reason="")
    return check_table(table, LABELS, "labels of intact vertebrae")
