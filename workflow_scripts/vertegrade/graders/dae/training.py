"""Training of the diffusion autoencoder: what it learns from, its loss, its recipe and its figures."""

import logging
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import torch
from torch import Generator, Tensor, nn

from vertegrade.graders.crops import Crops
from vertegrade.graders.dae.augmentation import augmented
from vertegrade.graders.dae.diffusion import NOISE_LEVELS, Diffusion
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.graders.dae.pixels import hounsfield, windowed
from vertegrade.graders.dae.validation import Validation
from vertegrade.graders.dae.weights import save_dae
from vertegrade.settings.dae import DaeModelSettings, DaeTrainSettings
from vertegrade.training.average import moving_average
from vertegrade.training.interruption import Interruption
from vertegrade.training.loop import Recipe, Training, shown
from vertegrade.training.optimisers import optimisers
from vertegrade.training.processes import Processes
from vertegrade.training.schedule import rate_share
from vertegrade.training.seeds import batch_positions, own_generators, step_seed
from vertegrade.training.states import States

log = logging.getLogger(__name__)


def train_dae(
    crops: Crops,
    model: DaeModelSettings,
    train: DaeTrainSettings,
    states: States,
    weights: Path,
    seed: int,
    device: str,
    threads: int,
    facts: dict[str, str] | None = None,
    validation_crops: Crops | None = None,
) -> dict[str, float]:
    """Train on unlabelled crops and write the averaged (EMA) weights; continues by itself after a kill.

    crops: int16 HU (N, S, H, W) of training patients only.
    states: where checkpoints are kept. Only a training of the same code, packages, settings, seed, device, crops and
    facts continues from them; states of others are removed when this one has ended.
    facts: kept in the weights' metadata (crop geometry, hash of the patient list, ...).
    validation_crops: of validation patients, for the figures; they change no weight. Without any, the figures are of
    training crops, and say so by `validation_crops` 0.

    Where several processes train together (torch.distributed was set up), each calls this; the first one keeps state
    and weights. Returns the metrics of training, on the others nothing. Raises as `Training.run` does.
    """
    torch.set_num_threads(threads)
    if not len(crops):
        raise ValueError("the training split has no evaluable crop to learn from; see the reasons in crops/*.parquet")
    data = crops.sha256()
    # How often a training is saved and validated does not change it.
    counted = train.model_dump(exclude={"save_every_s", "validate_every"})
    settings = {"model": model.model_dump(), "train": counted}
    folder = states.of(settings=settings, seed=seed, device=device, inputs={"pixels": data, "facts": facts})
    with own_generators(seed, device):
        looked_at = validation_crops if validation_crops is not None and len(validation_crops) else crops
        if looked_at is crops:
            log.warning("no crop of a validation patient: the losses with right and permuted z are of training crops")
        learning = DaeLearning(crops, model, train, seed, device)
        validation = Validation(looked_at, model, seed, device)
        layout = torch.channels_last if train.channels_last else torch.preserve_format
        network = DaeNetwork(model, crops.height).to(device, memory_format=layout)  # type: ignore[call-overload]
        how = recipe(network, train)
        metrics = Training(network, learning.batch, learning.loss, how, folder, seed, validation.losses).run()
        if not learning.processes.first:
            return {}
        metrics["validation_crops"] = 0.0 if looked_at is crops else float(len(validation.x0))
        metrics["crops_per_s"] = train.steps * train.batch_size / metrics["seconds"]
        network.eval()
        with Interruption():  # after the last step, a signal stops nothing
            metrics |= validation.reconstruction(network) | validation.losses(network)
    log.info("trained: %s", shown(metrics))
    about = {"data_sha256": data, "seed": str(seed), "steps": str(train.steps), "crops": str(len(crops))}
    save_dae(Path(weights), network, model, crops.shape, about | (facts or {}))
    states.keep_only(folder)
    return metrics


class DaeLearning:
    """What the DAE learns from, and its loss."""

    def __init__(self, crops: Crops, model: DaeModelSettings, train: DaeTrainSettings, seed: int, device: str) -> None:
        if crops.height != crops.width:
            raise ValueError(f"the DAE needs square crops, found {crops.height} x {crops.width}")
        self.crops, self.model, self.train, self.seed, self.device = crops, model, train, seed, device
        self.diffusion = Diffusion(model)
        self.weight = centre_weight(crops.height, train.edge_weight).to(device)
        self.processes = Processes()

    def batch(self, step: int) -> tuple[Tensor, ...]:
        """What the encoder sees, noised crops, noise levels and targets of this process's part of a step's batch.

        Each part has its own draws, made on its device. Only the crops are copied there, from memory that a GPU reads
        while it computes, so that no step waits.
        """
        rank, count = self.processes.rank, self.processes.count
        positions = batch_positions(step, self.train.batch_size, len(self.crops), self.seed)
        generator = Generator(self.device).manual_seed(step_seed(self.seed, step, rank))
        hu = hounsfield(self.crops.take(np.split(positions, count)[rank]), self.model, self.device)
        drawn, seen = augmented(hu, self.train.augment, generator)
        x0 = windowed(drawn, self.model)
        noise = torch.randn(x0.shape, generator=generator, device=self.device)
        t = noise_levels(len(x0), self.train.high_noise, generator, self.device)
        return windowed(seen, self.model), self.diffusion.noised(x0, noise, t), t, self.diffusion.target(x0, noise, t)

    def loss(self, network: nn.Module, seen: Tensor, x_t: Tensor, t: Tensor, target: Tensor) -> Tensor:
        """Square error of the prediction, weighted for the vertebra at the centre."""
        short = self.train.precision == "bfloat16"
        with torch.autocast(torch.device(self.device).type, torch.bfloat16) if short else nullcontext():
            prediction = network(seen, x_t, t)
        return ((prediction.float() - target).square() * self.weight).mean()


def recipe(network: nn.Module, train: DaeTrainSettings) -> Recipe:
    """How the DAE's weights follow from its gradients."""
    return Recipe(
        steps=train.steps,
        optimisers=optimisers(network, train, train.fused),
        learning_rate=lambda step: learning_rate(step, train),
        average=moving_average(train.ema_decay),
        gradient_clip=train.gradient_clip,
        bad_steps=train.bad_steps,
        advice="lower dae.train.learning_rate or look for damaged crops",
        save_every_s=train.save_every_s,
        log_every=train.validate_every,
        compiled=train.compiled,
    )


def noise_levels(count: int, high_noise: float, generator: Generator, device: str = "cpu") -> Tensor:
    """Levels of 0..999, (count,): uniform, but a share `high_noise` of them in the noisiest quarter."""
    high = torch.rand(count, generator=generator, device=device) < high_noise
    lowest = torch.where(high, 0.75 * NOISE_LEVELS, 0.0)
    levels = lowest + torch.rand(count, generator=generator, device=device) * (NOISE_LEVELS - lowest)
    return levels.long().clamp(max=NOISE_LEVELS - 1)  # one draw in ten million is rounded up to 1000


def centre_weight(size: int, edge: float) -> Tensor:
    """Weight of each pixel in the loss, (size, size) of mean 1: a plateau over the vertebra that falls off to `edge`.

    The plateau reaches the neighbours' near endplates: half of it is gone at 0.7 of the rows, 0.6 of the columns.
    """
    place = torch.linspace(-1, 1, size)
    rows, columns = torch.exp(-((place / 0.75) ** 4)), torch.exp(-((place / 0.625) ** 4))
    weight = edge + (1 - edge) * rows[:, None] * columns
    return weight / weight.mean()


def learning_rate(step: int, train: DaeTrainSettings) -> float:
    """Learning rate of a step: linear warm-up, then constant or half a cosine to zero."""
    return train.learning_rate * rate_share(step, train.steps, train.warmup_steps, train.learning_rate_schedule)
