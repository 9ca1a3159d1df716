"""How the slices of a series lie on each other: order, duplicates, spacing, tilt, and the affine that follows."""

import hashlib
from dataclasses import dataclass

import numpy as np

from vertegrade.ct.headers import Slice
from vertegrade.ct.reasons import Refused
from vertegrade.settings.ct import CtSettings

# Positions may jitter by 0.01 mm (decimals, couch encoder), so a gap by twice that however thin the slices.
JITTER_FRACTION, JITTER_MM = 0.01, 0.0201
# 0.1 degree moves a vertebra 30 cm away by half a millimetre; real gantry tilts are whole degrees.
MAX_TILT_DEGREES = 0.1
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Stack:
    """Slices ordered along their normal, with what follows from their positions.

    affine: 4x4 from (column, row, slice, 1) to RAS mm, through the first and the last slice's positions.
    """

    slices: list[Slice]
    affine: np.ndarray
    spacing_mm: float
    thickness_mm: float  # NaN where no slice tells


def build_stack(slices: list[Slice], settings: CtSettings, warnings: list[str]) -> Stack:
    """Order and check a series whose headers `read_series` accepted; Refused where it is not one even, straight stack.

    Which way is up follows from the positions alone; InstanceNumber and file names play no part.
    """
    row, column = np.split(slices[0].numbers("ImageOrientationPatient", 6), 2)
    normal = np.cross(row, column)
    slices = sorted(slices, key=lambda item: (float(item.numbers("ImagePositionPatient", 3) @ normal), item.file.name))
    slices = _drop_duplicates(slices, normal, warnings)
    if len(slices) < settings.min_slices:
        raise Refused(
            "too_few_slices", f"{len(slices)} positions have a slice, fewer than ct.min_slices = {settings.min_slices}"
        )
    points = np.array([item.numbers("ImagePositionPatient", 3) for item in slices])
    step = (points[-1] - points[0]) / (len(points) - 1)
    _check_tilt(step, normal)
    _check_spacing(slices, points, normal)
    spacing = float(np.linalg.norm(step))
    thickness = _thickness(slices)
    thickest = np.nanmax([thickness, spacing])
    if thickest > settings.max_slice_thickness_mm:
        raise Refused(
            "thick_slices",
            f"slices of {thickest:g} mm, more than ct.max_slice_thickness_mm = {settings.max_slice_thickness_mm:g}; "
            "give a thinner reconstruction",
        )
    height, width = slices[0].numbers("PixelSpacing", 2)
    affine = np.eye(4)
    affine[:3] = np.column_stack([row * width, column * height, step, points[0]])
    return Stack(slices, LPS_TO_RAS @ affine, spacing, thickness)


def _drop_duplicates(slices: list[Slice], normal: np.ndarray, warnings: list[str]) -> list[Slice]:
    """Keep one of slices that are the same image at the same place; Refused where the images differ."""
    kept = slices[:1]
    for item in slices[1:]:
        apart = item.numbers("ImagePositionPatient", 3) - kept[-1].numbers("ImagePositionPatient", 3)
        if abs(apart @ normal) > 1e-3:
            kept.append(item)
        elif np.abs(apart).max() > 1e-3 or _image_digest(item) != _image_digest(kept[-1]):
            raise Refused(
                "conflicting_duplicates",
                f"{kept[-1].file.name} and {item.file.name}: two images of one slice position; separate the phases or "
                "reconstructions and give one",
            )
    if len(kept) < len(slices):
        warnings.append(f"{len(slices) - len(kept)} identical duplicate slice(s) ignored")
    return kept


def _image_digest(item: Slice) -> bytes:
    """Hash of the stored pixels and what turns them into HU."""
    dataset = item.with_pixels()
    scale = f"{dataset.RescaleSlope}/{dataset.RescaleIntercept}/{dataset.file_meta.TransferSyntaxUID}"
    return hashlib.sha256(scale.encode() + dataset.PixelData).digest()


def _check_tilt(step: np.ndarray, normal: np.ndarray) -> None:
    along = step @ normal
    tilt = float(np.degrees(np.arctan2(np.linalg.norm(step - along * normal), abs(along))))
    if tilt > MAX_TILT_DEGREES:
        raise Refused(
            "gantry_tilt",
            f"the slices are stacked {tilt:.1f} degrees off their normal (gantry tilt); give a straight reconstruction",
        )


def _check_spacing(slices: list[Slice], points: np.ndarray, normal: np.ndarray) -> None:
    """Gaps within 1 % (or 0.02 mm) of their median, and no slice off the line through the stack."""
    gaps = np.diff(points @ normal)
    usual = float(np.median(gaps))
    allowed = max(JITTER_FRACTION * usual, JITTER_MM)
    odd = np.flatnonzero(np.abs(gaps - usual) > allowed)
    if len(odd):
        between = f"between {slices[odd[0]].file.name} and {slices[odd[0] + 1].file.name}"
        times = np.rint(gaps[odd] / usual)
        if (times >= 2).all() and np.abs(gaps[odd] - times * usual).max() <= 2 * allowed:
            raise Refused(
                "missing_slices",
                f"uneven spacing: {gaps[odd[0]]:g} mm instead of {usual:g} mm {between}: {int((times - 1).sum())} "
                "slice(s) are missing; copy the series again",
            )
        raise Refused(
            "uneven_spacing",
            f"uneven spacing: {gaps.min():g} to {gaps.max():g} mm, first {between}; give an even reconstruction",
        )
    line = points[0] + np.linspace(0, 1, len(points))[:, None] * (points[-1] - points[0])
    off = np.linalg.norm(points - line, axis=1)
    if off.max() > max(0.1 * usual, JITTER_MM):
        raise Refused(
            "uneven_spacing",
            f"{slices[int(off.argmax())].file.name}: lies {off.max():.2f} mm off the even line through the stack",
        )


def _thickness(slices: list[Slice]) -> float:
    """The largest SliceThickness of the series in mm; NaN where no slice has a usable one."""
    values = [float(item.numbers("SliceThickness", 1)[0]) for item in slices if item.header.get("SliceThickness")]
    return max((value for value in values if value > 0), default=float("nan"))
