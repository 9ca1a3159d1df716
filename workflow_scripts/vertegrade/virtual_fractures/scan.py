"""A scan with virtual fractures: chosen vertebrae collapse in the volume, others are moved as a sham, truth is kept."""

from dataclasses import dataclass, replace

import numpy as np
from scipy import ndimage

from vertegrade.arrays import Floats, Floats32
from vertegrade.ct.volume import AIR_HU, Volume, mm_to_voxel, voxel_to_mm
from vertegrade.virtual_fractures.body import RealBody
from vertegrade.virtual_fractures.clefts import paint_clefts
from vertegrade.virtual_fractures.collapse import Collapse
from vertegrade.virtual_fractures.spine import Link, posed, sources

MARGIN_MM = 60.0  # kept of the scan in front of, behind and beside the bodies' middles
MARROW_HU = -20.0  # of what is squeezed out; bone above it keeps its mass
SLICES = 6  # that are moved at once
MOST_HU = 3071
SQUEEZED = 0.02  # change of density from which on bone counts as squeezed or stretched
PART_MM = 1.0  # a slice with such bone is the mean of parts about as thick as this


@dataclass(frozen=True, eq=False)
class Changes:
    """What is done to a scan: collapses and small motions (4x4, in the body's axes) by label, and `posed`'s share.

    A sham is a collapse of no loss: it moves bone inside the body, and the body, but no endplate against the other.
    """

    collapses: dict[int, Collapse]
    jiggles: dict[int, Floats]
    regained: float


def changed_scan(volume: Volume, bodies: list[RealBody], changes: Changes) -> tuple[Volume, list[Link]]:
    """The scan around the spine after the changes, on its own voxel grid, and where each body lies in it.

    Each voxel is sampled once (cubic); one in squeezed bone, which contains more of the scan than one sample shows, is
    the mean over its slice, as a scanner would see it. Slices at the top whose material would have to come from above
    the scan are left out.
    """
    chain = posed(bodies, changes.collapses, changes.jiggles, changes.regained)
    around = _around_spine(volume, bodies)
    scan = _Scan(around, ndimage.spline_filter(around.hu.astype(np.float32), mode="mirror", output=np.float32), chain)
    hu = np.empty_like(around.hu)
    for k in range(0, hu.shape[2], SLICES):
        stop = min(k + SLICES, hu.shape[2])
        made, whole = scan.slices(k, stop)
        hu[:, :, k:stop] = np.rint(made).clip(AIR_HU, MOST_HU)
        if not whole:
            hu = np.ascontiguousarray(hu[:, :, :k])
            break
    paint_clefts(hu, around.affine, chain)
    return Volume(hu, around.affine), chain


@dataclass(frozen=True, eq=False)
class _Scan:
    """A scan, its spline coefficients, and the chain that its bodies become."""

    volume: Volume
    coefficients: Floats32
    chain: list[Link]

    def slices(self, start: int, stop: int) -> tuple[Floats32, bool]:
        """HU (I, J, stop - start) of slices of the new scan, and whether all of it was in the scan."""
        depth = self.volume.hu.shape[2]
        low, high = max(start - 1, 0), min(stop + 1, depth)  # squeezed bone reaches half a slice into the next one
        slab = np.mgrid[: self.volume.hu.shape[0], : self.volume.hu.shape[1], low:high]
        grid = slab.reshape(3, -1).T.astype(np.float32)
        voxels, dense = self.origins(grid)
        hu = self.sampled(voxels, dense)
        squeezed = (np.abs(dense - 1) > SQUEEZED).reshape(slab.shape[1:])
        chosen = np.flatnonzero(ndimage.maximum_filter1d(squeezed, 3, axis=2))
        parts = int(np.clip(np.ceil(self.volume.spacing_mm[2] / PART_MM), 2, 6))
        total = np.zeros(len(chosen), np.float32)
        for aside in (np.arange(parts) + 0.5) / parts - 0.5 if len(chosen) else ():
            total += self.sampled(*self.origins(grid[chosen] + np.array([0, 0, aside], np.float32)))
        hu[chosen] = total / parts
        inside = voxels.reshape(*slab.shape[1:], 3)[:, :, start - low : stop - low, 2] <= depth - 0.5
        return hu.reshape(slab.shape[1:])[:, :, start - low : stop - low], bool(inside.all())

    def origins(self, grid: Floats32) -> tuple[Floats, Floats32]:
        """Where places (N, 3) of the new scan came from in the old one, both in voxels, and their density (N,)."""
        moved, dense = sources(self.chain, voxel_to_mm(self.volume.affine, grid).astype(np.float32))
        return mm_to_voxel(self.volume.affine, moved), dense

    def sampled(self, voxels: Floats, dense: Floats32) -> Floats32:
        """HU (N,) at voxels (N, 3) of the old scan, denser by the factors (N,)."""
        hu = ndimage.map_coordinates(self.coefficients, voxels.T, np.float32, mode="mirror", prefilter=False)
        return np.asarray(np.where(dense == 1, hu, MARROW_HU + (hu - MARROW_HU) * dense), np.float32)


def _around_spine(volume: Volume, bodies: list[RealBody]) -> Volume:
    """The part of a scan around its bodies: whole slices' height, MARGIN_MM beside, before and behind them."""
    middles = np.array([body.pose[:3, 3] for body in bodies])
    corners = np.stack([middles.min(axis=0) - MARGIN_MM, middles.max(axis=0) + MARGIN_MM])
    voxels = mm_to_voxel(volume.affine, corners)
    last = np.array(volume.hu.shape)
    low = np.floor(voxels.min(axis=0)).astype(int).clip(0, last - 1)
    high = (np.ceil(voxels.max(axis=0)).astype(int) + 1).clip(1, last)
    low[2], high[2] = 0, last[2]
    affine = volume.affine.copy()
    affine[:3, 3] = voxel_to_mm(volume.affine, low)
    part = volume.hu[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    return replace(volume, hu=np.ascontiguousarray(part), affine=affine)
