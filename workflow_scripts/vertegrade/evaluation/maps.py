"""Maps of where in crops the severity comes from, by the ways that there are, with checks of them."""

from typing import Any

import numpy as np

from vertegrade.arrays import Floats, Floats32, generator_of
from vertegrade.evaluation.looks_at import Map, rank_correlations
from vertegrade.graders.dae.attribution import (
    Sight,
    agreement,
    as_coarse_as_occlusion,
    integrated_gradients,
    occlusion,
)
from vertegrade.graders.pca import CropPca
from vertegrade.graders.pca_map import pca_maps

CHECKED = 16  # vertebrae whose maps are made again with an encoder that has learned nothing


def maps_of_dae(
    sight: Sight, images: Floats32, averages: Floats32, pixel_mm: float, seed: int
) -> tuple[dict[str, Map], dict[str, Floats]]:
    """Maps by gradient and by occlusion of images (M, C, H, W) against average intact ones, and checks (K,) of them.

    Checks: rank correlation of the two ways, at the same coarseness; of each with its own map by shuffled weights, for
    some of the vertebrae; and how far the pixels of the gradient's maps are from adding up, in grades.
    """
    values = {
        "gradient": integrated_gradients(sight, images, averages),
        "occlusion": occlusion(sight, images, averages, pixel_mm),
    }
    scores = sight.scores(images) - sight.scores(averages)
    agreed = agreement(sight, images, averages, values, pixel_mm, generator_of(f"{seed}/looks_at"))
    some = np.unique(np.linspace(0, len(images) - 1, min(CHECKED, len(images))).round().astype(np.int64))
    nothing = sight.shuffled(seed)
    unlearned = {
        "gradient": integrated_gradients(nothing, images[some], averages[some]),
        "occlusion": occlusion(nothing, images[some], averages[some], pixel_mm),
    }
    checks = {
        "rank_correlation": rank_correlations(
            as_coarse_as_occlusion(values["gradient"], pixel_mm), values["occlusion"]
        ),
        **{f"shuffled_{name}": rank_correlations(values[name][some], of) for name, of in unlearned.items()},
        "missing_grades": np.abs(values["gradient"].sum(axis=(1, 2)) - scores),
    }
    return {name: Map(of, scores, agreed[name]) for name, of in values.items()}, checks


def maps_of_pca(pca: CropPca, direction: Floats, pixels: np.ndarray, averages: Any) -> dict[str, Map]:
    """The exact map of the baseline, of crops (M, S, H, W) int16 HU against average intact ones, windowed (M, P)."""
    found = pca_maps(pca, direction, pixels, averages)
    return {"pca": Map(found, found.sum(axis=(1, 2)))}
