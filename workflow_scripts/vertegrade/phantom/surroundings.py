"""What lies around the spine: torso, fat, muscles, lungs, mediastinum, vessels, organs, canal and the scanner's table.

Drawn on a coarse grid (2.5 x 2.5 x 5 mm) relative to the spine's course, then interpolated: these edges need not be
sharp, only there. HU as in textbooks: fat -100, muscle 50, blood 45 (enhanced 150-250), lung -850, liver 60.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vertegrade.levels import LABELS
from vertegrade.phantom.grid import Grid
from vertegrade.phantom.patient import Patient

Floats = NDArray[np.floating[Any]]

COARSE_MM = (2.5, 2.5, 5.0)


@dataclass(frozen=True, eq=False)
class Course:
    """The spine along z: at each coarse slice the body's centre (x, y), half width and depth, and the level's rank."""

    x: Floats
    y: Floats
    wide: Floats
    deep: Floats
    rank: Floats


def background(patient: Patient, grid: Grid) -> NDArray[np.float32]:
    """HU [i, j, k] of everything but bone and discs."""
    axes = [_coarse_axis(grid, n) for n in range(3)]
    rng = np.random.default_rng(patient.seed)
    coarse = _draw(patient, rng, axes[0][:, None, None], axes[1][None, :, None], axes[2][None, None, :])
    weights = [_interpolation(grid.axis(n), axes[n]) for n in range(3)]
    slabs = np.tensordot(weights[0], coarse, axes=(1, 0)) @ weights[2].T
    return np.asarray(np.matmul(weights[1], slabs), np.float32)


def _coarse_axis(grid: Grid, number: int) -> Floats:
    """Sample positions (mm) that cover the grid along one axis."""
    low, high = grid.axis(number)[[0, -1]]
    step = COARSE_MM[number]
    count = int(np.ceil((high / step) - np.floor(low / step))) + 1
    return (np.floor(low / step) * step + step * np.arange(count)).astype(np.float32)


def _interpolation(fine: Floats, coarse: Floats) -> Floats:
    """Matrix (fine, coarse) of linear interpolation."""
    place = (fine - coarse[0]) / (coarse[1] - coarse[0])
    return np.maximum(1 - np.abs(place[:, None] - np.arange(len(coarse))), 0).astype(np.float32)


def _course(patient: Patient, z: Floats) -> Course:
    spine = sorted((v.pose.origin[2], v) for v in patient.vertebrae)
    heights = [height for height, _ in spine]

    def along(values: list[float]) -> Floats:
        return np.interp(z, heights, values).astype(np.float32)

    return Course(
        x=along([v.pose.origin[0] for _, v in spine]),
        y=along([v.pose.origin[1] for _, v in spine]),
        wide=along([v.body.half_width for _, v in spine]),
        deep=along([v.body.half_depth for _, v in spine]),
        rank=along([float(v.label or 26) for _, v in spine]),
    )


def _blend(hu: Floats, distance: Floats, value: float | Floats, soft: float = 2.5) -> None:
    """Set hu to value where distance (mm) is negative, softly."""
    share = (0.5 - distance / np.float32(soft)).clip(0, 1)
    hu += share * (np.float32(value) - hu)


def _ellipse(x: Floats, y: Floats, wide: float | Floats, deep: float | Floats) -> Floats:
    """About the distance (mm) from an ellipse round the origin."""
    return np.asarray((np.sqrt((x / wide) ** 2 + (y / deep) ** 2) - 1) * np.minimum(wide, deep), np.float32)


def _noise(rng: np.random.Generator, axes: tuple[Floats, Floats, Floats]) -> Floats:
    """Smooth noise of deviation 1 that is fixed to the world, so that every scan of a patient shows the same tissue."""
    tile = ndimage.gaussian_filter(rng.normal(size=(64, 64, 64)).astype(np.float32), 2.0, mode="wrap")
    i, j, k = (np.rint(axis / step).astype(int) % 64 for axis, step in zip(axes, COARSE_MM, strict=True))
    return np.asarray(tile[i, j, k] / tile.std())


def _draw(patient: Patient, rng: np.random.Generator, x: Floats, y: Floats, z: Floats) -> Floats:
    """HU on the coarse grid; each step paints over the ones before."""
    course = _course(patient, z)
    size = patient.person.size
    u, v = x - course.x, y - course.y
    shape = np.broadcast_shapes(x.shape, y.shape, z.shape)
    noise = _noise(rng, (x, y, z))
    back = course.y - course.deep - 48 * size
    lowest = float(min(v.pose.origin[1] - v.body.half_depth for v in patient.vertebrae)) - 48 * size
    skin = 0.6 * lowest + 0.4 * back - 0.6 * patient.person.fat_mm
    depth, width = 112 * size + patient.person.fat_mm, 155 * size + patient.person.fat_mm
    hu = np.full(shape, -1000, np.float32)
    _draw_table(hu, x, y - (lowest - 0.6 * patient.person.fat_mm - 4))
    torso = _ellipse(x, y - skin - depth, width, depth)
    _blend(hu, torso, -100 + 8 * noise)
    _blend(hu, torso + patient.person.fat_mm * 0.6, -60 + 40 * noise)
    thorax = 25 * (course.rank - (LABELS["T12"] - 0.5 + 1.2 * (np.abs(u) / 60 - 0.5)))  # about mm below the diaphragm
    _draw_abdomen(hu, rng, course, u, v, noise, size)
    _draw_thorax(hu, course, u, v, torso + patient.person.fat_mm * 0.6 + 10, thorax, noise, size)
    _draw_muscles(hu, patient, course, u, v, noise, size)
    _draw_vessels(hu, rng, patient, course, u, v, noise)
    _draw_canal(hu, course, u, v, size)
    return hu


def _draw_table(hu: Floats, x: Floats, y: Floats) -> None:
    """A cushion and a curved carbon shell below the back."""
    sag = y + 16 - 0.0012 * x**2
    _blend(hu, np.abs(sag - 8) - 10 + 0 * hu, -930)
    _blend(hu, np.abs(sag + 6) - 2 + 0 * hu, -350)


def _draw_abdomen(
    hu: Floats, rng: np.random.Generator, course: Course, u: Floats, v: Floats, noise: Floats, size: float
) -> None:
    """Fat with loops of bowel, liver and kidneys."""
    low = course.rank > LABELS["T10"]
    loops = np.where(noise > 0.9, -300.0, 25.0).astype(np.float32)
    bowel = np.where(low & (v > 30) & (noise > -0.2), -1.0, 5.0)
    _blend(hu, bowel.astype(np.float32), loops)
    liver = (
        _ellipse(u - 62 * size, v - 45, 62 * size, 65 * size) + 40 * np.abs((course.rank - 18.5) / 3).clip(1, 3) - 40
    )
    _blend(hu, liver, 60 + 6 * noise)
    enhanced = rng.uniform(30, 160)
    for side in (-1, 1):
        kidney = _ellipse(u - side * 58 * size, v + 8, 24, 28) + 14 * (((course.rank - 20.3) / 1.4) ** 2)
        _blend(hu, kidney, enhanced)


def _draw_thorax(
    hu: Floats,
    course: Course,
    u: Floats,
    v: Floats,
    wall: Floats,
    thorax: Floats,
    noise: Floats,
    size: float,
) -> None:
    """Lungs on both sides of the mediastinum and the spine; heart, trachea and gullet."""
    middle = _ellipse(u + 6, v - 62 * size, 40 * size, 60 * size)
    spine = _ellipse(u, v + 0.9 * course.deep, course.wide + 9, 1.9 * course.deep + 8)
    chest = np.maximum(np.maximum(wall, thorax), -(v + course.deep + 26))
    _blend(hu, chest, 30 + 30 * noise)
    _blend(hu, np.maximum(chest, np.maximum(-middle, -spine)), -850 + 25 * noise)
    heart = _ellipse(u + 20 * size, v - 75 * size, 48 * size, 38 * size) + 12 * np.abs(course.rank - 15.5)
    _blend(hu, heart, 55 + 4 * noise)
    upper = (course.rank < LABELS["T5"]).astype(np.float32)
    _blend(hu, _ellipse(u - 2, v - course.deep - 18, 8, 8) + 20 * (1 - upper), -980)
    _blend(hu, np.maximum(_ellipse(u + 4, v - course.deep - 7, 7, 5), thorax), 35)


def _draw_muscles(
    hu: Floats, patient: Patient, course: Course, u: Floats, v: Floats, noise: Floats, size: float
) -> None:
    """Erector spinae and psoas, streaked with fat in the old; fat between the spinous processes and under the skin."""
    lean = np.float32(60 - 0.5 * max(patient.age - 45, 0))
    streaks = lean + (6 + 0.5 * max(patient.age - 50, 0)) * noise
    behind = v + course.deep + 30 * size
    for side in (-1, 1):
        _blend(hu, _ellipse(u - side * 26 * size, behind, 24 * size, 19 * size), streaks)
        growth = ((course.rank - LABELS["T12"]) / 5).clip(0, 1)
        beside = course.wide + 4 + 12 * growth
        psoas = _ellipse(u - side * beside, v + 4, 4 + 14 * growth, 6 + 15 * growth) + 20 * (growth == 0)
        _blend(hu, psoas.astype(np.float32), 55 + 5 * noise)
    _blend(hu, _ellipse(u, v + course.deep, course.wide + 4, course.deep + 3), 35 + 15 * noise)


def _draw_vessels(
    hu: Floats, rng: np.random.Generator, patient: Patient, course: Course, u: Floats, v: Floats, noise: Floats
) -> None:
    """Aorta, left of the thoracic and before the lumbar spine, calcified in some of the old; vena cava."""
    blood = rng.uniform(35, 50) if rng.random() < 0.4 else rng.uniform(100, 240)
    low = ((course.rank - 12) / 10).clip(0, 1)
    radius = 13.5 - 3 * low + float(rng.normal(0, 1))
    across = -(course.wide * 0.9 + 4) * (1 - low) - 6 * low
    ahead = course.deep * (0.55 + 0.45 * low) + radius * (0.5 + 0.6 * low)
    tube = 30 * ((course.rank < LABELS["T4"]) | (course.rank > LABELS["L4"] + 0.3)).astype(np.float32)
    aorta = _ellipse(u - across, v - ahead, radius, radius) + tube
    _blend(hu, aorta, blood)
    if rng.random() < (patient.age - 45) / 45:
        plaque = np.abs(aorta) - 1.0 + 6 * (noise < rng.uniform(0.3, 1.6))
        _blend(hu, plaque, 520)
    cava = _ellipse(u - 17, v - course.deep - 8, 11, 8) + 30 * (course.rank < LABELS["T11"])
    _blend(hu, cava.astype(np.float32), 0.9 * blood)


def _draw_canal(hu: Floats, course: Course, u: Floats, v: Floats, size: float) -> None:
    """Epidural fat, fluid, and the cord down to L1."""
    behind = v + course.deep * 0.9 + 8.5 * size
    _blend(hu, _ellipse(u, behind, 10 * size, 9 * size), -20)
    _blend(hu, _ellipse(u, behind, 7.8 * size, 7 * size), 14)
    cord = 12 * (course.rank - LABELS["L1"]).clip(0, 1)
    _blend(hu, _ellipse(u, behind, 5 * size, 4 * size) + cord, 42)
