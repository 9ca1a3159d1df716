"""Which vertebrae the challenge counts, and what of a method's answers belongs to which of them."""

from typing import Any

import numpy as np
import pandas as pd

from helpers.virtual import landmarks_of, predictions_of, states_of, truth_of
from vertegrade.evaluation.challenge.cases import challenge_bodies, challenge_cases
from vertegrade.tables import HEIGHTS, LABELS, PATIENT_SPLITS, check_table, empty_table

TRUTH = truth_of(
    [
        {"vertebra": 19, "kind": "untouched"},
        {"vertebra": 20, "kind": "fracture", "shape": "wedge", "height_loss": 0.3},
        {"vertebra": 22, "kind": "sham"},
        {"vertebra": 23, "kind": "untouched", "intact": False},
    ]
)
SPLITS = check_table(
    pd.DataFrame({"patient_id": ["p0", "p1"], "split": ["test", "train"], "origin": "hash"}), PATIENT_SPLITS, "splits"
)


def measured_of(landmarks: pd.DataFrame, height: float = 24.0) -> pd.DataFrame:
    heights = {f"height_{column}_mm": height for column in HEIGHTS}
    return landmarks[["patient_id", "scan_id", "vertebra"]].assign(**heights)


def bodies(truth: pd.DataFrame = TRUTH, labels: pd.DataFrame | None = None, **more: Any) -> pd.DataFrame:
    landmarks = more.pop("landmarks", landmarks_of(truth))
    labels = empty_table(LABELS) if labels is None else labels
    states = more.pop("states", states_of(truth))
    return challenge_bodies(truth, landmarks, measured_of(landmarks), states, labels, SPLITS, [1.0, 3.0])


def labels_of(vertebra: int, grade: float, usable: bool = True) -> pd.DataFrame:
    row = {"patient_id": "p0", "scan_id": "s0", "vertebra": vertebra, "genant_grade": grade, "shape": ""}
    return check_table(pd.DataFrame([row | {"height_loss": np.nan, "usable": usable, "reason": ""}]), LABELS, "labels")


def test_each_intact_vertebra_stands_once_in_its_virtual_scan_and_once_in_its_own() -> None:
    table = bodies()
    assert table["kind"].tolist() == ["untouched", "fracture", "sham", "source", "source", "source"]
    assert table["scan_id"].tolist() == ["s0-virtual-1"] * 3 + ["s0"] * 3
    assert table["vertebra"].tolist() == [19, 20, 22] * 2
    assert table["height_loss"].tolist() == [0, 0.3, 0, 0, 0, 0]
    assert table["region"].tolist() == ["T10-L2", "T10-L2", "L3-L6"] * 2
    twice = pd.concat([TRUTH, TRUTH.assign(scan_id="s0-virtual-2")], ignore_index=True)
    assert bodies(twice)["kind"].value_counts().to_dict() == {"untouched": 2, "fracture": 2, "sham": 2, "source": 3}


def test_vertebrae_that_a_reader_graded_as_fractured_do_not_count() -> None:
    assert 20 not in bodies(labels=labels_of(20, 1.0))["vertebra"].tolist()
    assert 20 in bodies(labels=labels_of(20, 0.0))["vertebra"].tolist()
    assert 20 in bodies(labels=labels_of(20, 1.0, usable=False))["vertebra"].tolist()


def test_only_patients_of_the_test_split_count() -> None:
    trained = truth_of([{"vertebra": 20, "kind": "sham"}], patient_id="p1", source="s1")
    table = bodies(pd.concat([TRUTH, trained], ignore_index=True))
    assert set(table["patient_id"]) == {"p0"}


def test_heights_are_those_of_the_body_at_the_place_whatever_its_level_was_called() -> None:
    shifted = landmarks_of(TRUTH).assign(vertebra=[20, 21, 23, 24])
    table = bodies(landmarks=shifted)
    assert table["found"].tolist()[:3] == [20, 21, 23]
    assert table["measured_anterior_mm"].tolist()[:3] == [24.0] * 3
    assert table.loc[3:, "measured_anterior_mm"].isna().all()
    assert table.loc[3:, "height_anterior_mm"].isna().all()


def test_a_scanner_is_maker_kernel_and_thickness_and_a_nifti_has_its_spacing() -> None:
    named = states_of(TRUTH, manufacturer="GE", kernel="BONE", slice_thickness_mm=1.0)
    assert set(bodies(states=named)["scanner"]) == {"GE, BONE, <= 1 mm"}
    assert set(bodies()["scanner"]) == {"unknown scanner, unknown kernel, 1-3 mm"}


def answers(found: pd.DataFrame, severity: list[float], **more: Any) -> pd.DataFrame:
    own = landmarks_of(TRUTH.assign(scan_id="s0"))
    table = predictions_of(found, severity).assign(**more)
    return challenge_cases(bodies(landmarks=found), table, predictions_of(own, [0.2] * 4), "dae", 1)


def test_a_method_answers_for_the_body_at_the_place() -> None:
    shifted = landmarks_of(TRUTH).assign(vertebra=[20, 21, 23, 24])
    table = answers(shifted, [0.1, 2.2, 0.6, 0.0])
    assert table["severity"].tolist() == [0.1, 2.2, 0.6, 0.2, 0.2, 0.2]
    assert table["noticed"].tolist() == [False, True, True, False, False, False]
    assert table["evaluable"].all()


def test_what_was_not_found_or_not_graded_is_not_noticed_and_says_why() -> None:
    found = landmarks_of(TRUTH).iloc[1:].reset_index(drop=True)
    table = challenge_cases(
        bodies(landmarks=found),
        predictions_of(found.iloc[:1], [2.0]).assign(
            evaluable=False, reason="unlike_training", severity=np.nan, grade=-1
        ),
        predictions_of(found.iloc[:0], []),
        "dae",
        1,
    )
    assert table["reason"].tolist() == ["not_found", "unlike_training", "no_prediction"] + ["no_prediction"] * 3
    assert not table["evaluable"].any()
    assert not table["noticed"].any()
    assert table["unlike_training"].tolist() == [False, True, False, False, False, False]


def test_flagged_vertebrae_are_unlike_training_too() -> None:
    table = answers(landmarks_of(TRUTH), [0.0] * 4, flags=["", "metal unlike_training", "unlike", ""])
    assert table["unlike_training"].tolist() == [False, True, False, False, False, False]
    assert table["evaluable"].all()


def test_where_nothing_is_intact_there_are_no_cases() -> None:
    virtual, own = landmarks_of(TRUTH), landmarks_of(TRUTH.assign(scan_id="s0"))
    table = bodies(TRUTH.assign(intact=False))
    assert challenge_cases(table, *(predictions_of(found, [0.0] * 4) for found in (virtual, own)), "dae", 1).empty
