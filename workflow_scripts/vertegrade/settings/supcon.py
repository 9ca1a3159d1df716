"""Settings of supervised contrastive grading (Wei et al. 2022)."""

from typing import Literal, Self

from pydantic import model_validator

from .base import Section, section, setting
from .classifiers import ClassifierAugmentSettings, ClassifierTrainSettings, SeResNetSettings


class SupconSeResNetSettings(SeResNetSettings):
    """The 3D network (published: 64 channels, `[3, 4, 6, 3]`, no fine stem)."""


class SupconModelSettings(Section):
    """Network and what it sees."""

    windows_hu: list[list[float]] = setting(
        [[-60.0, 140.0], [-350.0, 1150.0]],
        "Windows (low, high), each a channel: soft tissue and bone, as published.",
        "HU",
        min_length=1,
    )
    bodies: Literal["none", "level", "body"] = setting(
        "level",
        "What the network sees of the bodies channel of patches. `level` (published): label / 28 in the body and its "
        "neighbours, so it sees the level. `body`: 1 in the body, 0.5 in neighbours, without levels. Both show the "
        "landmarks' heights.",
    )
    classes: Literal["grades", "binary"] = setting(
        "grades", "What is learned: Genant grades 0-3 (published), or fractured (`grading.fracture_grade`) or not."
    )
    projection: int = setting(128, "Length of the vectors that the contrastive loss compares (published).", ge=2)
    seresnet: SupconSeResNetSettings = section(SupconSeResNetSettings, "The 3D network.")


class SupconAugmentSettings(ClassifierAugmentSettings):
    """Random changes of a training image: the largest amount of each unless it says otherwise; 0 turns it off."""

    zoom: float = setting(0.2, "Relative change of size (published: 0.2).", "fraction", ge=0, lt=1)
    holes: int = setting(
        2, "Cuboids, a sixth of the image wide, that are blanked in half of the images (published: 2).", ge=0
    )
    mirror: bool = setting(False, "Exchange right and left in half of the images (published: false).")


class SupconTrainSettings(ClassifierTrainSettings):
    """The training. Validation patients choose the step whose weights are kept."""

    steps: int = setting(800, "Optimiser steps.", ge=1)
    batch_size: int = setting(
        24, "Vertebrae per step, each in two changed views (published: 12 on each of two GPUs).", "vertebrae", ge=1
    )
    optimiser: Literal["muon", "adamw", "sgd"] = setting(
        "muon", "`muon` for weight matrices and AdamW for the rest, AdamW, or SGD with a momentum of 0.9 (released)."
    )
    learning_rate: float = setting(5.0e-3, "Learning rate after warm-up.", gt=0)
    reading: Literal["joint", "detached"] = setting(
        "joint",
        "`joint`: cross-entropy and contrastive loss train the network together, as the paper says. `detached`: the "
        "contrastive loss alone trains it, and cross-entropy only the last layer, as the released code does.",
    )
    contrastive: float = setting(
        1.0, "Weight of the contrastive loss beside cross-entropy (released: 1). 0: cross-entropy alone.", ge=0
    )
    temperature: float = setting(0.07, "Temperature of the contrastive loss (published).", gt=0)
    augment: SupconAugmentSettings = section(SupconAugmentSettings, "Random changes of training images.")

    @model_validator(mode="after")
    def _something_trains(self) -> Self:
        if self.reading == "detached" and not self.contrastive:
            raise ValueError(
                "supcon.train.contrastive is 0 and supcon.train.reading is detached: nothing would train the network"
            )
        return self


class SupconSettings(Section):
    """Supervised contrastive grading."""

    model: SupconModelSettings = section(SupconModelSettings, "Network and what it sees.")
    train: SupconTrainSettings = section(SupconTrainSettings, "The training.")
