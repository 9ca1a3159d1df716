"""What lies around the spine: trunk, fat, muscles, chest, canal, and the scanner's table; organs come from organs.py.

Drawn on a coarse grid (2.5 x 2.5 x 5 mm) relative to the spine's course, then interpolated: these edges need not be
sharp, only there. HU as in textbooks: fat -100, muscle 50, blood 45 (enhanced 150-350), lung -850, liver 60.
"""

import numpy as np
from numpy.typing import NDArray

from vertegrade.arrays import AnyFloats
from vertegrade.levels import LABEL_OF
from vertegrade.phantom.anatomy.grid import Grid
from vertegrade.phantom.anatomy.organs import draw_abdomen, draw_chest, draw_vessels
from vertegrade.phantom.anatomy.person import Patient
from vertegrade.phantom.anatomy.skeleton import arms
from vertegrade.phantom.anatomy.tissue import COARSE_MM, Canvas
from vertegrade.phantom.anatomy.trunk import Trunk


def background(patient: Patient, grid: Grid) -> NDArray[np.float32]:
    """HU [i, j, k] of everything but bone and discs."""
    axes = [_coarse_axis(grid, n) for n in range(3)]
    coarse = _draw(patient, *axes)
    weights = [_interpolation(grid.axis(n), axes[n]) for n in range(3)]
    slabs = np.tensordot(weights[0], coarse, axes=(1, 0)) @ weights[2].T
    return np.asarray(np.matmul(weights[1], slabs), np.float32)


def _coarse_axis(grid: Grid, number: int) -> AnyFloats:
    """Sample positions (mm) that cover the grid along one axis."""
    low, high = grid.axis(number)[[0, -1]]
    step = COARSE_MM[number]
    count = int(np.ceil((high / step) - np.floor(low / step))) + 1
    return (np.floor(low / step) * step + step * np.arange(count)).astype(np.float32)


def _interpolation(fine: AnyFloats, coarse: AnyFloats) -> AnyFloats:
    """Matrix (fine, coarse) of linear interpolation."""
    place = (fine - coarse[0]) / (coarse[1] - coarse[0])
    return np.maximum(1 - np.abs(place[:, None] - np.arange(len(coarse))), 0).astype(np.float32)


def _draw(patient: Patient, x: AnyFloats, y: AnyFloats, z: AnyFloats) -> AnyFloats:
    """HU on the coarse grid; each step paints over the ones before."""
    rng = np.random.default_rng(patient.seed)
    trunk = Trunk(patient)
    canvas = Canvas(trunk, x, y, z, rng)
    _draw_wall(canvas)
    _draw_arms(canvas)
    for low, high, draw in (
        (17.5, 40.0, draw_abdomen),
        (7.0, 21.5, draw_chest),
        (-20.0, 40.0, _draw_muscles),
        (8.0, 26.0, draw_vessels),
        (-20.0, 28.5, _draw_canal),
    ):
        generator = np.random.default_rng(rng.integers(2**31))
        part = canvas.part(low, high)
        if part is not None:
            draw(part, generator)
    look = patient.look
    if look.soft_hu or look.soft_scale != 1:
        soft = (canvas.hu > -200) & (canvas.hu < 400)
        canvas.hu[soft] = np.float32(look.soft_scale) * canvas.hu[soft] + np.float32(look.soft_hu)
    _draw_table(canvas.hu, x[:, None, None], y[None, :, None] - (trunk.lowest() - 4))
    return canvas.hu


def _draw_table(hu: AnyFloats, x: AnyFloats, y: AnyFloats) -> None:
    """A cushion and a curved carbon shell below the back, where there is air."""
    sag = y + 16 - 0.0012 * x**2
    cushion = (np.abs(sag - 8) < 10) & (hu < -940)
    hu[cushion] = -930
    shell = (np.abs(sag + 6) < 2.6) & (hu < -900)
    hu[shell] = -350


def _draw_wall(c: Canvas) -> None:
    """Skin and fat, and inside them a layer of muscle round a trunk full of fat. Sets the canvas's wall."""
    course, fat = c.course, np.float32(c.trunk.fat)
    middle = (course.front + 12 + fat + course.back) / 2
    deep = (course.front + 12 + fat - course.back) / 2
    side, ahead = np.abs(c.u) / course.half, np.abs(c.v - middle) / deep
    share = (side**2.5 + ahead**2.5) ** np.float32(0.4)
    skin = (share - 1) * np.minimum(course.half, deep)
    c.blend(skin, -100 + 8 * c.noise, outside=-1000)
    c.blend(np.abs(skin + 1.5) - 1.2, 10)
    thick = 0.75 * fat - 3
    c.wall = skin + thick
    neck = np.clip((10 - course.rank) / 3, 0, 1)  # shoulders and neck are muscle through and through
    c.blend(c.wall, 42 + (18 + 30 * neck) * c.noise)
    c.blend(c.wall + 11 + 200 * neck + 60 * np.clip(course.rank - 27, 0, 3), -95 + 10 * c.noise)


def _draw_arms(c: Canvas) -> None:
    """Upper arms of muscle in fat, where there is air."""
    for head, elbow in arms(c.trunk.patient):
        low, high = sorted((float(head[2]), float(elbow[2])))
        reach = np.flatnonzero((c.z > low - 45) & (c.z < high + 45))
        if not len(reach):
            continue
        part = c.cut(slice(int(reach[0]), int(reach[-1]) + 1))
        way = (elbow - head).astype(np.float32)
        offset = part.u + part.course.x - head[0], part.v + part.course.y - head[1], part.z - head[2]
        share = sum(a * w for a, w in zip(offset, way, strict=True)) / (way @ way)
        share = np.clip(share, 0, 1)
        distance = np.sqrt(sum((a - share * w) ** 2 for a, w in zip(offset, way, strict=True))).astype(np.float32)
        air = part.hu < -950
        arm = np.where(distance < 34, np.float32(50), np.float32(-100))
        part.hu[:] = np.where(air & (distance < 34 + 0.4 * c.trunk.fat), arm, part.hu)


def _draw_muscles(c: Canvas, rng: np.random.Generator) -> None:
    """Erector spinae, psoas, iliacus and buttocks, streaked with fat in the old; tissue round the bodies."""
    course, size, age = c.course, c.trunk.size, c.trunk.patient.age
    lean = np.float32(60 - 0.5 * max(age - 45, 0))
    streaks = lean + np.float32(6 + 0.5 * max(age - 50, 0)) * c.noise
    behind = c.v + course.deep + 30 * size
    flat = 1 + 0.25 * np.clip((LABEL_OF["T9"] - course.rank) / 4, 0, 1)
    growth = np.clip((course.rank - LABEL_OF["T12"]) / 5, 0, 1)
    fade = 20 * np.clip(course.rank - 26, 0, 9)
    neck = np.clip((LABEL_OF["T1"] - course.rank) / 3, 0, 1)
    for side in (-1, 1):
        c.blend(c.ellipse(c.u - side * 26 * size, behind, 24 * size * flat, 19 * size) + fade, streaks)
        beside = course.wide + 4 + 12 * growth + 35 * np.clip((course.rank - 24) / 4, 0, 2)
        ahead = 4 + 45 * np.clip((course.rank - 24.5) / 3, 0, 1.5)
        psoas = c.ellipse(c.u - side * beside, c.v - ahead, 4 + 14 * growth, 6 + 15 * growth) + 20 * (growth == 0)
        c.blend(psoas, 55 + 5 * c.noise)
        if course.rank.max() > 23.5:
            low = np.clip(25.5 - course.rank, 0, 9)
            gluteal = c.ellipse(c.u - side * 88 * size, c.v + 22, 62 * size, 50 * size) + 30 * low
            c.blend(np.maximum(gluteal, c.wall + 2), streaks)
    around = c.ellipse(c.u, c.v + course.deep, course.wide + 4, course.deep + 3)
    c.blend(around, 35 + 15 * c.noise)
    if neck.max() > 0:
        throat = c.ellipse(c.u, c.v - course.deep - 26, 9, 8) + 20 * (1 - neck)
        c.blend(throat, -950)


def _draw_canal(c: Canvas, rng: np.random.Generator) -> None:
    """Epidural fat, fluid, and the cord down to L1."""
    course, size = c.course, c.trunk.size
    behind = c.v + course.deep * 0.9 + 8.5 * size
    c.blend(c.ellipse(c.u, behind, 10 * size, 9 * size), -20)
    c.blend(c.ellipse(c.u, behind, 7.8 * size, 7 * size), rng.uniform(5, 30))
    c.blend(c.ellipse(c.u, behind, 5 * size, 4 * size) + 12 * np.clip(course.rank - LABEL_OF["L1"], 0, 1), 42)
