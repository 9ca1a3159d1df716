"""Crops as the networks see them: central slices, HU window, [-1, 1]; and back."""

import numpy as np
import torch
from torch import Tensor

from vertegrade.graders.dae.shapes import central
from vertegrade.settings.dae import DaeModelSettings


def hounsfield(pixels: np.ndarray, settings: DaeModelSettings, device: str | torch.device = "cpu") -> Tensor:
    """The image of the networks, int16 (B, S, H, W) -> float32 HU (B, C, H, W): the central slices, or their mean."""
    chosen = torch.from_numpy(np.ascontiguousarray(pixels[:, central(pixels.shape[1], settings.slices)]))
    if torch.device(device).type == "cuda":
        chosen = chosen.pin_memory()  # a GPU reads other memory only after it has done all that it was asked
    hu = chosen.to(device, non_blocking=True).float()
    return hu.mean(dim=1, keepdim=True) if settings.slab_mean else hu


def windowed(hu: Tensor, settings: DaeModelSettings) -> Tensor:
    """HU -> [-1, 1]: hu_low is -1, hu_high is 1, values outside are clipped."""
    return ((hu - settings.hu_low) * (2 / (settings.hu_high - settings.hu_low)) - 1).clamp(-1, 1)


def to_hu(x: Tensor, settings: DaeModelSettings) -> np.ndarray:
    """[-1, 1] -> int16 HU within the window."""
    hu = (x.float().cpu() + 1) * ((settings.hu_high - settings.hu_low) / 2) + settings.hu_low
    return hu.round().to(torch.int16).numpy()
