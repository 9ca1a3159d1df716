"""What conversion knows of a scan, whatever its format, and the checks that every volume must pass."""

from dataclasses import dataclass, field

import nibabel as nib
import numpy as np

from vertegrade.ct.outside import METAL_HU, check_range, fill_outside
from vertegrade.ct.passes import check_alike
from vertegrade.ct.volume import Volume
from vertegrade.reasons import Notes, Refused

SPACING_LIMITS_MM = (0.05, 20.0)
MAX_SIZE = 32767  # NIfTI-1 counts voxels in 16 bits
# Metal and cement are brighter than any bone; a cubic centimetre of them is no calcification.
METAL_MM3 = 1000.0
LIMITS = np.iinfo(np.int16)
MOST_ABOVE = 1e-4  # of a scan's voxels: metal in extended scales, spikes of a reconstruction
CLIPPED_HU = 3071  # the largest HU of 12 bits with intercept -1024
PADDING_HU = -1500  # below any noise of air: what scanners write outside their circle

HeaderValue = str | float | bool | None


@dataclass(frozen=True)
class Converted:
    """A volume and what is known of its source; lengths in mm, NaN where unknown.

    source_shape and source_axcodes describe the voxels as they were stored (DICOM: column, row, slice).
    header: whitelisted DICOM values, texts cleaned; empty for NIfTI.
    """

    volume: Volume
    slices: int
    slice_spacing_mm: float
    slice_thickness_mm: float
    pixel_mm: float
    source_shape: tuple[int, ...]
    source_axcodes: str
    notes: Notes
    header: dict[str, HeaderValue] = field(default_factory=dict)


def axcodes(affine: np.ndarray) -> str:
    """Directions that the voxel axes run to, e.g. "PIR"."""
    return "".join(nib.orientations.aff2axcodes(affine))


class Rounding:
    """Turns HU into int16, part after part of a scan, and writes in the notes what that changed."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes
        self._voxels = self._above = 0
        self._first_above = ""  # the file
        self._rounded = False

    def to_int16(self, values: np.ndarray, name: str) -> np.ndarray:
        """HU (any dtype) rounded to the nearest int16, halves to even; brighter values than int16 has are cut off.

        Refused where values lie below int16.
        """
        whole = values if values.dtype.kind in "iu" else np.rint(values)
        self._rounded |= whole is not values and bool((whole != values).any())
        self._voxels += whole.size
        if whole.size and whole.max() > LIMITS.max:
            self._above += int((whole > LIMITS.max).sum())
            self._first_above = self._first_above or name
            whole = np.minimum(whole, LIMITS.max)
        if whole.size and whole.min() < LIMITS.min:
            raise _no_hu(f"{name}: values below {LIMITS.min}")
        return whole.astype(np.int16)

    def finish(self) -> None:
        """To be called after the last part; Refused where more was cut off than metal and broken pixels explain."""
        if self._above > MOST_ABOVE * self._voxels:
            raise _no_hu(f"{self._above} voxels above {LIMITS.max}, first in {self._first_above},")
        if self._above:
            self._notes.flags.add("clipped")
            self._notes.warnings.append(f"{self._above} voxel(s) above {LIMITS.max} HU cut off there")
        if self._rounded:
            self._notes.warnings.append("fractions of a HU rounded")


def _no_hu(found: str) -> Refused:
    return Refused(
        "hu_out_of_range", f"{found} are no HU; check RescaleSlope and RescaleIntercept, or scl_slope of a NIfTI"
    )


def check_volume(converted: Converted) -> None:
    """Check the result against what CT can be; Refused where it cannot be CT, else warnings and flags in the notes.

    Thresholds look for gross errors only: a mask or a windowed image given as CT, a lost rescale intercept
    (air at 0, soft tissue at 1000). A small offset is left to calibration. What was filled in outside of the scan
    becomes air (`fill_outside`).
    """
    _check_geometry(converted)
    check_alike(converted.volume.hu, _slice_axis(converted))
    sample = converted.volume.hu[::2, ::2, ::2].ravel()
    low, quarter, median, upper, high = np.percentile(sample, [1, 25, 50, 75, 99])
    found = f"percentiles 1/25/50/75/99: {low:.0f}/{quarter:.0f}/{median:.0f}/{upper:.0f}/{high:.0f} HU"
    if int(sample.max()) - int(sample.min()) < 200:
        raise Refused("implausible_hu", f"the values span less than 200 HU ({found}); give the CT itself")
    if low > -200 and upper > 600:
        raise Refused(
            "implausible_hu",
            f"no air or fat, and a quarter above 600 HU ({found}); the intercept is lost, export the series again",
        )
    if high < -300:
        raise Refused(
            "implausible_hu", f"no soft tissue ({found}); the rescale intercept is wrong, export the series again"
        )
    notes, voxel_mm3 = converted.notes, float(np.prod(converted.volume.spacing_mm))
    check_range(converted.volume.hu, notes)
    fill_outside(converted.volume.hu, _slice_axis(converted), voxel_mm3, notes)
    air = sample[(sample < -900) & (sample > PADDING_HU)]
    if air.size > 0.01 * sample.size and abs(np.median(air) + 1000) > 50:
        notes.warnings.append(f"air lies at {np.median(air):.0f} HU")
    if (sample >= METAL_HU).sum() * 8 * voxel_mm3 > METAL_MM3:
        notes.flags.add("metal")
    if sample.max() == CLIPPED_HU and (sample == CLIPPED_HU).sum() * 8 * voxel_mm3 > METAL_MM3:
        notes.flags.add("clipped")


def _slice_axis(converted: Converted) -> int:
    """The axis along which slices follow one another; the vertical one where several have the slices' distance."""
    off = np.abs(converted.volume.spacing_mm - converted.slice_spacing_mm)
    return int(np.flatnonzero(off <= off.min() + 1e-3)[-1])


def _check_geometry(converted: Converted) -> None:
    """The volume's affine and shape against what the source's headers say: two ways to the same figures."""
    volume = converted.volume
    if np.linalg.det(volume.affine[:3, :3]) <= 0 or axcodes(volume.affine) != "RAS":
        raise Refused("bad_affine", "the converted volume is not right-handed RAS+; please report it")
    resampled = bool(converted.notes.flags & {"resampled_tilt", "resampled_spacing"})
    same_shape = sorted(volume.hu.shape) == sorted(converted.source_shape)
    if not resampled and not (same_shape and converted.slices in volume.hu.shape):
        raise Refused("lost_slices", f"{converted.slices} slices became {volume.hu.shape} voxels; please report it")
    spacing = volume.spacing_mm
    if min(np.abs(spacing - converted.slice_spacing_mm)) > 1e-3 or min(np.abs(spacing - converted.pixel_mm)) > 1e-3:
        raise Refused("bad_affine", f"voxels of {spacing.round(3)} mm are not what the headers say; please report it")
    low, high = SPACING_LIMITS_MM
    if spacing.min() < low or spacing.max() > high:
        raise Refused("bad_affine", f"voxels of {spacing.round(3)} mm are not within {low:g} to {high:g} mm")
    if max(volume.hu.shape) > MAX_SIZE:
        raise Refused("too_large", f"{volume.hu.shape} voxels: NIfTI allows {MAX_SIZE} along an axis; crop the scan")
