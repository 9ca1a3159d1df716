"""The loop that trains every network: resumable, interruptible, and the same bytes for the same inputs on a CPU.

All randomness of step k comes from (seed, k), so a checkpoint needs no generator states and no data position but k.
"""

import logging
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from vertegrade.progress import Progress
from vertegrade.training.average import Average
from vertegrade.training.checkpoints import load_checkpoint, save_checkpoint
from vertegrade.training.guard import Guard
from vertegrade.training.interruption import Interruption, TrainingInterrupted
from vertegrade.training.processes import Processes
from vertegrade.training.seeds import step_seed
from vertegrade.training.states import locked

log = logging.getLogger(__name__)
READ_EVERY = 25  # steps of a device whose losses are read together, as each reading waits for it


@dataclass(frozen=True)
class Recipe:
    """How weights follow from gradients, and when a training is saved, logged and given up.

    optimisers: of the network's weights. learning_rate: of all of them at step k.
    average: moves the averaged weights towards the network's (`Average`).
    gradient_clip: largest norm of the gradient. bad_steps: how many steps may have a non-finite loss.
    advice: what to do where more steps have one. save_every_s, log_every: seconds between checkpoints, steps between
    lines of the log; both change no result. compiled: whether the network is compiled (`torch.compile`).
    select_every: steps between looks for the best weights (`select`).
    """

    steps: int
    optimisers: Sequence[torch.optim.Optimizer]
    learning_rate: Callable[[int], float]
    average: Callable[[Any, Any, int], None]
    gradient_clip: float
    bad_steps: int
    advice: str
    save_every_s: float
    log_every: int
    compiled: bool = False
    select_every: int = 0


class Training:
    """The training of one network, in this process or in several together (`Processes`), each of which makes one."""

    def __init__(
        self,
        network: nn.Module,
        batch: Callable[[int], tuple[Tensor, ...]],
        loss: Callable[..., Tensor],
        recipe: Recipe,
        folder: Path,
        seed: int,
        figures: Callable[[Any], dict[str, float]] = lambda network: {},
        select: Callable[[Any], float] | None = None,
    ) -> None:
        """network: with its initial weights, on its device.

        batch: tensors of step k (of this process's part of it), which must follow from k and the seed alone.
        loss: `loss(network, *batch(k))`, the scalar to minimise; the mean over processes counts.
        folder: of the checkpoints; `States` names it by all that makes this training what it is.
        figures: of the averaged network, for the log.
        select: score of the averaged network, on data that train nothing. Without it the last weights are the result,
        with it the first ones of the highest score, of those after each `recipe.select_every` steps and the last.
        """
        self.network, self.batch, self.loss, self.recipe = network.train(), batch, loss, recipe
        self.folder, self.seed, self.figures, self.select = folder, seed, figures, select
        self.best: dict[str, Tensor] = {}
        self.device = next(network.parameters()).device
        self.processes = Processes()
        together = self.processes.together(network)
        self.forward = torch.compile(together) if recipe.compiled else together
        self.average, self.guard = Average(network, recipe.average), Guard(network)
        # On a CPU nothing runs ahead of the program, so that to look at a number costs nothing.
        self.read_every = 1 if self.device.type == "cpu" else READ_EVERY
        self.unread: list[tuple[int, Tensor, Tensor]] = []  # steps, their losses, and whether they are finite
        self.step = 0
        self.facts = {"bad_steps": 0.0, "seconds": 0.0, "loss": 0.0}

    def run(self) -> dict[str, float]:
        """Continue from the last checkpoint to the last step; then the network holds the averaged (EMA) weights.

        Returns steps, seconds, bad_steps and the running mean of the loss. To be called within `own_generators`.
        Raises TrainingInterrupted (exit code 75) after a signal or near the end of the SLURM job, with the state saved;
        InUseError where another process works on the folder; FloatingPointError after too many bad steps.
        """
        first, steps = self.processes.first, self.recipe.steps
        with locked(self.folder) if first else nullcontext(), Interruption() as interruption:
            self.processes.first_then_others(self.resume)
            self.processes.require_same(self.step, f"the checkpoints in {self.folder}")
            saved = time.monotonic()
            started = saved - self.facts["seconds"]
            told = Progress(log, "steps", steps, first=self.step)
            while self.step < steps:
                self.train_step()
                self.step += 1
                self.facts["seconds"] = time.monotonic() - started
                if first:
                    told.at(self.step)
                if first and self.step % self.recipe.log_every == 0:
                    self.read()
                    figures = self.facts | self.figures(self.average.network)
                    log.info("step %d of %d: %s", self.step, steps, shown(figures))
                reason = self.processes.agreed(interruption.reason())
                last = self.step == steps
                if reason or last or self.step % self.read_every == 0:
                    self.read()
                if first and self.select and (last or self.step % self.recipe.select_every == 0):
                    self.look(self.select(self.average.network))
                if first and (reason or last or time.monotonic() - saved > self.recipe.save_every_s):
                    self.save()
                    saved = time.monotonic()
                if reason and not last:
                    log.warning("stopped at step %d of %d: %s; the state is saved", self.step, steps, reason)
                    raise TrainingInterrupted(reason)
        self.network.load_state_dict(self.best or self.average.network.state_dict())
        return {"steps": float(steps)} | self.facts

    def train_step(self) -> None:
        """One step of the optimisers and of the average.

        A step whose loss or gradient is not finite is skipped. A GPU is not waited for to know this: there such a step
        has the gradient 0, so that at most the momentum of earlier ones moves the weights.
        """
        torch.manual_seed(step_seed(self.seed, self.step, self.processes.rank))
        loss = self.loss(self.forward, *(tensor.to(self.device) for tensor in self.batch(self.step)))
        self.network.zero_grad()
        loss.backward()  # in several processes, this also averages the gradients over them
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), self.recipe.gradient_clip)
        mean_loss = self.processes.mean(loss.detach())
        finite = torch.isfinite(mean_loss) & torch.isfinite(norm)
        self.unread.append((self.step, mean_loss, finite))
        if self.read_every == 1:
            if not self.read():
                return
        else:
            for weight in self.network.parameters():
                if weight.grad is not None:
                    weight.grad.masked_fill_(~finite, 0.0)
        rate = self.recipe.learning_rate(self.step)
        with self.guard.step(rate):
            for optimiser in self.recipe.optimisers:
                for group in optimiser.param_groups:
                    group["lr"] = rate
                optimiser.step()
        self.average.update(self.network)

    def look(self, score: float) -> None:
        """Keep the averaged weights of this step where their score is the highest until now."""
        log.info("step %d of %d: score %.4f", self.step, self.recipe.steps, score)
        if not self.best or score > self.facts["best_score"]:
            self.facts |= {"best_score": score, "best_step": float(self.step)}
            self.best = {name: value.clone() for name, value in self.average.network.state_dict().items()}

    def read(self) -> bool:
        """Count what the last steps gave, and whether all of them were finite: the only wait for the device.

        FloatingPointError when there were too many that were not.
        """
        if not self.unread:
            return True
        numbers = torch.stack([torch.stack([loss.double(), finite.double()]) for _, loss, finite in self.unread])
        steps = [step for step, _, _ in self.unread]
        self.unread.clear()
        found = numbers.tolist()
        for step, (loss, finite) in zip(steps, found, strict=True):
            if finite:
                self.facts["loss"] += (loss - self.facts["loss"]) * max(0.02, 1 / (step + 1))
            else:
                self.skip(step)
        return all(finite for _, finite in found)

    def skip(self, step: int) -> None:
        """Count a step that cannot be used; FloatingPointError when there were too many."""
        self.facts["bad_steps"] += 1
        log.warning("step %d: loss or gradient is not finite; skipped", step)
        if self.facts["bad_steps"] > self.recipe.bad_steps:
            raise FloatingPointError(
                f"{self.facts['bad_steps']:.0f} training steps had a non-finite loss: {self.recipe.advice}; "
                f"the last good state is in {self.folder}"
            )

    def save(self) -> None:
        """Write a checkpoint of everything that the next step depends on."""
        self.read()
        parts = {"network": self.network.state_dict(), "average": self.average.state_dict()}
        parts |= {"best": self.best} if self.best else {}
        for n, optimiser in enumerate(self.recipe.optimisers):
            parts |= {f"optimiser.{n}.{k}": moments for k, moments in optimiser.state_dict()["state"].items()}
        save_checkpoint(self.folder, self.step, parts, self.facts)

    def resume(self) -> None:
        """Continue from the newest complete checkpoint, if there is one."""
        found = load_checkpoint(self.folder)
        if found is None:
            log.info("no checkpoint in %s: starting from the beginning", self.folder)
            return
        self.step, parts, self.facts = found
        self.network.load_state_dict(parts["network"])
        self.average.load_state_dict(parts["average"])
        self.best = {name: value.to(self.device) for name, value in parts.get("best", {}).items()}
        for n, optimiser in enumerate(self.recipe.optimisers):
            prefix = f"optimiser.{n}."
            moments = {int(part.removeprefix(prefix)): t for part, t in parts.items() if part.startswith(prefix)}
            optimiser.load_state_dict(optimiser.state_dict() | {"state": moments})
            _as_in_memory(optimiser)
        log.info("resumed at step %d of %d from %s", self.step, self.recipe.steps, self.folder)


def _as_in_memory(optimiser: torch.optim.Optimizer) -> None:
    """Lay moments out in memory as their weights are, which a checkpoint does not keep."""
    for weight, moments in optimiser.state.items():
        for name, value in moments.items():
            if value.shape == weight.shape and value.stride() != weight.stride():
                moments[name] = torch.empty_like(weight, dtype=value.dtype).copy_(value)


def shown(figures: dict[str, float]) -> str:
    """Figures by name, as one text for the log."""
    return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
