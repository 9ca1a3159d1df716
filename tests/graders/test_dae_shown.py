"""The vertebrae that are drawn at other grades: each with its own crop, points, heights and noise."""

import numpy as np
import pandas as pd

from vertegrade.graders.dae.decoding import noise_of
from vertegrade.graders.dae.shown import shown_vertebrae
from vertegrade.settings.spine import CropSettings
from vertegrade.tables import HEIGHTS, KEY, POINT_COLUMNS

CROP = CropSettings(size=32, slices=3, pixel_mm=1.0, slice_spacing_mm=2.0, core_mm=20.0)
CENTRE = (CROP.size - 1) / 2


def frames_at(x: float, y: float, z: float) -> np.ndarray:
    """Frames (H, 3, 3) of a straight crop whose rows go down, columns back and slices to the left."""
    rows = np.arange(CROP.size) - CENTRE
    origin = np.stack([np.full(CROP.size, x), np.full(CROP.size, y), z - rows], axis=1)
    posterior, left = np.tile([0.0, -1.0, 0.0], (CROP.size, 1)), np.tile([-1.0, 0.0, 0.0], (CROP.size, 1))
    return np.stack([origin, posterior, left], axis=1)


def test_each_vertebra_has_its_own_crop_points_heights_and_noise() -> None:
    # In two shards, shown in another order than landmarks, and two of one scan.
    keys = [("b", 21), ("a", 20), ("b", 20)]
    places = [(1, 1), (0, 0), (1, 0)]
    centres = {("b", 21): (1.0, 2.0, 3.0), ("a", 20): (10.0, 20.0, 30.0), ("b", 20): (5.0, 6.0, 7.0)}
    rows = pd.DataFrame(keys, columns=KEY).assign(shard=[s for s, _ in places], crop=[c for _, c in places])
    for n, column in enumerate(HEIGHTS):
        rows[f"height_{column}_mm"] = [20.0 + n, 15.0 + n, 10.0 + n]
        rows[f"intact_height_{column}_mm"] = [25.0 + n, 24.0 + n, 23.0 + n]
    # Six points: columns 5 mm before, at and behind the centre, ends k mm above and below it.
    landmarks = []
    for k, (key, (x, y, z)) in enumerate(sorted(centres.items()), 3):
        six = [(x, y + ahead, z + k * up) for ahead in (5.0, 0.0, -5.0) for up in (1, -1)]
        landmarks.append(dict(zip(KEY, key, strict=True)) | dict(zip(POINT_COLUMNS, np.ravel(six), strict=True)))
    half = {("a", 20): 3, ("b", 20): 4, ("b", 21): 5}
    pixels = [np.full((1, 3, 32, 32), 7, np.int16), np.stack([np.full((3, 32, 32), v, np.int16) for v in (8, 9)])]
    frames = [
        np.stack([frames_at(*centres["a", 20])]),
        np.stack([frames_at(*centres["b", 20]), frames_at(*centres["b", 21])]),
    ]
    shown = shown_vertebrae(rows, pd.DataFrame(landmarks), pixels, frames, CROP, 1, seed=4)
    assert shown.pixels[:, 0, 0, 0].tolist() == [9, 7, 8]
    for points, key in zip(shown.points, keys, strict=True):
        columns = np.repeat([CENTRE - 5, CENTRE, CENTRE + 5], 2)
        wanted = np.stack([CENTRE + half[key] * np.tile([-1, 1], 3), columns], axis=1)
        np.testing.assert_allclose(points, wanted, atol=0.01)
    np.testing.assert_array_equal(shown.heights[:, 0], [20, 15, 10])
    np.testing.assert_array_equal(shown.intact[:, 2], [27, 26, 25])
    np.testing.assert_array_equal(shown.noise, noise_of(["b/21", "a/20", "b/20"], 4, (1, 32, 32)))
    assert shown.pixel_mm == 1.0
