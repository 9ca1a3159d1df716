"""The collapse of one real body: how far each place of its endplates comes down, and where its material goes.

Between the endplates the material is squeezed next to the one that failed; the endplates themselves move as they are.
What is squeezed becomes denser by the share of its room that it lost. In front of and beside the wall the loss fades.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage

from vertegrade.arrays import AnyFloats, Floats, Floats32
from vertegrade.fractures.collapse import PLANE_HALF, Fracture, plane
from vertegrade.virtual_fractures.body import INFERIOR, SUPERIOR, RealBody

MIN_HEIGHT_MM = 3.5  # what remains between the endplates of the most crushed body
FADE_MM = 25.0  # outside the wall the loss fades over this distance
BULGE_FADE_MM = 8.0  # and a bulge of the wall over this one
LEAST_ROOM = 0.3  # squeezed bone keeps at least this share of its height


@dataclass(frozen=True, eq=False)
class Collapse:
    """A body with its fracture. Maps (2, n, n) over `fractures.plane`, centred on the body's middle; mm.

    ends: superior and inferior endplate before. lost: how far each moves towards the other. zone: how much of the
    bone next to each is squeezed (height before, without the layer of the endplate). layer: what moves as it is.
    density: 1 where what is squeezed keeps all of its mass in less room, 0 where its HU stay. stirred: share of the
    height by which bone in the middle moves up or down, for shams.
    """

    body: RealBody
    fracture: Fracture
    ends: Floats32
    lost: Floats32
    zone: Floats32
    layer: Floats32
    density: float
    stirred: float

    def rim_loss(self, end: int) -> Floats:
        """How far the anterior and posterior end (2,) of an endplate's rim move, mm."""
        at = np.array([self.body.columns[0], self.body.columns[2]])
        moved: Floats = self._at(self.lost[end], np.zeros(2), at).astype(np.float64)
        return moved

    def new_ends(self) -> Floats:
        """Superior coordinate (2, 3) of the ends of the three columns afterwards, in the body's axes."""
        lost = np.stack([self._at(self.lost[end], np.zeros(3), self.body.columns) for end in (SUPERIOR, INFERIOR)])
        ends: Floats = self.body.ends + lost * np.array([[-1.0], [1.0]])
        return ends

    def new_surface(self, end: int, right: AnyFloats, anterior: AnyFloats) -> AnyFloats:
        """Height (mm) of an endplate afterwards; outside the wall the loss has faded."""
        sign = -1 if end == SUPERIOR else 1
        lost = self._at(self.lost[end], right, anterior) * self._fade(right, anterior)
        surface: AnyFloats = self.body.endplate(end, right, anterior) + sign * lost
        return surface

    def source(self, right: Floats32, anterior: Floats32, superior: Floats32) -> tuple[Floats32, Floats32, Floats32]:
        """Where material at places (mm) of the collapsed body came from, and its factor of density there.

        Returns what to add to the superior coordinate, the factor (0-1) of right and anterior (around the middle),
        and the density. All arguments and results have one shape.
        """
        fade = self._fade(right, anterior)
        shift = np.zeros_like(superior)
        dense = np.ones_like(superior)
        for end, sign in ((SUPERIOR, 1), (INFERIOR, -1)):
            before, lost, zone, layer = (
                self._at(maps[end], right, anterior) for maps in (self.ends, self.lost, self.zone, self.layer)
            )
            lost = lost * fade
            edge = before - sign * (lost + layer)  # of what moves as it is, afterwards
            room = np.maximum(zone - lost, LEAST_ROOM * zone)
            deep = sign * (superior - edge) + room  # above where the squeezing starts
            shift += sign * lost * (deep / room).clip(0, 1)
            # Most is squeezed in the middle of that room; its mean is the whole of it, and there is no edge.
            dense += 1.5 * lost / room * (4 * deep * (room - deep) / (room * room)).clip(0, 1)
        if self.stirred:
            moved, slope = self._stirred(right, anterior, superior)
            shift += fade * moved
            dense *= 1 + fade * slope
        return shift, self._radial(right, anterior, superior), dense

    def _stirred(self, right: Floats32, anterior: Floats32, superior: Floats32) -> tuple[Floats32, Floats32]:
        """Movement (mm) of bone inside a sham, nothing at its endplates, and the slope of it."""
        top, bottom = (self.new_surface(end, right, anterior) for end in (SUPERIOR, INFERIOR))
        half = np.maximum(top - bottom, MIN_HEIGHT_MM) / 2
        place = ((superior - (top + bottom) / 2) / half).clip(-1, 1)
        left = 1 - place * place
        return 2 * half * self.stirred * left**2, -8 * self.stirred * place * left

    def _radial(self, right: Floats32, anterior: Floats32, superior: Floats32) -> Floats32:
        """Factor of the distance from the axis by which the wall's bulges are undone."""
        body, fracture = self.body, self.fracture
        ahead = anterior - np.float32(body.middle)
        share = body.share(right, anterior)
        top, bottom = (self.new_surface(end, right, anterior) for end in (SUPERIOR, INFERIOR))
        half = np.maximum(top - bottom, MIN_HEIGHT_MM) / 2
        level = superior - (top + bottom) / 2
        bulge = fracture.widening * np.clip(1 - (level / half) ** 2, 0, 1)
        turn = np.arctan2(ahead, right)
        for buckle in fracture.buckle:
            aside = (turn - buckle.angle + np.pi) % (2 * np.pi) - np.pi
            above = level - buckle.level * half
            bulge += buckle.size * np.exp(-((aside / buckle.spread) ** 2) - (above / 2.2) ** 2)
        radius = np.hypot(right, ahead) / np.maximum(share, 1e-3)
        outside = (share - 1) * radius
        reach = np.where(outside < 0, share**2, np.clip(1 - outside / BULGE_FADE_MM, 0, 1))
        return np.asarray(1 - bulge * reach / np.maximum(np.hypot(right, ahead), 1.0), np.float32).clip(0.5, 1)

    def _fade(self, right: AnyFloats, anterior: AnyFloats) -> AnyFloats:
        """1 on the body, falling to 0 outside its wall."""
        share = self.body.share(right, anterior)
        outside = (share - 1) * np.hypot(right, anterior - self.body.middle) / np.maximum(share, 1e-3)
        near = np.clip(1 - outside / FADE_MM, 0, 1)
        return np.asarray(near * near * (3 - 2 * near))

    def _at(self, values: Floats32, right: AnyFloats, anterior: AnyFloats) -> AnyFloats:
        """Values of a map at places (mm), linear between its samples; beyond its edge as there."""
        limit = PLANE_HALF - 0.001
        places = np.stack([right.clip(-limit, limit), (anterior - self.body.middle).clip(-limit, limit)]) + PLANE_HALF
        found: AnyFloats = ndimage.map_coordinates(values, places, np.float32, order=1)
        return found


def collapse(
    body: RealBody, fracture: Fracture, layer_mm: float, squeezed: float, density: float, stirred: float = 0.0
) -> Collapse:
    """The body collapsed to exactly the loss that the fracture names, at the column that loses most.

    layer_mm: thickness under each endplate that moves as it is. squeezed: share (0-1) of the bone below that layer
    that may be squeezed; more where the loss needs more. density, stirred: as of `Collapse`.
    """
    right, anterior = plane()
    anterior = anterior + np.float32(body.middle)
    ends = np.stack([body.endplate(end, right, anterior) for end in (SUPERIOR, INFERIOR)]).astype(np.float32)
    amplitude = fracture.loss
    for _ in range(4):  # limits and interpolation bend the relation a little
        made = _with_amplitude(body, fracture, ends, amplitude, layer_mm, squeezed, density, stirred)
        reached = float((1 - (made.new_ends()[SUPERIOR] - made.new_ends()[INFERIOR]) / body.heights).max())
        amplitude *= fracture.loss / max(reached, 1e-6) if fracture.loss else 0.0
    return made


def _with_amplitude(
    body: RealBody,
    fracture: Fracture,
    ends: Floats32,
    amplitude: float,
    layer_mm: float,
    squeezed: float,
    density: float,
    stirred: float,
) -> Collapse:
    """The collapse whose loss is amplitude x displacement x height everywhere, but for what must remain."""
    height = np.maximum(ends[SUPERIOR] - ends[INFERIOR], MIN_HEIGHT_MM)
    total = np.minimum(amplitude * fracture.displacement * height, height - MIN_HEIGHT_MM).clip(0)
    lost = np.stack([fracture.superior_share, 1 - fracture.superior_share]) * total
    # Each endplate squeezes its own part of the bone: what its loss and its layer need, and half of what is left.
    needed = lost / (1 - LEAST_ROOM) + layer_mm
    spare = height - needed.sum(axis=0)
    own = np.where(spare > 0, needed + spare / 2, needed * height / needed.sum(axis=0))
    layer = np.minimum(layer_mm, np.maximum(own - lost / (1 - LEAST_ROOM), 0.2 * own))
    zone = np.maximum(squeezed * (own - layer), np.minimum(lost / (1 - LEAST_ROOM), own - layer))
    lost, zone, layer = (np.asarray(part, np.float32) for part in (lost, zone, layer))
    return Collapse(body, fracture, ends, lost, zone, layer, density, stirred)
