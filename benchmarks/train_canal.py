"""Train the network that finds the spinal canal in axial slices (localizer/canal/network.py).

    .venv/bin/python benchmarks/train_canal.py FOLDER

makes models/localizer/canal.safetensors from nothing, on phantoms alone: the first scans of the same series that the
other networks learn from. After a kill the same command continues. The samples (a few megabytes per scan) stay in
FOLDER.
"""

import argparse
import logging
from pathlib import Path

import torch
from torch import Tensor

from canal_samples import CanalSample, canal_batch, canal_loss, canal_sample
from vertegrade.localizer.canal.network import KIND, CanalNetwork
from vertegrade.localizer.sample_file import load_sample, save_sample
from vertegrade.localizer.training import train_network
from vertegrade.localizer.weights import save_weights
from vertegrade.phantom.anatomy.canal import canal_places
from vertegrade.phantom.training_scan import learning_patient, learning_scan

RATE = 3e-3


def phantom_sample(folder: Path, seed: int, number: int) -> CanalSample:
    """A phantom's slices, kept in the folder."""
    path = folder / f"phantom-{number:05d}.canal.npz"
    if not path.exists():
        volume, _ = learning_scan(seed, number)
        save_sample(path, canal_sample(volume, canal_places(learning_patient(seed, number))), compressed=True)
        logging.info("%s", path)
    return load_sample(path, CanalSample)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scans", type=int, default=60)
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--weights", type=Path, default=Path("models/localizer/canal.safetensors"))
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    given.folder.mkdir(parents=True, exist_ok=True)
    samples = [phantom_sample(given.folder, given.seed, number) for number in range(given.scans)]

    def batch(step: int) -> tuple[Tensor, ...]:
        """Slices of a step."""
        return canal_batch(samples, given.seed, step)

    torch.set_num_threads(1)
    torch.manual_seed(given.seed)
    network = CanalNetwork()
    state = given.folder / f"state-{given.scans}-{given.steps}-{given.seed}"
    done = train_network(network, batch, canal_loss, given.steps, RATE, state, given.seed, "cpu")
    facts = {"seed": str(given.seed), "scans": str(given.scans), "steps": str(given.steps)}
    save_weights(given.weights, network, KIND, facts | {"loss": f"{done['loss']:.6g}"})
