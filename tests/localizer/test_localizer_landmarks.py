"""From detections to the landmarks table: labels, reasons, error bars, refusals."""

import numpy as np
import pandas as pd
import pytest
import torch

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume
from vertegrade.localizer import landmarks
from vertegrade.localizer.centreline.network import CentrelineNetwork
from vertegrade.localizer.centreline.spine_line import SpineLine
from vertegrade.localizer.detector.network import NETWORK_LEVELS
from vertegrade.localizer.landmarks import Detection, keep_apart, labelled, landmarks_table, learned_landmarks
from vertegrade.localizer.networks import Localizer, VertebraNetwork
from vertegrade.reasons import Refused
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.centreline import fit_centreline
from vertegrade.tables import NOT_GRADED, POINT_SD_COLUMNS

ROW = ScanRow(scan_id="s1", patient_id="p1", path="s1")
SETTINGS = LocalizeSettings(method="learned")
# Where C7 to T3 lie along the line, mm
STEPS = {7: 0.0, 8: 19.0, 9: 38.5, 10: 58.0}


def detection(label: int, arc_mm: float, confidence: float = 0.95, complete: float = 0.95) -> Detection:
    """A vertebra of 20 mm height on a straight, vertical spine, whose level the network is fairly sure of."""
    scores = np.log(np.where(np.array(NETWORK_LEVELS) == label, 0.9, 0.1 / (len(NETWORK_LEVELS) - 1)))
    centre = np.array([0.0, 0.0, -arc_mm])
    points = centre + np.array([[0, y, z] for y in (12, 0, -12) for z in (10, -10)], dtype=float)
    return Detection(arc_mm, centre, points, np.full(6, 0.4), confidence, scores, complete)


def table_of(found: list[Detection], settings: LocalizeSettings = SETTINGS) -> pd.DataFrame:
    return landmarks_table(ROW, labelled(found), settings)


def test_points_errors_and_labels_stand_in_the_table() -> None:
    table = table_of([detection(label, arc) for label, arc in STEPS.items()])
    assert table["vertebra"].tolist() == list(STEPS)
    assert (table["label_confidence"] > 0.9).all()
    assert (table[POINT_SD_COLUMNS] == 0.4).all(axis=None)
    assert table["anterior_superior_z_mm"].tolist() == [10 - arc for arc in STEPS.values()]
    assert (table["source"] == "learned").all()


def test_what_is_not_graded_says_why() -> None:
    found = [detection(7, 0), detection(8, 19, complete=0.2), detection(9, 38.5), detection(10, 58)]
    table = table_of(found).set_index("vertebra")
    assert table["reason"].to_dict() == {7: NOT_GRADED, 8: "cut_by_scan", 9: "", 10: ""}
    assert table["evaluable"].to_dict() == {7: False, 8: False, 9: True, 10: True}


def test_a_place_between_neighbours_makes_a_faint_vertebra_sure_and_a_wrong_place_drops_it() -> None:
    there = [detection(label, arc, confidence=0.15 if label == 9 else 0.95) for label, arc in STEPS.items()]
    table = table_of(there).set_index("vertebra")
    assert table.loc[9, "confidence"] > 0.5
    assert table.loc[9, "evaluable"]
    between = [detection(7, 0), detection(8, 19), detection(9, 29, confidence=0.15), detection(9, 38.5)]
    assert table_of(between)["centre_z_mm"].tolist() == [0, -19, -38.5]


def test_what_is_less_sure_than_asked_for_is_not_graded() -> None:
    faint = [detection(8, 0), detection(9, 19.5, confidence=0.06), detection(10, 39)]
    strict = SETTINGS.model_copy(update={"min_confidence": 0.999})
    table = table_of(faint, strict).set_index("vertebra")
    assert table.loc[9, "reason"] == "low_confidence"


def test_the_sacrum_gets_no_row() -> None:
    table = table_of([detection(23, 0), detection(24, 36), detection(26, 68)])
    assert table["vertebra"].tolist() == [23, 24]


def test_a_scan_without_vertebrae_is_refused() -> None:
    for found in ([], [detection(26, 0.0)]):
        with pytest.raises(Refused) as refusal:
            table_of(found)
        assert refusal.value.reason == "no_vertebrae"


def test_a_spine_without_candidates_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    line = fit_centreline(np.array([[45.0, 45.0, 150.0], [45.0, 45.0, 30.0]]), 0.0)
    monkeypatch.setattr(landmarks, "find_centreline", lambda *given: SpineLine(line, 0.0, 120.0))
    volume = Volume(np.full((30, 30, 60), -1000, np.int16), np.diag([3.0, 3.0, 3.0, 1.0]))
    torch.manual_seed(0)
    localizer = Localizer(CentrelineNetwork(), VertebraNetwork().eval(), "cpu")
    with pytest.raises(Refused) as refusal:
        learned_landmarks(ROW, volume, localizer, SETTINGS)
    assert refusal.value.reason == "no_vertebrae"


def test_of_two_near_detections_the_surer_stays() -> None:
    arcs, confidence = np.array([50.0, 20.0, 24.0, 80.0]), np.array([0.5, 0.6, 0.9, 0.4])
    assert keep_apart(arcs, confidence, 8.0) == [2, 0, 3]
