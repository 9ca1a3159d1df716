"""Where vertebrae lie in the latent space: a map of two directions that can be explained.

Along: the signed distance to the hyperplane, which the severity follows. Across: of what is left when that is taken
away, the direction in which the training vertebrae differ most (first principal component). Neither has a random part.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.grading.hyperplane import Hyperplane
from vertegrade.grading.rows import stack_latents
from vertegrade.tables import KEY

LEAST = 3  # training vertebrae, of which a direction can be told


@dataclass(frozen=True)
class LatentMap:
    """Coordinates (N, 2) of the rows that were asked for, NaN where one has no latent; and what share of the variance
    of the training's whitened latents lies along each axis."""

    places: Floats
    along: float
    across: float


def latent_map(latents: pd.DataFrame, plane: Hyperplane, splits: pd.DataFrame, rows: pd.DataFrame) -> LatentMap | None:
    """The map of rows with KEY; None where there are too few training latents.

    latents: LATENTS of all shards. splits: KEY and split of each vertebra (PREDICTIONS).
    """
    known = latents[latents["evaluable"]].merge(splits[[*KEY, "split"]], on=KEY, validate="one_to_one")
    training = (known["split"] == "train").to_numpy()
    if training.sum() < LEAST:
        return None
    z_n = plane.normalise(stack_latents(known))
    unit = plane.w / np.linalg.norm(plane.w)
    rest = z_n - np.outer(z_n @ unit, unit)
    centre = rest[training].mean(axis=0)
    variance, axes = np.linalg.eigh(np.cov(rest[training], rowvar=False))
    axis = axes[:, -1] * np.sign(axes[np.argmax(np.abs(axes[:, -1])), -1])  # the sign of an eigenvector is chance
    places = known[KEY].assign(x=plane.signed_distance(stack_latents(known)), y=(rest - centre) @ axis)
    found = rows[KEY].merge(places, on=KEY, how="left", validate="one_to_one")
    total = float(np.var(z_n[training], axis=0, ddof=1).sum())
    return LatentMap(
        found[["x", "y"]].to_numpy(np.float64),
        along=float(np.var(z_n[training] @ unit, ddof=1)) / total,
        across=float(variance[-1]) / total,
    )
