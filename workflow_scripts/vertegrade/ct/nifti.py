"""A NIfTI CT (VerSe, TotalSegmentator, ...) to a canonical volume in exact Hounsfield units."""

import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from nibabel.arrayproxy import ArrayProxy
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from vertegrade.ct.checksum import BLOCK
from vertegrade.ct.converted import SPACING_LIMITS_MM, Converted, Rounding, axcodes
from vertegrade.ct.nifti_file import load_nifti, open_unpacked
from vertegrade.ct.stack import MAX_TILT_DEGREES, check_thickness
from vertegrade.ct.volume import Volume, to_ras, voxel_to_mm
from vertegrade.reasons import Notes, Refused
from vertegrade.settings.ct import CtSettings

# A quaternion in float32 reproduces an affine to about a hundredth of a millimetre.
AFFINE_TOLERANCE_MM = 0.1


def convert_nifti(path: Path, settings: CtSettings) -> Converted:
    """Read a .nii or .nii.gz; Refused (messages without the path) where it cannot be used.

    The header is checked, against ct.max_voxels too, before any voxel is read: a gzip bomb costs nothing.
    """
    try:
        image = _load(path)
        shape = _spatial_shape(image, settings)
        affine = _affine(image, shape)
        spacing = np.linalg.norm(affine[:3, :3], axis=0)
        notes = Notes()
        _check_slices(shape, spacing, settings, notes)
        hu = _read_hu(path, image.dataobj, shape, notes)
    except (OSError, EOFError, zlib.error, ImageFileError, HeaderDataError) as error:
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
        notes=notes,
    )


def _load(path: Path) -> Any:
    """The image by its header; ValueError and OverflowError are what nibabel makes of an offset that is no number."""
    try:
        return load_nifti(path)
    except (ValueError, OverflowError) as error:
        raise Refused("broken_file", "the NIfTI header contains impossible numbers; copy it again") from error


def _spatial_shape(image: Any, settings: CtSettings) -> tuple[int, ...]:
    """The three sizes by the header (a 4-D image of one volume is 3-D)."""
    if not isinstance(image, nib.Nifti1Image):
        raise Refused("broken_file", "the file is not NIfTI in spite of its name; convert it")
    shape, kind = image.shape, image.get_data_dtype()
    if len(shape) < 3 or any(size != 1 for size in shape[3:]) or kind.kind not in "iuf":
        raise Refused("not_3d", f"{len(shape)}-D image of type {kind}; give one 3-D volume of numbers")
    voxels = int(np.prod([int(size) for size in shape[:3]], dtype=object))
    if not 0 < voxels <= settings.max_voxels:
        raise Refused(
            "too_large", f"{voxels} voxels by the header, ct.max_voxels = {settings.max_voxels}; crop the scan"
        )
    return tuple(int(size) for size in shape[:3])


def _affine(image: Any, shape: tuple[int, ...]) -> np.ndarray:
    """The affine to RAS mm (sform before qform), float64, or Refused where it is impossible or only a guess."""
    sform, sform_code = image.get_sform(coded=True)
    qform, qform_code = image.get_qform(coded=True)
    if not sform_code and not qform_code:
        raise Refused("no_orientation", "neither qform nor sform is set; restore the header from the DICOM files")
    affine = np.asarray(sform if sform_code else qform, dtype=np.float64)
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    low, high = SPACING_LIMITS_MM
    if not np.isfinite(affine).all() or (spacing < low).any() or (spacing > high).any():
        raise Refused("bad_affine", f"voxel size not within {low:g} to {high:g} mm; restore the header")
    if np.array_equal(affine, np.eye(4)):
        raise Refused("no_orientation", "the affine is the identity, a default and no place; restore the header")
    axes = affine[:3, :3] / spacing
    if abs(np.linalg.det(axes)) < 1e-3:
        raise Refused("bad_affine", "the affine is singular (two axes run the same way); restore the header")
    if np.abs(axes.T @ axes - np.eye(3)).max() > np.sin(np.radians(MAX_TILT_DEGREES)):
        raise Refused("gantry_tilt", "the affine is sheared (gantry tilt); give an untilted reconstruction")
    if sform_code and qform_code:
        corners = np.array([[i, j, k] for i in (0, shape[0]) for j in (0, shape[1]) for k in (0, shape[2])])
        apart = np.abs(voxel_to_mm(affine, corners) - voxel_to_mm(np.asarray(qform), corners)).max()
        if apart > AFFINE_TOLERANCE_MM:
            raise Refused(
                "conflicting_orientation", f"qform and sform differ by up to {apart:.1f} mm; set both to the true one"
            )
    return affine


def _check_slices(shape: tuple[int, ...], spacing: np.ndarray, settings: CtSettings, notes: Notes) -> None:
    """The same limits as for DICOM; slices are taken along the axis of the widest spacing."""
    slices, gap = shape[int(spacing.argmax())], float(spacing.max())
    if slices < settings.min_slices:
        raise Refused("too_few_slices", f"{slices} slices, fewer than ct.min_slices = {settings.min_slices}")
    check_thickness(gap, settings, notes)


def _read_hu(path: Path, proxy: ArrayProxy, shape: tuple[int, ...], notes: Notes) -> np.ndarray:
    """HU as int16 of `shape`; stored value * scl_slope + scl_inter in float64, then rounded. One slab is in memory."""
    slope, intercept = float(proxy.slope), float(proxy.inter)
    hu = np.empty(shape, dtype=np.int16, order="F")
    size = shape[0] * shape[1] * proxy.dtype.itemsize
    rounding = Rounding(notes)
    with open_unpacked(path) as file:
        file.seek(proxy.offset)
        for k in range(shape[2]):
            slab = file.read(size)
            if len(slab) < size:
                raise EOFError("fewer voxels than the header says")
            stored = np.frombuffer(slab, proxy.dtype).reshape(shape[:2], order="F")
            values = stored.astype(np.float64) * slope + intercept
            if not np.isfinite(values).all():
                raise Refused("not_finite", "NaN or infinite values; fill them with -1024")
            hu[:, :, k] = rounding.to_int16(values, "the NIfTI")
        file.read(BLOCK)  # a .gz ends with a checksum, which only a reader that comes there sees (ct/checksum.py)
    rounding.finish()
    return hu
