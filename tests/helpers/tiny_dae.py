"""Settings of networks small enough for tests, and crops for them."""

from functools import cache
from pathlib import Path

import numpy as np

from helpers.toy_crops import Toy, toy_crops
from vertegrade.settings.dae import DaeModelSettings, DaeTrainSettings
from vertegrade.training.states import States

MODEL = DaeModelSettings(
    slices=3, slab_mean=False, z_dim=8, channels=8, multipliers=[1, 2], attention_resolutions=[4], unshuffle=2,
    embedding=16, encoder_channels=8, encoder_multipliers=[1, 2], encoder_unshuffle=2,
)  # fmt: skip
# With dropout, which draws random numbers in training.
DROPPING = MODEL.model_copy(update={"dropout": 0.1})
TRAIN = DaeTrainSettings(steps=12, batch_size=4, warmup_steps=2, validate_every=5, learning_rate=3.0e-3)


@cache
def tiny_crops() -> Toy:
    """12 crops of 3 slices, 16 px."""
    return toy_crops(3, 4, seed=0, slices=3, size=16)


def pixels() -> np.ndarray:
    return tiny_crops().pixels


def states(folder: Path, code: str = "one") -> States:
    """States of trainings by some code."""
    return States(folder=folder, code=code, packages={"torch": "2"})
