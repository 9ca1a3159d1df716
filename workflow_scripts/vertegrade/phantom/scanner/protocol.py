"""How one scan of a phantom is to be acquired: field of view, slices, kernel, noise, scanner, metal.

All positions are RAS mm. The grid of a scan is axis-aligned RAS: voxel (i, j, k) lies at origin + (i, j, k) * spacing.
"""

import hashlib
import math
from dataclasses import dataclass

import numpy as np

from vertegrade.levels import LABEL_OF, craniocaudal_rank
from vertegrade.phantom.anatomy.person import Patient
from vertegrade.phantom.scanner.metal import MetalPart, draw_metal
from vertegrade.phantom.scanner.vendors import SCANNERS, Kernel, Scanner
from vertegrade.settings.acquisition import AcquisitionSettings

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"
RLE_LOSSLESS = "1.2.840.10008.1.2.5"
# Orientations in which centroids are written: VerSe's own, and two others that readers must not confuse with it.
CENTROID_AXES = ("PIR", "RAS", "LPS")
COMPRESSED = (JPEG_LS_LOSSLESS, RLE_LOSSLESS)

# Share of scans and the levels asked for: the whole spine, chest, abdomen and lumbar spine as clinical CT covers them.
_REGIONS = ((0.2, "T1", "L5"), (0.25, "T1", "L1"), (0.35, "T8", "L5"), (0.2, "T11", "L5"))
_FEWEST_LEVELS = 5
_FINE_STEP_MM = 1.0  # coarser, and thin oblique endplates break up into dashes
_ROOM_AROUND_BODIES_MM = 80.0  # processes behind the bodies, and some of what lies before them
_CENTRE_BEHIND_BODIES_MM = 12.0
# Share of scans whose slices overlap: a spacing of 0.5-0.8 of the thickness.
_OVERLAP_SHARE = 0.4
# Scans of the whole trunk, and their share: no spine reconstruction, so its middle lies before the bodies.
_TRUNK = {"min_field_of_view_mm": 330.0, "max_field_of_view_mm": 400.0, "max_pixel_mm": 1.5}
_TRUNK_CENTRE_MM = 45.0
_TRUNK_SHARE = 0.1


@dataclass(frozen=True)
class Protocol:
    """How one scan is acquired and written.

    `shape` and `origin_mm` are of the delivered volume. The anatomy is drawn on a grid of the same pixels with slices
    `fine_step_mm` apart (1 mm or less, unless the voxel budget is small) and `fine_margin` slices longer at each end,
    so that the slice profile is complete everywhere.
    """

    scan_id: str
    levels: tuple[int, ...]
    origin_mm: tuple[float, float, float]
    shape: tuple[int, int, int]
    pixel_mm: float
    slice_spacing_mm: float
    slice_thickness_mm: float
    fine_step_mm: float
    scanner: Scanner
    kernel: Kernel
    kvp: int
    tube_current_ma: int
    noise_sd_hu: float
    hu_offset: float
    hu_slope: float
    metal: tuple[MetalPart, ...]
    patient_position: str
    transfer_syntax: str
    centroid_axes: str

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Spacing of the delivered volume."""
        return (self.pixel_mm, self.pixel_mm, self.slice_spacing_mm)

    @property
    def affine(self) -> np.ndarray:
        """Voxel indices of the delivered volume to RAS mm, float64 (4, 4)."""
        affine = np.diag([*self.spacing_mm, 1.0])
        affine[:3, 3] = self.origin_mm
        return affine

    @property
    def fine_spacing_mm(self) -> tuple[float, float, float]:
        """Spacing of the grid on which the anatomy is drawn."""
        return (self.pixel_mm, self.pixel_mm, self.fine_step_mm)

    @property
    def fine_margin(self) -> int:
        """Fine slices drawn below the first and above the last delivered slice: one slice thickness."""
        return math.ceil(self.slice_thickness_mm / self.fine_step_mm)

    @property
    def fine_origin_mm(self) -> tuple[float, float, float]:
        """Position of voxel (0, 0, 0) of the fine grid."""
        x, y, z = self.origin_mm
        return (x, y, z - self.fine_margin * self.fine_spacing_mm[2])

    @property
    def fine_shape(self) -> tuple[int, int, int]:
        """Shape of the fine grid."""
        i, j, _ = self.shape
        return (i, j, int(self.fine_index()[-1]) + 2 + self.fine_margin)

    def fine_index(self) -> np.ndarray:
        """Where each delivered slice lies among the fine slices, as a fraction, float64 (k,)."""
        return self.fine_margin + np.arange(self.shape[2]) * self.slice_spacing_mm / self.fine_step_mm


def generator(seed: int, *names: str) -> np.random.Generator:
    """A separate generator for each purpose: the same seed and names give the same numbers on every machine."""
    digest = hashlib.sha256("/".join(names).encode()).digest()
    return np.random.default_rng([seed, int.from_bytes(digest[:8], "big")])


def draw_protocol(scan_id: str, patient: Patient, settings: AcquisitionSettings, seed: int) -> Protocol:
    """Draw how a scan is acquired; deterministic from (seed, scan_id) for a given patient.

    Where the drawing grid would exceed `settings.max_voxels`, pixels grow to their largest, and the field of view
    shrinks to the bodies and what is near them. Then levels are left out at one end, down to five. At last it is drawn
    more coarsely along z, and slices nearer to each other than that move apart.
    """
    rng = generator(seed, "protocol", scan_id)
    thickness = _round(_log_uniform(rng, settings.min_slice_thickness_mm, settings.max_slice_thickness_mm))
    overlaps = rng.random() < _OVERLAP_SHARE
    spacing = _round(thickness * rng.uniform(0.5, 0.8)) if overlaps else thickness
    field, centre = settings, -_CENTRE_BEHIND_BODIES_MM
    if generator(seed, "trunk", scan_id).random() < _TRUNK_SHARE:
        field, centre = settings.model_copy(update=_TRUNK), _TRUNK_CENTRE_MM
    grid = _draw_grid(patient, field, thickness, spacing, centre, rng)
    scanner = SCANNERS[rng.integers(len(SCANNERS))]
    kernel = scanner.kernels[rng.integers(len(scanner.kernels))]
    dose = rng.random()
    thinness = _thinness(grid.thickness, settings)
    noisiness = 0.4 * kernel.sharpness + 0.3 * thinness + 0.3 * (1 - dose)
    low, high = settings.min_noise_hu, settings.max_noise_hu
    return Protocol(
        scan_id=scan_id,
        levels=grid.levels,
        origin_mm=grid.origin,
        shape=grid.shape,
        pixel_mm=grid.pixel,
        slice_spacing_mm=grid.spacing,
        slice_thickness_mm=grid.thickness,
        fine_step_mm=grid.fine_step,
        scanner=scanner,
        kernel=kernel,
        kvp=int(rng.choice([80, 100, 120, 140], p=[0.05, 0.2, 0.65, 0.1])),
        tube_current_ma=round(100 + 400 * dose),
        noise_sd_hu=round(low + (high - low) * noisiness**1.5, 2),
        hu_offset=float(rng.normal(0, settings.calibration_offset_hu)),
        hu_slope=float(1 + rng.normal(0, settings.calibration_slope)),
        metal=draw_metal(patient, grid.levels, rng) if rng.random() < settings.metal_share else (),
        patient_position="FFS" if rng.random() < 0.25 else "HFS",
        transfer_syntax=_draw_syntax(settings.compressed_share, rng),
        centroid_axes=str(rng.choice(CENTROID_AXES)),
    )


@dataclass(frozen=True)
class _Grid:
    levels: tuple[int, ...]
    origin: tuple[float, float, float]
    shape: tuple[int, int, int]
    pixel: float
    spacing: float
    thickness: float
    fine_step: float


def _draw_grid(
    patient: Patient,
    settings: AcquisitionSettings,
    thickness: float,
    spacing: float,
    centre_mm: float,
    rng: np.random.Generator,
) -> _Grid:
    """The field of view: a region of the spine, a square around its bodies, and slices that the budget allows.

    centre_mm: how far before the bodies the middle of the square lies.
    """
    levels = _draw_levels(patient, rng)
    from_top = rng.random() < 0.5
    margins = rng.uniform(-10, 20, 2)
    wanted_mm = rng.uniform(settings.min_field_of_view_mm, settings.max_field_of_view_mm)
    wanted_pixel = rng.uniform(settings.min_pixel_mm, settings.max_pixel_mm)
    jitter = rng.uniform(-6, 6, 2)
    fine_step = min(spacing, _FINE_STEP_MM)
    while True:
        box = patient.extent(levels[0], levels[-1])
        low, high = box[2] + np.array([-1, 1]) * (margins if len(levels) > _FEWEST_LEVELS + 1 else margins.clip(3))
        allowed = settings.max_voxels / _fine_slices(high - low, fine_step, thickness)
        squares = _squares(box, wanted_mm, wanted_pixel, settings)
        fitting = [(field, matrix) for field, matrix in squares if matrix**2 <= allowed]
        if fitting:
            field, matrix = fitting[0]
            break
        if len(levels) > _FEWEST_LEVELS:
            levels = levels[1:] if from_top else levels[:-1]
        else:
            fine_step = round(fine_step + 0.05, 2)
            spacing = max(spacing, fine_step)
            thickness = max(thickness, spacing)
    pixel = round(field / matrix, 4)
    slices = int((high - low) / spacing) + 1
    x, y = box[:2].mean(axis=1) + np.array([0, centre_mm]) + jitter - pixel * (matrix - 1) / 2
    origin = (round(float(x), 3), round(float(y), 3), round(float(low), 3))
    return _Grid(tuple(levels), origin, (matrix, matrix, slices), pixel, spacing, thickness, fine_step)


def _draw_levels(patient: Patient, rng: np.random.Generator) -> list[int]:
    """Labels of the region asked for, from head to feet; either end may reach one level further or less far."""
    chosen = _REGIONS[rng.choice(len(_REGIONS), p=[share for share, *_ in _REGIONS])]
    present = sorted(patient.levels, key=craniocaudal_rank)
    first, last = (LABEL_OF[name] for name in chosen[1:])
    shift_first, shift_last = rng.integers(-1, 2, 2)
    ranks = [craniocaudal_rank(label) for label in present]
    wanted = [
        label for label, rank in zip(present, ranks, strict=True) if first + shift_first <= rank <= last + shift_last
    ]
    return wanted if len(wanted) >= _FEWEST_LEVELS else present[-_FEWEST_LEVELS:]


def _squares(
    box: np.ndarray, wanted_mm: float, wanted_pixel: float, settings: AcquisitionSettings
) -> list[tuple[float, int]]:
    """Side in mm and matrix of the field of view: as drawn, then with the largest pixels, then also the smallest."""
    around = float(np.ptp(box[:2], axis=1).max()) + _ROOM_AROUND_BODIES_MM
    needed = min(around, settings.max_field_of_view_mm)
    largest, smallest = max(needed, wanted_mm), max(needed, settings.min_field_of_view_mm)
    coarse = settings.max_pixel_mm
    choices = ((largest, wanted_pixel), (largest, coarse), (smallest, coarse))
    return [(field, _matrix(field, pixel, settings)) for field, pixel in choices]


def _matrix(field_mm: float, pixel_mm: float, settings: AcquisitionSettings) -> int:
    """Rows and columns, a multiple of 16 whose pixel is nearest to the wanted one within the settings' range."""
    fitting = [
        size for size in range(16, 2048, 16) if settings.min_pixel_mm <= field_mm / size <= settings.max_pixel_mm
    ] or [round(field_mm / pixel_mm)]
    return min(fitting, key=lambda size: abs(field_mm / size - pixel_mm))


def _fine_slices(length_mm: float, fine_step: float, thickness: float) -> float:
    """Slices of the drawing grid, margins included, at most."""
    return (length_mm + 2 * thickness) / fine_step + 5


def _thinness(thickness: float, settings: AcquisitionSettings) -> float:
    """0 for the thickest slices of the settings, 1 for the thinnest (a half where there is only one thickness)."""
    low, high = settings.min_slice_thickness_mm, settings.max_slice_thickness_mm
    return min(max((high - thickness) / (high - low), 0.0), 1.0) if high > low else 0.5


def _draw_syntax(compressed_share: float, rng: np.random.Generator) -> str:
    compressed, which = rng.random() < compressed_share, rng.integers(len(COMPRESSED))
    return COMPRESSED[which] if compressed else EXPLICIT_LITTLE_ENDIAN


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _round(length_mm: float) -> float:
    """Slices are set in steps of 0.05 mm on a scanner."""
    return round(round(length_mm / 0.05) * 0.05, 2)
