"""Grade probabilities of crops or patches, as a table of scores: LATENTS whose z is log P(grade) of grades 0-3."""

import numpy as np
import pandas as pd
import torch
from torch import nn

from vertegrade.arrays import Floats32
from vertegrade.graders.classifiers.images import channels, tensors
from vertegrade.graders.classifiers.weights import Sees, Trained
from vertegrade.graders.crops import Crops
from vertegrade.tables import GRADES, LATENTS, check_table
from vertegrade.threads import fixed_threads
from vertegrade.weights import WeightsError

BATCH = 16


def log_probabilities(network: nn.Module, sees: Sees, images: Crops, device: torch.device) -> Floats32:
    """log P(grade) (N, 4) of images, each independent of the others: no batch statistics, all batches of one size."""
    found = np.empty((len(images), len(GRADES)), np.float32)
    with torch.inference_mode():
        for start in range(0, len(images), BATCH):
            # The last batch is filled up with its last image: another batch size may round differently.
            places = np.minimum(np.arange(start, start + BATCH), len(images) - 1)
            x = channels(*tensors(images.take(places), sees.bodies, device), sees.windows, sees.dimensions)
            found[start : start + BATCH] = network(x).float().cpu().numpy()[: len(images) - start]
    return found


def score_table(trained: Trained, crops: pd.DataFrame, pixels: np.ndarray, geometry: str) -> pd.DataFrame:
    """LATENTS of a shard's CROPS and their images; WeightsError where these are others than those of the training.

    geometry: millimetres of the images, as `Sees` has them.
    """
    images = Crops([pixels])
    if (images.shape, geometry) != (trained.sees.shape, trained.sees.geometry):
        raise WeightsError(
            f"the images are {images.shape} with {geometry}, the network was trained on {trained.sees.shape} with "
            f"{trained.sees.geometry}; use the same settings of crops and patches, or train again"
        )
    with fixed_threads():
        z = log_probabilities(trained.network, trained.sees, images, trained.device)
    scores = crops.assign(model_sha256=trained.sha256, z=list(z[crops["crop"].to_numpy()]))
    return check_table(scores[[name for name in LATENTS.columns if name in scores]], LATENTS, "scores")
