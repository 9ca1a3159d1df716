"""Settings of the plain supervised classifiers."""

from typing import Literal

from .base import Section, section, setting
from .classifiers import ClassifierAugmentSettings, ClassifierTrainSettings, SeResNetSettings


class DenseNetSettings(Section):
    """A 2D DenseNet (Huang et al., CVPR 2017; MONAI). With 64, 32 and `[6, 12, 24, 16]`: DenseNet-121."""

    channels: int = setting(32, "Channels after the first convolution.", ge=8)
    growth: int = setting(12, "Channels that each layer adds.", ge=4)
    layers: list[int] = setting([4, 4, 4], "Layers of each dense block.", min_length=1)


class SupervisedSeResNetSettings(SeResNetSettings):
    """The 3D network."""


class SupervisedModelSettings(Section):
    """Network, head, and what it sees."""

    network: Literal["densenet", "seresnet"] = setting(
        "densenet", "`densenet`: 2D, sees the crops, each slice a channel. `seresnet`: 3D, sees the 3D patches."
    )
    head: Literal["corn", "cumulative", "cross_entropy"] = setting(
        "corn",
        "`cross_entropy`: four grades without an order. Ordinal: `corn`, a chain of conditional probabilities "
        "P(grade > k | grade >= k); `cumulative`, one score and three thresholds (proportional odds).",
    )
    windows_hu: list[list[float]] = setting(
        [[-350.0, 1150.0], [-60.0, 140.0]],
        "Windows (low, high), each a channel: bone, and soft tissue.",
        "HU",
        min_length=1,
    )
    bodies: Literal["none", "level", "body"] = setting(
        "none",
        "What a 3D network sees of the bodies channel of patches. `level`: label / 28 in the body and its neighbours. "
        "`body`: 1 in the body, 0.5 in neighbours, without levels. Both show the landmarks' heights.",
    )
    densenet: DenseNetSettings = section(DenseNetSettings, "The 2D network.")
    seresnet: SupervisedSeResNetSettings = section(SupervisedSeResNetSettings, "The 3D network.")


class SupervisedAugmentSettings(ClassifierAugmentSettings):
    """Random changes of a training image: the largest amount of each unless it says otherwise; 0 turns it off."""


class SupervisedTrainSettings(ClassifierTrainSettings):
    """The training. Validation patients choose the step whose weights are kept."""

    augment: SupervisedAugmentSettings = section(SupervisedAugmentSettings, "Random changes of training images.")


class SupervisedSettings(Section):
    """What a user would do instead: a network trained on grades."""

    model: SupervisedModelSettings = section(SupervisedModelSettings, "Network, head, and what it sees.")
    train: SupervisedTrainSettings = section(SupervisedTrainSettings, "The training.")
