"""The landmarks table of a scan whose vertebrae are given, by centroids or by a mask, with six points if by a mask."""

import logging
import math
import tempfile
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd

from vertegrade.annotations.masks import Body, body_centres, boxes_of
from vertegrade.annotations.tools import given_mask, tool_mask
from vertegrade.annotations.verse import read_centroids
from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume, mm_to_voxel
from vertegrade.levels import LABEL_OF, NAMES, craniocaudal_rank
from vertegrade.reasons import Notes, Refused
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.morphometry import measure_mask
from vertegrade.tables import (
    CENTRE_COLUMNS,
    KEY,
    LANDMARKS,
    NOT_GRADED,
    POINT_COLUMNS,
    POINTS,
    centres_of,
    check_table,
)

OUTSIDE = "centre_outside_scan"

MIN_DOWNWARD = 0.25
LOG = logging.getLogger("vertegrade.localize")
NEAR_MM = 10.0  # at most between a centroid and the middle of its vertebra in the mask


def provided_landmarks(
    row: ScanRow, volume: Volume, settings: LocalizeSettings, notes: Notes | None = None
) -> pd.DataFrame:
    """Table LANDMARKS of one scan, head to feet, from the centroids (first choice) or the mask that its row names.

    Every vertebra that was given gets a row; evaluable is False with a reason for those outside the graded levels
    (`not_graded`), with a centre outside the scan, at an implausible distance from their neighbours, or cut or tiny in
    the mask. Confidence is 1.

    The six points are measured on the mask, whose vertebrae must lie at the centroids where both are given. They are
    unknown (NaN) without a mask, and where a vertebra of it cannot be measured. A centroid without a position (NaN) is
    taken from the mask; where there is none, the vertebra gets no row and `notes` a flag.
    Refused: nothing given, files unreadable or on another grid, labels unknown or twice, all centres outside.
    """
    mask = given_mask(row.mask, volume, settings) if row.mask else None
    if row.centroids:
        bodies = _bodies_at_centroids(row, volume, mask, notes or Notes())
    elif mask is not None:
        bodies = body_centres(mask, volume.affine, row.mask, volume.hu)
    else:
        raise Refused(
            "no_landmarks", f"scan {row.scan_id}: the sample sheet names neither centroids nor a mask; add one of them"
        )
    labels = sorted(bodies, key=craniocaudal_rank)
    reasons = {label: bodies[label].reason or _outside(bodies[label].centre_mm, volume) for label in labels}
    if all(reason == OUTSIDE for reason in reasons.values()):
        raise Refused(
            "centroids_outside_scan",
            f"{row.centroids}: no centroid lies in the scan; its direction or its voxel grid is not the scan's",
        )
    sound = {label: bodies[label].centre_mm for label in labels if not reasons[label]}
    for label in implausible(sound, settings):
        reasons[label] = "implausible_spacing"
    for label in labels:
        reasons[label] = reasons[label] or ("" if is_graded(label, settings) else NOT_GRADED)
    points = _points(bodies, mask, volume)
    rows = [
        {
            "patient_id": row.patient_id,
            "scan_id": row.scan_id,
            "vertebra": label,
            **dict(zip(("centre_x_mm", "centre_y_mm", "centre_z_mm"), bodies[label].centre_mm, strict=True)),
            **dict(zip(POINT_COLUMNS, points[label].ravel(), strict=True)),
            "confidence": 1.0,
            "source": "centroids" if row.centroids else "mask",
            "evaluable": not reasons[label],
            "reason": reasons[label],
        }
        for label in labels
    ]
    return check_table(pd.DataFrame(rows), LANDMARKS, f"landmarks of scan {row.scan_id}")


def _bodies_at_centroids(row: ScanRow, volume: Volume, mask: np.ndarray | None, notes: Notes) -> dict[int, Body]:
    """Bodies at the scan's centroids; what these leave without a position is filled from the mask, or left out."""
    given = read_centroids(row.centroids, volume.hu.shape, volume.affine)
    bodies = {label: Body(centre, "") for label, centre in given.items() if np.isfinite(centre).all()}
    unplaced = given.keys() - bodies.keys()
    if unplaced and mask is not None:
        in_mask = body_centres(mask, volume.affine, row.mask, volume.hu)
        bodies |= {label: in_mask[label] for label in unplaced & in_mask.keys()}
    if left_out := ", ".join(NAMES[label] for label in sorted(given.keys() - bodies.keys())):
        notes.flags.add("unplaced_vertebra")
        LOG.warning("%s: no position of %s in %s; the others are used", row.scan_id, left_out, row.centroids)
    return bodies


def _points(bodies: dict[int, Body], mask: np.ndarray | None, volume: Volume) -> dict[int, np.ndarray]:
    """Six points (6, 3), RAS mm, of each body; NaN where the mask has none with this label and centre."""
    points = {label: np.full((len(POINTS), 3), math.nan) for label in bodies}
    if mask is None:
        return points
    boxes = boxes_of(mask)
    for label in bodies.keys() & boxes.keys():
        measure = measure_mask(mask, volume.affine, label, boxes)
        # False for NaN too: the vertebra could not be measured.
        if np.linalg.norm(measure.centre_mm - bodies[label].centre_mm) <= NEAR_MM:
            points[label] = measure.points_mm
    return points


def moved_landmarks(truth: pd.DataFrame, volume: Volume, settings: LocalizeSettings) -> pd.DataFrame:
    """Table LANDMARKS of a scan with virtual fractures whose source had its landmarks given: they moved with the bone.

    truth: VIRTUAL_TRUTH of that one scan. Confidence is 1. Not evaluable are vertebrae outside the graded levels, and
    those whose centre lies in slices that the new scan no longer has.
    """
    outside = [_outside(centre, volume) for centre in centres_of(truth)]
    graded = ["" if is_graded(label, settings) else NOT_GRADED for label in truth["vertebra"]]
    reasons = [first or second for first, second in zip(outside, graded, strict=True)]
    columns = ["patient_id", *KEY, *CENTRE_COLUMNS, *POINT_COLUMNS]
    table = truth[columns].assign(confidence=1.0, source="moved", reason=reasons)
    table["evaluable"] = table["reason"] == ""
    table = table.sort_values("vertebra", key=lambda labels: labels.map(craniocaudal_rank))
    return check_table(table[[*columns, "confidence", "source", "evaluable", "reason"]], LANDMARKS, "moved landmarks")


def tool_landmarks(row: ScanRow, volume: Volume, settings: LocalizeSettings, device: str) -> pd.DataFrame:
    """Table LANDMARKS of one scan from the mask that `settings.method` (totalsegmentator or spineps) makes.

    As `provided_landmarks` for that mask; source is the method. device: `cuda` or `cpu`.
    Refused: the tool is not installed, fails, takes longer than `settings.tool_minutes`, or finds no vertebra.
    """
    with tempfile.TemporaryDirectory(prefix="vertegrade-") as folder:
        mask = Path(folder) / "mask.nii.gz"
        image = nib.Nifti1Image(tool_mask(row.scan_id, volume, settings, device), volume.affine)
        nib.save(image, mask)
        given = replace(row, mask=str(mask), centroids="")
        try:
            return provided_landmarks(given, volume, settings.model_copy(update={"mask_labels": "verse"})).assign(
                source=settings.method
            )
        except Refused as refusal:
            text = refusal.message.replace(str(mask), f"scan {row.scan_id}: the mask of {settings.method}")
            raise Refused(refusal.reason, text) from refusal


def implausible(centres: dict[int, np.ndarray], settings: LocalizeSettings) -> list[int]:
    """Labels whose centres (RAS mm) cannot be right given the others: too near, too far apart, or not head to feet.

    Such as swapped labels, a label far off its vertebra, 28 used for the sacrum. Of each implausible neighbourhood the
    vertebra is dropped whose removal corrects most; where several are equally suspect, all of them. Where that is more
    than half, none can be trusted (a wrong orientation, for example).
    """
    kept = sorted(centres, key=craniocaudal_rank)
    wrong: list[int] = []
    while bad := _bad_gaps(kept, centres, settings):
        suspects = sorted({label for gap in bad for label in gap})
        left = {label: len(_bad_gaps([k for k in kept if k != label], centres, settings)) for label in suspects}
        worst = [label for label in suspects if left[label] == min(left.values())]
        wrong += worst
        kept = [label for label in kept if label not in worst]
    return sorted(centres, key=craniocaudal_rank) if 2 * len(wrong) > len(centres) else wrong


def _bad_gaps(labels: list[int], centres: dict[int, np.ndarray], settings: LocalizeSettings) -> list[tuple[int, int]]:
    """Pairs of successive labels with an implausible step between them.

    T12 or T13 may be missing or present in healthy people, so a step over several levels is only bounded above.
    """
    bad = []
    for upper, lower in pairwise(labels):
        step = centres[lower] - centres[upper]
        length = float(np.linalg.norm(step))
        levels = math.ceil(craniocaudal_rank(lower) - craniocaudal_rank(upper))
        in_range = settings.min_gap_mm <= length <= settings.max_gap_mm * levels
        if not in_range or -step[2] < MIN_DOWNWARD * length:
            bad.append((upper, lower))
    return bad


def _outside(centre_mm: np.ndarray, volume: Volume) -> str:
    voxel = mm_to_voxel(volume.affine, centre_mm)
    inside = (voxel >= -0.5).all() and (voxel <= np.array(volume.hu.shape) - 0.5).all()
    return "" if inside else OUTSIDE


def is_graded(label: int, settings: LocalizeSettings) -> bool:
    """Whether vertebrae of this VerSe label are graded."""
    return label == LABEL_OF["T13"] or settings.first_vertebra <= label <= settings.last_vertebra
