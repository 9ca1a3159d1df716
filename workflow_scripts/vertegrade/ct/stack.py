"""How the slices of a series are stacked: order, duplicates, spacing, tilt, and the affine that follows."""

import hashlib
from dataclasses import dataclass

import numpy as np

from vertegrade.ct.passes import check_passes
from vertegrade.ct.slices import Slice
from vertegrade.reasons import Notes, Refused
from vertegrade.settings.ct import CtSettings

# Positions may jitter by 0.01 mm (decimals, couch encoder), so a gap by twice that however thin the slices.
JITTER_FRACTION, JITTER_MM = 0.01, 0.0201
# 0.1 degree moves a vertebra 30 cm away by half a millimetre; real gantry tilts are whole degrees.
MAX_TILT_DEGREES = 0.1
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Stack:
    """Slices ordered along their normal, with what follows from their positions.

    affine: 4x4 from (column, row, slice, 1) to RAS mm, through the first and the last slice's positions. None for an
    uneven or tilted stack, from which only `resample.resampled` makes a volume with an affine.
    along_mm: (n,) position of each slice along the normal, from the first. aside_mm: (n, 2) how far each is shifted
    along the directions that columns and rows are counted in.
    """

    slices: list[Slice]
    affine: np.ndarray | None
    spacing_mm: float
    thickness_mm: float  # NaN where no slice says
    along_mm: np.ndarray
    aside_mm: np.ndarray


def build_stack(slices: list[Slice], settings: CtSettings, notes: Notes) -> Stack:
    """Order and check a series whose headers `read_series` accepted; Refused where it is not one even, straight stack.

    Which way is up follows from the positions alone; InstanceNumber and file names play no part. Tilted or uneven
    stacks pass where the settings let them be resampled.
    """
    row, column = np.split(slices[0].numbers("ImageOrientationPatient", 6), 2)
    normal = np.cross(row, column)
    slices = sorted(slices, key=lambda item: (float(item.numbers("ImagePositionPatient", 3) @ normal), item.name))
    slices = _drop_duplicates(slices, normal, notes)
    check_passes(slices)
    if len(slices) < settings.min_slices:
        raise Refused(
            "too_few_slices",
            f"{len(slices)} positions have a slice, fewer than ct.min_slices = {settings.min_slices}; "
            "give the whole series",
        )
    points = np.array([item.numbers("ImagePositionPatient", 3) for item in slices])
    problems = [_tilt(points, normal), _unevenness(slices, points, normal)]
    allowed = [settings.resample_tilt, settings.resample_spacing]
    for problem, may, flag in zip(problems, allowed, ("resampled_tilt", "resampled_spacing"), strict=True):
        if problem is not None and not may:
            raise problem
        if problem is not None:
            notes.flags.add(flag)
    even = not any(problems)
    step = (points[-1] - points[0]) / (len(points) - 1)
    along = (points - points[0]) @ normal
    thickness = _thickness(slices)
    check_thickness(float(np.nanmax([thickness, float(np.diff(along).max())])), settings, notes)
    affine = LPS_TO_RAS @ place_affine(slices[0], points[0], step) if even else None
    spacing = float(np.linalg.norm(step)) if even else float(np.median(np.diff(along)))
    return Stack(slices, affine, spacing, thickness, along, (points - points[0]) @ np.column_stack([row, column]))


def place_affine(first: Slice, corner: np.ndarray, step: np.ndarray) -> np.ndarray:
    """4x4 from (column, row, slice, 1) to LPS mm: the slice's directions and pixels, from `corner` on, by `step`."""
    row, column = np.split(first.numbers("ImageOrientationPatient", 6), 2)
    height, width = first.numbers("PixelSpacing", 2)
    affine = np.eye(4)
    affine[:3] = np.column_stack([row * width, column * height, step, corner])
    return affine


def check_thickness(thickest: float, settings: CtSettings, notes: Notes) -> None:
    """Refused where slices (or gaps) of so many mm are too thick; flagged where they are thick.

    Limits are usual thicknesses, and gaps are differences of positions with few decimals: they may jitter about them.
    """
    if thickest > settings.max_slice_thickness_mm * (1 + JITTER_FRACTION):
        raise Refused(
            "thick_slices",
            f"slices of {thickest:g} mm, more than ct.max_slice_thickness_mm = {settings.max_slice_thickness_mm:g}; "
            "give a thinner reconstruction",
        )
    if thickest > settings.flag_slice_thickness_mm * (1 + JITTER_FRACTION):
        notes.flags.add("thick_slices")


def _drop_duplicates(slices: list[Slice], normal: np.ndarray, notes: Notes) -> list[Slice]:
    """Keep one of the slices that are the same image at the same place; Refused where the images differ."""
    kept = slices[:1]
    for item in slices[1:]:
        apart = item.numbers("ImagePositionPatient", 3) - kept[-1].numbers("ImagePositionPatient", 3)
        if abs(apart @ normal) > 1e-3:
            kept.append(item)
        elif np.abs(apart).max() > 1e-3 or _image_digest(item) != _image_digest(kept[-1]):
            raise Refused(
                "conflicting_duplicates",
                f"{kept[-1].name} and {item.name}: two images of one slice position; separate the phases or "
                "reconstructions and give one",
            )
    if len(kept) < len(slices):
        notes.warnings.append(f"{len(slices) - len(kept)} identical duplicate slice(s) ignored")
    return kept


def _image_digest(item: Slice) -> bytes:
    """Hash of the stored values and what turns them into HU, whatever their compression."""
    scale = [item.numbers(tag, 1)[0] for tag in ("RescaleSlope", "RescaleIntercept")]
    return hashlib.sha256(f"{scale}".encode() + item.stored().astype("<i4").tobytes()).digest()


def _tilt(points: np.ndarray, normal: np.ndarray) -> Refused | None:
    """Why a stack is not straight, None where it is."""
    way = points[-1] - points[0]
    along = way @ normal
    tilt = float(np.degrees(np.arctan2(np.linalg.norm(way - along * normal), abs(along))))
    if tilt <= MAX_TILT_DEGREES:
        return None
    return Refused(
        "gantry_tilt",
        f"the slices are stacked {tilt:.1f} degrees off their normal (gantry tilt); give a straight reconstruction, "
        "or set ct.resample_tilt",
    )


def _unevenness(slices: list[Slice], points: np.ndarray, normal: np.ndarray) -> Refused | None:
    """Why a stack is not even: gaps beyond 1 % (or 0.02 mm) of their median, or a slice off the line through it."""
    gaps = np.diff(points @ normal)
    usual = float(np.median(gaps))
    allowed = max(JITTER_FRACTION * usual, JITTER_MM)
    odd = np.flatnonzero(np.abs(gaps - usual) > allowed)
    if len(odd):
        between = f"between {slices[odd[0]].name} and {slices[odd[0] + 1].name}"
        times = np.rint(gaps[odd] / usual)
        if (times >= 2).all() and np.abs(gaps[odd] - times * usual).max() <= 2 * allowed:
            return Refused(
                "missing_slices",
                f"uneven spacing: {gaps[odd[0]]:g} mm instead of {usual:g} mm {between}: {int((times - 1).sum())} "
                "slice(s) are missing; copy the series again, or set ct.resample_spacing to bridge the gap",
            )
        return Refused(
            "uneven_spacing",
            f"uneven spacing: {gaps.min():g} to {gaps.max():g} mm, first {between}; give an even reconstruction, or "
            "set ct.resample_spacing",
        )
    line = points[0] + np.linspace(0, 1, len(points))[:, None] * (points[-1] - points[0])
    off = np.linalg.norm(points - line, axis=1)
    if off.max() <= max(0.1 * usual, JITTER_MM):
        return None
    return Refused(
        "uneven_spacing",
        f"{slices[int(off.argmax())].name}: lies {off.max():.2f} mm off the even line through the stack; give an even "
        "reconstruction, or set ct.resample_spacing",
    )


def _thickness(slices: list[Slice]) -> float:
    """The largest SliceThickness of the series in mm; NaN where no slice has a usable one."""
    values = [float(item.numbers("SliceThickness", 1)[0]) for item in slices if item.header.get("SliceThickness")]
    return max((value for value in values if value > 0), default=float("nan"))
