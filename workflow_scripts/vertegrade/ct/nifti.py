"""A NIfTI CT (VerSe, TotalSegmentator, ...) to a canonical volume in exact Hounsfield units."""

import gzip
import zlib
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from vertegrade.ct.converted import Converted, axcodes, to_int16
from vertegrade.ct.reasons import Refused
from vertegrade.ct.stack import MAX_TILT_DEGREES
from vertegrade.ct.volume import Volume, to_ras, voxel_to_mm
from vertegrade.settings.ct import CtSettings

# Of a NIfTI header a reader may believe at most so much before the voxels (348 bytes plus extensions).
MAX_HEADER_BYTES = 16 * 2**20
SPACING_LIMITS_MM = (0.05, 20.0)
# A quaternion in float32 reproduces an affine to about a hundredth of a millimetre.
AFFINE_TOLERANCE_MM = 0.1


def convert_nifti(path: Path, settings: CtSettings) -> Converted:
    """Read a .nii or .nii.gz; Refused (messages without the path) where it cannot be used.

    The header is checked, against ct.max_voxels too, before any voxel is read: a gzip bomb costs nothing.
    """
    try:
        image = _open(path)
        shape = _spatial_shape(image, settings)
        affine = _affine(image.header, shape)
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        _check_slices(shape, spacing, settings)
        hu, warnings = _read_hu(image, shape)
    except (OSError, EOFError, zlib.error, gzip.BadGzipFile, ImageFileError, HeaderDataError) as error:
        raise Refused("broken_file", "the NIfTI is damaged or cut short; copy it again") from error
    array, turned = to_ras(hu, affine)
    return Converted(
        volume=Volume(array, turned),
        slices=int(shape[int(spacing.argmax())]),
        slice_spacing_mm=float(spacing.max()),
        slice_thickness_mm=float("nan"),
        pixel_mm=float(spacing.min()),
        source_shape=shape,
        source_axcodes=axcodes(affine),
        warnings=warnings,
    )
