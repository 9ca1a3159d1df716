"""The sanity baseline: principal components of windowed crops in place of a learned latent.

What a plain linear projection of the pixels can show about fractures; a learned latent that is no better has learned
nothing. Hyperplane, calibration and prediction are the same as for any other method.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file
from sklearn.decomposition import PCA

from vertegrade.arrays import Floats32
from vertegrade.files import new_file, sha256_of
from vertegrade.grading.rows import GradingError
from vertegrade.tables import LATENTS, check_table, doubt_of

Pixels = NDArray[np.int16]
CHUNK = 256


@dataclass(frozen=True, eq=False)
class CropPca:
    """mean: (P,) and components: (K, P) of crops flattened to P = S*H*W; window: (low, high) HU shown as -1 ... 1."""

    mean: Floats32
    components: Floats32
    window: tuple[float, float]
    shape: tuple[int, ...]

    def encode(self, pixels: Pixels) -> Floats32:
        """Scores (N, K) of crops (N, S, H, W) in HU; GradingError where the crops have another shape."""
        if pixels.shape[1:] != self.shape:
            raise GradingError(f"crops of shape {pixels.shape[1:]}, the PCA was fitted on {self.shape}; fit it again")
        parts = [
            (flatten(pixels[start : start + CHUNK], self.window) - self.mean) @ self.components.T
            for start in range(0, len(pixels), CHUNK)
        ]
        return np.concatenate([np.empty((0, len(self.components)), np.float32), *parts])


def flatten(pixels: Pixels, window: tuple[float, float]) -> Floats32:
    """Crops (N, S, H, W) in HU as rows (N, S*H*W) in -1 ... 1."""
    low, high = window
    clipped = np.clip(pixels.reshape(len(pixels), -1).astype(np.float32), low, high)
    return (clipped - np.float32((low + high) / 2)) * np.float32(2 / (high - low))


def fit_pca(pixels: Pixels, components: int, window: tuple[float, float], seed: int) -> CropPca:
    """Fit on the evaluable crops (N, S, H, W) of the training split. At most N - 1 components can be found.

    Randomized SVD (Halko, SIAM Rev 2011) with a fixed seed; the scores are standardised later, by the hyperplane.
    """
    if len(pixels) < 3:
        raise GradingError(f"PCA needs at least three evaluable training crops, there are {len(pixels)}")
    kept = min(components, len(pixels) - 1)
    model = PCA(kept, svd_solver="randomized", random_state=seed).fit(flatten(pixels, window))
    return CropPca(
        model.mean_.astype(np.float32), model.components_.astype(np.float32), window, tuple(pixels.shape[1:])
    )


def save_pca(path: str | Path, pca: CropPca) -> None:
    """Write as safetensors; window and crop shape are in the metadata."""
    # Only one key: safetensors writes several in random order, and the file's hash is the model's name.
    metadata = {"crops": json.dumps({"window": pca.window, "shape": pca.shape})}
    with new_file(path) as temporary:
        save_file({"mean": pca.mean, "components": np.ascontiguousarray(pca.components)}, temporary, metadata)


def load_pca(path: str | Path) -> CropPca:
    """Read what `save_pca` wrote."""
    with safe_open(path, framework="numpy") as file:
        crops = json.loads(file.metadata()["crops"])
        low, high = crops["window"]
        return CropPca(file.get_tensor("mean"), file.get_tensor("components"), (low, high), tuple(crops["shape"]))


def encode_pca(weights: str | Path, pixels: Pixels, crops: pd.DataFrame) -> pd.DataFrame:
    """LATENTS of a shard: pixels (N, S, H, W) as the CROPS table names them by its column `crop`."""
    pca = load_pca(weights)
    z = pca.encode(pixels[crops["crop"].to_numpy()])
    table = crops[["patient_id", "scan_id", "vertebra", "crop", "evaluable", "reason"]].copy()
    table["model_sha256"] = sha256_of(weights)
    table["z"] = list(z)
    table = table.join(doubt_of(crops))
    return check_table(table, LATENTS, "latents of the PCA")
