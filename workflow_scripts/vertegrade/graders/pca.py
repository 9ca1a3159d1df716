"""The sanity baseline: principal components of windowed crops in place of a learned latent.

What a plain linear projection of the pixels can show about fractures; a learned latent that is no better has learned
nothing. Hyperplane, calibration and prediction are the same as for any other method.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.numpy import save_file
from scipy import linalg

from vertegrade.arrays import Floats32
from vertegrade.files import new_file, sha256_of
from vertegrade.graders.crops import CHUNK, Crops
from vertegrade.grading.rows import GradingError
from vertegrade.tables import LATENTS, check_table, doubt_of

Pixels = NDArray[np.int16]
BLOCK = 256 * 2**20  # bytes of crops as rows that the fit has in memory at once
OVERSAMPLES = 10  # directions beside those asked for, as scikit-learn has them


@dataclass(frozen=True, eq=False)
class CropPca:
    """mean: (P,) and components: (K, P) of crops flattened to P = S*H*W; window: (low, high) HU shown as -1 ... 1."""

    mean: Floats32
    components: Floats32
    window: tuple[float, float]
    shape: tuple[int, ...]

    def encode(self, crops: Crops) -> Floats32:
        """Scores (N, K) of crops; GradingError where they have another shape."""
        if crops.shape != self.shape:
            raise GradingError(f"crops of shape {crops.shape}, the PCA was fitted on {self.shape}; fit it again")
        parts = [(rows - self.mean) @ self.components.T for _, rows in _blocks(crops, self.window, CHUNK)]
        return np.concatenate([np.empty((0, len(self.components)), np.float32), *parts])


def flatten(pixels: Pixels, window: tuple[float, float]) -> Floats32:
    """Crops (N, S, H, W) in HU as rows (N, S*H*W) in -1 ... 1."""
    low, high = window
    rows = pixels.reshape(len(pixels), -1).astype(np.float32)
    np.clip(rows, low, high, out=rows)  # in place, as a block of crops is large
    rows -= np.float32((low + high) / 2)
    rows *= np.float32(2 / (high - low))
    return rows


def fit_pca(crops: Crops, components: int, window: tuple[float, float], seed: int) -> CropPca:
    """Fit on the evaluable crops of the training split. At most N - 1 components can be found.

    Randomized SVD (Halko, SIAM Rev 2011) with a fixed seed, as scikit-learn's PCA does it, but that the crops are read
    again for each product with a thin matrix and never are in memory together. Where they fit into one block the
    components have the bytes of scikit-learn's. The scores are standardised later, by the hyperplane.
    """
    if len(crops) < 3:
        raise GradingError(f"PCA needs at least three evaluable training crops, there are {len(crops)}")
    kept = min(components, len(crops) - 1)
    rows = CentredRows(crops, window)
    lower = min(len(crops), rows.width)
    tall = len(crops) >= rows.width
    # The smaller side of the matrix is the one that random directions start from.
    forward, backward = (rows.times, rows.transposed_times) if tall else (rows.transposed_times, rows.times)
    found = np.random.RandomState(seed).normal(size=(lower, kept + OVERSAMPLES)).astype(np.float32)
    for _ in range(7 if kept < 0.1 * lower else 4):
        found = linalg.lu(forward(found), permute_l=True, check_finite=False)[0]
        found = linalg.lu(backward(found), permute_l=True, check_finite=False)[0]
    found = linalg.qr(forward(found), mode="economic", check_finite=False)[0]
    left, _, right = linalg.svd(rows.projected(found, tall), full_matrices=False, lapack_driver="gesdd")
    directions = right[:kept] if tall else (found @ left)[:, :kept].T
    largest = directions[np.arange(kept), np.abs(directions).argmax(axis=1)]
    return CropPca(rows.mean, (directions * np.sign(largest)[:, None]).astype(np.float32), window, crops.shape)


class CentredRows:
    """Crops as the rows of a matrix (N, P) whose columns have the mean 0, read in blocks for each product."""

    def __init__(self, crops: Crops, window: tuple[float, float]) -> None:
        self.crops, self.window = crops, window
        self.width = int(np.prod(crops.shape))
        self.mean = np.zeros(self.width, np.float32)
        for _, rows in self._blocks():
            self.mean += rows.mean(axis=0) * np.float32(len(rows) / len(crops))

    def times(self, right: Floats32) -> Floats32:
        """Product (N, K) with a matrix (P, K)."""
        return np.concatenate([rows @ right for _, rows in self._centred()])

    def transposed_times(self, right: Floats32) -> Floats32:
        """Product (P, K) of the transposed matrix with a matrix (N, K)."""
        return _sum(rows.T @ right[place] for place, rows in self._centred())

    def projected(self, basis: Floats32, tall: bool) -> Floats32:
        """Rows (K, P) on a basis (N, K) where `tall`, else columns (K, N) on a basis (P, K)."""
        if tall:
            return _sum(basis[place].T @ rows for place, rows in self._centred())
        return np.concatenate([basis.T @ rows.T for _, rows in self._centred()], axis=1)

    def _blocks(self) -> Iterator[tuple[slice, Floats32]]:
        return _blocks(self.crops, self.window, max(1, BLOCK // (4 * self.width)))

    def _centred(self) -> Iterator[tuple[slice, Floats32]]:
        for place, rows in self._blocks():
            rows -= self.mean
            yield place, rows


def _blocks(crops: Crops, window: tuple[float, float], count: int) -> Iterator[tuple[slice, Floats32]]:
    """The crops as rows, at most `count` at once, and their places."""
    for start in range(0, len(crops), count):
        place = slice(start, min(start + count, len(crops)))
        yield place, flatten(crops.take(np.arange(place.start, place.stop)), window)


def _sum(parts: Iterator[Floats32]) -> Floats32:
    total = next(parts)
    for part in parts:
        total += part
    return total


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
    z = pca.encode(Crops([pixels], [crops["crop"].to_numpy()]))
    table = crops[["patient_id", "scan_id", "vertebra", "crop", "evaluable", "reason"]].copy()
    table["model_sha256"] = sha256_of(weights)
    table["z"] = list(z)
    table = table.join(doubt_of(crops))
    return check_table(table, LATENTS, "latents of the PCA")
