"""Train the network that finds the spinal canal in axial slices (localizer/canal/network.py).

    .venv/bin/python benchmarks/train_canal.py FOLDER

makes models/localizer/canal.safetensors from nothing, on phantoms alone: the first scans of the same series that the
other networks learn from. After a kill the same command continues. The samples (a few megabytes per scan) stay in
FOLDER.
"""

from pathlib import Path

from torch import Tensor

from canal_samples import CanalSample, canal_batch, canal_loss, canal_sample
from train_on_phantoms import kept, options, train
from vertegrade.localizer.canal.network import KIND, CanalNetwork
from vertegrade.phantom.anatomy.canal import canal_places
from vertegrade.phantom.training_scan import learning_patient, learning_scan

RATE = 3e-3


def phantom_sample(folder: Path, seed: int, number: int) -> CanalSample:
    """A phantom's slices, kept in the folder."""

    def make() -> CanalSample:
        volume, _ = learning_scan(seed, number)
        return canal_sample(volume, canal_places(learning_patient(seed, number)))

    return kept(folder / f"phantom-{number:05d}.canal.npz", make, CanalSample, compressed=True)


if __name__ == "__main__":
    given = options(__doc__, scans=60, steps=1200, weights="models/localizer/canal.safetensors")
    samples = [phantom_sample(given.folder, given.seed, number) for number in range(given.scans)]

    def batch(step: int) -> tuple[Tensor, ...]:
        """Slices of a step."""
        return canal_batch(samples, given.seed, step)

    train(given, CanalNetwork, KIND, batch, canal_loss, RATE)
