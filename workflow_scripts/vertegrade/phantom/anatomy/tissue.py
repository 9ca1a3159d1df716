"""The coarse canvas on which soft tissues are painted, in the patient's frame."""

from typing import Self

import numpy as np
from scipy import ndimage

from vertegrade.arrays import AnyFloats
from vertegrade.phantom.anatomy.trunk import Course, Trunk

COARSE_MM = (2.5, 2.5, 5.0)
_TILE = 64


class Canvas:
    """HU [i, j, k] at heights z, with u and v (mm) of every voxel from the spine, and two smooth noises of deviation 1.

    wall: signed distance (mm) from the inner side of the fat under the skin, set once the wall is drawn.
    The noises are fixed to the world, so that every scan of a patient shows the same tissue.
    """

    def __init__(self, trunk: Trunk, x: AnyFloats, y: AnyFloats, z: AnyFloats, rng: np.random.Generator) -> None:
        self.trunk = trunk
        self.course: Course = trunk.course(z)
        self.z = z
        across, ahead = trunk.frame(x[:, None, None], y[None, :, None])
        self.u = across - self.course.x
        self.v = ahead - self.course.y
        shape = (len(x), len(y), len(z))
        self.hu: AnyFloats = np.full(shape, -1000, np.float32)
        self.noise, self.other_noise = _noises(rng, (x[:, None, None], y[None, :, None], z[None, None, :]))
        self.wall: AnyFloats = np.zeros(shape, np.float32)

    def part(self, low: float, high: float) -> Self | None:
        """A view of the heights whose rank lies in [low, high]; None where there are none. Painting it paints this."""
        inside = np.flatnonzero((self.course.rank >= low) & (self.course.rank <= high))
        if not len(inside):
            return None
        return self.cut(slice(int(inside[0]), int(inside[-1]) + 1))

    def cut(self, heights: slice) -> Self:
        """A view of some heights."""
        view = object.__new__(type(self))
        view.trunk, view.z = self.trunk, self.z[heights]
        view.course = Course(**{name: table[heights] for name, table in vars(self.course).items()})
        for name in ("u", "v", "hu", "noise", "other_noise", "wall"):
            setattr(view, name, getattr(self, name)[..., heights])
        return view

    def blend(
        self, distance: AnyFloats, value: float | AnyFloats, soft: float = 2.5, outside: float | None = None
    ) -> None:
        """Set HU to value where distance (mm) is negative, softly; `outside` is set beyond a first surface."""
        share = (0.5 - distance / np.float32(soft)).clip(0, 1)
        if outside is not None:
            self.hu[:] = np.float32(outside)
        inside = np.asarray(value, np.float32)
        self.hu += share * (inside - self.hu)

    def ellipse(self, x: AnyFloats, y: AnyFloats, wide: float | AnyFloats, deep: float | AnyFloats) -> AnyFloats:
        """About the distance (mm) from an ellipse round the origin."""
        share = np.sqrt((x / wide) ** 2 + (y / deep) ** 2) - 1
        return np.asarray(share * np.minimum(wide, deep), np.float32)


def _noises(rng: np.random.Generator, axes: tuple[AnyFloats, AnyFloats, AnyFloats]) -> tuple[AnyFloats, AnyFloats]:
    tile = ndimage.gaussian_filter(rng.normal(size=(_TILE,) * 3).astype(np.float32), 2.0, mode="wrap")
    tile = (tile / tile.std()).astype(np.float32)
    i, j, k = (np.rint(axis / step).astype(int) for axis, step in zip(axes, COARSE_MM, strict=True))
    return tile[i % _TILE, j % _TILE, k % _TILE], tile[(i + 29) % _TILE, (j + 13) % _TILE, (k + 37) % _TILE]
