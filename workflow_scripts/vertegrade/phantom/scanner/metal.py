"""Metal in the field of view: screws, cement and other implants, and the streaks that they throw."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vertegrade.phantom.anatomy.person import Patient

METAL_HU = 8000.0  # titanium; the scanner clips it
CEMENT_HU = 1900.0
_STREAK_PIXEL_MM = 2.0
_STREAK_ANGLES = 120
_HARDENING = 0.025  # 1/mm: error of the line integral is -this * path**2, in units of mm of water


@dataclass(frozen=True)
class MetalPart:
    """A capsule: all points (RAS mm) within `radius_mm` of the segment from `start_mm` to `end_mm`."""

    start_mm: tuple[float, float, float]
    end_mm: tuple[float, float, float]
    radius_mm: float
    hu: float


def draw_metal(patient: Patient, levels: tuple[int, ...], rng: np.random.Generator) -> tuple[MetalPart, ...]:
    """Pedicle screws with rods over two or three levels, cement in one body, or a device in front of the spine."""
    kind = rng.choice(["screws", "cement", "device"], p=[0.4, 0.4, 0.2])
    first = int(rng.integers(len(levels) - 2))
    if kind == "screws":
        return _screws(patient, levels[first : first + int(rng.integers(2, 4))])
    box = patient.extent(levels[first], levels[first])
    centre, size = box.mean(axis=1), np.ptp(box, axis=1)
    if kind == "cement":
        blobs = [centre + rng.uniform(-0.22, 0.22, 3) * size for _ in range(4)]
        return tuple(_part(a, b, float(rng.uniform(3, 5)), CEMENT_HU) for a, b in pairwise(blobs))
    start = centre + np.array([rng.uniform(-30, 30), size[1] / 2 + 25, 0])
    return (_part(start, start + rng.uniform(-8, 8, 3), 3.0, METAL_HU),)


def _screws(patient: Patient, labels: tuple[int, ...]) -> tuple[MetalPart, ...]:
    """One screw per side and level, through the pedicle into the front half of the body, and a rod along each side."""
    parts = []
    for side in (-1.0, 1.0):
        heads = []
        for vertebra in (v for v in patient.vertebrae if v.label in labels):
            width, depth = vertebra.body.half_width, vertebra.body.half_depth
            centre = patient.extent(vertebra.label, vertebra.label).mean(axis=1)
            head, tip = np.array([[side * 0.7 * width, -depth - 24, 5], [side * 0.35 * width, 0.3 * depth, 3]])
            heads.append(centre + head @ vertebra.pose.axes)
            parts.append(_part(heads[-1], centre + tip @ vertebra.pose.axes, 2.8, METAL_HU))
        parts.append(_part(heads[0], heads[-1], 2.8, METAL_HU))
    return tuple(parts)


def _part(start: np.ndarray, end: np.ndarray, radius: float, hu: float) -> MetalPart:
    a, b = ((float(x), float(y), float(z)) for x, y, z in (start.round(2), end.round(2)))
    return MetalPart(a, b, round(radius, 2), hu)


def paint_metal(
    hu: np.ndarray, origin_mm: Iterable[float], spacing_mm: Iterable[float], parts: tuple[MetalPart, ...]
) -> np.ndarray:
    """Draw the parts into `hu` (float32 [i, j, k], changed in place); returns the share of metal, [i, j, k].

    The share (float32, 0-1, edges smooth over one voxel) counts only parts dense enough to throw streaks.
    """
    origin, spacing = np.array(list(origin_mm)), np.array(list(spacing_mm))
    dense = np.zeros(hu.shape, np.float32)
    for part in parts:
        start, end = np.array(part.start_mm), np.array(part.end_mm)
        reach = part.radius_mm + spacing
        low = np.floor((np.minimum(start, end) - reach - origin) / spacing).astype(int).clip(0)
        high = (np.ceil((np.maximum(start, end) + reach - origin) / spacing).astype(int) + 1).clip(0, hu.shape)
        if np.any(low >= high):
            continue
        box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
        axes = [origin[d] + spacing[d] * np.arange(low[d], high[d]) for d in range(3)]
        share = _capsule_share(axes, start, end, part.radius_mm, float(spacing.mean()))
        hu[box] += share * (part.hu - hu[box])
        if part.hu >= METAL_HU:
            dense[box] = np.maximum(dense[box], share)
    return dense


def _capsule_share(
    axes: list[np.ndarray], start: np.ndarray, end: np.ndarray, radius: float, edge_mm: float
) -> np.ndarray:
    """Share of each voxel inside a capsule, float32: 1 inside, 0 outside, linear over `edge_mm` about its surface."""
    along = end - start
    length = max(float(along @ along), 1e-9)
    x, y, z = (axis - start[d] for d, axis in enumerate(axes))
    grid = np.stack(np.broadcast_arrays(x[:, None, None], y[None, :, None], z[None, None, :]), axis=-1)
    nearest = np.clip(grid @ along / length, 0, 1)[..., None] * along
    distance = np.linalg.norm(grid - nearest, axis=-1) - radius
    return np.clip(0.5 - distance / edge_mm, 0, 1).astype(np.float32)


def streaks(metal: np.ndarray, pixel_mm: float, rng: np.random.Generator) -> np.ndarray:
    """Streaks of beam hardening and photon starvation in slices with metal, HU, float32 [k, i, j].

    `metal` is the share of metal [k, i, j]. Its line integrals p (mm) are computed for parallel rays; the error of a
    polychromatic scan grows as -p**2 (Herman 1979, Phys Med Biol 24:81) and its noise as exp(p / 2); both are filtered
    with a ramp and back-projected on a grid of 2 mm, which is then enlarged bilinearly.
    """
    slices, rows, columns = metal.shape
    bins = int(np.hypot(rows, columns) * pixel_mm / _STREAK_PIXEL_MM) + 3
    where = np.nonzero(metal > 0.05)
    mass = metal[where] * (pixel_mm**2 / _STREAK_PIXEL_MM)
    xs, ys = ((where[1 + d] - (size - 1) / 2) * pixel_mm for d, size in enumerate((rows, columns)))
    coarse = [(np.arange(0, size * pixel_mm, _STREAK_PIXEL_MM) - (size - 1) * pixel_mm / 2) for size in (rows, columns)]
    ramp = np.abs(np.fft.rfftfreq(bins)) * (1 + np.cos(2 * np.pi * np.fft.rfftfreq(bins))) / 2
    image = np.zeros((slices, len(coarse[0]), len(coarse[1])), np.float32)
    for angle in np.pi * np.arange(_STREAK_ANGLES) / _STREAK_ANGLES:
        cosine, sine = np.cos(angle), np.sin(angle)
        bin_of_metal = np.rint((xs * cosine + ys * sine) / _STREAK_PIXEL_MM + bins / 2).astype(int).clip(0, bins - 1)
        path = np.bincount(where[0] * bins + bin_of_metal, mass, slices * bins).reshape(slices, bins)
        starved = 0.15 * np.expm1(np.minimum(path / 2, 12) / 2) * rng.standard_normal(path.shape)
        error = np.fft.irfft(np.fft.rfft(starved - _HARDENING * path**2) * ramp, bins).astype(np.float32)
        at = (coarse[0][:, None] * cosine + coarse[1] * sine) / _STREAK_PIXEL_MM + bins / 2
        image += np.take(error, np.rint(at).astype(int).clip(0, bins - 1), axis=1)
    image *= 1000 * np.pi / (_STREAK_ANGLES * _STREAK_PIXEL_MM)
    return _enlarge(image, (rows, columns), pixel_mm)


def _enlarge(image: np.ndarray, shape: tuple[int, int], pixel_mm: float) -> np.ndarray:
    """Bilinear enlargement of [k, i, j] from the grid of the streaks to the pixels of the slices."""
    for axis, size in enumerate(shape, start=1):
        at = np.minimum(np.arange(size) * (pixel_mm / _STREAK_PIXEL_MM), image.shape[axis] - 1.001)
        below = at.astype(int)
        weight = (at - below).astype(np.float32).reshape((1, size, 1) if axis == 1 else (1, 1, size))
        image = np.take(image, below, axis) * (1 - weight) + np.take(image, below + 1, axis) * weight
    return image
