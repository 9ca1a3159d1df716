"""The vertebrae that are drawn at other grades: their crops, where their bodies lie in them, and their heights."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from vertegrade.graders.dae.counterfactual import Shown
from vertegrade.graders.dae.decoding import noise_of
from vertegrade.settings.spine import CropSettings
from vertegrade.spine.straighten import mm_to_crop
from vertegrade.tables import HEIGHTS, KEY, points_of


def shown_vertebrae(
    rows: pd.DataFrame,
    landmarks: pd.DataFrame,
    pixels: Sequence[np.ndarray],
    frames: Sequence[np.ndarray],
    crop: CropSettings,
    channels: int,
    seed: int,
) -> Shown:
    """The vertebrae of rows, in their order.

    rows: KEY, `shard` and `crop` (place in the arrays of its shard), heights and intact heights of MEASUREMENTS.
    landmarks: LANDMARKS with six points of each. pixels, frames: of the shards' crops. channels: of the DAE's images.
    """
    shape = (crop.slices, crop.size, crop.size)
    places = list(zip(rows["shard"], rows["crop"], strict=True))
    six = points_of(rows[KEY].merge(landmarks, on=KEY, validate="one_to_one"))
    points = [
        mm_to_crop(mm, frames[shard][place], shape, crop.pixel_mm, crop.slice_spacing_mm)[:, 1:]
        for mm, (shard, place) in zip(six, places, strict=True)
    ]
    names = [f"{row.scan_id}/{row.vertebra}" for row in rows.itertuples()]
    heights, intact = (
        rows[[f"{of}height_{column}_mm" for column in HEIGHTS]].to_numpy(np.float64) for of in ("", "intact_")
    )
    return Shown(
        np.array([pixels[shard][place] for shard, place in places], np.int16).reshape(-1, *shape),
        np.array(points).reshape(-1, 6, 2),
        heights,
        intact,
        noise_of(names, seed, (channels, crop.size, crop.size)),
        crop.pixel_mm,
    )
