"""Train the network that sees whether there is a body at a place and which way it lies (localizer/sight/see.py).

    .venv/bin/python benchmarks/train_sight.py FOLDER

makes models/localizer/sight.safetensors from nothing, on phantoms alone: the first scans of the same series that the
other networks learn from. After a kill the same command continues. The samples (a megabyte per scan) stay in FOLDER.
"""

from pathlib import Path

import numpy as np
from torch import Tensor

from sight_network import SightNetwork, sight_loss
from sight_samples import Spine, sight_batch, spine_of
from train_on_phantoms import kept, options, train
from vertegrade.localizer.detector.samples import SpineSample, spine_sample
from vertegrade.localizer.sight.see import KIND
from vertegrade.phantom.training_scan import learning_scan

BATCH, RATE = 24, 2e-3


def phantom_spine(folder: Path, seed: int, number: int) -> Spine:
    """A straightened phantom, kept in the folder."""
    name = f"phantom-{number:05d}"

    def make() -> SpineSample:
        volume, bodies = learning_scan(seed, number)
        return spine_sample(volume, bodies, np.random.default_rng([seed, *name.encode()]))

    return spine_of(kept(folder / f"{name}.spine.npz", make, SpineSample))


if __name__ == "__main__":
    given = options(__doc__, scans=132, steps=1500, weights="models/localizer/sight.safetensors")
    spines = [phantom_spine(given.folder, given.seed, number) for number in range(given.scans)]

    def batch(step: int) -> tuple[Tensor, ...]:
        """Patches of a step."""
        return sight_batch(spines, BATCH, given.seed, step)

    train(given, SightNetwork, KIND, batch, sight_loss, RATE)
