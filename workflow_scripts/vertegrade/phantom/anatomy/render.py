"""Drawing a patient on a grid: HU with partial volumes, and the mask of vertebra labels."""

from collections.abc import Iterator
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from vertegrade.arrays import Floats32
from vertegrade.fractures.collapse import PLANE_HALF, cleft_distance
from vertegrade.phantom.anatomy.body import ANGLES, WALL_HALF, Body
from vertegrade.phantom.anatomy.findings import Material
from vertegrade.phantom.anatomy.grid import Box, Grid
from vertegrade.phantom.anatomy.person import Patient, Vertebra
from vertegrade.phantom.anatomy.rods import paint_rods, rod_distance
from vertegrade.phantom.anatomy.skeleton import outer_bones, rib_bone
from vertegrade.phantom.anatomy.surroundings import background

ROUNDING_MM = 1.6  # radius of the edge between endplate and wall
FILLET_MM = 2.0  # how softly the posterior elements grow together
WALL_SHARE = 0.75  # thickness of the wall's cortex over the endplates' (Ritzel 1997, J Bone Miner Res 12:89)
GRAIN_MM = 0.8  # sample of the trabecular grain
TILE = 64
FAR = np.float32(99)


def render(
    patient: Patient,
    origin: NDArray[np.float64] | tuple[float, float, float],
    shape: tuple[int, int, int],
    spacing: NDArray[np.float64] | tuple[float, float, float],
) -> tuple[Floats32, NDArray[np.uint8]]:
    """HU and VerSe labels of a patient on a RAS+ grid: affine diag(spacing) with origin (mm), arrays [i, j, k].

    The mask names whole vertebrae, C6 to L5, as VerSe's do; the sacrum, ribs and discs are 0. Edges are smooth: a
    voxel that a surface cuts has the mean HU of its two sides. There is no noise; the scanner adds it.
    """
    grid = Grid(np.asarray(origin, float), shape, np.asarray(spacing, float))
    hu = background(patient, grid)
    mask = np.zeros(shape, np.uint8)
    for bone in outer_bones(patient):
        paint_rods(hu, grid, bone)
    for vertebra in reversed(patient.vertebrae):
        paint_rods(hu, grid, rib_bone(vertebra))
        _paint_vertebra(hu, mask, grid, vertebra)
    return hu, mask


def _paint_vertebra(hu: Floats32, mask: NDArray[np.uint8], grid: Grid, vertebra: Vertebra) -> None:
    """Draw the disc above, the body and its processes. They join: no cortex is left inside."""
    edge = np.float32(np.cbrt(grid.spacing.prod()))
    rods_box, rods = _rods_distance(grid, vertebra)
    points = vertebra.pose.world(_body_reach(vertebra.body))
    box = grid.box(points, 1.0)
    if box is not None:
        local = grid.local(box, vertebra.pose)
        near = np.flatnonzero(_near_axis(vertebra.body, local))
        right, anterior, superior = (coordinate.ravel()[near] for coordinate in local)
        top, bottom, disc_top, steep_top, steep_bottom = _plates(vertebra, right, anterior)
        wall = _wall_distance(vertebra.body, right, anterior, superior)
        image = hu[box]
        values = image.ravel()[near]
        _paint_disc(values, vertebra, wall, superior, top, disc_top, edge)
        plate = np.maximum((superior - top) / steep_top, (bottom - superior) / steep_bottom)
        body = _rounded(wall, plate)
        processes = np.full(image.shape, FAR, np.float32)
        if rods_box is not None:
            _exchange(rods, rods_box, processes, box)
        process = processes.ravel()[near]
        bone = body < process
        distance = _smooth_min(body, process)
        grain = _grain(vertebra.material, right, anterior, superior)
        spongiosa = _spongiosa(vertebra, grain, right, anterior, superior, top, bottom)
        if vertebra.body.cleft:
            gap = cleft_distance(vertebra.body.cleft, right, anterior, superior, top, bottom)
            spongiosa += (0.5 - gap / edge).clip(0, 1) * (np.float32(vertebra.body.cleft.hu) - spongiosa)
        shell = np.float32(vertebra.material.cortex_mm) * np.where(wall > plate, np.float32(WALL_SHARE), 1)
        shell *= (1 + grain * np.float32(vertebra.material.rough / vertebra.material.grain_hu)).clip(0.6, 1.6)
        cortex = np.where(bone, shell, np.float32(vertebra.material.process_cortex_mm))
        _paint_bone(values, distance, spongiosa, cortex, vertebra.material, edge)
        painted = image.reshape(-1)
        painted[near] = values
        hu[box] = painted.reshape(image.shape)
        labels = mask[box].reshape(-1)
        labels[near[distance < 0]] = vertebra.label
        mask[box] = labels.reshape(image.shape)
        if rods_box is not None:
            processes.reshape(-1)[near] = FAR
            _exchange(processes, box, rods, rods_box)
    if rods_box is not None:
        _paint_rods(hu[rods_box], mask[rods_box], rods, vertebra, edge)


def _body_reach(body: Body) -> NDArray[np.float64]:
    """Corners (8, 3; local mm) of the box around the body with its osteophytes, and the disc above."""
    wide, deep = body.half_width + 8, body.half_depth + 8
    centre = slice(PLANE_HALF - 12, PLANE_HALF + 13)
    low, high = float(body.bottom[centre, centre].min()) - 3, float(body.top[centre, centre].max()) + 14
    return np.array([[x, y, z] for x in (-wide, wide) for y in (-deep, deep) for z in (low, high)])


def _near_axis(body: Body, local: tuple[Floats32, Floats32, Floats32]) -> NDArray[np.bool_]:
    """Voxels inside the ellipse round the body and its osteophytes."""
    wide, deep = np.float32(body.half_width + 8), np.float32(body.half_depth + 8)
    inside: NDArray[np.bool_] = (local[0] / wide) ** 2 + (local[1] / deep) ** 2 < 1
    return inside


def _plates(vertebra: Vertebra, right: Floats32, anterior: Floats32) -> Iterator[Floats32]:
    """Heights (mm) of the superior and inferior endplate and of the disc's upper limit, bilinear; how steep both are.

    A distance along the height is so many times the distance from the surface.
    """
    body = vertebra.body
    steep = [np.hypot(1, np.hypot(*np.gradient(surface))) for surface in (body.top, body.bottom)]
    maps = np.stack([body.top, body.bottom, vertebra.disc_top, *steep], axis=-1, dtype=np.float32).reshape(-1, 5)
    limit = 2 * PLANE_HALF - 0.001
    x = (right + PLANE_HALF).clip(0, limit)
    y = (anterior + PLANE_HALF).clip(0, limit)
    return iter(_bilinear(maps, x, y, 2 * PLANE_HALF + 1).T)


def _bilinear(maps: Floats32, x: Floats32, y: Floats32, stride: int) -> Floats32:
    """Values (n, maps) of maps flattened to (rows * stride, maps) at fractional places (x, y)."""
    i, j = x.astype(np.int32), y.astype(np.int32)
    u, v = (x - i)[:, None], (y - j)[:, None]
    at = i * stride + j
    low = maps[at] * (1 - v) + maps[at + 1] * v
    high = maps[at + stride] * (1 - v) + maps[at + stride + 1] * v
    return np.asarray(low + u * (high - low))


def _wall_distance(body: Body, right: Floats32, anterior: Floats32, superior: Floats32) -> Floats32:
    """Signed distance (mm, about) from the wall: negative inside."""
    closed = np.concatenate([body.wall, body.wall[:1]]).reshape(-1, 1)
    turn = np.arctan2(anterior, right) * np.float32(ANGLES / (2 * np.pi))
    turn = np.where(turn < 0, turn + ANGLES, turn).clip(0, ANGLES - 0.001)
    level = (superior + WALL_HALF).clip(0, 2 * WALL_HALF - 0.001)
    return np.asarray(np.hypot(right, anterior) - _bilinear(closed, turn, level, 2 * WALL_HALF + 1)[:, 0])


def _rounded(wall: Floats32, plate: Floats32) -> Floats32:
    """Intersection of wall and endplates with a rounded edge."""
    a, b = wall + np.float32(ROUNDING_MM), plate + np.float32(ROUNDING_MM)
    outside = np.hypot(np.maximum(a, 0), np.maximum(b, 0))
    return np.asarray(np.minimum(np.maximum(a, b), 0) + outside - np.float32(ROUNDING_MM))


def _smooth_min(a: Floats32, b: Floats32) -> Floats32:
    """Union of two distances with a fillet (polynomial smooth minimum, Quilez)."""
    overlap = np.maximum(np.float32(FILLET_MM) - np.abs(a - b), 0)
    return np.asarray(np.minimum(a, b) - overlap * overlap * np.float32(0.25 / FILLET_MM))


def _paint_disc(
    values: Floats32,
    vertebra: Vertebra,
    wall: Floats32,
    superior: Floats32,
    top: Floats32,
    disc_top: Floats32,
    edge: np.float32,
) -> None:
    """Blend the disc above into values; a degenerate one may contain gas (vacuum phenomenon)."""
    low = np.minimum(top, 0)  # the body is painted over what is too much
    distance = np.maximum(wall + np.float32(0.5), np.maximum(superior - disc_top, low - superior))
    share = (0.5 - distance / edge).clip(0, 1)
    annulus = np.float32(20) * (wall > -5)
    values += share * (np.float32(vertebra.disc_hu) + annulus - values)
    if vertebra.vacuum:
        ends = vertebra.body.column_ends()
        middle = np.float32((ends[:, 0, 2].max() + ends[2, 0, 2]) / 2 + 2.0)
        gas = np.exp(-(((superior - middle) / np.float32(1.2)) ** 2)) * (wall < -5)
        values -= np.float32(450 * vertebra.vacuum) * gas


def _spongiosa(
    vertebra: Vertebra,
    grain: Floats32,
    right: Floats32,
    anterior: Floats32,
    superior: Floats32,
    top: Floats32,
    bottom: Floats32,
) -> Floats32:
    """HU inside the cortex: grain, denser towards the endplates, bands under them, the basivertebral vein."""
    material, body = vertebra.material, vertebra.body
    hu = grain + np.float32(material.trabecular_hu * 0.95)
    hu += np.float32(material.trabecular_hu * 0.2) * (superior / np.float32(12)) ** 2
    for band, depth in ((material.band_superior_hu, top - superior), (material.band_inferior_hu, superior - bottom)):
        if band:
            hu += np.float32(band) * np.exp(-((depth / np.float32(material.band_mm)) ** 2))
    back = np.float32(0.4 * body.half_depth)
    vein = np.exp(-((right / 5) ** 2) - ((anterior + back) / (0.45 * body.half_depth)) ** 2 - (superior / 2.5) ** 2)
    return np.asarray(hu + np.float32(material.vein_hu) * vein, np.float32)


@cache
def _tiles() -> tuple[Floats32, Floats32, Floats32]:
    """Periodic noises of mean 0 and deviation 1: a grain even in all directions, one drawn out vertically, patches."""
    noise = np.random.default_rng(20190101).normal(size=(3, TILE, TILE, TILE))
    even = ndimage.gaussian_filter(noise[0], 0.8, mode="wrap")
    vertical = ndimage.gaussian_filter(noise[1], (0.8, 0.8, 3.0), mode="wrap")
    patches = ndimage.gaussian_filter(noise[2], 4.0, mode="wrap")
    return tuple((grain / grain.std()).astype(np.float32) for grain in (even, vertical, patches))


def _grain(material: Material, right: Floats32, anterior: Floats32, superior: Floats32) -> Floats32:
    """The grain of a material (HU): with age horizontal trabeculae thin out (Thomsen 2013, Bone 57:47)."""
    even, vertical, patches = _tiles()
    share = np.float32(material.vertical)
    tile = np.float32(material.grain_hu) * ((1 - share) * even + share * vertical)
    tile += np.float32(material.patch_hu) * patches
    index = np.zeros(len(right), np.int32)
    for coordinate, phase in zip((right, anterior, superior), material.phase, strict=True):
        step = np.floor(coordinate * np.float32(1 / GRAIN_MM)).astype(np.int32) + phase
        index = index * TILE + (step & (TILE - 1))
    return np.asarray(tile.ravel()[index])


def _paint_bone(
    values: Floats32,
    distance: Floats32,
    spongiosa: Floats32 | np.float32,
    cortex: Floats32 | np.float32,
    material: Material,
    edge: np.float32,
) -> None:
    """Blend bone into values: the shares of a voxel in the bone and within its cortex follow from the distance."""
    inside = (0.5 - distance / edge).clip(0, 1)
    core = (0.5 - (distance + cortex) / edge).clip(0, 1)
    values *= 1 - inside
    values += np.float32(material.cortical_hu) * (inside - core) + spongiosa * core


def _rods_distance(grid: Grid, vertebra: Vertebra) -> tuple[Box | None, Floats32]:
    """Signed distance (mm) from the union of a vertebra's processes on the box that contains them."""
    ends = vertebra.rods[:, :6].reshape(-1, 3).astype(float)
    box = grid.box(vertebra.pose.world(ends), 13.0)
    if box is None:
        return None, np.zeros(0, np.float32)
    union = np.full([s.stop - s.start for s in box], FAR, np.float32)
    for rod in vertebra.rods:
        reach = grid.box(vertebra.pose.world(rod[:6].reshape(2, 3).astype(float)), float(rod[6:].max()) + 2)
        if reach is None:
            continue
        part = tuple(slice(r.start - b.start, r.stop - b.start) for r, b in zip(reach, box, strict=True))
        part = tuple(slice(max(p.start, 0), p.stop) for p in part)
        inner = tuple(slice(b.start + p.start, min(b.start + p.stop, b.stop)) for b, p in zip(box, part, strict=True))
        union[part] = _smooth_min(
            union[part], rod_distance(grid, (inner[0], inner[1], inner[2]), vertebra.pose, rod)[0]
        )
    return box, union


def _paint_rods(image: Floats32, mask: NDArray[np.uint8], rods: Floats32, vertebra: Vertebra, edge: np.float32) -> None:
    """Blend the processes into an image; both arrays are views of the whole grid."""
    near = rods < edge
    values, distance = image[near], rods[near]
    material = vertebra.material
    spongiosa = np.float32(1.3 * material.trabecular_hu + material.process_hu)
    _paint_bone(values, distance, spongiosa, np.float32(material.process_cortex_mm), material, edge)
    image[near] = values
    mask[rods < 0] = vertebra.label


def _exchange(source: Floats32, source_box: Box, target: Floats32, target_box: Box) -> None:
    """Copy what two boxes of the grid share from one array to the other."""
    shared = [(max(s.start, t.start), min(s.stop, t.stop)) for s, t in zip(source_box, target_box, strict=True)]
    if any(high <= low for low, high in shared):
        return
    here = tuple(slice(low - s.start, high - s.start) for (low, high), s in zip(shared, source_box, strict=True))
    there = tuple(slice(low - t.start, high - t.start) for (low, high), t in zip(shared, target_box, strict=True))
    target[there] = source[here]
