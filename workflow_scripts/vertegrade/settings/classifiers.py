"""Settings that all networks trained on grades share; each method has its own blocks of them."""

from typing import Literal

from .base import Section, setting


class ClassifierAugmentSettings(Section):
    """Random changes of a training image: the largest amount of each unless it says otherwise; 0 turns it off."""

    rotate_deg: float = setting(10.0, "Rotation about each axis of the image.", "degrees", ge=0, le=45)
    zoom: float = setting(0.1, "Relative change of size.", "fraction", ge=0, lt=1)
    shift: float = setting(4.0, "Shift along each axis.", "pixels", ge=0)
    gain: float = setting(0.1, "Relative change of all values: kernel, voltage, bone density.", "fraction", ge=0, lt=1)
    offset_hu: float = setting(25.0, "Shift of all values: the scanner's HU calibration.", "HU", ge=0)
    noise_hu: float = setting(10.0, "White noise (standard deviation).", "HU", ge=0)
    holes: int = setting(0, "Cuboids, a sixth of the image wide, that are blanked in half of the images.", ge=0)
    mirror: bool = setting(True, "Exchange right and left in half of the images.")


class ClassifierTrainSettings(Section):
    """Training on graded images of the training split. Validation patients choose the step whose weights are kept."""

    steps: int = setting(1200, "Optimiser steps.", ge=1)
    batch_size: int = setting(32, "Vertebrae per step.", "vertebrae", ge=1)
    balanced: bool = setting(
        True, "As many vertebrae of each grade in a batch. False: as they come, so that most are intact."
    )
    optimiser: Literal["muon", "adamw", "sgd"] = setting(
        "adamw", "`muon` for weight matrices and AdamW for the rest, AdamW, or SGD with a momentum of 0.9."
    )
    learning_rate: float = setting(1.0e-3, "Learning rate after warm-up.", gt=0)
    learning_rate_schedule: Literal["cosine", "constant"] = setting(
        "cosine", "`cosine` falls to zero at the last step; `constant` stays."
    )
    warmup_steps: int = setting(50, "Steps over which the learning rate rises.", ge=0)
    weight_decay: float = setting(1.0e-2, "Weight decay.", ge=0)
    ema_decay: float = setting(
        0.99, "Decay of the averaged weights, which are looked at and kept; 0: none.", ge=0, lt=1
    )
    gradient_clip: float = setting(1.0, "Largest norm of the gradient.", gt=0)
    bad_steps: int = setting(20, "Steps with a non-finite loss that are skipped before the training fails.", ge=0)
    precision: Literal["float32", "bfloat16"] = setting(
        "float32", "`bfloat16` computes products in half of the bits (autocast), for GPUs; weights stay float32."
    )
    validate_every: int = setting(100, "Steps between looks at the validation patients.", ge=1)
    save_every_s: float = setting(
        120.0, "Seconds between checkpoints; a kill loses no more than this.", "s", reruns=False, gt=0
    )


class SeResNetSettings(Section):
    """A 3D SE-ResNet (Hu et al., CVPR 2018; MONAI). With 64 channels, `[3, 4, 6, 3]` and no fine stem: SE-ResNet-50."""

    channels: int = setting(8, "Channels of the first stage's bottleneck; doubled in each stage.", ge=8)
    layers: list[int] = setting([1, 1, 1, 1], "Blocks of the four stages.", min_length=4, max_length=4)
    fine_stem: bool = setting(
        True,
        "The first convolution is 3 voxels wide and nothing is pooled after it, so that the first stage sees half of "
        "the resolution. False: 7 voxels and pooling, a quarter, as published.",
    )
