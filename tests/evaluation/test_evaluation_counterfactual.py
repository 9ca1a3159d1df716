"""Figures of pictures at other grades, from tables and images made by hand."""

import numpy as np
import pandas as pd
import pytest

from vertegrade.drawn_tables import COUNTERFACTUALS
from vertegrade.evaluation.counterfactual import _returns, counterfactual_metrics, counterfactual_table, wanted_of
from vertegrade.graders.dae.counterfactual import Pictures, Shown
from vertegrade.grading.counterfactual import column_losses, severity_of_grade
from vertegrade.levels import LABEL_OF
from vertegrade.tables import empty_table

LABELS = [LABEL_OF["T7"], LABEL_OF["L4"]]
SIX = np.array([[20, 22], [40, 22], [22, 31], [38, 31], [20, 40], [40, 40]], float)
NOISE = np.random.default_rng(0).standard_normal((2, 1, 64, 64)).astype(np.float32)


def table(
    loss: np.ndarray | None = None,
    back: np.ndarray | None = None,
    scale: np.ndarray | None = None,
    beside: np.ndarray | None = None,
) -> pd.DataFrame:
    wanted = wanted_of(LABELS, ["", ""], False)
    losses = wanted.losses if loss is None else loss
    images = np.full((2, 4, 1, 64, 64), 100, np.int16)
    images[:, :, :, 30, 30] += 50  # one pixel in the body
    images[:, 3, :, 2, 2] += 30  # and one far beyond it, at grade 3
    crops = np.full((2, 1, 64, 64), 100, np.int16)
    own = np.array([[0.0, 0], [5, 5]])
    z_back = np.repeat(own[:, None], 4, axis=1)
    z_back[1, 3] = [1, 3]  # nearer to the other vertebra
    pictures = Pictures(crops, crops + 7, images, losses, wanted.severities + 0.2, own, z_back,
                        images if back is None else back, z_back)  # fmt: skip
    rows = pd.DataFrame({"patient_id": ["a", "b"], "scan_id": ["a-1", "b-1"], "vertebra": LABELS})
    shown = Shown(np.zeros((2, 1, 64, 64), np.int16), np.tile(SIX, (2, 1, 1)), np.full((2, 3), 20.0),
                  np.full((2, 3), 20.0), NOISE, 1.0)  # fmt: skip
    training = np.array([[0.0, 0], [1, 0], [5, 5], [9, 9]])
    return counterfactual_table(rows, wanted, pictures, shown, np.ones(2) if scale is None else scale, training, beside)


def test_pictures_that_are_as_wanted() -> None:
    metrics = counterfactual_metrics(table(), NOISE)
    assert metrics["vertebrae"] == 2
    assert metrics["order_right"] == 1
    assert metrics["within_8_points"] == {"0": 1, "1": 1, "2": 1, "3": 1}
    assert metrics["mean_loss"]["2"] == pytest.approx(0.325)
    assert metrics["reached_40_percent"] == 1
    assert metrics["severity_gap"] == pytest.approx(0.2)
    assert metrics["severity_bias_by_grade"]["3"] == pytest.approx(0.2)
    assert metrics["composition_hu"] == pytest.approx(7)
    assert metrics["x_t_sd"] == pytest.approx(1, abs=0.05)
    assert metrics["x_t_neighbour_correlation"] == pytest.approx(0, abs=0.05)


def test_losses_out_of_order_and_out_of_reach_are_counted() -> None:
    losses = wanted_of(LABELS, ["", ""], False).losses.copy()
    losses[0, 3] = 0.3  # below grade 2
    metrics = counterfactual_metrics(table(losses), NOISE)
    assert metrics["order_right"] == 0.5
    assert metrics["within_8_points"]["3"] == 0.5
    assert metrics["reached_40_percent"] == 0.5


def test_change_beyond_the_body_is_told_from_change_within_it() -> None:
    rows = table()
    assert (rows.loc[rows["wanted_grade"] < 3, "outside_to_inside"] == 0).all()
    severe = rows[rows["wanted_grade"] == 3]
    assert severe["outside_share"].tolist() == pytest.approx([30 / 80] * 2)
    assert (severe["outside_to_inside"] > 0).all()
    assert (severe["outside_to_inside"] < 0.2).all()  # there are more pixels beyond


def test_a_vertebra_that_returns_as_another_one_is_counted() -> None:
    rows = table()
    assert rows["returns"].tolist() == [True] * 7 + [False]
    assert counterfactual_metrics(rows, NOISE)["identity_kept"] == 7 / 8


def test_vertebrae_drawn_beside_others_follow_them_are_not_counted_and_are_told_from_them() -> None:
    assert table()["counted"].all()
    beside = table(beside=np.full((3, 2), 99.0))
    assert not beside["counted"].any()
    assert beside["row"].tolist() == [3] * 4 + [4] * 4
    moved, own, other = np.array([[[1.0, 1]]]), np.array([[0.0, 0]]), np.array([[1.0, 2], [9, 9]])
    assert _returns(moved, own, np.ones(2)).tolist() == [[True]]
    assert _returns(moved, own, np.ones(2), other).tolist() == [[False]]


def test_nearness_to_training_vertebrae_is_a_share_of_their_own() -> None:
    rows = table()
    assert rows.loc[0, "nearest_training"] == 1  # at a training latent
    assert rows.loc[7, "nearest_training"] == pytest.approx(0.5)  # 3 away from one; two of the four lie further apart


def test_no_pictures_have_no_figures() -> None:
    metrics = counterfactual_metrics(empty_table(COUNTERFACTUALS), np.zeros((0, 1, 8, 8), np.float32))
    assert metrics["vertebrae"] == 0
    assert metrics["order_right"] is None
    assert metrics["mean_loss"] == {"0": None, "1": None, "2": None, "3": None}
    assert metrics["x_t_sd"] is None


def losses_of(*largest: float) -> np.ndarray:
    """Losses (2, 4, 3) whose anterior column is that of each grade, and the others none."""
    losses = np.zeros((2, 4, 3))
    losses[:, :, 0] = largest
    return losses


def test_near_is_within_eight_points_of_the_middle_of_the_grade() -> None:
    metrics = counterfactual_metrics(table(losses_of(0.17, 0.30, 0.25, 0.41)), NOISE)
    assert metrics["within_8_points"] == {"0": 1, "1": 1, "2": 1, "3": 0}
    assert metrics["reached_40_percent"] == 1
    metrics = counterfactual_metrics(table(losses_of(0.19, 0.31, 0.24, 0.57)), NOISE)
    assert metrics["within_8_points"] == {"0": 0, "1": 0, "2": 0, "3": 1}
    assert metrics["mean_loss"]["3"] == pytest.approx(0.57)


@pytest.mark.parametrize("largest", [(0.1, 0.2, 0.2, 0.5), (0.2, 0.1, 0.3, 0.5), (0.2, 0.2, 0.3, 0.5)])
def test_losses_must_rise_from_the_intact_picture_on(largest: tuple[float, ...]) -> None:
    assert counterfactual_metrics(table(losses_of(*largest)), NOISE)["order_right"] == 0


def test_gaps_of_severity_do_not_cancel_and_biases_do() -> None:
    rows = table()
    rows["severity"] = rows["wanted_severity"] + np.where(rows["row"] == 0, 0.3, -0.1)
    metrics = counterfactual_metrics(rows, NOISE)
    assert metrics["severity_gap"] == pytest.approx(0.2)
    assert metrics["severity_gap_by_grade"]["2"] == pytest.approx(0.2)
    assert metrics["severity_bias_by_grade"]["2"] == pytest.approx(0.1)


def test_the_way_back_is_held_against_the_reconstruction() -> None:
    """In the body: the reconstruction is 7 HU off, the picture that came back 4 more; elsewhere nothing counts."""
    crops = np.full((2, 1, 64, 64), 100, np.int16)
    back = np.repeat((crops + 11)[:, None], 4, axis=1)
    back[..., :10, :] = 0
    rows = table(back=back)
    np.testing.assert_allclose(rows["return_error_hu"], 4)
    np.testing.assert_allclose(rows["reconstruction_error_hu"], 7)


def test_latents_are_compared_in_their_spread() -> None:
    assert table()["returns"].tolist() == [True] * 7 + [False]
    assert table(scale=np.array([4.0, 1.0]))["returns"].all()
    rows = table(scale=np.array([1.0, 10.0]))
    assert rows.loc[7, "nearest_training"] == 1
    assert table().loc[7, "nearest_training"] == 0.5


def test_neighbours_in_x_t_are_beside_each_other() -> None:
    pairs = np.repeat(NOISE[..., :32], 2, axis=-1)  # two pixels alike, then others
    found = counterfactual_metrics(table(), pairs)["x_t_neighbour_correlation"]
    assert found == pytest.approx(32 / 63, abs=0.05)


def test_what_is_asked_for_is_the_loss_and_the_severity_of_each_grade() -> None:
    wanted = wanted_of(LABELS, ["", "crush"], False)
    for n, shape in enumerate(("wedge", "crush")):
        assert wanted.severities[n].tolist() == [severity_of_grade(grade) for grade in range(4)]
        for grade in range(4):
            np.testing.assert_array_equal(wanted.losses[n, grade], column_losses(shape, grade))
    assert wanted.severities[0, 3] != 3


def test_a_vertebra_returns_where_none_of_the_others_is_nearer() -> None:
    own, back = np.array([[0.0], [1.0], [10.0]]), np.array([[[0.4], [0.8]], [[1.2], [0.2]], [[7.0], [5.0]]])
    found = _returns(back, own, np.ones(1))
    assert found.tolist() == [[True, False], [True, False], [True, False]]
