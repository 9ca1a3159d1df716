"""Organs of chest and abdomen and the large vessels, painted on the coarse canvas; each has its own generator."""

import numpy as np

from vertegrade.arrays import AnyFloats
from vertegrade.phantom.anatomy.tissue import Canvas


def draw_abdomen(c: Canvas, rng: np.random.Generator) -> None:
    """Bowel with fluid, gas or contrast medium, liver, spleen, stomach, kidneys, bladder."""
    course, size = c.course, c.trunk.size
    inner = c.wall + 13
    contrast = rng.uniform(150, 450) if rng.random() < 0.25 else 30.0
    loops = np.where(c.other_noise > 1.0, np.float32(contrast), np.float32(25) + 12 * c.other_noise)
    ahead = c.v - course.deep
    loops = np.where((c.noise > 1.0) & (ahead > 25), np.float32(-850), loops)
    where = np.maximum(inner, np.where((ahead > 14) & (c.noise > rng.uniform(-0.6, 0.4)), -1.0, 5.0))
    c.blend(np.asarray(where, np.float32) + _between(course.rank, 0, 27.5, 20), loops)
    tone = rng.uniform(0, 1)  # phase of contrast medium
    liver = c.ellipse(c.u - 68 * size, c.v - 45 * size, 78 * size, 78 * size) + _between(course.rank, 17.6, 21.2, 60)
    c.blend(np.maximum(liver, inner - 4), rng.uniform(40, 65) + 50 * tone + 4 * c.noise)
    spleen = c.ellipse(c.u + 98 * size, c.v - 6 * size, 30 * size, 48 * size) + _between(course.rank, 17.8, 20.2, 40)
    c.blend(np.maximum(spleen, inner - 4), 48 + 70 * tone)
    stomach = c.ellipse(c.u + 55 * size, c.v - 72 * size, 42 * size, 34 * size) + _between(course.rank, 17.8, 20.6, 40)
    content = np.where(c.v > 78 * size, rng.choice([-900.0, 20.0]), rng.choice([25.0, 25.0, 250.0]))
    c.blend(np.maximum(stomach, inner), content.astype(np.float32))
    cortex, pelvis = 32 + rng.uniform(0, 180) * tone, rng.choice([10.0, 10.0, 30.0, 600.0])
    for side in (-1, 1):
        at = 20.6 + rng.normal(0, 0.25) + 0.25 * (side > 0)
        centre = c.u - side * (58 + 5 * (course.rank - at)) * size
        kidney = c.ellipse(centre, c.v + 6 * size, 25 * size, 29 * size) + 14 * ((course.rank - at) / 1.35) ** 2
        c.blend(kidney, cortex)
        c.blend(kidney + 13 * size, -60)
        c.blend(kidney + 17 * size, pelvis)
    bladder = c.ellipse(c.u, c.v - 85 * size, 40 * size, 34 * size) + _between(course.rank, 27.0, 29.8, 45)
    c.blend(bladder, rng.choice([5.0, 5.0, 300.0]))
    rectum = c.ellipse(c.u, c.v - course.deep - 26, 17, 15) + _between(course.rank, 26.2, 31, 60)
    c.blend(rectum, np.where(c.noise > 0.3, np.float32(-700), np.float32(30)))


def _between(rank: AnyFloats, low: float, high: float, slope: float) -> AnyFloats:
    """0 between two ranks, rising by slope (mm) per level outside."""
    return np.asarray(slope * np.maximum(np.maximum(low - rank, rank - high), 0), np.float32)


def draw_chest(c: Canvas, rng: np.random.Generator) -> None:
    """Lungs within the ribs and above a domed diaphragm, with vessels; mediastinum, heart, windpipe and gullet."""
    course, size = c.course, c.trunk.size
    ribs = c.ellipse(c.u, c.v - course.chest_mid, course.chest_wide - 3, course.chest_deep - 3)
    right, left = rng.normal(0, 0.4, 2)
    dome = np.where(c.u > 0, 17.9 + right, 18.4 + left)
    spread = (c.u / (60 * size)) ** 2 * 0.2 + np.maximum(course.chest_mid - c.v, 0) / (38 * size)
    below = 24 * (course.rank - dome - np.minimum(spread, 2.2))
    apex = 18 * (9.0 - course.rank)
    chest = np.maximum(np.maximum(ribs, below), apex)
    wide = 34 + 26 * np.clip((course.rank - 11) / 4, 0, 1)
    front = c.v - course.chest_mid - 18
    shift = np.float32(14) * np.clip((course.rank - 11) / 3, 0, 1)
    middle = c.ellipse(c.u + shift, front, wide * size, course.chest_deep + 6)
    spine = c.ellipse(c.u, c.v + 0.9 * course.deep, course.wide + 6, 1.9 * course.deep + 5)
    c.blend(np.maximum(chest, -(c.v + course.deep + 60)), 10 + 45 * c.noise)
    air = rng.uniform(-900, -780)
    lung = np.where(c.noise > 1.7, np.float32(20), np.float32(air) + 25 * c.noise)
    if rng.random() < 0.15:  # dense lung bases: dystelectasis or effusion
        lung = np.where(c.v < course.chest_mid - 0.55 * course.chest_deep, np.float32(15), lung)
    c.blend(np.maximum(chest, np.maximum(-middle, -spine)), lung)
    blood = c.trunk.blood
    heart = c.ellipse(c.u + 22 * size, front - 8, 54 * size, 40 * size) + _between(course.rank, 13.8, 17.0, 14)
    c.blend(np.maximum(heart, below + 4), 0.8 * blood + 12 + 6 * c.noise)
    c.blend(heart + 13, blood)
    trachea = c.ellipse(c.u - 2, c.v - course.deep - 20, 8.5, 8.5) + 30 * np.clip(course.rank - 12, 0, 1)
    c.blend(trachea, -980)
    for side in (-1, 1):
        bronchus = c.ellipse(c.u - side * 22 * np.clip(course.rank - 11.8, 0, 2), c.v - course.deep - 20, 6, 6)
        c.blend(bronchus + _between(course.rank, 12.0, 13.4, 30), -950)
    gullet = c.ellipse(c.u + 4, c.v - course.deep - 8, 7, 5) + 30 * np.clip(course.rank - 18, 0, 1)
    c.blend(gullet, 35)
    if rng.random() < 0.4:
        c.blend(gullet + 3, -700)


def draw_vessels(c: Canvas, rng: np.random.Generator) -> None:
    """Aorta with its arch, calcified in some of the old; caval veins, pulmonary trunk, iliac arteries."""
    course, blood, age = c.course, c.trunk.blood, c.trunk.patient.age
    low = np.clip((course.rank - 12) / 10, 0, 1)
    radius = 13.5 - 3.5 * low + np.float32(rng.normal(0, 1.2))
    across = -(course.wide * 0.9 + 4) * (1 - low) - 4 * low
    ahead = course.deep * (0.55 + 0.45 * low) + radius * (0.5 + 0.6 * low)
    aorta = c.ellipse(c.u - across, c.v - ahead, radius, radius) + _between(course.rank, 11.2, 23.2, 30)
    c.blend(aorta, blood)
    rising = c.ellipse(c.u - 10, c.v - course.deep - 58, 15, 15) + _between(course.rank, 11.2, 14.5, 30)
    c.blend(rising, blood)
    along = np.clip((c.v - ahead) / (course.deep + 58 - ahead), 0, 1)
    arch = c.ellipse(c.u - across - along * (10 - across), course.rank * 0, 13, 13)
    arch = np.maximum(arch, np.maximum(ahead - 12 - c.v, c.v - course.deep - 72)) + _between(
        course.rank, 10.5, 11.5, 20
    )
    c.blend(arch, blood)
    trunk = c.ellipse(c.u + 12, c.v - course.deep - 48, 15, 14) + _between(course.rank, 12.4, 13.6, 20)
    c.blend(trunk, blood)
    for side in (-1, 1):
        away = side * (4 + 20 * np.clip(course.rank - 23.2, 0, 4))
        iliac = c.ellipse(c.u - away, c.v - course.deep - 12, 7, 7) + _between(course.rank, 23.2, 26, 20)
        c.blend(iliac, blood)
    if rng.random() < (age - 45) / 45:
        plaque = np.abs(np.minimum(aorta, iliac)) - 1.0 + 6 * (c.noise < rng.uniform(0.3, 1.6))
        c.blend(plaque, 520)
    cava = c.ellipse(c.u - 17, c.v - course.deep - 8, 11, 8) + _between(course.rank, 17.5, 23.5, 30)
    c.blend(cava, rng.uniform(0.5, 1.0) * blood + 15)
    upper = c.ellipse(c.u - 26, c.v - course.deep - 44, 9, 9) + _between(course.rank, 10.5, 14.0, 20)
    c.blend(upper, blood * rng.uniform(0.6, 2.2))
