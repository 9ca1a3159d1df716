"""A toy network that learns a line, its training, and the same as a job that torchrun can start."""

import sys
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from vertegrade.files import write_json
from vertegrade.training.launch import TrainingJob, join
from vertegrade.training.loop import Recipe, Training
from vertegrade.training.processes import Processes
from vertegrade.training.seeds import batch_positions, own_generators

STEPS = 12
SAMPLES = np.random.default_rng(0).normal(size=(10, 2))


def toy_network() -> nn.Sequential:
    return nn.Sequential(nn.Linear(2, 8), nn.Dropout(0.1), nn.Tanh(), nn.Linear(8, 1))


def toy_batch(step: int, rank: int = 0, count: int = 1) -> tuple[Tensor, Tensor]:
    """One of `count` parts of a step's four samples, with noise."""
    positions = np.split(batch_positions(step, 4, len(SAMPLES), 0), count)[rank]
    noise = np.random.default_rng([rank, step]).normal(0, 0.01, (len(positions), 2))
    x = torch.from_numpy(SAMPLES[positions] + noise).float()
    return x, x[:, :1] - 2 * x[:, 1:]


def toy_loss(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return (network(x) - y).square().mean()


def toy_recipe(network: nn.Sequential, steps: int = STEPS, **changes: Any) -> Recipe:
    """Two optimisers, whose state a checkpoint must hold; a checkpoint after every step."""
    optimisers = [
        torch.optim.AdamW(network[0].parameters(), 1e-2),
        torch.optim.SGD(network[3].parameters(), 1e-2, momentum=0.9),
    ]
    usual: dict[str, Any] = {
        "steps": steps, "optimisers": optimisers, "learning_rate": lambda step: 1e-2 * (1 - step / steps),
        "average": get_ema_multi_avg_fn(0.9), "gradient_clip": 1.0, "bad_steps": 2, "advice": "look for damaged toys",
        "save_every_s": 1e-9, "log_every": 5,
    }  # fmt: skip
    return Recipe(**usual | changes)


def toy_training(folder: Path, seed: int = 3, batch: Any = toy_batch, loss: Any = toy_loss, **changes: Any) -> Training:
    """A training with all its state in `folder`; to be made and run within `own_generators`."""
    network = toy_network()
    return Training(network, batch, loss, toy_recipe(network, **changes), folder, seed)


def trained(folder: Path, seed: int = 3, **changes: Any) -> dict[str, Tensor]:
    """Weights of the toy after its training."""
    with own_generators(seed, "cpu"):
        training = toy_training(folder, seed, **changes)
        training.run()
    return {name: value.clone() for name, value in training.network.state_dict().items()}


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one | other)


class ToyJob(TrainingJob):
    """The toy's training by torchrun, which takes its code for that of train_dae."""

    method: ClassVar[str] = "dae"
    steps: int = STEPS
    save_every_s: float = 1e-9
    broken: bool = False

    def run(self) -> None:
        if self.broken:
            raise ValueError("the toy is broken")
        torch.set_num_threads(self.threads)
        here = Processes()
        with own_generators(self.seed, self.device):
            training = toy_training(
                self.states.folder / "toy", self.seed, lambda step: toy_batch(step, here.rank, here.count),
                steps=self.steps, save_every_s=self.save_every_s,
            )  # fmt: skip
            metrics = training.run()
        if here.first:
            save_file(training.network.state_dict(), self.weights)
            write_json(self.metrics, metrics)


if __name__ == "__main__":
    join(ToyJob, Path(sys.argv[1]))
