"""The credibility card: a trace that the warp leaves is found, and patients are no trace."""

import numpy as np
import pandas as pd
import pytest

from helpers.virtual import truth_of
from vertegrade.evaluation.challenge.credibility import Looks, groups_of, looks_of, told_apart
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.tables import LABELS, check_table, empty_table

SETTINGS = EvaluationSettings(bootstrap_resamples=40)
RNG = np.random.default_rng(0)
PATIENT = np.repeat(np.arange(12), 10)
POSITIVE = np.arange(120) % 2 == 0


def crops(noise_hu: np.ndarray) -> np.ndarray:
    """Crops (N, 3, 32, 32) of one bright block, with noise of these standard deviations."""
    body = np.zeros((32, 32))
    body[8:24, 8:24] = 300
    noise = RNG.normal(0, 1, (len(noise_hu), 3, 32, 32)) * noise_hu[:, None, None, None]
    return (body + noise).astype(np.int16)


def test_a_trace_in_the_texture_is_found_and_none_is_not() -> None:
    blurred = told_apart(looks_of(crops(np.where(POSITIVE, 15.0, 25.0))), POSITIVE, PATIENT, SETTINGS, 1)
    assert blurred["texture"]["value"] > 0.95
    alike = told_apart(looks_of(crops(np.full(120, 20.0))), POSITIVE, PATIENT, SETTINGS, 1)
    assert alike["texture"]["value"] < 0.65
    assert alike["picture"]["value"] < 0.65
    assert alike["cases"] == [60, 60]
    assert alike["patients"] == [12, 12]


def test_what_only_tells_patients_apart_tells_nothing() -> None:
    """Each patient's crops look alike and are nearly all of one kind: by folds of crops that would be an AUC near 1."""
    own = RNG.normal(0, 1, (12, 8))[PATIENT] + RNG.normal(0, 0.01, (120, 8))
    kind = (PATIENT % 2 == 0) ^ (np.arange(120) % 10 == 0)
    found = told_apart(Looks(own, own), kind, PATIENT, SETTINGS, 1)
    assert found["picture"]["value"] < 0.75
    assert found["texture"]["value"] < 0.75


def test_a_difference_in_the_picture_is_found() -> None:
    pixels = crops(np.full(120, 20.0))
    pixels[POSITIVE, :, 8:12] = 0
    assert told_apart(looks_of(pixels), POSITIVE, PATIENT, SETTINGS, 1)["picture"]["value"] > 0.95


def test_fewer_than_three_patients_of_one_kind_say_so() -> None:
    found = told_apart(looks_of(crops(np.full(120, 20.0))), PATIENT < 2, PATIENT, SETTINGS, 1)
    assert "texture" not in found
    assert found["why"] == "fewer than 3 patients have one"
    none = told_apart(Looks(np.zeros((0, 4)), np.zeros((0, 4))), np.zeros(0, bool), np.zeros(0, int), SETTINGS, 1)
    assert "why" in none


def test_who_is_compared_with_whom() -> None:
    truth = truth_of(
        [
            {"vertebra": 18, "kind": "untouched"},  # at the end of the spine that is seen
            {"vertebra": 19, "kind": "untouched"},
            {"vertebra": 20, "kind": "sham"},
            {"vertebra": 21, "kind": "fracture", "shape": "wedge", "height_loss": 0.3},
            {"vertebra": 22, "kind": "fracture", "shape": "wedge", "height_loss": 0.21},  # only grade 1
            {"vertebra": 23, "kind": "untouched", "intact": False},
            {"vertebra": 24, "kind": "sham"},
            {"vertebra": 25, "kind": "untouched"},
        ]
    ).assign(found=[18, 19, 20, 20, 22, 23, -1, 25])
    row = {"patient_id": "p0", "scan_id": "s0", "shape": "", "height_loss": np.nan, "usable": True, "reason": ""}
    real = [row | {"vertebra": label, "genant_grade": grade} for label, grade in ((12, 3.0), (13, 1.0))]
    labels = check_table(pd.DataFrame(real)[[*LABELS.columns]], LABELS, "labels")
    table = groups_of(truth, labels)
    assert table[["vertebra", "group"]].to_numpy().tolist() == [
        [19, "untouched"],
        [20, "sham"],
        [20, "virtual"],
        [12, "real"],
    ]
    assert groups_of(truth, empty_table(LABELS))["group"].tolist() == ["untouched", "sham", "virtual"]


@pytest.mark.parametrize("size", [32, 33, 96])
def test_looks_are_numbers_of_any_crop(size: int) -> None:
    pixels = RNG.integers(-1000, 1500, (2, 5, size, size)).astype(np.int16)
    looks = looks_of(pixels)
    assert looks.texture.shape[0] == looks.picture.shape[0] == 2
    assert looks.picture.shape[1] == 256
    assert np.isfinite(looks.texture).all()
    assert looks_of(pixels[:0]).texture.shape == (0, looks.texture.shape[1])
