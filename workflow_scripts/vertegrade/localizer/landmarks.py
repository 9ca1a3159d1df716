"""The landmarks table of a scan by the learned localizer: from the volume to vertebrae with levels and six points."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume
from vertegrade.levels import SACRUM
from vertegrade.localizer.centreline.find import find_centreline
from vertegrade.localizer.centreline.spine_line import SpineLine, through_bodies
from vertegrade.localizer.completeness import complete_probability
from vertegrade.localizer.detector.find import Candidates, find_candidates
from vertegrade.localizer.detector.network import NETWORK_LEVELS
from vertegrade.localizer.networks import Localizer
from vertegrade.localizer.refiner.endplates import at_outer_edge
from vertegrade.localizer.refiner.refine import refined
from vertegrade.reasons import Refused
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.labelling import FALSE_ALARM, label_vertebrae
from vertegrade.spine.landmarks import implausible, is_graded
from vertegrade.tables import CENTRE_COLUMNS, LANDMARKS, NOT_GRADED, POINT_COLUMNS, POINT_SD_COLUMNS, check_table

# The line is corrected by what is surely a vertebra. The labelling of the whole scan decides what may be one at all.
SURE, MIN_CONFIDENCE = 0.3, 0.05
NEAREST_MM = 8.0  # of two detections nearer than this along the line one is dropped; crushed neighbours are 9 mm apart


@dataclass(frozen=True, eq=False)
class Detection:
    """A vertebra that was found.

    arc_mm: place of its centre along the centreline. centre_mm: (3,), the middle of the body, RAS. points_mm: (6, 3),
    RAS, in the order of tables.POINTS. point_sd_mm: (6,), expected error (standard deviation) of each point along the
    body's height. confidence: 0-1, that it is a vertebra. level_log_p: (25,), log probabilities of NETWORK_LEVELS from
    its looks and surroundings. complete_probability: that the body lies completely in the scan.
    """

    arc_mm: float
    centre_mm: np.ndarray
    points_mm: np.ndarray
    point_sd_mm: np.ndarray
    confidence: float
    level_log_p: np.ndarray
    complete_probability: float


def learned_landmarks(row: ScanRow, volume: Volume, localizer: Localizer, settings: LocalizeSettings) -> pd.DataFrame:
    """Table LANDMARKS of one scan, head to feet, with six points, their expected errors and label confidences.

    evaluable is False with a reason for vertebrae that the scan cuts (`cut_by_scan`), that are found with too little
    confidence (`low_confidence`), at an implausible distance from their neighbours, or outside the graded levels.
    An unsure label is no such reason: grades do not depend on it. The sacrum gets no row.
    Refused: no spine (`no_spine`), no vertebra (`no_vertebrae`).
    """
    detector, refiner, device = localizer.vertebrae.detector, localizer.vertebrae.refiner, localizer.device
    spine = find_centreline(volume, localizer.centreline, device, settings.centreline)
    sure = find_candidates(volume, spine, detector, device, SURE)
    if len(sure.points_mm) > 1:  # a body next to the line looks less like one: look again along a line through them
        points_mm, _ = refined(volume, sure.points_mm, refiner, device)
        spine = through_bodies(spine, points_mm.mean(axis=1))
    candidates = find_candidates(volume, spine, detector, device, MIN_CONFIDENCE)
    points_mm, point_sd_mm = refined(volume, candidates.points_mm, refiner, device)
    points_mm = at_outer_edge(volume, points_mm)
    found = detections(volume, spine, candidates, points_mm, point_sd_mm)
    return landmarks_table(row, labelled(found), settings)


def detections(
    volume: Volume, spine: SpineLine, candidates: Candidates, points_mm: np.ndarray, point_sd_mm: np.ndarray
) -> list[Detection]:
    """Candidates with their final points (m, 6, 3), RAS mm, head to feet, without those too near to a surer one."""
    arcs = spine.line.nearest(points_mm.mean(axis=1))
    return [
        Detection(
            float(arcs[n]),
            points_mm[n].mean(axis=0),
            points_mm[n],
            point_sd_mm[n],
            float(candidates.confidence[n]),
            candidates.level_log_p[n],
            complete_probability(volume, points_mm[n], point_sd_mm[n]),
        )
        for n in keep_apart(arcs, candidates.confidence, NEAREST_MM)
    ]


def keep_apart(arcs_mm: np.ndarray, confidence: np.ndarray, nearest_mm: float) -> list[int]:
    """Indices of detections, head to feet, without the weaker of any two nearer than `nearest_mm` along the line."""
    kept: list[int] = []
    for n in np.argsort(-confidence, kind="stable").tolist():
        if all(abs(arcs_mm[n] - arcs_mm[other]) >= nearest_mm for other in kept):
            kept.append(n)
    return sorted(kept, key=lambda n: float(arcs_mm[n]))


def labelled(found: list[Detection]) -> dict[int, tuple[Detection, float]]:
    """Vertebra and confidence in its label by VerSe label, head to feet, without false alarms and the sacrum.

    The confidence of each detection is then that of the whole scan: its looks and the distances to its neighbours both
    say whether it is a vertebra, whatever its level.
    """
    if not found:
        return {}
    labelling = label_vertebrae(
        np.stack([detection.level_log_p for detection in found]),
        np.array([detection.arc_mm for detection in found]),
        np.array([detection.confidence for detection in found]),
        NETWORK_LEVELS,
    )
    vertebra = labelling.posterior.sum(axis=1).clip(0, 1)
    return {
        int(label): (replace(detection, confidence=float(is_one)), float(sure))
        for detection, label, sure, is_one in zip(found, labelling.labels, labelling.confidence, vertebra, strict=True)
        if label not in (FALSE_ALARM, SACRUM)
    }


def landmarks_table(
    row: ScanRow, vertebrae: dict[int, tuple[Detection, float]], settings: LocalizeSettings
) -> pd.DataFrame:
    """Table LANDMARKS of what `labelled` returns; Refused (`no_vertebrae`) where that is nothing."""
    if not vertebrae:
        raise Refused("no_vertebrae", f"scan {row.scan_id}: the learned localizer finds no vertebra along the spine")
    odd = implausible({label: detection.centre_mm for label, (detection, _) in vertebrae.items()}, settings)
    rows = []
    for label, (detection, sure) in vertebrae.items():
        reason = _reason(label, detection, label in odd, settings)
        rows.append(
            {"patient_id": row.patient_id, "scan_id": row.scan_id, "vertebra": label}
            | dict(zip(CENTRE_COLUMNS, detection.centre_mm, strict=True))
            | dict(zip(POINT_COLUMNS, detection.points_mm.ravel(), strict=True))
            | dict(zip(POINT_SD_COLUMNS, detection.point_sd_mm, strict=True))
            | {"confidence": detection.confidence, "label_confidence": sure, "source": "learned"}
            | {"evaluable": not reason, "reason": reason}
        )
    return check_table(pd.DataFrame(rows), LANDMARKS, f"landmarks of scan {row.scan_id}")


def _reason(label: int, detection: Detection, odd: bool, settings: LocalizeSettings) -> str:
    """Why a vertebra is not graded, empty if it is."""
    if detection.confidence < settings.min_confidence:
        return "low_confidence"
    if detection.complete_probability < settings.min_confidence:
        return "cut_by_scan"
    if odd:
        return "implausible_spacing"
    return "" if is_graded(label, settings) else NOT_GRADED
