"""What conversion knows of a scan, whatever its format, and the checks that every volume must pass."""

from dataclasses import dataclass, field

import nibabel as nib
import numpy as np

from vertegrade.ct.reasons import Refused
from vertegrade.ct.volume import Volume

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
    warnings: list[str]
    header: dict[str, HeaderValue] = field(default_factory=dict)


def axcodes(affine: np.ndarray) -> str:
    """Directions that the voxel axes run to, e.g. "PIR"."""
    return "".join(nib.orientations.aff2axcodes(affine))


def to_int16(values: np.ndarray, name: str) -> tuple[np.ndarray, bool]:
    """HU (any float dtype) rounded to the nearest int16, halves to even, and whether anything had to be rounded."""
    whole = np.rint(values)
    limits = np.iinfo(np.int16)
    if whole.size and (whole.min() < limits.min or whole.max() > limits.max):
        raise Refused("hu_out_of_range", f"{name}: values beyond int16 ({limits.min} to {limits.max}) are no HU")
    return whole.astype(np.int16), bool((whole != values).any())


def check_volume(converted: Converted) -> list[str]:
    """Check the result against what CT can be; Refused where it cannot be one, else warnings.

    Thresholds look for gross errors only: a mask or a windowed image given as CT, a lost rescale intercept
    (air at 0, soft tissue at 1000). A small offset is left to calibration.
    """
    volume = converted.volume
    if np.linalg.det(volume.affine[:3, :3]) <= 0 or axcodes(volume.affine) != "RAS":
        raise Refused("bad_affine", "the converted volume is not right-handed RAS+")
    sample = volume.hu[::2, ::2, ::2].ravel()
    low, quarter, median, upper, high = np.percentile(sample, [1, 25, 50, 75, 99])
    found = f"percentiles 1/25/50/75/99: {low:.0f}/{quarter:.0f}/{median:.0f}/{upper:.0f}/{high:.0f} HU"
    if int(sample.max()) - int(sample.min()) < 200:
        raise Refused("implausible_hu", f"the values span less than 200 HU ({found}); give the CT itself")
    if low > -200 and upper > 600:
        raise Refused("implausible_hu", f"no air or fat, and a quarter above 600 HU ({found}); the intercept is lost")
    if high < -300:
        raise Refused("implausible_hu", f"no soft tissue ({found}); check the rescale intercept")
    air = sample[sample < -900]
    if air.size > 0.01 * sample.size and abs(np.median(air) + 1000) > 50:
        return [f"air lies at {np.median(air):.0f} HU"]
    return []
