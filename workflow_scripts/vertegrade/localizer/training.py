"""One training loop for the localizer's networks: resumable after a kill, and the same bytes for the same inputs.

All randomness of step k comes from (seed, k), so a checkpoint needs no generator states and no data position but k.
"""

import logging
import math
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from vertegrade.training.checkpoints import load_checkpoint, locked, remove_checkpoints, save_checkpoint
from vertegrade.training.interruption import Interruption, TrainingInterrupted

log = logging.getLogger(__name__)
EMA_DECAY = 0.99
WEIGHT_DECAY = 1e-4
WARM_UP_STEPS = 50
LARGEST_GRADIENT = 1.0
SAVE_EVERY_S = 60.0
BAD_STEPS = 20


def train_network(
    network: nn.Module,
    batch: Callable[[int], tuple[Tensor, ...]],
    loss: Callable[..., Tensor],
    steps: int,
    learning_rate: float,
    folder: Path,
    seed: int,
    device: str,
    log_every: int = 50,
) -> dict[str, float]:
    """Train in place; afterwards the network holds its averaged (EMA) weights and is in evaluation mode.

    network: with its initial weights (the caller's seed), on any device. AdamW, warm-up and half a cosine to zero.
    batch: tensors (CPU) of step k, which must follow from k alone (`step_rng`). They are moved to `device`.
    loss: called as `loss(network, *tensors)`, returns the scalar to minimise.
    folder: of this training's checkpoints, one every minute; a training that was killed goes on from there. What else
    makes the training (code, samples, ...) is for the caller to name the folder by: `States`.
    Returns steps, seconds, bad_steps and the running mean of the loss. Raises TrainingInterrupted (exit code 75) after
    a signal, with the state saved; FloatingPointError after too many steps of non-finite loss.
    """
    training = _Training(network.to(device), loss, steps, learning_rate, folder, seed)
    devices = [torch.device(device)] if device != "cpu" else []
    with locked(folder), Interruption() as interruption, torch.random.fork_rng(devices):
        training.resume()
        while training.step < steps:
            torch.manual_seed(step_seed(seed, training.step))
            training.train_step(tuple(tensor.to(device) for tensor in batch(training.step)))
            if training.step % log_every == 0:
                log.info("step %d of %d: loss %.4g", training.step, steps, training.facts["loss"])
            training.save_or_stop(interruption.reason())
    network.load_state_dict(training.average.module.state_dict())
    network.eval()
    return {"steps": float(steps)} | {name: training.facts[name] for name in ("seconds", "bad_steps", "loss")}


class _Training:
    """Network, average, optimiser and counters of one training."""

    def __init__(
        self,
        network: nn.Module,
        loss: Callable[..., Tensor],
        steps: int,
        learning_rate: float,
        folder: Path,
        seed: int,
    ) -> None:
        self.network, self.loss, self.steps, self.learning_rate, self.folder = (
            network.train(), loss, steps, learning_rate, folder,
        )  # fmt: skip
        self.average = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY))
        self.optimiser = torch.optim.AdamW(network.parameters(), learning_rate, weight_decay=WEIGHT_DECAY)
        self.step = 0
        self.about = {"steps": float(steps), "seed": float(seed), "learning_rate": learning_rate}
        self.facts = {"seconds": 0.0, "bad_steps": 0.0, "loss": 0.0} | self.about
        self.saved = self.ticked = time.monotonic()

    def train_step(self, tensors: tuple[Tensor, ...]) -> None:
        """One step of the optimiser and of the average; a step whose loss or gradient is not finite is skipped."""
        for group in self.optimiser.param_groups:
            group["lr"] = self.learning_rate * schedule(self.step, self.steps)
        loss = self.loss(self.network, *tensors)
        self.optimiser.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), LARGEST_GRADIENT)
        self.step += 1
        if torch.isfinite(loss + norm):
            self.optimiser.step()
            self.average.update_parameters(self.network)
            self.facts["loss"] += (loss.item() - self.facts["loss"]) * max(0.02, 1 / self.step)
        else:
            self.facts["bad_steps"] += 1
            log.warning("step %d: loss or gradient is not finite; skipped", self.step)
        if self.facts["bad_steps"] > BAD_STEPS:
            raise FloatingPointError(
                f"more than {BAD_STEPS} training steps had a non-finite loss: lower the learning rate or look for "
                f"damaged samples; the last good state is in {self.folder}"
            )
        now = time.monotonic()
        self.facts["seconds"] += now - self.ticked
        self.ticked = now

    def save_or_stop(self, reason: str) -> None:
        """Save when it is time; where there is a reason to stop, save and raise TrainingInterrupted."""
        last = self.step == self.steps
        if reason or last or time.monotonic() - self.saved > SAVE_EVERY_S:
            state = {"network": self.network.state_dict(), "average": self.average.state_dict()}
            state |= {f"optimiser.{n}": values for n, values in self.optimiser.state_dict()["state"].items()}
            tensors = {f"{part}/{key}": value.cpu() for part, values in state.items() for key, value in values.items()}
            save_checkpoint(self.folder, self.step, tensors, self.facts)
            self.saved = time.monotonic()
        if reason and not last:
            log.warning("stopped at step %d of %d: %s; the state is saved", self.step, self.steps, reason)
            raise TrainingInterrupted(reason)

    def resume(self) -> None:
        """Continue from the newest whole checkpoint, if there is one."""
        found = load_checkpoint(self.folder)
        if found is None:
            return
        step, tensors, facts = found
        if any(facts.get(name) != value for name, value in self.about.items()):
            log.warning("%s: holds a training with other steps, seed or rate; starting from nothing", self.folder)
            remove_checkpoints(self.folder)
            return
        self.step, self.facts = step, facts
        state: dict[str, dict[str, Tensor]] = {}
        for key, tensor in tensors.items():
            part, name = key.split("/")
            state.setdefault(part, {})[name] = tensor
        self.network.load_state_dict(state["network"])
        self.average.load_state_dict(state["average"])
        moments = {int(part.split(".")[1]): values for part, values in state.items() if part.startswith("optimiser.")}
        self.optimiser.load_state_dict(self.optimiser.state_dict() | {"state": moments})
        log.info("resumed at step %d of %d from %s", self.step, self.steps, self.folder)


def schedule(step: int, steps: int) -> float:
    """Share of the learning rate at a step: linear warm-up, then half a cosine to zero."""
    return min(1.0, (step + 1) / (WARM_UP_STEPS + 1)) * 0.5 * (1 + math.cos(math.pi * step / steps))


def step_seed(seed: int, step: int) -> int:
    """A seed of its own (63 bits) for each step."""
    return int(np.random.SeedSequence([seed, step]).generate_state(1, np.uint64)[0] >> np.uint64(1))


def step_rng(seed: int, step: int) -> np.random.Generator:
    """The generator from which the batch of a step is to be drawn."""
    return np.random.default_rng([seed, step])
