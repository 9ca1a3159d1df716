"""Crops bent to other heights, and which kind of picture is told from CT."""

import numpy as np
import pandas as pd
import pytest

from vertegrade.drawn_tables import LOSSES
from vertegrade.evaluation.rival import bent_to, groups_of, rival_figures, rivals
from vertegrade.evaluation.warp import warped
from vertegrade.graders.dae.counterfactual import Shown
from vertegrade.settings.evaluation import EvaluationSettings

SIX = np.array([[20, 22], [44, 22], [20, 31], [44, 31], [20, 40], [44, 40]], float)
WANTED = [f"wanted_{name}" for name in LOSSES]


def body(side: int = 64) -> np.ndarray:
    """A dark picture with a bright body between its six points."""
    image = np.zeros((side, side), np.int16)
    image[20:44, 18:45] = 300
    return image


def heights(image: np.ndarray) -> np.ndarray:
    """Bright pixels in the columns of the six points."""
    return (image[:, [22, 31, 40]] > 150).sum(axis=0)


@pytest.mark.parametrize("remaining", [(0.5, 0.8, 1), (1, 0.5, 1), (0.6, 0.6, 0.6), (1.25, 1.25, 1.25), (1, 1, 1)])
def test_a_bent_body_has_the_heights_that_are_asked_for(remaining: tuple[float, ...]) -> None:
    bent = warped(body(), SIX, np.array(remaining), 1.0)
    assert heights(bent) == pytest.approx(24 * np.array(remaining), abs=1)
    assert (bent[44:] == body()[44:]).all(), "what lies below the body moves"
    assert (bent[:, :8] == body()[:, :8]).all(), "what lies far in front of the body moves"


def test_a_body_that_keeps_its_heights_keeps_its_pixels() -> None:
    noise = np.random.default_rng(1).integers(0, 400, (64, 64)).astype(np.int16)
    assert (warped(noise, SIX, np.ones(3), 0.8) == noise).all()


def shown(now_mm: float = 18.0) -> Shown:
    """One vertebra, 24 mm high when it was intact."""
    return Shown(np.zeros((1, 1, 64, 64), np.int16), SIX[None], np.full((1, 3), now_mm), np.full((1, 3), 24.0),
                 np.zeros((1, 1, 64, 64), np.float32), 1.0)  # fmt: skip


def test_losses_are_of_the_intact_heights() -> None:
    bent = bent_to(body()[None], shown(), np.array([[[0.25] * 3, [0.5] * 3]]))
    assert bent.shape == (1, 2, 64, 64)
    assert heights(bent[0, 0]) == pytest.approx([24] * 3, abs=1)  # 18 of 24 mm are what it has now
    assert heights(bent[0, 1]) == pytest.approx([16] * 3, abs=1)


def test_what_is_measured_in_a_bent_crop_corrects_it() -> None:
    """By an instrument that sees bodies four pixels higher than they are."""
    asked = np.array([[[0.25, 0.25, 0.0], [0.5, 0.5, 0.5]]])

    def measure(images: np.ndarray, points: np.ndarray) -> np.ndarray:
        assert points.shape == (len(images), 6, 2)
        return np.array([heights(image) + 4.0 for image in images])

    missing = []
    for rounds in (1, 3):
        bent, found = rivals(body()[None], shown(24.0), asked, measure, rounds)
        assert bent.shape == (1, 2, 64, 64)
        assert bent.dtype == np.int16
        seen = [[1 - (heights(image) + 4.0) / 24 for image in bent[0]]]
        assert found == pytest.approx(np.array(seen)), "the losses are not those of the images"
        missing.append(np.abs(found - asked).max())
    assert missing[0] > 0.12 > 0.05 > missing[1]


def test_intact_crops_stand_beside_grade_0_and_fractured_ones_beside_the_others() -> None:
    groups = groups_of(np.array([0.0, 0.19, 0.2, 0.5]), np.array([0, 1, 2, 3]))
    assert [groups["intact"][0].tolist(), groups["intact"][1].tolist()] == [[1, 1, 0, 0], [1, 0, 0, 0]]
    assert [groups["fractured"][0].tolist(), groups["fractured"][1].tolist()] == [[0, 0, 1, 1], [0, 1, 1, 1]]


def test_a_smooth_kind_of_picture_is_told_from_ct_and_a_true_one_is_not() -> None:
    rng = np.random.default_rng(3)
    count = 24
    sharp = lambda n: rng.normal(200, 60, (n, 64, 64)).astype(np.int16)  # noqa: E731
    pictures = pd.DataFrame({"patient_id": [f"p{n}" for n in range(count)], "wanted_grade": [0, 3] * (count // 2)})
    pictures[WANTED] = 0.3
    crops = pd.DataFrame({"patient_id": [f"q{n}" for n in range(count)], "height_loss": [0.0, 0.4] * (count // 2)})
    made = {
        "dae": (sharp(count) // 4 + 150, np.full((count, 3), 0.4)),
        "warp": (sharp(count), np.full((count, 3), 0.3)),
    }
    settings = EvaluationSettings(bootstrap_resamples=50)
    figures = rival_figures(pictures, made, sharp(count), crops, settings, 1)
    told = {kind: figures[kind]["told_from_ct"]["fractured"]["texture"]["value"] for kind in made}
    assert told["dae"] > 0.95 > 0.8 > told["warp"]
    assert figures["dae"]["loss_error"] == pytest.approx(0.1)
    assert figures["warp"]["loss_error"] == 0
