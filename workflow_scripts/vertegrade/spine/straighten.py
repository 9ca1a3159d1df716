"""Frames of straightened crops, and the way from a crop's point to the patient and back.

The paper's straightening (Zakharov 2022; neuro-ml/straighten) forces the second vector into the patient's sagittal
plane at every point, which twists the rows of a curved spine against each other; a rotation-minimising frame does not
twist but drifts away from the sagittal plane along the spine. Here every crop has its own rotation-minimising frame,
whose one free angle is chosen so that in the vertebra's centre the columns lie in the sagittal plane: no twist within
a crop, no drift between crops, and a crop depends only on its surroundings.
"""

import numpy as np

from vertegrade.spine.centreline import Centreline, rotation_minimising

TO_RIGHT = np.array([1.0, 0.0, 0.0])
ORIGIN, POSTERIOR, LEFT = 0, 1, 2
NEWTON_STEPS = 30
NEWTON_TOLERANCE = 1e-9


def crop_frames(line: Centreline, centres_mm: np.ndarray, rows: int, pixel_mm: float) -> np.ndarray:
    """Frames (N, rows, 3, 3) of crops around vertebrae with the given centres (N, 3), RAS mm.

    Their layout: docs/design/architecture.md.

    Rows follow the centreline, `pixel_mm` apart along its arc. It is smooth and need not pass through a centre, so
    each crop's rows are moved, all alike, until the middle of the crop is the centre.
    """
    offsets = (np.arange(rows) - (rows - 1) / 2) * pixel_mm
    points, tangents = line.at(line.nearest(centres_mm) + offsets[:, None])
    start = np.cross(tangents[0], TO_RIGHT)
    start /= np.linalg.norm(start, axis=-1, keepdims=True)
    posterior = rotation_minimising(points, tangents, start)
    left = np.cross(tangents, posterior)
    # Turn about the tangents so that the middle row's posterior has no part to the right; left then points to the left.
    cosine, sine = -_middle(left)[:, :1], _middle(posterior)[:, :1]
    length = np.hypot(cosine, sine)
    cosine, sine = cosine / length, sine / length
    frames = np.stack([points, cosine * posterior + sine * left, cosine * left - sine * posterior], axis=2)
    frames[:, :, ORIGIN] += centres_mm - _middle(points)
    return np.ascontiguousarray(frames.transpose(1, 0, 2, 3))


def _middle(rows: np.ndarray) -> np.ndarray:
    """Value half-way down the first axis (linearly between the two middle rows of an even number)."""
    last = len(rows) - 1
    middle: np.ndarray = (rows[last // 2] + rows[last - last // 2]) / 2
    return middle


def crop_to_mm(
    points: np.ndarray, frames: np.ndarray, shape: tuple[int, int, int], pixel_mm: float, slice_spacing_mm: float
) -> np.ndarray:
    """RAS mm (..., 3) of a crop's points (..., 3), given as (slice, row, column), fractions allowed.

    frames: (H, 3, 3) of this crop. shape: (S, H, W) of the crop. Rows are interpolated linearly, and beyond the first
    and last row extrapolated.
    """
    points = np.asarray(points, dtype=np.float64)
    frame, _ = _frame_at(frames, points[..., 1])
    x = (points[..., 2:] - (shape[2] - 1) / 2) * pixel_mm
    y = (points[..., :1] - (shape[0] - 1) / 2) * slice_spacing_mm
    mm: np.ndarray = frame[..., ORIGIN, :] + x * frame[..., POSTERIOR, :] + y * frame[..., LEFT, :]
    return mm


def mm_to_crop(
    points_mm: np.ndarray, frames: np.ndarray, shape: tuple[int, int, int], pixel_mm: float, slice_spacing_mm: float
) -> np.ndarray:
    """The inverse of `crop_to_mm`: (slice, row, column), float64 (..., 3), of points (..., 3) in RAS mm.

    Newton's method for (row, mm towards posterior, mm towards left), from the row whose plane is nearest. Points that
    no row's plane meets near the crop (a strongly bent spine, far away) are NaN.
    """
    target = np.asarray(points_mm, dtype=np.float64).reshape(-1, 3)
    down = np.cross(frames[:, POSTERIOR], frames[:, LEFT])
    depth = ((target[:, None] - frames[:, ORIGIN]) * down).sum(axis=-1)
    row = np.abs(depth).argmin(axis=1).astype(np.float64)
    frame, _ = _frame_at(frames, row)
    x, y = (((target - frame[:, ORIGIN]) * frame[:, axis]).sum(axis=-1) for axis in (POSTERIOR, LEFT))
    settled = np.zeros(len(target), dtype=bool)
    for _ in range(NEWTON_STEPS):
        frame, slope = _frame_at(frames, row)
        reached = frame[:, ORIGIN] + x[:, None] * frame[:, POSTERIOR] + y[:, None] * frame[:, LEFT]
        along = slope[:, ORIGIN] + x[:, None] * slope[:, POSTERIOR] + y[:, None] * slope[:, LEFT]
        settled = np.linalg.norm(target - reached, axis=-1) < NEWTON_TOLERANCE
        jacobian = np.stack([along, frame[:, POSTERIOR], frame[:, LEFT]], axis=-1)
        solvable = ~settled & (np.abs(np.linalg.det(jacobian)) > 1e-6)
        if not solvable.any():
            break
        step = np.linalg.solve(jacobian[solvable], (target - reached)[solvable][..., None])[..., 0]
        row[solvable] += np.clip(step[:, 0], -len(frames), len(frames))
        x[solvable] += step[:, 1]
        y[solvable] += step[:, 2]
    column = x / pixel_mm + (shape[2] - 1) / 2
    slices = y / slice_spacing_mm + (shape[0] - 1) / 2
    found = np.where(settled[:, None], np.stack([slices, row, column], axis=-1), np.nan)
    return found.reshape(np.shape(points_mm))


def folds(frames: np.ndarray, shape: tuple[int, int, int], pixel_mm: float, slice_spacing_mm: float) -> np.ndarray:
    """Which crops (N,) fold: rows so bent that their planes meet within the crop, where a point has no unique place."""
    x = (shape[2] - 1) / 2 * pixel_mm * np.array([-1, -1, 1, 1])
    y = (shape[0] - 1) / 2 * slice_spacing_mm * np.array([-1, 1, -1, 1])
    posterior, left = frames[:, :, None, POSTERIOR], frames[:, :, None, LEFT]
    corners = frames[:, :, None, ORIGIN] + x[:, None] * posterior + y[:, None] * left
    down = np.cross(frames[:, :-1, POSTERIOR], frames[:, :-1, LEFT])
    advance = (np.diff(corners, axis=1) * down[:, :, None]).sum(axis=-1)
    folded: np.ndarray = (advance <= 0).any(axis=(1, 2))
    return folded


def _frame_at(frames: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames (..., 3, 3) at fractional rows (...), and their change per row."""
    upper = np.clip(np.floor(rows), 0, len(frames) - 2).astype(np.int64)
    slope = frames[upper + 1] - frames[upper]
    return frames[upper] + (rows - upper)[..., None, None] * slope, slope
