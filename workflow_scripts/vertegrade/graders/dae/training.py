"""Training of the diffusion autoencoder: resumable, interruptible, and the same bytes for the same inputs on a CPU.

All randomness of step k comes from (seed, k), so a checkpoint needs no generator states and no data position but k.
"""

import logging
import math
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import Generator, Tensor
from torch.optim.swa_utils import AveragedModel

from vertegrade.graders.dae.augmentation import augmented
from vertegrade.graders.dae.diffusion import NOISE_LEVELS, Diffusion
from vertegrade.graders.dae.network import DaeNetwork
from vertegrade.graders.dae.optimiser import Optimiser
from vertegrade.graders.dae.pixels import Crops, hounsfield, windowed
from vertegrade.graders.dae.validation import Validation
from vertegrade.graders.dae.weights import save_dae
from vertegrade.settings.dae import DaeModelSettings, DaeTrainSettings
from vertegrade.training.checkpoints import States, load_checkpoint, locked, save_checkpoint
from vertegrade.training.interruption import Interruption, TrainingInterrupted
from vertegrade.training.processes import Peers

log = logging.getLogger(__name__)
Tensors = tuple[Tensor, ...] | list[Tensor]


def train_dae(
    pixels: Sequence[np.ndarray],
    model: DaeModelSettings,
    train: DaeTrainSettings,
    states: States,
    weights: Path,
    seed: int,
    device: str,
    threads: int,
    facts: dict[str, str] | None = None,
) -> dict[str, float]:
    """Train on unlabelled crops and write the averaged (EMA) weights; goes on by itself after a kill.

    pixels: packed crops of the shards, int16 HU (N_i, S, H, W), of training patients only.
    states: where checkpoints are kept. Only a training of the same code, packages, settings, seed, device, pixels and
    facts goes on from them; states of others are removed when this one has come to its end.
    facts: kept in the weights' metadata (crop geometry, hash of the patient list, ...).
    Where several processes train together (torch.distributed was set up), each calls this; the first one keeps state
    and weights. Returns the metrics of training, on the others nothing. Raises TrainingInterrupted (exit code 75) after
    a signal or near the end of the SLURM job, with the state saved, and FloatingPointError after too many steps of
    non-finite loss.
    """
    torch.set_num_threads(threads)
    crops = Crops(pixels)
    data = crops.sha256()
    # How often a training is saved and looked at does not change it.
    counted = train.model_dump(exclude={"save_every_s", "validate_every"})
    settings = {"model": model.model_dump(), "train": counted}
    folder = states.of(settings=settings, seed=seed, device=device, inputs={"pixels": data, "facts": facts})
    devices = [torch.device(device)] if device != "cpu" else []
    # The fork keeps the program's global generators (dropout, initial weights) untouched.
    peers = Peers()
    lock = locked(folder) if peers.first else nullcontext()
    with lock, Interruption() as interruption, torch.random.fork_rng(devices):
        trainer = Trainer(crops, model, train, folder, seed, device, peers)
        metrics = trainer.run(interruption)
    if not peers.first:
        return {}
    about = {"data_sha256": data, "seed": str(seed), "steps": str(train.steps), "crops": str(len(crops))}
    shape = (crops.slices, crops.height, crops.width)
    save_dae(Path(weights), trainer.averaged, model, shape, about | (facts or {}))
    states.keep_only(folder)
    return metrics


class Trainer:
    """Networks, average, optimiser and counters of one training."""

    def __init__(
        self,
        crops: Crops,
        model: DaeModelSettings,
        train: DaeTrainSettings,
        folder: Path,
        seed: int,
        device: str,
        peers: Peers,
    ) -> None:
        if crops.height != crops.width:
            raise ValueError(f"the DAE needs square crops, found {crops.height} x {crops.width}")
        self.crops, self.model, self.train, self.folder = crops, model, train, folder
        self.seed, self.device, self.peers = seed, device, peers
        torch.manual_seed(seed)
        self.network = DaeNetwork(model, crops.height).to(device)
        self.forward = peers.together(self.network)
        self.ema = AveragedModel(self.network, multi_avg_fn=_ema_update(train.ema_decay))
        self.diffusion = Diffusion(model)
        self.optimiser = Optimiser(self.network, train)
        self.weight = centre_weight(crops.height, train.edge_weight).to(device)
        self.validation = Validation(crops, model, seed)
        self.step = 0
        self.facts = {"bad_steps": 0.0, "seconds": 0.0, "loss": 1.0}

    @property
    def averaged(self) -> DaeNetwork:
        """The networks with averaged weights: what training is for."""
        return cast(DaeNetwork, self.ema.module)

    def run(self, interruption: Interruption) -> dict[str, float]:
        """Resume, train to the last step, and say how it went."""
        self.peers.first_then_others(self.resume)
        self.peers.require_same(self.step, f"the checkpoints in {self.folder}")
        started = saved = time.monotonic()
        first, seconds_before = self.step, self.facts["seconds"]
        while self.step < self.train.steps:
            self.train_step()
            self.step += 1
            self.facts["seconds"] = seconds_before + time.monotonic() - started
            if self.peers.first and self.step % self.train.validate_every == 0:
                log.info("step %d of %d: %s", self.step, self.train.steps, _shown(self.facts | self.losses()))
            reason = self.peers.agreed(interruption.reason())
            last = self.step == self.train.steps
            if self.peers.first and (reason or last or time.monotonic() - saved > self.train.save_every_s):
                self.save()
                saved = time.monotonic()
            if reason and not last:
                log.warning("stopped at step %d of %d: %s; the state is saved", self.step, self.train.steps, reason)
                raise TrainingInterrupted(reason)
        return self.metrics(first, seconds_before) if self.peers.first else {}

    def metrics(self, first: int, seconds_before: float) -> dict[str, float]:
        """How the training went; speed since its step `first`."""
        seen = (self.step - first) * self.train.batch_size
        speed = seen / (self.facts["seconds"] - seconds_before) if seen else 0.0
        reconstruction = self.validation.reconstruction(self.averaged, self.diffusion, self.device)
        metrics = {"steps": float(self.step), "crops_per_s": speed} | self.facts | self.losses() | reconstruction
        log.info("trained: %s", _shown(metrics))
        return metrics

    def train_step(self) -> None:
        """One step of the optimiser and of the average; a step whose loss or gradient is not finite is skipped."""
        positions = batch_positions(self.step, self.train.batch_size, len(self.crops), self.seed)
        loss = self.loss(np.split(positions, self.peers.count)[self.peers.rank], self.peers.rank)
        self.network.zero_grad()
        loss.backward()  # with peers, this also averages the gradients over them
        norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self.train.gradient_clip)
        mean_loss = self.peers.mean(loss.item())
        if not math.isfinite(mean_loss + norm.item()):
            self.skip()
            return
        self.optimiser.step(learning_rate(self.step, self.train))
        self.ema.update_parameters(self.network)
        self.facts["loss"] += (mean_loss - self.facts["loss"]) * max(0.02, 1 / (self.step + 1))

    def loss(self, positions: np.ndarray, part: int) -> Tensor:
        """Loss of the crops at these positions, which are one part of the step's batch; each part has its own draws."""
        seed = _seed_of(self.seed, self.step, part)
        torch.manual_seed(seed)
        generator = Generator().manual_seed(seed)
        hu = hounsfield(self.crops.take(positions), self.model).to(self.device)
        drawn, seen = augmented(hu, self.train.augment, generator)
        x0 = windowed(drawn, self.model)
        noise = torch.randn(x0.shape, generator=generator).to(self.device)
        t = noise_levels(len(x0), self.train.high_noise, generator).to(self.device)
        prediction = self.forward(windowed(seen, self.model), self.diffusion.noised(x0, noise, t), t)
        return ((prediction - self.diffusion.target(x0, noise, t)).square() * self.weight).mean()

    def skip(self) -> None:
        """Count a step that cannot be used; FloatingPointError when there were too many."""
        self.facts["bad_steps"] += 1
        log.warning("step %d: loss or gradient is not finite; skipped", self.step)
        if self.facts["bad_steps"] > self.train.bad_steps:
            raise FloatingPointError(
                f"{self.facts['bad_steps']:.0f} training steps had a non-finite loss: lower dae.train.learning_rate "
                f"or look for damaged crops; the last good state is in {self.folder}"
            )

    def losses(self) -> dict[str, float]:
        """Validation losses of the averaged weights with right and permuted z."""
        return self.validation.losses(self.averaged, self.diffusion, self.device)

    def save(self) -> None:
        """Write a checkpoint of everything that the next step depends on."""
        state = {"network": self.network.state_dict(), "ema": self.ema.state_dict()}
        state |= {f"optimiser.{name}": values for name, values in self.optimiser.state()}
        tensors = {f"{part}/{name}": value.cpu() for part, values in state.items() for name, value in values.items()}
        save_checkpoint(self.folder, self.step, tensors, self.facts)

    def resume(self) -> None:
        """Continue from the newest whole checkpoint, if there is one."""
        found = load_checkpoint(self.folder)
        if found is None:
            log.info("no checkpoint in %s: starting from the beginning", self.folder)
            return
        self.step, tensors, self.facts = found
        state: dict[str, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            part, name = key.split("/")
            state.setdefault(part, {})[name] = tensor
        self.network.load_state_dict(state["network"])
        self.ema.load_state_dict(state["ema"])
        prefix = "optimiser."
        self.optimiser.load({part.removeprefix(prefix): t for part, t in state.items() if part.startswith(prefix)})
        log.info("resumed at step %d of %d from %s", self.step, self.train.steps, self.folder)


def batch_positions(step: int, batch_size: int, count: int, seed: int) -> np.ndarray:
    """Positions of the crops of a step: all crops in a new order every epoch, int64 (batch_size,)."""
    drawn = np.arange(step * batch_size, (step + 1) * batch_size)
    return np.array([_order(seed, n // count, count)[n % count] for n in drawn.tolist()])


@lru_cache(maxsize=2)
def _order(seed: int, epoch: int, count: int) -> np.ndarray:
    return np.random.default_rng([seed, epoch]).permutation(count)


def noise_levels(count: int, high_noise: float, generator: Generator) -> Tensor:
    """Levels of 0..999, (count,): uniform, but a share `high_noise` of them in the noisiest quarter."""
    lowest = torch.where(torch.rand(count, generator=generator) < high_noise, 0.75 * NOISE_LEVELS, 0.0)
    levels = lowest + torch.rand(count, generator=generator) * (NOISE_LEVELS - lowest)
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
    warm = min(1.0, (step + 1) / (train.warmup_steps + 1))
    if train.learning_rate_schedule == "constant":
        return train.learning_rate * warm
    return train.learning_rate * warm * 0.5 * (1 + math.cos(math.pi * step / train.steps))


def _ema_update(decay: float) -> Callable[[Tensors, Tensors, Tensor | int], None]:
    """Exponential moving average that forgets the random start: decay rises as (1 + n) / (10 + n)."""

    def update(averaged: Tensors, current: Tensors, n: Tensor | int) -> None:
        torch._foreach_lerp_(averaged, current, 1 - min(decay, (1 + int(n)) / (10 + int(n))))

    return update


def _seed_of(seed: int, step: int, part: int) -> int:
    """A seed of its own for each part of each step."""
    sequence = np.random.SeedSequence([seed, step], spawn_key=(part,) if part else ())
    return int(sequence.generate_state(1, np.uint64)[0] >> np.uint64(1))


def _shown(metrics: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
