"""Random changes of a training scan: of the whole spine at once, so that what neighbours tell of each other stays."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from vertegrade.arrays import Floats
from vertegrade.ct.volume import AIR_HU
from vertegrade.settings.seq2seq import Seq2seqAugmentSettings


@dataclass(frozen=True, eq=False)
class Changed:
    """A changed spine: HU float32 (R, S, W), where bodies end in it, rows (V, 2), and how often larger it is."""

    hu: Tensor
    ends: Floats
    factor: float


def changed(pixels: np.ndarray, ends: Floats, settings: Seq2seqAugmentSettings, rng: np.random.Generator) -> Changed:
    """The spine mirrored, stretched alike in all directions, shifted, and as another scanner would show it."""
    hu = torch.from_numpy(np.array(pixels, np.float32))
    if settings.mirror and rng.random() < 0.5:
        hu = hu.flip(1)
    factor = float(np.exp(rng.uniform(-1, 1) * np.log1p(settings.stretch)))
    shift = rng.uniform(-settings.shift, settings.shift, 2) if settings.shift else np.zeros(2)
    rows = max(1, round(len(hu) * factor))
    factor = rows / len(hu)
    hu = _resampled(hu, rows, factor, shift)
    hu = hu * (1 + rng.uniform(-settings.gain, settings.gain)) + rng.uniform(-settings.offset_hu, settings.offset_hu)
    if settings.noise_hu:
        noise = rng.standard_normal(tuple(hu.shape), dtype=np.float32)
        hu = hu + rng.uniform(0, settings.noise_hu) * torch.from_numpy(noise)
    return Changed(hu, (ends + 0.5) * factor - 0.5, factor)


def _resampled(hu: Tensor, rows: int, factor: float, shift: Floats) -> Tensor:
    """The spine on `rows` rows, its slices and columns magnified by `factor` and moved by voxels; edges repeated."""
    slices, columns = hu.shape[1:]
    matrix = torch.tensor(
        [
            [1 / factor, 0.0, 0.0, 2 * float(shift[1]) / columns],
            [0.0, 1 / factor, 0.0, 2 * float(shift[0]) / slices],
            [0.0, 0.0, 1.0, 0.0],
        ]
    )
    grid = functional.affine_grid(matrix[None], [1, 1, rows, slices, columns], align_corners=False)
    above = (hu - AIR_HU)[None, None]
    return functional.grid_sample(above, grid, padding_mode="border", align_corners=False)[0, 0] + AIR_HU
