"""The landmarks table of a scan by the learned localizer: centreline, vertebrae, then one labelling of them all."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume
from vertegrade.levels import SACRUM
from vertegrade.localizer.centreline.find import find_centreline, load_centreline_network
from vertegrade.localizer.centreline.network import CentrelineNetwork
from vertegrade.localizer.detector.find import Detection, VertebraNetwork, find_vertebrae, load_vertebra_network
from vertegrade.localizer.detector.samples import NETWORK_LEVELS
from vertegrade.reasons import Refused
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.labelling import FALSE_ALARM, label_vertebrae
from vertegrade.spine.landmarks import implausible, is_graded
from vertegrade.tables import LANDMARKS, NOT_GRADED, POINT_COLUMNS, POINT_SD_COLUMNS, check_table


@dataclass(frozen=True)
class Localizer:
    """Both networks, ready to use on `device`."""

    centreline: CentrelineNetwork
    vertebrae: VertebraNetwork
    device: str


def load_localizer(folder: str | Path, device: str) -> Localizer:
    """The networks of a folder (`models/localizer`); WeightsError where a file is missing or not one of ours."""
    centreline = load_centreline_network(Path(folder) / "centreline.safetensors", device)
    return Localizer(centreline, load_vertebra_network(Path(folder) / "vertebrae.safetensors", device), device)


def learned_landmarks(row: ScanRow, volume: Volume, localizer: Localizer, settings: LocalizeSettings) -> pd.DataFrame:
    """Table LANDMARKS of one scan, head to feet, with six points, their expected errors and label confidences.

    evaluable is False with a reason for vertebrae that the scan cuts (`cut_by_scan`), that are found with too little
    confidence (`low_confidence`), at an implausible distance from their neighbours, or outside the graded levels.
    A label that is unsure is no such reason: grades do not depend on it. The sacrum gets no row.
    Refused: no spine (`no_spine`), no vertebra (`no_vertebrae`).
    """
    spine = find_centreline(volume, localizer.centreline, localizer.device, settings.centreline)
    found = find_vertebrae(
        volume, spine.line, spine.start_arc_mm, spine.end_arc_mm, localizer.vertebrae, localizer.device
    )
    if found:
        labelling = label_vertebrae(
            np.stack([detection.level_log_p for detection in found]),
            np.array([detection.arc_mm for detection in found]),
            np.array([detection.confidence for detection in found]),
            NETWORK_LEVELS,
        )
        # Whatever its level: looks and the distances to its neighbours both say whether it is a vertebra.
        vertebra = labelling.posterior.sum(axis=1).clip(0, 1)
        labelled = {
            int(label): (replace(detection, confidence=float(is_one)), float(sure))
            for detection, label, sure, is_one in zip(
                found, labelling.labels, labelling.confidence, vertebra, strict=True
            )
            if label not in (FALSE_ALARM, SACRUM)
        }
    if not found or not labelled:
        raise Refused("no_vertebrae", f"scan {row.scan_id}: the learned localizer finds no vertebra along the spine")
    odd = implausible({label: detection.centre_mm for label, (detection, _) in labelled.items()}, settings)
    rows = []
    for label, (detection, sure) in labelled.items():
        reason = _reason(label, detection, label in odd, settings)
        rows.append(
            {"patient_id": row.patient_id, "scan_id": row.scan_id, "vertebra": label}
            | dict(zip(("centre_x_mm", "centre_y_mm", "centre_z_mm"), detection.centre_mm, strict=True))
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
