"""Train the network that sees whether there is a body at a place and which way it lies (localizer/sight/see.py).

    .venv/bin/python benchmarks/train_sight.py FOLDER

makes models/localizer/sight.safetensors from nothing, on phantoms alone: the first scans of the same series that the
other networks learn from. After a kill the same command continues. The samples (a megabyte per scan) stay in FOLDER.
"""

import argparse
import logging
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from sight_network import SightNetwork, sight_loss
from sight_samples import Spine, sight_batch, spine_of
from vertegrade.localizer.detector.samples import SpineSample, spine_sample
from vertegrade.localizer.sample_file import load_sample, save_sample
from vertegrade.localizer.sight.see import KIND
from vertegrade.localizer.training import train_network
from vertegrade.localizer.weights import save_weights
from vertegrade.phantom.training_scan import learning_scan

BATCH, RATE = 24, 2e-3


def phantom_spine(folder: Path, seed: int, number: int) -> Spine:
    """A straightened phantom, kept in the folder."""
    name = f"phantom-{number:05d}"
    path = folder / f"{name}.spine.npz"
    if not path.exists():
        volume, bodies = learning_scan(seed, number)
        save_sample(path, spine_sample(volume, bodies, np.random.default_rng([seed, *name.encode()])))
        logging.info("%s", path)
    return spine_of(load_sample(path, SpineSample))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scans", type=int, default=132)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--weights", type=Path, default=Path("models/localizer/sight.safetensors"))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given.folder.mkdir(parents=True, exist_ok=True)
    spines = [phantom_spine(given.folder, given.seed, number) for number in range(given.scans)]

    def batch(step: int) -> tuple[Tensor, ...]:
        """Patches of a step."""
        return sight_batch(spines, BATCH, given.seed, step)

    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    network = SightNetwork()
    state = given.folder / f"state-{given.scans}-{given.steps}-{given.seed}"
    done = train_network(network, batch, sight_loss, given.steps, RATE, state, given.seed, "cpu")
    facts = {"seed": str(given.seed), "scans": str(given.scans), "steps": str(given.steps)}
    save_weights(given.weights, network, KIND, facts | {"loss": f"{done['loss']:.6g}"})
