"""Settings of the diffusion autoencoder: the defaults are the demo preset, which trains in minutes on two CPU cores.

The published sizes (Preechakul et al., CVPR 2022) are presets/dae64.yaml and presets/dae128.yaml.
"""

from typing import Literal, Self

from pydantic import model_validator

from .base import Section, section, setting


class DaeModelSettings(Section):
    """The networks and what they see."""

    slices: int = setting(5, "Central parasagittal slices of a crop that the networks see.", ge=1)
    slab_mean: bool = setting(
        True,
        "True: the networks see the mean of the slices (less noisy) as one channel. False: each slice is a channel.",
    )
    hu_low: float = setting(
        0.0, "Lower end of the window. Fat and air are black, so that bone has all of the contrast.", "HU"
    )
    hu_high: float = setting(400.0, "Upper end of the window. Cortical bone in a slab is rarely brighter.", "HU")
    z_dim: int = setting(128, "Length of the semantic latent z_sem (published: 512).", ge=2)
    channels: int = setting(32, "Base channels of the U-Net (published: 64 or 128).", ge=4, multiple_of=4)
    multipliers: list[int] = setting([1, 2], "Channels of each U-Net level, as multiples of the base.", min_length=1)
    blocks: int = setting(1, "Residual blocks per level; the decoder has one more, as published (2).", ge=1)
    attention_resolutions: list[int] = setting(
        [],
        "Sides of the feature maps that get self-attention, after unshuffling (published: 16); the smallest maps get "
        "it too, unless there are none.",
        "pixels",
    )
    unshuffle: int = setting(
        4, "The U-Net sees each square of pixels with this side as channels (published: 1).", "pixels", ge=1
    )
    dropout: float = setting(0.0, "Dropout of the U-Net (published: 0.1); short trainings do not overfit.", ge=0, lt=1)
    embedding: int = setting(128, "Length of the time embedding (published: 512).", ge=8)
    encoder_channels: int = setting(32, "Base channels of the semantic encoder.", ge=4, multiple_of=4)
    encoder_multipliers: list[int] = setting(
        [1, 2, 4, 4], "Channels of each encoder level (published: the U-Net's and one more level).", min_length=1
    )
    encoder_unshuffle: int = setting(
        2, "The encoder sees each square of pixels with this side as channels.", "pixels", ge=1
    )
    encoder_pool: Literal["flatten", "mean"] = setting(
        "flatten", "How the last feature map becomes z_sem. `flatten` keeps positions; `mean` is published."
    )
    position: bool = setting(
        True, "Learned maps of the position before each AdaGN, so that z_sem can place shapes (published: false)."
    )
    z_map: bool = setting(
        True,
        "A linear map of z_sem is added to the U-Net's first features, so that z_sem is used early (published: false).",
    )
    schedule: Literal["linear", "cosine"] = setting(
        "linear", "Noise schedule over 1000 levels; `linear` from 1e-4 to 0.02 is the published one."
    )
    prediction: Literal["v_residual", "v", "epsilon"] = setting(
        "v_residual",
        "What the U-Net predicts. `epsilon` (published) makes z useful within days, `v` within minutes. `v_residual` "
        "is what is left of v after the best guess from the noisy values alone, so that a small U-Net need not pass "
        "on the noise.",
    )

    @property
    def image_channels(self) -> int:
        """Channels of the image that is encoded and decoded."""
        return 1 if self.slab_mean else self.slices


class AugmentSettings(Section):
    """Random changes of a training crop: the largest amount of each unless it says otherwise; 0 turns it off."""

    rotate_deg: float = setting(
        8.0,
        "Rotation in the slice plane, larger than the error of the centreline. The encoder sees it and the decoder "
        "does not draw it, so that z_sem contains shape and not pose.",
        "degrees",
        ge=0,
        le=45,
    )
    shift_px: float = setting(
        4.0,
        "Shift in rows and columns, larger than the error of centres; for the encoder alone, like rotation.",
        "pixels",
        ge=0,
    )
    elastic_px: float = setting(
        2.0,
        "Smooth random displacement (standard deviation), for encoder and decoder. It makes bodies of other shapes "
        "and sizes, so that z_sem follows shape evenly.",
        "pixels",
        ge=0,
    )
    offset_hu: float = setting(25.0, "Shift of all values: the scanner's HU calibration.", "HU", ge=0)
    gain: float = setting(0.1, "Relative change of all values: kernel, voltage, bone density.", "fraction", ge=0, lt=1)
    noise_hu: float = setting(
        10.0, "White noise (standard deviation) that the encoder sees and the decoder does not draw.", "HU", ge=0
    )
    thick_px: float = setting(
        0.0,
        "Blur along the rows, as of slices up to this thick, of half of the crops that the encoder sees; so z_sem "
        "contains the vertebra and not the scanner. The decoder draws none of it, nor of the next three.",
        "pixels",
        ge=0,
        le=12,
    )
    kernel: float = setting(
        0.0,
        "Softer (negative) and sharper reconstruction kernels: share of the detail finer than two pixels that is "
        "taken away or added.",
        "fraction",
        ge=0,
    )
    contrast: float = setting(0.0, "Relative change of all values for the encoder alone.", "fraction", ge=0, lt=1)
    level_hu: float = setting(0.0, "Shift of all values for the encoder alone.", "HU", ge=0)
    mirror: bool = setting(True, "Exchange right and left (order of the slices) in half of the crops.")


class DaeTrainSettings(Section):
    """Training on unlabelled crops of the training split."""

    steps: int = setting(1500, "Optimiser steps. The default is what fits into the demo.", ge=1)
    batch_size: int = setting(32, "Crops per step.", "crops", ge=1)
    optimiser: Literal["muon", "adamw"] = setting(
        "muon", "`muon` trains weight matrices faster than `adamw`, which is published."
    )
    learning_rate: float = setting(2.0e-3, "Learning rate after warm-up (published: 1e-4).", gt=0)
    learning_rate_schedule: Literal["cosine", "constant"] = setting(
        "cosine", "`cosine` falls to zero at the last step, best for short trainings; `constant` is the published one."
    )
    warmup_steps: int = setting(50, "Steps over which the learning rate rises (published: 0).", ge=0)
    weight_decay: float = setting(0.0, "Weight decay; 0 (published) makes AdamW Adam.", ge=0)
    ema_decay: float = setting(0.995, "Decay of the averaged weights, the result (published: 0.9999).", ge=0, lt=1)
    gradient_clip: float = setting(1.0, "Largest norm of the gradient (published).", gt=0)
    bad_steps: int = setting(20, "Steps with a non-finite loss that are skipped before the training fails.", ge=0)
    high_noise: float = setting(
        0.8,
        "Share of samples from the noisiest quarter of the levels, where only z knows the shape (published: 0).",
        ge=0,
        le=1,
    )
    edge_weight: float = setting(
        0.05,
        "Weight of the loss far from the vertebra's centre; at the centre it is 1 (published: 1 everywhere).",
        "fraction",
        ge=0,
        le=1,
    )
    precision: Literal["float32", "bfloat16"] = setting(
        "float32", "`bfloat16` computes products in half of the bits (autocast), for GPUs; weights stay float32."
    )
    channels_last: bool = setting(
        False, "Keep images and weights of convolutions in memory with the channels last, for GPUs with `bfloat16`."
    )
    fused: bool = setting(False, "AdamW changes all weights in one kernel (torch's fused), for GPUs.")
    compiled: bool = setting(
        False, "Compile the network (`torch.compile`): minutes once, then faster steps. It needs a C++ compiler."
    )
    augment: AugmentSettings = section(AugmentSettings, "Random changes of training crops.")
    validate_every: int = setting(250, "Steps between validation losses with right and permuted z.", ge=1)
    save_every_s: float = setting(
        120.0, "Seconds between checkpoints; a kill loses no more than this.", "s", reruns=False, gt=0
    )


class DaeEncodeSettings(Section):
    """Encoding of all crops."""

    batch_size: int = setting(64, "Crops encoded at once.", "crops", ge=1)


class CounterfactualSettings(Section):
    """The same vertebra at other grades."""

    vertebrae: int = setting(
        60, "Test vertebrae that are drawn at other grades and measured, spread over predicted severity.", ge=1
    )
    suspicious: int = setting(
        200,
        "Suspicious vertebrae of any split that are drawn beside these for the pages of their patients, worst first: "
        "graded 1 to 3, or with a grade of 2 or 3 that is withheld. No figure counts them; each takes half a second "
        "of CPU.",
        ge=0,
    )
    shown: int = setting(6, "Test vertebrae that the picture shows, spread over predicted severity.", ge=1, le=64)
    shapes: Literal["likeliest", "all"] = setting(
        "likeliest",
        "Shape of the collapse: the vertebra's own, or the commonest of its region where it is intact; or all of "
        "wedge, biconcave and crush.",
    )
    pairs: int = setting(
        1, "Intact vertebrae per training scan that are drawn collapsed, to learn the steps between latents.", ge=1
    )
    rounds: int = setting(3, "How often a picture is drawn, measured and corrected.", ge=1)
    render_steps: int = setting(6, "DDIM steps from noise to the image (published: 100).", ge=1, le=1000)
    lowest_level: int = setting(
        750,
        "Noise level from which the image is taken as predicted. Networks trained mostly on noisy levels leave grain "
        "below it; 0 for those trained evenly.",
        ge=0,
        lt=1000,
    )

    @model_validator(mode="after")
    def _enough_levels(self) -> Self:
        if self.render_steps > 1000 - self.lowest_level:
            raise ValueError(
                f"dae.counterfactual.render_steps ({self.render_steps}) must be {1000 - self.lowest_level} or less: "
                "there are no more noise levels down to lowest_level"
            )
        return self


class DaeSettings(Section):
    """Diffusion autoencoder."""

    model: DaeModelSettings = section(DaeModelSettings, "The networks and what they see.")
    train: DaeTrainSettings = section(DaeTrainSettings, "The training.")
    encode: DaeEncodeSettings = section(DaeEncodeSettings, "The encoding of all crops.")
    counterfactual: CounterfactualSettings = section(CounterfactualSettings, "The decoding of moved latents.")
