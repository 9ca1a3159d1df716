"""Where in a crop the PCA's severity comes from. It is linear, so this is exact: no way to look for it is chosen."""

import numpy as np

from vertegrade.arrays import Floats, Floats32
from vertegrade.graders.pca import CropPca, flatten


def pca_maps(pca: CropPca, direction: Floats, pixels: np.ndarray, averages: Floats32) -> Floats:
    """Maps (N, H, W) of how many grades each pixel raises crops above averages: (crop - average) x weight.

    direction: (K,) of the scores, in grades. pixels: int16 HU (N, S, H, W). averages: (N, S * H * W), as `flatten`
    gives them. The weight of a pixel is what the direction makes of the components; slices are added up.
    """
    if not len(pixels):
        return np.zeros((0, *pca.shape[1:]))
    weight = direction @ pca.components
    maps: Floats = (flatten(pixels, pca.window) - averages.reshape(len(pixels), len(weight))) * weight
    return maps.reshape(-1, *pca.shape).sum(axis=1)
