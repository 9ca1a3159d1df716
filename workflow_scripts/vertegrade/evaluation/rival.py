"""Pictures that the DAE drew beside their plain rival, the crop itself bent to the same heights (warp.py).

A decoder earns its place in a picture only where, at an equal error of height, it looks more like CT than the rival.
So both are corrected by what is measured in them, equally often.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from vertegrade.arrays import Floats
from vertegrade.drawn_tables import LOSSES
from vertegrade.evaluation.challenge.credibility import Looks, looks_of, told_apart
from vertegrade.evaluation.warp import warped
from vertegrade.graders.dae.counterfactual import GAIN, MOST_LOSS, Shown
from vertegrade.settings.evaluation import EvaluationSettings
from vertegrade.spine.heights import MILD

MOST_CROPS = 500  # of CT that pictures are compared with, of each group


def rivals(
    images: np.ndarray,
    shown: Shown,
    losses: Floats,
    heights: Callable[[np.ndarray, Floats], Floats],
    rounds: int,
) -> tuple[np.ndarray, Floats]:
    """Crops (M, H, W) HU of M vertebrae, each bent until it shows T losses (M, T, 3) of its intact heights.

    heights: what measures images (N, H, W) HU with points (N, 6, 2) in mm (N, 3). Each is bent and measured `rounds`
    times; what is missing is added to what is asked for, as in `counterfactuals`. Returned are images (M, T, H, W)
    int16, and the losses (M, T, 3) that were measured in them.
    """
    shape, count = (*losses.shape[:2], *images.shape[1:]), losses.shape[1]
    points, intact = (part.repeat(count, axis=0) for part in (shown.points, shown.intact))
    asked = losses
    for left in reversed(range(rounds)):
        bent = bent_to(images, shown, asked)
        found = 1 - (heights(bent.reshape(-1, *shape[2:]), points) / intact).reshape(losses.shape)
        if left:
            asked = asked + GAIN * np.clip(losses - found, -MOST_LOSS, MOST_LOSS)
    return bent, found


def bent_to(images: np.ndarray, shown: Shown, losses: Floats) -> np.ndarray:
    """Crops (M, H, W) HU of M vertebrae, each bent to T losses (M, T, 3) of its intact heights: (M, T, H, W) int16."""
    remaining = shown.intact[:, None] * (1 - losses) / shown.heights[:, None]
    bent = [
        [warped(image, points, share, shown.pixel_mm) for share in shares]
        for image, points, shares in zip(images, shown.points, remaining, strict=True)
    ]
    return np.array(bent, np.int16).reshape(*losses.shape[:2], *images.shape[1:])


def compared_crops(crops: pd.DataFrame) -> pd.DataFrame:
    """The crops that pictures are compared with: MOST_CROPS of the intact and of the fractured ones, evenly spread.

    crops: with height_loss. They keep their order.
    """
    chosen = []
    for fractured in (False, True):
        places = np.flatnonzero((crops["height_loss"] >= MILD) == fractured)
        chosen.append(places[np.linspace(0, len(places) - 1, min(len(places), MOST_CROPS)).astype(int)])
    return crops.iloc[np.sort(np.concatenate(chosen))]


def groups_of(height_loss: Floats, grade: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Which crops of CT (K,) by their height loss stand beside which pictures (N,) by their grade (0-3)."""
    fractured = height_loss >= MILD
    return {"intact": (~fractured, grade == 0), "fractured": (fractured, grade > 0)}


def rival_figures(
    pictures: pd.DataFrame,
    made: dict[str, tuple[np.ndarray, Floats]],
    crops: np.ndarray,
    of_crops: pd.DataFrame,
    settings: EvaluationSettings,
    seed: int,
) -> dict[str, Any]:
    """Of each kind of picture, for programs: the error of its losses, and how well classifiers tell it from CT.

    pictures: N rows of COUNTERFACTUALS. made: by kind the pictures (N, H, W) HU and the losses (N, 3) that they show.
    crops: (K, H, W) HU of other vertebrae, windowed as the pictures; of_crops: their patient_id and height_loss.
    `told_apart` says what the classifiers are: none has seen anything of the patient that it judges.
    """
    wanted = pictures[[f"wanted_{name}" for name in LOSSES]].to_numpy(np.float64)
    groups = groups_of(of_crops["height_loss"].to_numpy(np.float64), pictures["wanted_grade"].to_numpy())
    figures: dict[str, Any] = {}
    for kind, (images, losses) in made.items():
        told = {}
        for name, (real, chosen) in groups.items():
            looks = [looks_of(part[:, None]) for part in (images[chosen], crops[real])]
            ids = np.concatenate([pictures.loc[chosen, "patient_id"], of_crops.loc[real, "patient_id"]]).astype(str)
            patient = np.unique(ids, return_inverse=True)[1].astype(np.int64)
            both = Looks(*(np.concatenate(parts) for parts in zip(*looks, strict=True)))
            told[name] = told_apart(both, np.arange(len(ids)) < chosen.sum(), patient, settings, seed)
        error = float(np.abs(losses - wanted).mean()) if len(wanted) else None
        figures[kind] = {"loss_error": error, "told_from_ct": told}
    return figures
