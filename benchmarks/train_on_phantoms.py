"""What trainings of small networks on phantoms share: options, samples, weights (train_sight.py, train_canal.py)."""

import argparse
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from vertegrade.localizer.sample_file import load_sample, save_sample
from vertegrade.localizer.training import train_network
from vertegrade.localizer.weights import save_weights

T = TypeVar("T")


def options(about: str | None, scans: int, steps: int, weights: str) -> argparse.Namespace:
    """The command's options, with these defaults; makes the folder."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scans", type=int, default=scans)
    parser.add_argument("--steps", type=int, default=steps)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--weights", type=Path, default=Path(weights))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given.folder.mkdir(parents=True, exist_ok=True)
    return given


def kept(path: Path, make: Callable[[], Any], kind: type[T], compressed: bool = False) -> T:
    """A sample that lies in a file, and is made where it does not."""
    if not path.exists():
        save_sample(path, make(), compressed=compressed)
        logging.info("%s", path)
    return load_sample(path, kind)


def train(
    given: argparse.Namespace,
    network: Callable[[], nn.Module],
    kind: str,
    batch: Callable[[int], tuple[Tensor, ...]],
    loss: Callable[..., Tensor],
    rate: float,
) -> None:
    """Train on one core and write the weights; after a kill the same options continue. kind: of the weights' file."""
    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    made = network()
    state = given.folder / f"state-{given.scans}-{given.steps}-{given.seed}"
    done = train_network(made, batch, loss, given.steps, rate, state, given.seed, "cpu")
    facts = {"seed": str(given.seed), "scans": str(given.scans), "steps": str(given.steps)}
    save_weights(given.weights, made, kind, facts | {"loss": f"{done['loss']:.6g}"})
