"""The plain rival of a drawn picture: the crop itself, bent to other heights of its vertebra.

No learning: pixels move up or down, and their values stay. So the picture keeps the sharpness and the noise of CT, and
its bone is squeezed instead of broken.
"""

import numpy as np
from scipy import ndimage
from scipy.interpolate import PchipInterpolator

from vertegrade.arrays import Floats
from vertegrade.fractures.collapse import COLUMN

ROOM_MM = 12.0  # above the body, which takes up what the body loses; at least twice that where the body grows
TAPER_MM = 6.0  # beyond the walls, until nothing moves


def warped(image: np.ndarray, points: Floats, remaining: Floats, pixel_mm: float) -> np.ndarray:
    """The image (H, W) HU, int16, after the body with these six points took other heights.

    points: (6, 2) row and column, in the order of tables.POINTS. remaining: (3,) new height over the height now of the
    columns, anterior to posterior. The upper endplate moves, as in most fractures; the lower one stays.
    """
    ends = points.reshape(3, 2, 2)
    across = ends[:, :, 1].mean(axis=1)
    order = np.argsort(across)
    columns = np.arange(image.shape[1])
    inside = np.clip(columns, across[order[0]], across[order[-1]])
    upper, lower, share = (
        PchipInterpolator(across[order], of[order])(inside) for of in (ends[:, 0, 0], ends[:, 1, 0], remaining)
    )
    middle = across.mean()
    beyond = (np.abs(columns - middle) - np.ptp(across) / 2 / COLUMN) * pixel_mm
    sinks = (lower - upper) * (1 - share) * np.clip(1 - beyond / TAPER_MM, 0, 1)
    rows = np.arange(image.shape[0], dtype=np.float64)
    room = max(ROOM_MM / pixel_mm, 2 * float(-sinks.min(initial=0)))
    sources = np.empty(image.shape)
    for column in columns:
        top, bottom, sunk = upper[column], lower[column], sinks[column]
        now = [-1e6, top - room, top + sunk, bottom, 1e6]
        sources[:, column] = np.interp(rows, now, [-1e6, top - room, top, bottom, 1e6])
    places = np.stack([sources, np.broadcast_to(columns, image.shape)])
    moved = ndimage.map_coordinates(image.astype(np.float32), places, order=1, mode="nearest")
    return np.rint(moved).astype(np.int16)
