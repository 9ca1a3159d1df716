"""From detections to the landmarks table: labels, reasons, error bars, refusals."""

import numpy as np
import pytest

from vertegrade.cohort.sheet import ScanRow
from vertegrade.ct.volume import Volume
from vertegrade.localizer import landmarks
from vertegrade.localizer.centreline.find import SpineLine
from vertegrade.localizer.detector.find import Detection
from vertegrade.localizer.detector.samples import NETWORK_LEVELS
from vertegrade.localizer.landmarks import Localizer, learned_landmarks
from vertegrade.reasons import Refused
from vertegrade.settings.spine import LocalizeSettings
from vertegrade.spine.centreline import fit_centreline
from vertegrade.tables import NOT_GRADED, POINT_SD_COLUMNS

ROW = ScanRow(scan_id="s1", patient_id="p1", path="s1")
VOLUME = Volume(np.zeros((4, 4, 4), np.int16), np.eye(4))
SETTINGS = LocalizeSettings(method="learned")
# Where C7 to T3 lie along the line, mm
STEPS = {7: 0.0, 8: 19.0, 9: 38.5, 10: 58.0}


def detection(label: int, arc_mm: float, confidence: float = 0.95, complete: float = 0.95) -> Detection:
    """A vertebra of 20 mm height on a straight, vertical spine, whose level the network is fairly sure of."""
    scores = np.log(np.where(np.array(NETWORK_LEVELS) == label, 0.9, 0.1 / (len(NETWORK_LEVELS) - 1)))
    centre = np.array([0.0, 0.0, -arc_mm])
    points = centre + np.array([[0, y, z] for y in (12, 0, -12) for z in (10, -10)], dtype=float)
    return Detection(arc_mm, centre, points, np.full(6, 0.4), confidence, scores, complete)


def table_of(monkeypatch: pytest.MonkeyPatch, found: list[Detection], settings: LocalizeSettings = SETTINGS):
    line = fit_centreline(np.array([[0.0, 0.0, 10.0], [0.0, 0.0, -400.0]]), 0.0)
    spine = SpineLine(line, 0.0, 410.0, 0.9, np.zeros((0, 3)), np.zeros(0), ())
    monkeypatch.setattr(landmarks, "find_centreline", lambda *given: spine)
    monkeypatch.setattr(landmarks, "find_vertebrae", lambda *given: found)
    return learned_landmarks(ROW, VOLUME, Localizer(None, None, "cpu"), settings)


def test_points_errors_and_labels_stand_in_the_table(monkeypatch):
    table = table_of(monkeypatch, [detection(label, arc) for label, arc in STEPS.items()])
    assert table["vertebra"].tolist() == list(STEPS)
    assert (table["label_confidence"] > 0.9).all()
    assert (table[POINT_SD_COLUMNS] == 0.4).all(axis=None)
    assert table["anterior_superior_z_mm"].tolist() == [10 - arc for arc in STEPS.values()]
    assert (table["source"] == "learned").all()


def test_what_is_not_graded_says_why(monkeypatch):
    found = [detection(7, 0), detection(8, 19, complete=0.2), detection(9, 38.5), detection(10, 58)]
    table = table_of(monkeypatch, found).set_index("vertebra")
    assert table["reason"].to_dict() == {7: NOT_GRADED, 8: "cut_by_scan", 9: "", 10: ""}
    assert table["evaluable"].to_dict() == {7: False, 8: False, 9: True, 10: True}


def test_a_place_between_neighbours_makes_a_faint_vertebra_sure_and_a_wrong_place_drops_it(monkeypatch):
    there = [detection(label, arc, confidence=0.15 if label == 9 else 0.95) for label, arc in STEPS.items()]
    table = table_of(monkeypatch, there).set_index("vertebra")
    assert table.loc[9, "confidence"] > 0.5
    assert table.loc[9, "evaluable"]
    between = [detection(7, 0), detection(8, 19), detection(9, 29, confidence=0.15), detection(9, 38.5)]
    assert table_of(monkeypatch, between)["centre_z_mm"].tolist() == [0, -19, -38.5]


def test_what_is_less_sure_than_asked_for_is_not_graded(monkeypatch):
    faint = [detection(8, 0), detection(9, 19.5, confidence=0.06), detection(10, 39)]
    strict = SETTINGS.model_copy(update={"min_confidence": 0.999})
    table = table_of(monkeypatch, faint, strict).set_index("vertebra")
    assert table.loc[9, "reason"] == "low_confidence"


def test_the_sacrum_gets_no_row(monkeypatch):
    table = table_of(monkeypatch, [detection(23, 0), detection(24, 36), detection(26, 68)])
    assert table["vertebra"].tolist() == [23, 24]


def test_a_scan_without_vertebrae_is_refused(monkeypatch):
    for found in ([], [detection(26, 0.0)]):
        with pytest.raises(Refused) as refusal:
            table_of(monkeypatch, found)
        assert refusal.value.reason == "no_vertebrae"
