"""The canonical volume: int16 HU, axes (i, j, k) closest to RAS+, with its affine to RAS millimetres."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from isal import igzip

from vertegrade.files import new_file

AIR_HU = -1024
OUTSIDE_HU = -1000  # or less: what canonical volumes have outside of the scan
AROUND_VOXEL = [(i, j, 0) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]


class VolumeError(ValueError):
    """A file that is not a canonical volume as `write_volume` makes it."""


@dataclass(frozen=True)
class Volume:
    """A CT volume in canonical orientation.

    hu: int16 Hounsfield units, axes (i, j, k) that run closest to the patient's left-to-right, posterior-to-anterior
    and foot-to-head directions (RAS+).
    affine: 4x4 float64 from voxel indices (i, j, k, 1), centres of voxels, to RAS millimetres.
    """

    hu: np.ndarray
    affine: np.ndarray

    @property
    def spacing_mm(self) -> np.ndarray:
        """Distance between the centres of neighbouring voxels along i, j and k, float64 (3,)."""
        return np.linalg.norm(self.affine[:3, :3], axis=0)

    @property
    def sha256(self) -> str:
        """Hash of shape and voxels alone (NIfTI's order on disk): same pixels, same hash, whatever the header."""
        digest = hashlib.sha256(repr(tuple(int(n) for n in self.hu.shape)).encode())
        for k in range(self.hu.shape[2]):
            digest.update(self.hu[:, :, k].astype("<i2", copy=False).tobytes(order="F"))
        return digest.hexdigest()


def voxel_to_mm(affine: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """Points (..., 3) from voxel indices (i, j, k) to RAS millimetres."""
    return np.asarray(voxels, dtype=np.float64) @ affine[:3, :3].T + affine[:3, 3]


def mm_to_voxel(affine: np.ndarray, points_mm: np.ndarray) -> np.ndarray:
    """Points (..., 3) from RAS millimetres to fractional voxel indices (i, j, k)."""
    return (np.asarray(points_mm, dtype=np.float64) - affine[:3, 3]) @ np.linalg.inv(affine[:3, :3]).T


def in_filling(hu: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """Which points (..., 3), in voxels of HU (i, j, k) in RAS, lie in a filling outside of the scan, bool (...).

    There the nearest voxel and those around it in its slice are air, or less, and all alike: measured air has noise.
    Points beyond the volume are judged by its edge.
    """
    last = np.array(hu.shape) - 1
    near = np.rint(voxels).astype(int).clip(0, last)
    value = np.asarray(hu[tuple(np.moveaxis(near, -1, 0))])
    alike = np.asarray(value <= OUTSIDE_HU)
    near, value = near[alike], value[alike]
    around = (near[:, None] + AROUND_VOXEL).clip(0, last)
    alike[alike] = (hu[tuple(np.moveaxis(around, -1, 0))] == value[:, None]).all(axis=1)
    return alike


def to_ras(array: np.ndarray, affine: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Array (any dtype) and affine turned to closest-canonical RAS+ by axis swaps and flips alone, never resampled."""
    turn = nib.orientations.io_orientation(affine)
    turned = nib.orientations.apply_orientation(array, turn)
    return turned, affine @ nib.orientations.inv_ornt_aff(turn, array.shape)


def as_stored(volume: Volume) -> Volume:
    """The volume as `read_volume` gives it back after `write_volume`, to the bit and in the same order in memory."""
    affine = volume.affine.astype(np.float32).astype(np.float64)
    return Volume(np.asfortranarray(volume.hu, dtype=np.int16), affine)


def write_volume(path: str | Path, volume: Volume, description: str = "") -> None:
    """Write a volume as .nii.gz: same volume, same bytes; sform and qform agree.

    description: the header's free text (80 bytes at most). Empty but for images that are not a patient's own.

    gzip level 1 of ISA-L: CT compresses to about half whatever the level, and zlib takes five times as long, which is
    more than all the rest of a conversion.
    """
    image = nib.Nifti1Image(volume.hu, None, dtype=np.int16)
    save_nifti(path, image, volume.affine, description)


def save_nifti(path: str | Path, image: nib.Nifti1Image, affine: np.ndarray, description: str) -> None:
    """Write an image with its affine to RAS mm, compressed: same values, same bytes."""
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    image.header.set_xyzt_units("mm")
    image.header["descrip"] = description
    with (
        new_file(path) as temporary,
        temporary.open("wb") as handle,
        igzip.IGzipFile(filename="", mode="wb", compresslevel=1, fileobj=handle, mtime=0) as packed,
    ):
        image.to_stream(packed)


def read_volume(path: str | Path) -> Volume:
    """Read a volume that `write_volume` wrote; VolumeError where the file is something else."""
    image = nib.Nifti1Image.from_filename(str(path))
    affine = np.asarray(image.affine, dtype=np.float64)
    if len(image.shape) != 3 or image.get_data_dtype() != np.int16 or nib.aff2axcodes(affine) != ("R", "A", "S"):
        raise VolumeError(f"{path}: not a canonical volume (3-D int16 RAS+); run the conversion of this scan again")
    return Volume(np.asanyarray(image.dataobj), affine)
