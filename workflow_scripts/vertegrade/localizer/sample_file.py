"""Training samples on disk: the arrays of a dataclass as .npz."""

from pathlib import Path
from typing import TypeVar

import numpy as np

from vertegrade.files import new_file

Sample = TypeVar("Sample")


def save_sample(path: Path, sample: object, compressed: bool = False) -> None:
    """Write a sample."""
    with new_file(path) as temporary, temporary.open("wb") as handle:
        (np.savez_compressed if compressed else np.savez)(handle, **vars(sample))


def load_sample(path: Path, kind: type[Sample]) -> Sample:
    """Read a sample of this class that `save_sample` wrote."""
    with np.load(path, allow_pickle=False) as arrays:
        return kind(**arrays)
