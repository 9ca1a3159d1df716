"""Crops -> z_sem."""

import logging
from collections.abc import Sequence

import numpy as np
import torch

from vertegrade.graders.crops import Crops
from vertegrade.graders.dae.pixels import hounsfield, windowed
from vertegrade.graders.dae.weights import Dae
from vertegrade.progress import progress
from vertegrade.threads import fixed_threads
from vertegrade.weights import WeightsError

log = logging.getLogger(__name__)


def encode(dae: Dae, pixels: Sequence[np.ndarray], batch_size: int) -> np.ndarray:
    """z_sem of crops, float32 (N, z_dim), in order.

    pixels: packed crops of any number of shards, int16 HU (N_i, S, H, W) with the S, H, W that the weights were trained
    on. A crop's latent does not depend on the other crops: no batch statistics, and every batch has the same size.
    Where a GPU's memory is too small for a batch, half of it is tried once; then torch.cuda.OutOfMemoryError.
    """
    if sum(len(array) for array in pixels) == 0:
        return np.zeros((0, dae.settings.z_dim), np.float32)
    crops = Crops(pixels)
    if crops.shape != dae.crop_shape:
        shapes = f"{crops.shape} (slices, rows, columns), the DAE was trained on {dae.crop_shape}"
        raise WeightsError(f"the crops are {shapes}")
    try:
        return _encoded(dae, crops, batch_size)
    except torch.cuda.OutOfMemoryError as error:
        if batch_size == 1:
            raise
        log.warning("batches of %d crops are too large for this GPU, now %d: %s", batch_size, batch_size // 2, error)
    # Not within `except`, where the traceback still holds the batch. All again, so that all crops have one batch size.
    torch.cuda.empty_cache()
    return _encoded(dae, crops, batch_size // 2)


def _encoded(dae: Dae, crops: Crops, batch_size: int) -> np.ndarray:
    latents = np.empty((len(crops), dae.settings.z_dim), np.float32)
    with torch.inference_mode(), fixed_threads():
        for start in progress(range(0, len(crops), batch_size), log, "batches of crops"):
            # The last batch is filled up with its last crop: another batch size may round differently.
            indices = np.minimum(np.arange(start, start + batch_size), len(crops) - 1)
            x = windowed(hounsfield(crops.take(indices), dae.settings), dae.settings).to(dae.device)
            z = dae.network.encoder(x).float().cpu().numpy()
            latents[start : start + batch_size] = z[: len(crops) - start]
    return latents
