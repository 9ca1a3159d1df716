"""Settings of bone quality in spinal metastasis (`snakemake metastasis`); no part of a usual run.

The defaults are those of presets/metastasis_cpu.yaml: they learn on two CPU cores. presets/metastasis_published.yaml
has the sizes of the paper as far as they are known.
"""

from typing import Literal, Self

from pydantic import model_validator

from .base import PlainPath, Section, section, setting


class LesionPhantomSettings(Section):
    """The patients with drawn lesions. How else they look and are scanned is as `phantom` says."""

    patients: int = setting(120, "Number of patients. A patient stays the same when the cohort grows.", ge=1, le=9999)
    ill_patients: float = setting(0.85, "Share of patients with metastases.", "fraction", ge=0, le=1)
    lesion_share: float = setting(
        0.45, "Share of an ill patient's vertebrae that have lesions.", "fraction", ge=0, le=1
    )
    posterolateral: float = setting(
        0.5,
        "Share of the vertebrae with lesions in which a pedicle or a facet is meant to be involved, every third time "
        "on both sides. Large lesions of the body may reach there too; the truth is what was drawn.",
        "fraction",
        ge=0,
        le=1,
    )
    cortex_broken: float = setting(0.4, "Share of the lytic lesions that break through the cortex.", ge=0, le=1)


class BoneSliceSettings(Section):
    """The axial slices of a vertebra that the networks see."""

    count: int = setting(6, "Slices of each vertebra, evenly spaced from its top to its bottom.", "slices", ge=1)
    size: int = setting(64, "Rows and columns of a slice (not published).", "pixels", ge=16)
    pixel_mm: float = setting(1.5, "Side of a pixel; 64 of them show a lumbar vertebra completely.", "mm", gt=0)
    hu_low: float = setting(-100.0, "Lower end of the window (not published).", "HU")
    hu_high: float = setting(900.0, "Upper end of the window (not published).", "HU")


class BoneNetworkSettings(Section):
    """The network of two tasks, and the parts of it that can be left out."""

    growth: int = setting(12, "Channels that each layer of the DenseNet adds (DenseNet-121: 32).", ge=1)
    first_channels: int = setting(24, "Channels of its first layer (DenseNet-121: 64).", ge=1)
    blocks: list[int] = setting([4, 6, 6], "Layers of its blocks (DenseNet-121: 6, 12, 24, 16).", min_length=1)
    tasks: Literal["two", "softmax"] = setting(
        "two", "`two`: blastic? and lytic?, as published. `softmax`: one task of four classes (ablation)."
    )
    fusion: Literal["mlp", "product"] = setting(
        "product",
        "How the two answers become four classes. `product` takes both as independent. `mlp` is published, and learns "
        "with the network; on phantoms validation patients like it less.",
    )
    fusion_hidden: int = setting(8, "Hidden units of the MLP (not published).", ge=1)
    top_slices: int = setting(
        2,
        "The answer for a vertebra is the mean of this many slices with the strongest answers (not published). A mean "
        "over all slices would lose small lesions.",
        "slices",
        ge=1,
    )


class BoneTrainSettings(Section):
    """Training of the networks. The baseline learns from the same patients, in batches of the same size."""

    steps: int = setting(2800, "Optimiser steps; those of the baseline are `metastasis.baseline_steps`.", ge=1)
    batch_size: int = setting(
        12,
        "Vertebrae of a step, of all four classes equally many: a multiple of 4.",
        "vertebrae",
        ge=4,
        multiple_of=4,
    )
    learning_rate: float = setting(1.0e-3, "Learning rate after warm-up (not published); it falls to zero.", gt=0)
    warmup_steps: int = setting(40, "Steps over which the learning rate rises.", ge=0)
    weight_decay: float = setting(1.0e-4, "Weight decay of AdamW.", ge=0)
    ema_decay: float = setting(0.98, "Decay of the averaged weights, the result.", ge=0, lt=1)
    auxiliary_weight: float = setting(
        0.3, "Weight of posterolateral involvement in the loss (not published); 0 leaves it out (ablation).", ge=0
    )
    label_smoothing: float = setting(
        0.1, "Label smoothing (its size is not published); 0 leaves it out (ablation).", ge=0, lt=1
    )
    self_paced: Literal["hard", "linear", "off"] = setting(
        "hard",
        "Self-paced learning within each class: `hard` learns from the easy vertebrae alone, `linear` weighs them; "
        "`off` leaves it out (ablation). Which one the paper has is not published.",
    )
    pace_start: float = setting(
        0.5, "Share of each class, the easiest vertebrae of it, that is learned from at first.", "fraction", gt=0, le=1
    )
    pace_end: float = setting(
        0.6, "Share of the steps after which all vertebrae are learned from.", "fraction", gt=0, le=1
    )
    validate_every: int = setting(60, "Steps between looks at the validation patients.", ge=1)
    augment: bool = setting(True, "Mirrored, turned, shifted and scaled slices, other HU, noise.")
    bad_steps: int = setting(20, "Steps with a non-finite loss that are skipped before the training fails.", ge=0)
    save_every_s: float = setting(
        120.0, "Seconds between checkpoints; a kill loses no more than this.", "s", reruns=False, gt=0
    )


class MetastasisSettings(Section):
    """Bone quality of vertebrae with metastases: normal, blastic, mixed or lytic."""

    folder: PlainPath = setting(
        "",
        "Folder with scans and labels as Spine-Mets-CT-SEG has them (docs/methods/bone_quality.md). Empty: phantoms "
        "with drawn lesions.",
    )
    shards: int = setting(4, "Number of shards of these scans.", ge=1, le=10000)
    phantom: LesionPhantomSettings = section(LesionPhantomSettings, "Patients with drawn lesions.")
    slices: BoneSliceSettings = section(BoneSliceSettings, "What the networks see.")
    network: BoneNetworkSettings = section(BoneNetworkSettings, "The network of two tasks.")
    train: BoneTrainSettings = section(BoneTrainSettings, "The training.")
    baseline_growth: int = setting(32, "As `network.growth`, of the baseline: DenseNet-121 has 32.", ge=1)
    baseline_first_channels: int = setting(64, "As `network.first_channels`, of the baseline.", ge=1)
    baseline_blocks: list[int] = setting([6, 12, 24, 16], "As `network.blocks`, of the baseline.", min_length=1)
    baseline_steps: int = setting(
        700, "As `train.steps`, of the baseline: with the default sizes each takes eight times as long.", ge=1
    )
    specificity: float = setting(
        0.9,
        "Specificity at which sensitivities are compared; the thresholds for it come from validation patients.",
        "fraction",
        gt=0.5,
        lt=1,
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.slices.hu_low >= self.slices.hu_high:
            raise ValueError("metastasis.slices.hu_low must be below hu_high")
        if self.network.top_slices > self.slices.count:
            raise ValueError(
                f"metastasis.network.top_slices ({self.network.top_slices}) must not be above metastasis.slices.count "
                f"({self.slices.count})"
            )
        return self
