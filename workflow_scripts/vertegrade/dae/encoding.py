"""Crops -> z_sem."""

from collections.abc import Sequence

import numpy as np
import torch

from vertegrade.dae.pixels import Crops, hounsfield, windowed
from vertegrade.dae.weights import Dae
from vertegrade.weights import WeightsError


def encode(dae: Dae, pixels: Sequence[np.ndarray], batch_size: int) -> np.ndarray:
    """z_sem of crops, float32 (N, z_dim), in order.

    pixels: packed crops of any number of shards, int16 HU (N_i, S, H, W) with the S, H, W that the weights were trained
    on. A crop's latent does not depend on the crops beside it: no batch statistics, and every batch has the same size.
    """
    if sum(len(array) for array in pixels) == 0:
        return np.zeros((0, dae.settings.z_dim), np.float32)
    crops = Crops(pixels)
    found = (crops.slices, crops.height, crops.width)
    if found != dae.crop_shape:
        raise WeightsError(f"the crops are {found} (slices, rows, columns), the DAE was trained on {dae.crop_shape}")
    latents = np.empty((len(crops), dae.settings.z_dim), np.float32)
    with torch.inference_mode():
        for start in range(0, len(crops), batch_size):
            # The last batch is filled up with its last crop: another batch size may round differently.
            indices = np.minimum(np.arange(start, start + batch_size), len(crops) - 1)
            x = windowed(hounsfield(crops.take(indices), dae.settings), dae.settings).to(dae.device)
            z = dae.network.encoder(x).float().cpu().numpy()
            latents[start : start + batch_size] = z[: len(crops) - start]
    return latents
