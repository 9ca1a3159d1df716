"""What benchmarks/ablation.py compares: each variant changes only what its line says of the first one."""

from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["diffusion", "autoencoder", "supervised", "untrained"]
SHARES = (1.0, 0.1)  # of the labelled training patients
# Published settings, as far as the encoder and the U-Net stay as small as here and see the same crops.
PUBLISHED_MODEL = {"encoder_pool": "mean", "position": False, "z_map": False, "prediction": "epsilon", "dropout": 0.1}
PUBLISHED_TRAINING = {
    "optimiser": "adamw",
    "learning_rate": 1.0e-4,
    "learning_rate_schedule": "constant",
    "warmup_steps": 0,
    "ema_decay": 0.9999,
    "high_noise": 0.0,
    "edge_weight": 1.0,
}


@dataclass(frozen=True)
class Variant:
    """model, train: changed settings of `dae.model` and `dae.train`. clean: the U-Net predicts the crop (x_0).

    min_snr: the loss is weighted by min-SNR. corrupt: largest standard deviation of the noise that is added to what the
    encoder sees, where the window is -1 to 1. share: of the labelled patients that it learns from, if from labels.
    """

    name: str
    label: str
    kind: Kind
    model: dict[str, Any] = field(default_factory=dict)
    train: dict[str, Any] = field(default_factory=dict)
    clean: bool = False
    min_snr: bool = False
    corrupt: float = 0.0
    share: float | None = None

    @property
    def draws(self) -> bool:
        """Whether it has a decoder."""
        return self.kind in ("diffusion", "autoencoder")


EVENLY = {"high_noise": 0.0}
VARIANTS = (
    Variant("dae", "DAE: residual of v, 80 % high noise (the product's)", "diffusion"),
    Variant("autoencoder", "plain autoencoder", "autoencoder"),
    Variant("denoising", "denoising autoencoder", "autoencoder", corrupt=1.0),
    Variant("supervised-100", "supervised encoder, all labels", "supervised", share=1.0),
    Variant("supervised-10", "supervised encoder, 10 % of the labels", "supervised", share=0.1),
    Variant("untrained", "untrained encoder", "untrained"),
    Variant("dae-v", "DAE, v", "diffusion", {"prediction": "v"}),
    Variant("dae-epsilon", "DAE, epsilon", "diffusion", {"prediction": "epsilon"}),
    Variant("dae-x0", "DAE, x_0", "diffusion", clean=True),
    Variant("dae-uniform", "DAE, all levels alike", "diffusion", train=EVENLY),
    Variant("dae-min-snr", "DAE, min-SNR", "diffusion", train=EVENLY, min_snr=True),
    Variant("original", "DAE, original recipe", "diffusion", PUBLISHED_MODEL, PUBLISHED_TRAINING),
)
BY_NAME = {variant.name: variant for variant in VARIANTS}
OWN = "run"  # the DAE that the run trained itself, as far as its own settings say
BASELINES = {OWN: "the run's own DAE", "pca": "PCA-64", "keypoints": "keypoints"}
