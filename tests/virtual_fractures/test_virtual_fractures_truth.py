"""Which bodies of a virtual scan were found, and what labels follow from what was done to them."""

import numpy as np

from helpers.virtual import landmarks_of, truth_of
from vertegrade.virtual_fractures.truth import found_truth, virtual_labels

TRUTH = truth_of(
    [
        {"vertebra": 20, "kind": "fracture", "shape": "wedge", "height_loss": 0.3},
        {"vertebra": 21, "kind": "fracture", "shape": "crush", "height_loss": 0.1},
        {"vertebra": 22, "kind": "sham"},
        {"vertebra": 23, "kind": "untouched", "intact": False},
    ]
)


def test_bodies_are_found_by_their_place_even_where_the_level_is_off() -> None:
    found = landmarks_of(TRUTH.iloc[1:3]).assign(vertebra=[20, 21])
    found.loc[1, "centre_x_mm"] += 9.0  # further than a body's own centre can be off
    assert found_truth(TRUTH, found)["found"].tolist() == [-1, 20, -1, -1]
    assert found_truth(TRUTH, found.iloc[:0])["found"].tolist() == [-1] * 4


def test_labels_have_a_shape_from_grade_1_on_and_bodies_deformed_before_are_unusable() -> None:
    labels = virtual_labels(TRUTH, landmarks_of(TRUTH))
    assert labels["shape"].tolist() == ["wedge", "", "", ""]
    assert labels["genant_grade"].tolist() == [2, 0, 0, 0]
    assert labels["usable"].tolist() == [True, True, True, False]
    assert labels["reason"].tolist() == ["", "", "", "deformed_before"]
    assert np.allclose(labels["height_loss"], [0.3, 0.1, 0, 0])
