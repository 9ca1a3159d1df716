"""Which lesions a phantom patient has: kind, place, size, and whether they break the cortex. Nothing is painted here.

Lesions are uneven ellipsoids in the local axes of a vertebra (right, anterior, superior; mm). A lytic one is soft
tissue where bone was, a blastic one dense bone. A mixed vertebra has both: side by side, or a lytic lesion with a dense
rim. The shares are ours: no published count of places and sizes was at hand.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vertegrade.arrays import generator_of
from vertegrade.metastasis.classes import ANSWERS
from vertegrade.phantom.anatomy.person import Patient, Vertebra, is_graded
from vertegrade.settings.metastasis import LesionPhantomSettings

OWN_KIND = 0.65  # share of a patient's vertebrae with lesions that are of the patient's commonest class
RIM = 0.4  # share of the mixed vertebrae whose lytic lesion has a dense rim
SEVERAL = 0.3  # chance of one more lesion of the same kind in the body
PEDICLE = {-1: 0, 1: 5}  # row of a vertebra's rods that is the pedicle, by side (-1: left); anatomy/posterior.py


@dataclass(frozen=True)
class Lesion:
    """One lesion. Positions and lengths in local mm.

    blastic: dense bone; else lytic. waves: of its surface, each three wave numbers (1/mm), a phase and a size (mm).
    hu: of what fills it. haze_mm: width of its margin. breaks: goes through the cortex, and grows beyond it if lytic.
    place: body, left or right (of the posterior elements), for the truth's table.
    """

    blastic: bool
    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    waves: tuple[tuple[float, ...], ...]
    hu: float
    haze_mm: float
    breaks: bool
    place: str

    def distance(self, points: tuple[NDArray[np.float32], ...]) -> NDArray[np.float32]:
        """About the distance (mm) of local points (right, anterior, superior) from its surface, negative inside."""
        away = [axis - np.float32(middle) for axis, middle in zip(points, self.centre, strict=True)]
        share = np.sqrt(sum((axis / np.float32(radius)) ** 2 for axis, radius in zip(away, self.radii, strict=True)))
        distance = (share - 1) * np.float32(min(self.radii))
        for across, along, up, phase, size in self.waves:
            turn = np.float32(across) * away[0] + np.float32(along) * away[1] + np.float32(up) * away[2]
            distance = distance + np.float32(size) * np.cos(turn + np.float32(phase))
        return np.asarray(distance, np.float32)


def draw_lesions(patient: Patient, settings: LesionPhantomSettings, seed: int) -> dict[int, tuple[Lesion, ...]]:
    """Lesions by VerSe label, of the vertebrae that have any; they follow from (seed, patient's id, settings)."""
    rng = generator_of(f"{seed}/{patient.patient_id}/lesions")
    if rng.random() >= settings.ill_patients:
        return {}
    usual = str(rng.choice(["blastic", "mixed", "lytic"]))
    lesions = {}
    for vertebra in (v for v in patient.vertebrae if is_graded(v.label)):
        own = generator_of(f"{seed}/{patient.patient_id}/lesions/{vertebra.label}")
        if own.random() < settings.lesion_share:
            kind = usual if own.random() < OWN_KIND else str(own.choice(["blastic", "mixed", "lytic"]))
            lesions[vertebra.label] = _of_vertebra(own, vertebra, kind, settings)
    return lesions


def _of_vertebra(
    rng: np.random.Generator, vertebra: Vertebra, kind: str, settings: LesionPhantomSettings
) -> tuple[Lesion, ...]:
    """Lesions of a class: in the body, in the posterior elements of one side or both, or in both places."""
    blastic, lytic = ANSWERS[kind]
    kinds = [True] * blastic + [False] * lytic
    sides: list[int] = []
    if rng.random() < settings.posterolateral:
        sides = [-1, 1] if rng.random() < 1 / 3 else [int(rng.choice([-1, 1]))]
    lesions = [_in_pedicle(rng, vertebra, side, bool(rng.choice(kinds)), settings) for side in sides]
    if not sides or rng.random() < 0.7:
        if kind == "mixed" and rng.random() < RIM:
            core = _in_body(rng, vertebra, False, settings)
            lesions += [core, _rim_of(rng, core)]
        else:
            counts = [1 + int(rng.random() < SEVERAL) for _ in kinds]
            wanted = [dense for dense, count in zip(kinds, counts, strict=True) for _ in range(count)]
            lesions += [_in_body(rng, vertebra, dense, settings) for dense in wanted]
    missing = set(kinds) - {lesion.blastic for lesion in lesions}
    lesions += [_in_body(rng, vertebra, dense, settings) for dense in sorted(missing)]
    # Dense bone first: a lytic lesion lies within its rim.
    return tuple(sorted(lesions, key=lambda lesion: not lesion.blastic))


def _in_body(rng: np.random.Generator, vertebra: Vertebra, dense: bool, settings: LesionPhantomSettings) -> Lesion:
    """Anywhere in the body, from 4 mm of radius to all of it."""
    body = vertebra.body
    height = float(body.heights().mean())
    turn, reach = rng.uniform(0, 2 * np.pi), 0.7 * np.sqrt(rng.random())
    centre = (
        float(reach * np.cos(turn) * body.half_width),
        float(reach * np.sin(turn) * body.half_depth),
        float(body.centre()[2] + rng.uniform(-0.3, 0.3) * height),
    )
    radius = float(np.exp(rng.uniform(np.log(4.0), np.log(0.85 * body.half_depth))))
    return _lesion(rng, dense, centre, radius, settings, "body")


def _in_pedicle(
    rng: np.random.Generator, vertebra: Vertebra, side: int, dense: bool, settings: LesionPhantomSettings
) -> Lesion:
    """Along the pedicle, from the body to the joints."""
    rod = vertebra.rods[PEDICLE[side]].astype(float)
    share = rng.uniform(0.4, 1.1)
    centre = rod[:3] + share * (rod[3:6] - rod[:3])
    place = "left" if side < 0 else "right"
    return _lesion(rng, dense, tuple(float(at) for at in centre), float(rng.uniform(5.0, 9.0)), settings, place)


def _lesion(
    rng: np.random.Generator,
    dense: bool,
    centre: tuple[float, ...],
    radius: float,
    settings: LesionPhantomSettings,
    place: str,
) -> Lesion:
    stretch = np.exp(rng.normal(0, 0.2, 3))
    stretch /= np.cbrt(stretch.prod())  # of the same volume
    return Lesion(
        blastic=dense,
        centre=(centre[0], centre[1], centre[2]),
        radii=(float(radius * stretch[0]), float(radius * stretch[1]), float(radius * stretch[2])),
        waves=_waves(rng, radius),
        hu=float(rng.uniform(450, 1000) if dense else rng.uniform(15, 75)),
        haze_mm=float(rng.uniform(1.5, 6.0) if dense else rng.uniform(0.8, 3.0)),
        breaks=bool(not dense and rng.random() < settings.cortex_broken),
        place=place,
    )


def _rim_of(rng: np.random.Generator, lesion: Lesion) -> Lesion:
    """Dense bone all round a lytic lesion."""
    width = rng.uniform(2.0, 4.0)
    right, anterior, superior = (radius + width for radius in lesion.radii)
    return Lesion(
        True,
        lesion.centre,
        (right, anterior, superior),
        lesion.waves,
        float(rng.uniform(500, 1000)),
        1.5,
        False,
        "body",
    )


def _waves(rng: np.random.Generator, radius: float) -> tuple[tuple[float, ...], ...]:
    """Three waves that make a surface uneven by about a tenth of the radius."""
    waves = []
    for _ in range(3):
        way = rng.normal(size=3)
        way *= 2 * np.pi / rng.uniform(0.7, 1.6) / radius / np.linalg.norm(way)
        waves.append((*(float(number) for number in way), float(rng.uniform(0, 2 * np.pi)), 0.1 * radius))
    return tuple(waves)
