"""Random changes of low-resolution scans: pose, field of view, and what makes one CT's grey values unlike another's."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from scipy.spatial.transform import Rotation
from torch import Tensor

from vertegrade.ct.volume import AIR_HU
from vertegrade.localizer.centreline.low_resolution import GRID_MM

ROTATION_DEG = 8.0
ZOOM = (0.85, 1.2)
STEEPEST = np.array([0.3, 0.6])  # of the bends in x (scoliosis) and in y (kyphosis, lordosis, sacrum)
ELSEWHERE = 0.12  # share of crops that need not show the spine
KNOTS_HU = np.array([-1024.0, -300.0, -100.0, 0.0, 60.0, 150.0, 300.0, 600.0, 1200.0, 3000.0])
KNOT_SPREAD_HU = np.array([0.0, 80.0, 25.0, 20.0, 20.0, 30.0, 60.0, 120.0, 250.0, 0.0])


@dataclass(frozen=True)
class Pose:
    """Where a crop lies in a scan: scan = matrix (crop + bend - crop_middle) + scan_middle, mm from the first voxels.

    waves: (2, 3), of x and of y: height (mm), length (mm) and phase of a sine over z, the bend.
    """

    matrix: np.ndarray
    crop_middle: np.ndarray
    scan_middle: np.ndarray
    waves: np.ndarray
    shape: tuple[int, int, int]

    def bend(self, z: np.ndarray) -> np.ndarray:
        """What is added to points of the crop at heights z (...), mm (..., 3)."""
        height, length, phase = self.waves.T
        aside = height * np.sin(2 * np.pi * z[..., None] / length + phase)
        return np.concatenate([aside, np.zeros((*z.shape, 1))], axis=-1)

    def to_scan(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the crop in the scan."""
        return (points + self.bend(points[..., 2]) - self.crop_middle) @ self.matrix.T + self.scan_middle

    def to_crop(self, points: np.ndarray) -> np.ndarray:
        """Points (..., 3) of the scan in the crop."""
        bent = (points - self.scan_middle) @ np.linalg.inv(self.matrix).T + self.crop_middle
        return bent - self.bend(bent[..., 2])

    def in_scan(self, points: np.ndarray, scan_shape: tuple[int, ...]) -> np.ndarray:
        """Which points (m, 3) of the crop lie between the scan's first and last slice, bool (m,)."""
        z = self.to_scan(points)[:, 2]
        within: np.ndarray = (z > -GRID_MM / 2) & (z < (scan_shape[2] - 0.5) * GRID_MM)
        return within

    def resampled(self, hu: np.ndarray) -> Tensor:
        """The crop, float32 (x, y, z) in HU; air where the scan has no voxels."""
        # grid_sample wants (x, y, z) of scan voxels scaled to -1..1 with the array's last axis first.
        shape = np.array(hu.shape)
        rows = [GRID_MM * np.arange(n)[:, None] * axis for n, axis in zip(self.shape, self.matrix.T, strict=True)]
        rows[2] = self.to_scan(np.arange(self.shape[2])[:, None] * np.array([0, 0, GRID_MM]))
        x, y, z = (torch.from_numpy(2 * row / GRID_MM / shape).float() for row in rows)
        place = (x[:, None, None] + y[:, None] + z + torch.from_numpy(1 / shape - 1).float()).flip(-1)
        above_air = torch.from_numpy(hu.astype(np.float32) - AIR_HU)[None, None]
        return F.grid_sample(above_air, place[None], align_corners=False)[0, 0] + AIR_HU


def random_pose(scan_shape: tuple[int, ...], centres: np.ndarray, cells: np.ndarray, rng: np.random.Generator) -> Pose:
    """A crop of 2 * `cells` voxels, turned, scaled, mostly placed so that one of the centres (n, 3), mm, is in it."""
    zoom = float(np.exp(rng.uniform(*np.log(ZOOM))))
    matrix = Rotation.from_euler("xyz", rng.uniform(-ROTATION_DEG, ROTATION_DEG, 3), degrees=True).as_matrix() / zoom
    if rng.random() < 0.5:
        matrix = matrix @ np.diag([-1.0, 1.0, 1.0])
    crop, scan = 2.0 * cells * GRID_MM / zoom, np.array(scan_shape) * GRID_MM
    free = np.abs(scan - crop) / 2
    middle = scan / 2 - GRID_MM / 2 + rng.uniform(-free, free)
    if rng.random() > ELSEWHERE:
        body, reach = centres[rng.integers(len(centres))], np.maximum(crop / 2 - 24, 0)
        middle = np.clip(middle, body - reach, body + reach)
    length = np.exp(rng.uniform(np.log(120), np.log(600), 2))
    height = rng.uniform(0, STEEPEST) * length / (2 * np.pi)
    waves = np.column_stack([height, length, rng.uniform(0, 2 * np.pi, 2)])
    shape = tuple(int(n) for n in 2 * cells)
    return Pose(matrix, (2 * cells - 1) / 2 * GRID_MM, middle, waves, shape)  # type: ignore[arg-type]


def random_hu(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """Other grey values for a crop (x, y, z) in HU: tissue contrast, blobs, missing parts, blur and noise."""
    noise = torch.Generator().manual_seed(int(rng.integers(2**62)))
    hu = _other_contrast(hu, rng)
    for _ in range(rng.poisson(1.5)):
        hu = _with_blob(hu, rng)
    if rng.random() < 0.35:
        hu = _blurred(hu, rng)
    if rng.random() < 0.5:
        sd = float(np.exp(rng.uniform(np.log(5), np.log(80))))
        hu = hu + sd * torch.randn(hu.shape, generator=noise)
    if rng.random() < 0.25:
        hu = _without_part(hu, rng)
    return hu


def _other_contrast(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """Grey values through a random monotone curve, and a random shift."""
    values = np.maximum.accumulate(KNOTS_HU + rng.normal(0, 1, len(KNOTS_HU)) * KNOT_SPREAD_HU)
    values += rng.normal(0, 25)
    return torch.from_numpy(np.interp(hu.numpy(), KNOTS_HU, values).astype(np.float32))


def _with_blob(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """An ellipsoid of metal, contrast medium, bone or gas anywhere."""
    radii = np.exp(rng.uniform(np.log([3, 3, 3]), np.log([22, 22, 60])))
    middle = rng.uniform(0, np.array(hu.shape) * GRID_MM)
    level = float(rng.choice([rng.uniform(120, 500), rng.uniform(500, 3000), rng.uniform(-1000, -100)]))
    square = torch.zeros(())
    for axis in range(3):
        distance = (torch.arange(hu.shape[axis]) * GRID_MM - middle[axis]) / radii[axis]
        square = square + distance.float().square().reshape([-1 if other == axis else 1 for other in range(3)])
    share = torch.sigmoid((1 - square) * 4) * float(rng.uniform(0.5, 1))
    return torch.lerp(hu, torch.tensor(level), share)


def _blurred(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """Mean over three voxels along one or more axes: thick slices, soft kernels."""
    window = [3 if along else 1 for along in rng.random(3) < 0.5]
    padding = [(size - 1) // 2 for size in window]
    return F.avg_pool3d(hu[None, None], window, 1, padding, count_include_pad=False)[0, 0]


def _without_part(hu: Tensor, rng: np.random.Generator) -> Tensor:
    """Air outside a cylinder (round field of view) or on one side (arms or front of the trunk cut off)."""
    x, y = (torch.arange(n).float() - (n - 1) / 2 for n in hu.shape[:2])
    if rng.random() < 0.5:
        kept = (x[:, None] ** 2 + y**2).sqrt() < max(len(x), len(y)) * float(rng.uniform(0.45, 0.6))
    else:
        angle, reach = rng.uniform(0, 2 * np.pi), float(rng.uniform(0.25, 0.5)) * max(len(x), len(y))
        kept = x[:, None] * float(np.cos(angle)) + y * float(np.sin(angle)) < reach
    return torch.where(kept[:, :, None], hu, torch.tensor(float(AIR_HU)))
