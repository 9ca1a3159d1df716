"""Crops as the networks see them: central slices, HU window, [-1, 1]; and back."""

import hashlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from vertegrade.graders.dae.shapes import central
from vertegrade.settings.dae import DaeModelSettings


class Crops:
    """Packed crops of several shards as one sequence; memory-mapped arrays stay on disk until they are taken.

    arrays: int16 HU, each (N, S, H, W) with the same S, H and W.
    """

    def __init__(self, arrays: Sequence[np.ndarray]) -> None:
        self._arrays = [array for array in arrays if len(array)]
        shapes = {array.shape[1:] for array in self._arrays}
        if len(shapes) != 1 or any(array.ndim != 4 or array.dtype != np.int16 for array in self._arrays):
            found = sorted({f"{array.dtype}{array.shape}" for array in arrays}) or "nothing"
            raise ValueError(f"the DAE needs int16 crops (N, S, H, W) of one shape, found {found}")
        self.slices, self.height, self.width = self._arrays[0].shape[1:]
        self._ends = np.cumsum([len(array) for array in self._arrays])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def take(self, indices: np.ndarray) -> np.ndarray:
        """The crops of these positions, int16 (B, S, H, W)."""
        which = np.searchsorted(self._ends, indices, side="right")
        starts = self._ends - [len(array) for array in self._arrays]
        return np.stack([self._arrays[w][i - starts[w]] for w, i in zip(which, indices, strict=True)])

    def sha256(self) -> str:
        """Hash of all values in order, whatever the shards."""
        digest = hashlib.sha256(repr((len(self), self.slices, self.height, self.width)).encode())
        for array in self._arrays:
            for start in range(0, len(array), 256):
                digest.update(np.ascontiguousarray(array[start : start + 256]).tobytes())
        return digest.hexdigest()


def hounsfield(pixels: np.ndarray, settings: DaeModelSettings) -> Tensor:
    """The image of the networks, int16 (B, S, H, W) -> float32 HU (B, C, H, W): the central slices, or their mean."""
    chosen = pixels[:, central(pixels.shape[1], settings.slices)]
    hu = torch.from_numpy(np.ascontiguousarray(chosen)).float()
    return hu.mean(dim=1, keepdim=True) if settings.slab_mean else hu


def windowed(hu: Tensor, settings: DaeModelSettings) -> Tensor:
    """HU -> [-1, 1]: hu_low is -1, hu_high is 1, values outside are clipped."""
    return ((hu - settings.hu_low) * (2 / (settings.hu_high - settings.hu_low)) - 1).clamp(-1, 1)


def to_hu(x: Tensor, settings: DaeModelSettings) -> np.ndarray:
    """[-1, 1] -> int16 HU within the window."""
    hu = (x.float().cpu() + 1) * ((settings.hu_high - settings.hu_low) / 2) + settings.hu_low
    return hu.round().to(torch.int16).numpy()
