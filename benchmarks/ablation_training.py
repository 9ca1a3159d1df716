"""Training of one variant of benchmarks/ablation.py, by the product's networks, augmentation, optimisers and loop."""

import shutil
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from ablation_variants import Variant
from vertegrade.arrays import read_array
from vertegrade.cohort.splits import in_split
from vertegrade.evaluation.comparison.learning_curve import keep_labels_of
from vertegrade.files import sha256_of, write_json
from vertegrade.graders.crops import Crops
from vertegrade.graders.dae.augmentation import augmented
from vertegrade.graders.dae.diffusion import Around, Denoiser, Diffusion
from vertegrade.graders.dae.network import DaeNetwork, SemanticEncoder
from vertegrade.graders.dae.pixels import hounsfield, windowed
from vertegrade.graders.dae.training import DaeLearning, recipe
from vertegrade.graders.dae.weights import Dae
from vertegrade.settings.dae import DaeModelSettings, DaeTrainSettings
from vertegrade.settings.spine import CropSettings
from vertegrade.tables import CROPS, KEY, LABELS, PATIENT_SPLITS, read_table
from vertegrade.training.loop import Training
from vertegrade.training.seeds import batch_positions, own_generators, step_seed
from vertegrade.training.states import States
from vertegrade.weights import read_arrays, read_weights, write_weights

GAMMA = 5.0  # of min-SNR (Hang et al., ICCV 2023)
LIMITS = 3  # between four grades
CORRUPTION = 9  # part of a step's seed that no process of a training has


@dataclass(frozen=True, eq=False)
class Run:
    """What a finished run says: CROPS and pixels of the shards, LABELS, PATIENT_SPLITS, crop geometry.

    results: its folder. shards: their names.
    """

    results: Path
    shards: list[str]
    crops: list[pd.DataFrame]
    pixels: list[np.ndarray]
    labels: pd.DataFrame
    splits: pd.DataFrame
    crop: CropSettings

    def files(self, pattern: str) -> list[str]:
        """Files of all shards by a pattern of their names (`crops/{}.npy`), in the order of the shards."""
        return [str(self.results / pattern.format(shard)) for shard in self.shards]


def read_run(results: Path) -> Run:
    """The run in a results folder; FileNotFoundError where it is not one."""
    tables = sorted((results / "crops").glob("*.parquet"))
    if not tables:
        raise FileNotFoundError(f"{results}: no crops/*.parquet; name the results folder of a finished run")
    _, metadata = read_arrays(results / "dae/weights.safetensors", "DAE")
    return Run(
        results,
        [path.stem for path in tables],
        [read_table(path, CROPS) for path in tables],
        [read_array(path.with_suffix(".npy")) for path in tables],
        read_table(results / "cohort/labels.parquet", LABELS),
        read_table(results / "cohort/splits.tsv", PATIENT_SPLITS),
        CropSettings.model_validate_json(metadata["facts"]["crop"]),
    )


def labels_of(run: Run, share: float, seed: int) -> pd.DataFrame:
    """LABELS with this share of the labelled training patients; those of the other splits stay."""
    return run.labels if share == 1 else keep_labels_of(run.labels, run.splits, share, 1, seed)


def training_crops(run: Run, labels: pd.DataFrame | None = None) -> tuple[Crops, np.ndarray]:
    """Crops of training patients and their grades; with labels only the vertebrae that these give a grade."""
    rows, grades = [], []
    for table in run.crops:
        chosen = table[table["evaluable"] & in_split(run.splits, table["patient_id"], "train")].assign(genant_grade=-1)
        if labels is not None:
            known = labels.loc[labels["usable"], [*KEY, "genant_grade"]]
            chosen = chosen.drop(columns="genant_grade").merge(known, on=KEY)
        rows.append(chosen["crop"].to_numpy())
        grades.append(chosen["genant_grade"].to_numpy())
    return Crops(run.pixels, rows), np.concatenate(grades).astype(np.int64)


class Clean(Diffusion):
    """The U-Net predicts x_0."""

    def target(self, x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
        """x_0."""
        return x0

    def noise_of(self, prediction: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
        """The noise in x_t if the prediction is x_0."""
        signal, sigma = self.amounts(t)
        return (x_t - signal * prediction) / sigma


class Direct(Clean):
    """A decoder without noise: the U-Net of the DAE, of the same size, that is given z and nothing else."""

    def render(
        self, unet: Denoiser, x_last: Tensor, z: Tensor, levels: Sequence[int], around: Around | None = None
    ) -> Tensor:
        """x_0 of z; x_last says only how large it is."""
        x = decoded(unet, torch.zeros_like(x_last), z)
        if around is not None:
            x = around.drawn * x + (1 - around.drawn) * around.image
        return x.clamp(-1, 1)


def decoded(unet: Denoiser, nothing: Tensor, z: Tensor) -> Tensor:
    """What the U-Net makes of z (B, z_dim) and of zeros (B, C, H, W)."""
    return unet(nothing, torch.zeros(len(nothing), dtype=torch.long, device=nothing.device), z)


def diffusion_of(variant: Variant, model: DaeModelSettings) -> Diffusion:
    """How a variant draws."""
    if variant.kind == "autoencoder":
        return Direct(model)
    return Clean(model) if variant.clean else Diffusion(model)


def products(train: DaeTrainSettings) -> AbstractContextManager[Any]:
    """In what precision products are computed, as `DaeLearning.loss` does."""
    return torch.autocast("cpu", torch.bfloat16) if train.precision == "bfloat16" else nullcontext()


class DiffusionLearning(DaeLearning):
    """The DAE's learning with what a variant changes."""

    def __init__(self, variant: Variant, *given: Any) -> None:
        super().__init__(*given)
        self.variant, self.diffusion = variant, diffusion_of(variant, self.model)

    def loss(self, network: nn.Module, seen: Tensor, x_t: Tensor, t: Tensor, target: Tensor) -> Tensor:
        """The DAE's loss; with min-SNR each sample counts by its level."""
        if not self.variant.min_snr:
            return super().loss(network, seen, x_t, t, target)
        signal, sigma = self.diffusion.amounts(t)
        with products(self.train):
            prediction = network(seen, x_t, t)
        error = ((prediction.float() - target).square() * self.weight).mean(dim=(1, 2, 3))
        return (min_snr((signal / sigma).square().flatten()) * error).mean()


def min_snr(snr: Tensor) -> Tensor:
    """Weight of the square error of v at signal-to-noise ratios (Hang et al., ICCV 2023).

    That of x_0 is min(snr, GAMMA), and an error of v is one of x_0 times the root of snr + 1. The residual of v has the
    error of v.
    """
    return snr.clamp(max=GAMMA) / (snr + 1)


class AutoencoderLearning(DiffusionLearning):
    """The same samples; the decoder sees no noisy crop."""

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """What the encoder sees, and what the decoder should draw."""
        seen, _, _, x0 = super().batch(step)
        if self.variant.corrupt:
            draw = Generator().manual_seed(step_seed(self.seed, step, CORRUPTION))
            deviation = torch.rand((len(seen), 1, 1, 1), generator=draw) * self.variant.corrupt
            seen = seen + deviation * torch.randn(seen.shape, generator=draw)
        return seen, x0

    def loss(self, network: nn.Module, seen: Tensor, x0: Tensor) -> Tensor:
        """Square error of the drawing, weighted as the DAE's."""
        with products(self.train):
            drawn = decoded(network.unet, torch.zeros_like(x0), network.encoder(seen))
        return ((drawn.float() - x0).square() * self.weight).mean()


class Supervised(nn.Module):
    """The DAE's encoder and an ordinal head on z: a number for each limit between grades, positive above it."""

    def __init__(self, model: DaeModelSettings, size: int) -> None:
        super().__init__()
        self.encoder = SemanticEncoder(model, size)
        self.head = nn.Linear(model.z_dim, LIMITS)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> logits of grade >= 1, 2, 3 (B, 3)."""
        return self.head(self.encoder(x))


class SupervisedLearning:
    """Crops of labelled training vertebrae as the DAE's encoder sees them, and their grades."""

    def __init__(
        self, crops: Crops, grades: np.ndarray, model: DaeModelSettings, train: DaeTrainSettings, seed: int
    ) -> None:
        self.crops, self.model, self.train, self.seed = crops, model, train, seed
        self.above = torch.from_numpy(grades[:, None] > np.arange(LIMITS)).float()

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """What the encoder sees, and whether the grade is above each limit."""
        positions = batch_positions(step, self.train.batch_size, len(self.crops), self.seed)
        draw = Generator().manual_seed(step_seed(self.seed, step))
        _, seen = augmented(hounsfield(self.crops.take(positions), self.model), self.train.augment, draw)
        return windowed(seen, self.model), self.above[positions]

    def loss(self, network: nn.Module, seen: Tensor, above: Tensor) -> Tensor:
        """Binary cross-entropy of all limits (Frank and Hall, ECML 2001)."""
        with products(self.train):
            logits = network(seen)
        return functional.binary_cross_entropy_with_logits(logits.float(), above)


def settings_of(
    variant: Variant, model: DaeModelSettings, train: DaeTrainSettings
) -> tuple[DaeModelSettings, DaeTrainSettings]:
    """The settings with what the variant changes."""
    return (
        DaeModelSettings.model_validate(model.model_dump() | variant.model),
        DaeTrainSettings.model_validate(train.model_dump() | variant.train),
    )


def network_of(variant: Variant, model: DaeModelSettings, size: int) -> nn.Module:
    """With new weights. The encoder is drawn first, so that it starts alike in all variants of its shape."""
    return Supervised(model, size) if variant.kind == "supervised" else DaeNetwork(model, size)


def train_variant(
    run: Run, variant: Variant, seed: int, model: DaeModelSettings, train: DaeTrainSettings, folder: Path
) -> None:
    """Train and write `folder/NAME.safetensors` and `.json`; goes on with its own state after a kill."""
    model, train = settings_of(variant, model, train)
    with own_generators(seed, "cpu"):
        learning, crops = _learning(run, variant, seed, model, train)
        network = network_of(variant, model, crops.height)
        facts = {"parameters": float(sum(weights.numel() for weights in network.parameters()))}
        facts |= {"encoder_parameters": float(sum(weights.numel() for weights in network.encoder.parameters()))}
        facts |= {"crops": float(len(crops))}
        settings = {"model": model.model_dump(), "train": train.model_dump()}
        states = States(folder=folder / f"state-{variant.name}", code="", packages={})
        if learning is not None:
            state = states.of(settings=settings, seed=seed, device="cpu", inputs=crops.sha256())
            facts |= Training(network, learning.batch, learning.loss, recipe(network, train), state, seed).run()
    write_weights(folder / f"{variant.name}.safetensors", network, {"variant": variant.name, "seed": str(seed)})
    write_json(folder / f"{variant.name}.json", facts | {"settings": settings})
    shutil.rmtree(states.folder, ignore_errors=True)


def _learning(
    run: Run, variant: Variant, seed: int, model: DaeModelSettings, train: DaeTrainSettings
) -> tuple[Any, Crops]:
    """What a variant learns (None: nothing), and from which crops."""
    if variant.share is not None:
        crops, grades = training_crops(run, labels_of(run, variant.share, seed))
        return SupervisedLearning(crops, grades, model, train, seed), crops
    crops, _ = training_crops(run)
    kinds: dict[str, Callable[..., Any]] = {"diffusion": DiffusionLearning, "autoencoder": AutoencoderLearning}
    kind = kinds.get(variant.kind)
    return (kind(variant, crops, model, train, seed, "cpu") if kind else None), crops


def load_variant(run: Run, variant: Variant, model: DaeModelSettings, train: DaeTrainSettings, folder: Path) -> Dae:
    """What `train_variant` wrote, as the product's code takes it: to encode, and to draw if it can."""
    path = folder / f"{variant.name}.safetensors"
    model, _ = settings_of(variant, model, train)
    tensors, metadata = read_weights(path, variant.name)
    slices, side = run.pixels[0].shape[1:3]
    network = network_of(variant, model, side)
    network.load_state_dict(tensors)
    network.eval().requires_grad_(False)
    shape = (slices, side, side)
    return Dae(network, diffusion_of(variant, model), model, shape, sha256_of(path), metadata, torch.device("cpu"))
