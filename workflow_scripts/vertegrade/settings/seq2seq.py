"""Settings of the sequence model of the whole spine (Chettrit et al. 2020)."""

from typing import Literal, Self

from pydantic import model_validator

from .base import Section, section, setting
from .classifiers import ClassifierTrainSettings, SeResNetSettings

Variant = Literal["recurrent", "convolution", "transformer"]


class StraightSpineSettings(Section):
    """The straightened slab of bodies in front of the spinal canal, and the patches that it is read in."""

    voxel_mm: float = setting(2.0, "Side of a voxel, the same in all directions.", "mm", gt=0, le=6)
    size: int = setting(28, "Voxels of the slab from right to left, and from front to back.", "voxels", ge=8, le=256)
    ahead_mm: float = setting(
        24.0, "How far in front of the canal's middle the slab's middle lies: in the bodies.", "mm", ge=0, le=60
    )
    patch_mm: float = setting(48.0, "Height of a patch.", "mm", gt=0, le=200)
    step_mm: float = setting(12.0, "From a patch to the next one below it.", "mm", gt=0, le=100)

    @model_validator(mode="after")
    def _patches_overlap(self) -> Self:
        if not self.voxel_mm <= self.step_mm <= self.patch_mm:
            raise ValueError(
                f"seq2seq.spine.step_mm is {self.step_mm:g}: patches of {self.patch_mm:g} mm would leave gaps, or "
                f"follow each other by less than a voxel; choose {self.voxel_mm:g} to {self.patch_mm:g}"
            )
        return self


class Seq2seqEncoderSettings(SeResNetSettings):
    """The 3D network that all patches share."""

    channels: int = setting(16, "Channels of the first stage's bottleneck; doubled in each stage.", ge=8)


class Seq2seqModelSettings(Section):
    """The networks, and what they see."""

    variants: list[Variant] = setting(
        ["recurrent", "convolution", "transformer"],
        "Sequence decoders; each is a network of its own with a seed of its own, and the grade is the average of all. "
        "`recurrent`: GRU both ways. `convolution`: dilated convolutions along the spine. `transformer`: attention.",
        min_length=1,
    )
    windows_hu: list[list[float]] = setting(
        [[-350.0, 1150.0], [-60.0, 140.0]],
        "Windows (low, high), each a channel: bone, and soft tissue.",
        "HU",
        min_length=1,
    )
    features: int = setting(64, "Features of a patch, in and after the decoder; a multiple of 8.", ge=8, multiple_of=8)
    layers: int = setting(2, "Layers of a decoder.", ge=1)
    dropout: float = setting(0.1, "Share of features that are left out while training.", "fraction", ge=0, lt=1)
    seresnet: Seq2seqEncoderSettings = section(Seq2seqEncoderSettings, "The 3D network that all patches share.")


class Seq2seqAugmentSettings(Section):
    """Random changes of a training scan: the largest amount of each; 0 turns it off."""

    shift: int = setting(2, "Shift of the slab to the side, and to front and back.", "voxels", ge=0)
    gain: float = setting(0.1, "Relative change of all values: kernel, voltage, bone density.", "fraction", ge=0, lt=1)
    offset_hu: float = setting(25.0, "Shift of all values: the scanner's HU calibration.", "HU", ge=0)
    noise_hu: float = setting(10.0, "White noise (standard deviation).", "HU", ge=0)
    stretch: float = setting(0.1, "Relative change of size in all directions.", "fraction", ge=0, lt=0.5)
    mirror: bool = setting(True, "Exchange right and left in half of the scans.")


class Seq2seqTrainSettings(ClassifierTrainSettings):
    """The training of each variant. Validation patients choose the step whose weights are kept."""

    steps: int = setting(500, "Optimiser steps.", ge=1)
    batch_size: int = setting(
        24, "Scans per step. Many scans with few patches each teach more than few with many.", "scans", ge=1
    )
    balanced: bool = setting(
        True,
        "As many scans with a fracture as without in a batch, patches that show it of those with one, and all grades "
        "count alike in the loss.",
    )
    optimiser: Literal["muon", "adamw", "sgd"] = setting(
        "muon", "`muon` for weight matrices and AdamW for the rest, AdamW, or SGD with a momentum of 0.9."
    )
    learning_rate: float = setting(5.0e-3, "Learning rate after warm-up.", gt=0)
    patches: int = setting(
        4, "Patches of a scan that a step sees at most, one after the other; the others at other steps.", ge=1
    )
    scan_loss: float = setting(0.2, "Weight of the loss of the scan's worst grade beside that of the patches'.", ge=0)
    body_loss: float = setting(
        30.0,
        "Weight of the loss of how high the body in each patch's middle is, and where it lies, by its six points. This "
        "needs no grade, and so teaches far more than grades alone where patients are few. 0: none, as published.",
        ge=0,
    )
    augment: Seq2seqAugmentSettings = section(Seq2seqAugmentSettings, "Random changes of training scans.")


class Seq2seqSettings(Section):
    """The sequence model of the whole spine."""

    spine: StraightSpineSettings = section(StraightSpineSettings, "The straightened spine and its patches.")
    model: Seq2seqModelSettings = section(Seq2seqModelSettings, "The networks, and what they see.")
    train: Seq2seqTrainSettings = section(Seq2seqTrainSettings, "The training of each variant.")
