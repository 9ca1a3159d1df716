"""Six points and three heights of a vertebra, measured on its mask in the body's own mid-sagittal plane.

The points are where the phantoms' truth (phantom/anatomy/body.py) puts them: the anterior and the posterior height
just inside the rims, the middle height half-way, all along the body's axis. The axis is the mean of the normals of both
endplates; anterior points from the arch to the body. docs/design/heights.md says how well this agrees with the
phantoms' truth and with reading by hand.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vertegrade.annotations.masks import body_of, boxes_of
from vertegrade.arrays import Floats
from vertegrade.ct.volume import mm_to_voxel, voxel_to_mm

# Shares of the depth, from the posterior wall, at which the anterior, middle and posterior height lie: 0.85 of the
# half depth to either side of an axis that lies a little behind the middle, as the posterior wall is hollow.
SHARES = (0.92, 0.47, 0.07)
# Samples (mm) around the body's centre towards the right, anterior and superior. The mid-sagittal slab is 9 mm wide:
# one slice would follow the steps of thick slices, and endplates hardly change so near to the midline.
RIGHT, ANTERIOR, SUPERIOR = np.arange(-15, 15.1, 3.0), np.arange(-33, 33.1, 0.75), np.arange(-27, 27.1, 0.75)
SLAB = np.arange(-4.5, 4.6, 1.5)
# The waist hides the wall and osteophytes imitate one: it lies this share of the depth outside the waist's wall.
RIM_SHARE = (0.03, 0.10)
RIM_PERCENTILE = 90
CORNER_PERCENTILE = 75  # of the rim within the window: its edge is rounded and the endplate dished
WINDOW_MM = 1.5
FITS = 5
INWARD_MM, INWARD_STEPS, FALL_OFF = 3.0, 6, 0.8
PITCHES_DEG = np.arange(-60, 61, 5)
ARCH_MM = 3.0  # the whole vertebra's middle lies further behind the body's where the mask has an arch
ARCH_BELOW_DEG = 12.0  # an arch hangs about this much below the level of its body
MIN_VOXELS = 60
DEPTH_MM = (8.0, 60.0)
HEIGHT_MM = (2.0, 50.0)


@dataclass(frozen=True, eq=False)
class MaskMeasure:
    """A measured body; all NaN where reason is not "".

    points_mm: (6, 3) RAS in the order of tables.POINTS. heights_mm: (3,) anterior, middle, posterior. centre_mm: (3,)
    RAS, middle of the body. axes: (3, 3), rows right, anterior, superior of the body as RAS unit vectors. depth_mm:
    between the walls in the mid-sagittal plane. tilt_deg: (2,) pitch forwards and roll to the right. reason: ""
    or why there is no measure: `cut_by_scan_edge`, `mask_too_small`, `no_body`.
    """

    points_mm: Floats
    heights_mm: Floats
    centre_mm: Floats
    axes: Floats
    depth_mm: float
    tilt_deg: Floats
    reason: str


def measure_mask(
    labels: np.ndarray, affine: np.ndarray, label: int, boxes: Mapping[int, tuple[slice, ...]] | None = None
) -> MaskMeasure:
    """Measure the body of one vertebra.

    labels: (i, j, k) whole vertebrae or bodies alone, in RAS+ (`masks.read_mask`), affine to RAS mm.
    boxes: `masks.boxes_of(labels)`, which takes a second for a whole CT, where several vertebrae of it are measured.
    ValueError: the label is not in the mask.
    """
    box = (boxes_of(labels) if boxes is None else boxes).get(label)
    if box is None:
        raise ValueError(f"label {label} is not in the mask; it contains {np.unique(labels).tolist()}")
    vertebra = labels[box] == label
    if vertebra.sum() < MIN_VOXELS:
        return _unmeasured("mask_too_small")
    local = affine.copy()
    local[:3, 3] = voxel_to_mm(affine, np.array([edge.start for edge in box]))
    try:
        measured = _measure(vertebra, local)
    except _NoBody:
        return _unmeasured("no_body")
    corners = mm_to_voxel(affine, measured.points_mm)
    if (corners < 0.5).any() or (corners > np.array(labels.shape) - 1.5).any():
        return _unmeasured("cut_by_scan_edge")
    return measured


class _NoBody(Exception):
    """The surfaces found are not those of a vertebral body."""


def _unmeasured(reason: str) -> MaskMeasure:
    nothing = np.full(3, np.nan)
    return MaskMeasure(
        np.full((6, 3), np.nan), nothing, nothing, np.full((3, 3), np.nan), np.nan, np.full(2, np.nan), reason
    )


def _measure(vertebra: np.ndarray, affine: np.ndarray) -> MaskMeasure:
    """The measure of a vertebra, bool (i, j, k), alone in its box."""
    mask = np.pad(vertebra.astype(np.float32), 1)
    padded = affine.copy()
    padded[:3, 3] = voxel_to_mm(affine, -np.ones(3))
    centre, axes = _first_axes(vertebra, affine, mask, padded)
    for _ in range(FITS):
        centre, axes = _fit(mask, padded, centre, axes)
    centre = centre + _off_midline(mask, padded, centre, axes) * axes[0]
    occupancy = _sample(mask, padded, centre, axes, SLAB)
    profile = _foremost(occupancy.mean(axis=0) >= 0.5)
    near = ndimage.binary_dilation(profile, iterations=2)
    top, bottom = _surfaces(np.where(near, occupancy, 0), SUPERIOR)
    back, front = _rims(np.where(near, occupancy.mean(axis=0), 0))
    points, heights = [], []
    for column, share in enumerate(SHARES):
        place = _on_both_endplates(back + share * (front - back), top - bottom, np.sign(0.5 - share))
        window = np.abs(ANTERIOR - place) <= WINDOW_MM
        percentile = 50 if column == 1 else CORNER_PERCENTILE
        upper = _percentile(top[:, window], percentile)
        lower = _percentile(bottom[:, window], 100 - percentile)
        heights.append(upper - lower)
        points += [centre + np.array([0, place, end]) @ axes for end in (upper, lower)]
    if not (DEPTH_MM[0] < front - back < DEPTH_MM[1] and HEIGHT_MM[0] < min(heights) <= max(heights) < HEIGHT_MM[1]):
        raise _NoBody
    pitch, roll = np.degrees(np.arctan2(axes[2, 1], axes[2, 2])), np.degrees(np.arcsin(axes[2, 0]))
    six = np.array(points)
    return MaskMeasure(six, np.array(heights), six.mean(axis=0), axes, float(front - back), np.array([pitch, roll]), "")


def _first_axes(
    vertebra: np.ndarray, affine: np.ndarray, mask: np.ndarray, padded: np.ndarray
) -> tuple[Floats, Floats]:
    """Centre (RAS mm) and axes to start from: the pitch at which the body's sagittal silhouette best fills a box."""
    body = body_of(vertebra, np.linalg.norm(affine[:3, :3], axis=0))
    centre = voxel_to_mm(affine, np.argwhere(body).mean(axis=0))
    forward = np.array([0.0, 1.0, 0.0])
    axes = np.eye(3)
    silhouette = _foremost(_sample(mask, padded, centre, axes, SLAB).mean(axis=0) >= 0.5)
    if not silhouette.any():
        raise _NoBody
    filled = np.argwhere(silhouette)
    place = np.stack([ANTERIOR[filled[:, 0]], SUPERIOR[filled[:, 1]]], axis=1)
    centre = centre + place.mean(axis=0) @ axes[1:]
    from_arch = centre - voxel_to_mm(affine, np.argwhere(vertebra).mean(axis=0))
    if np.linalg.norm(from_arch) > ARCH_MM:
        forward = _unit(from_arch)
    fills = [_fill(place, forward[1:], pitch) for pitch in np.radians(PITCHES_DEG)]
    best = np.radians(PITCHES_DEG[int(np.argmax(fills))])
    return centre, _frame(np.array([0.0, np.sin(best), np.cos(best)]), forward)


def _fill(place: Floats, forward: Floats, pitch: float) -> float:
    """How well a silhouette (n, 2; mm anterior, superior) fills its box at a pitch, less where the arch is not behind.

    forward: (2,) from the arch to the body. A square body fills as well when turned by a right angle.
    """
    anterior, superior = np.array([np.cos(pitch), -np.sin(pitch)]), np.array([np.sin(pitch), np.cos(pitch)])
    sides = [np.diff(np.percentile(place @ axis, [2, 98]))[0] for axis in (anterior, superior)]
    if min(sides) <= 0:
        raise _NoBody
    below = np.degrees(np.arctan2(forward @ superior, forward @ anterior)) - ARCH_BELOW_DEG
    return float(len(place) * 0.75**2 / (sides[0] * sides[1]) - 0.25 * (below / 45) ** 2)


def _fit(mask: np.ndarray, affine: np.ndarray, centre: Floats, axes: Floats) -> tuple[Floats, Floats]:
    """One step towards the body's middle (between the walls, between the endplates) and its axes."""
    occupancy = _sample(mask, affine, centre, axes, RIGHT)
    profile = occupancy[np.abs(RIGHT) < 5].mean(axis=0)
    silhouette = _foremost(profile >= 0.5)
    if not silhouette.any():
        raise _NoBody
    back, front = _waist(np.where(silhouette, profile, 0))
    depth = front - back
    rows = SUPERIOR[silhouette.any(axis=0)]
    occupancy = np.where((rows[0] - 6 < SUPERIOR) & (rows[-1] + 6 > SUPERIOR), occupancy, 0)
    right, anterior = np.meshgrid(RIGHT, ANTERIOR, indexing="ij")
    inside = (np.abs(right) <= 0.42 * depth) & (anterior > back + 0.05 * depth) & (anterior < front - 0.05 * depth)
    planes = [_plane(right[inside], anterior[inside], ends[inside]) for ends in _surfaces(occupancy, SUPERIOR)]
    up = np.sum([_unit(np.array([-plane[0], -plane[1], 1.0])) for plane in planes], axis=0)
    middle = (front + back) / 2
    height = np.mean([plane[1] * middle + plane[2] for plane in planes])
    return centre + np.array([0, middle, height]) @ axes, _frame(up @ axes, axes[1])


def _frame(up: Floats, forward: Floats) -> Floats:
    """Rows right, anterior, superior: superior along `up`, anterior as near to `forward` as can be."""
    superior = _unit(up)
    anterior = _unit(forward - superior * (forward @ superior))
    return np.array([np.cross(anterior, superior), anterior, superior])


def _unit(vector: Floats) -> Floats:
    return vector / np.linalg.norm(vector)


def _sample(mask: np.ndarray, affine: np.ndarray, centre: Floats, axes: Floats, right: Floats) -> Floats:
    """Share of bone, (right, anterior, superior), at the samples around the centre; linear between voxels."""
    start = mm_to_voxel(affine, centre)
    steps = axes @ np.linalg.inv(affine[:3, :3]).T
    voxels = (
        start[:, None, None, None]
        + steps[0][:, None, None, None] * right[:, None, None]
        + steps[1][:, None, None, None] * ANTERIOR[:, None]
        + steps[2][:, None, None, None] * SUPERIOR
    )
    return ndimage.map_coordinates(mask, voxels, order=1, mode="constant", cval=0.0, output=np.float64)


def _foremost(image: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The foremost of the large pieces of a silhouette (anterior, superior): the body, not the arch."""
    pieces, count = ndimage.label(image)
    if count == 0:
        return image
    sizes = np.bincount(pieces.ravel())[1:]
    large = np.flatnonzero(sizes >= min(0.15 * sizes.sum(), sizes.max())) + 1
    fronts = [centre[0] for centre in ndimage.center_of_mass(image, pieces, large)]
    return np.asarray(pieces == large[int(np.argmax(fronts))])


def _surfaces(occupancy: Floats, places: Floats) -> tuple[Floats, Floats]:
    """Last and first place along the last axis where the share of bone crosses a half; NaN where there is none."""
    inside = occupancy >= 0.5
    last = occupancy.shape[-1] - 1 - inside[..., ::-1].argmax(axis=-1)
    found = inside.any(axis=-1)
    return tuple(  # type: ignore[return-value]
        np.where(found, _crossing(occupancy, places, at, step), np.nan)
        for at, step in ((last, 1), (inside.argmax(axis=-1), -1))
    )


def _crossing(occupancy: Floats, places: Floats, at: NDArray[np.intp], step: int) -> Floats:
    """Where the share of bone falls to a half between sample `at` and its neighbour in direction `step`."""
    beyond = np.clip(at + step, 0, len(places) - 1)
    here, there = (np.take_along_axis(occupancy, index[..., None], -1)[..., 0] for index in (at, beyond))
    part = np.where(here > there, (here - 0.5) / np.maximum(here - there, 1e-6), 0)
    return np.asarray(places[at] + part * (places[beyond] - places[at]))


def _plane(right: Floats, anterior: Floats, height: Floats) -> Floats:
    """Robust plane height = p[0] * right + p[1] * anterior + p[2] (Huber's weights), through samples without NaN."""
    known = np.isfinite(height)
    if known.sum() < 10:
        raise _NoBody
    design = np.stack([right[known], anterior[known], np.ones(known.sum())], axis=1)
    weight = np.ones(len(design))
    for _ in range(4):
        plane = np.linalg.lstsq(design * weight[:, None], height[known] * weight, rcond=None)[0]
        residual = np.abs(height[known] - design @ plane)
        limit = 1.5 * np.median(residual) + 0.3
        weight = np.sqrt(1 / np.maximum(residual / limit, 1))
    return np.asarray(plane)


def _walls(profile: Floats) -> tuple[Floats, Floats, Floats]:
    """Posterior and anterior wall (mm anterior) by row of a sagittal profile, and how far the row is from the middle.

    The distance is a share of the height: -0.5 at the inferior, 0.5 at the superior endplate.
    """
    front, back = _surfaces(profile.T, ANTERIOR)
    rows = SUPERIOR[np.isfinite(front)]
    if len(rows) < 3:
        raise _NoBody
    return back, front, (SUPERIOR - (rows[0] + rows[-1]) / 2) / (rows[-1] - rows[0])


def _waist(profile: Floats) -> tuple[float, float]:
    """Posterior and anterior wall (mm anterior) half-way between the endplates, where there are no osteophytes."""
    back, front, height = _walls(profile)
    middle = np.isfinite(front) & (np.abs(height) < 0.25)
    return float(np.median(back[middle])), float(np.median(front[middle]))


def _rims(profile: Floats) -> tuple[float, float]:
    """Posterior and anterior wall (mm anterior) at the rims, without what osteophytes add."""
    back, front, height = _walls(profile)
    waist_back, waist_front = _waist(profile)
    rows = np.isfinite(front) & (np.abs(height) < 0.45)
    low, high = (share * (waist_front - waist_back) for share in RIM_SHARE)
    out_front = np.percentile(front[rows], RIM_PERCENTILE) - waist_front
    out_back = waist_back - np.percentile(back[rows], 100 - RIM_PERCENTILE)
    return waist_back - float(np.clip(out_back, low, high)), waist_front + float(np.clip(out_front, low, high))


def _on_both_endplates(place: float, height: Floats, inward: float) -> float:
    """The place of a column (mm anterior), moved inward where the height falls off: a broken wall bulges beyond them.

    height: (right, ANTERIOR) between the endplates, NaN outside the body.
    """
    column = np.nan_to_num(height).mean(axis=0)
    for _ in range(INWARD_STEPS):
        here, inside = np.interp([place, place + INWARD_MM * inward], ANTERIOR, column)
        if here >= FALL_OFF * inside:
            break
        place += 0.75 * inward
    return place


def _off_midline(mask: np.ndarray, affine: np.ndarray, centre: Floats, axes: Floats) -> float:
    """How far (mm) the middle between the side walls lies to the right of the centre."""
    right = np.arange(-33, 33.1, 1.5)
    inside = _sample(mask, affine, centre, axes, right) >= 0.5
    core = inside[:, np.abs(ANTERIOR) < 5][:, :, np.abs(SUPERIOR) < 3].reshape(len(right), -1)
    core = core[:, core.any(axis=0)]
    last = len(right) - 1 - core[::-1].argmax(axis=0)
    if core.shape[1] == 0:
        raise _NoBody
    return float(np.median(right[core.argmax(axis=0)] + right[last]) / 2)


def _percentile(values: Floats, percentile: float) -> float:
    """Percentile of what is known; NaN never passes for a value within a limit."""
    known = values[np.isfinite(values)]
    if len(known) == 0:
        raise _NoBody
    return float(np.percentile(known, percentile))
