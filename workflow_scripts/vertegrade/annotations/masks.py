"""Body centres from a vertebra mask (VerSe's `seg-vert_msk`: whole vertebrae, posterior elements included)."""

import zlib
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.orientations import OrientationError
from nibabel.spatialimages import HeaderDataError
from scipy import ndimage

from vertegrade.annotations.verse import LOWER_SACRUM, SACRUM_AND_COCCYX, check_label, is_disc_or_endplate
from vertegrade.ct.checksum import check_gzip
from vertegrade.ct.nifti_file import load_nifti
from vertegrade.ct.volume import in_filling, to_ras, voxel_to_mm
from vertegrade.levels import NAMES
from vertegrade.reasons import Refused

# What nibabel raises over damaged headers.
DAMAGE = (OSError, EOFError, zlib.error, ValueError, OverflowError, ImageFileError, HeaderDataError, OrientationError)
GRID_TOLERANCE_MM = 0.1
WHOLE = 1e-3  # of a label may be lost to a scale factor (scl_slope)
SLAB_HALF_MM = 2.0
SEARCH_MM = 10.0
MIN_SHARE = 0.15
SMALL_SHARE = 0.25
FILLED_SHARE = 0.005  # of a body's voxels; a plane through a body of fine voxels has twice as many


@dataclass(frozen=True)
class Body:
    """A vertebral body found in a mask. reason: "" or why it must not be graded."""

    centre_mm: np.ndarray
    reason: str


def read_mask(path: str | Path, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """A mask in the scan's canonical orientation: whole numbers, axes (i, j, k) in RAS+, the scan's shape.

    shape, affine: of the scan's canonical volume. The mask may lie on disk in any orientation, but its voxels must be
    the scan's; axes of one voxel beyond the third count as none.
    Refused: unreadable, another grid (checked by the header before a voxel is read), not labels.
    """
    try:
        image = load_nifti(path)
        if not isinstance(image, nib.Nifti1Image) or len(image.shape) < 3 or any(n != 1 for n in image.shape[3:]):
            raise Refused("mask_unreadable", f"{path}: not a NIfTI mask of three dimensions")
        on_disk = image.shape[:3]
        turn = nib.orientations.io_orientation(image.affine)
        turned = image.affine @ nib.orientations.inv_ornt_aff(turn, on_disk)
        canonical_shape = tuple(int(on_disk[axis]) for axis in np.argsort(turn[:, 0]))
    except DAMAGE as error:
        raise Refused("mask_unreadable", f"{path}: cannot be read as a NIfTI mask ({error})") from error
    if canonical_shape != tuple(shape):
        raise Refused(
            "mask_other_grid", f"{path}: {canonical_shape} voxels (RAS), the scan has {tuple(shape)}; resample the mask"
        )
    corners = np.stack(np.meshgrid(*[(0, n - 1) for n in shape], indexing="ij"), axis=-1).reshape(-1, 3)
    off_mm = np.abs(voxel_to_mm(turned, corners) - voxel_to_mm(affine, corners)).max()
    if off_mm > GRID_TOLERANCE_MM:
        raise Refused(
            "mask_other_grid", f"{path}: lies up to {off_mm:.1f} mm away from the scan; resample it on the scan's grid"
        )
    try:
        labels = np.asanyarray(image.dataobj).reshape(on_disk)
        check_gzip(path, image.dataobj.offset + labels.size * image.get_data_dtype().itemsize)
    except (OSError, ValueError, EOFError, zlib.error) as error:
        raise Refused("mask_unreadable", f"{path}: its voxels cannot be read ({error})") from error
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise Refused("mask_not_labels", f"{path}: contains NaN or infinite values; write 0 instead")
        whole = np.rint(labels)
        if np.abs(labels - whole).max(initial=0) > WHOLE:
            raise Refused("mask_not_labels", f"{path}: contains fractions; resample masks with nearest neighbour")
        labels = whole.astype(np.int32)
    return to_ras(labels, image.affine)[0]


def body_centres(labels: np.ndarray, affine: np.ndarray, path: str | Path, hu: np.ndarray | None) -> dict[int, Body]:
    """Bodies by VerSe label, from a mask (`read_mask`) with its affine to RAS mm; `path` is for messages.

    SPINEPS's discs and endplates (100 and 200 + label) are left out. Where they occur, its S2-S6 (29-33) are left out
    too, since TotalSegmentator uses these numbers for L3-T11.

    A body is `cut_by_scan_edge` where it touches the front, back, top or bottom of the scan, or of what is filled in
    outside of it (hu: its voxels; None: not looked at). A body with less than a quarter of the median body's volume is
    `mask_too_small`. The centres of both are not the vertebra's.
    Refused: unknown labels, or no vertebra at all.
    """
    found = set(np.unique(labels).tolist())
    between = {label for label in found if is_disc_or_endplate(label)}
    present = sorted(found - between - {0, *SACRUM_AND_COCCYX} - set(LOWER_SACRUM if between else ()))
    for label in present:
        check_label(label, path)
    if not present:
        raise Refused("no_vertebrae", f"{path}: no vertebra (label 1-25 or 28) in the mask")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    boxes = boxes_of(labels)
    centres, sizes, cut = {}, {}, {}
    for label in present:
        box = boxes[label]
        voxels = np.argwhere(body_of(labels[box] == label, spacing)) + [edge.start for edge in box]
        centres[label] = voxel_to_mm(affine, voxels.mean(axis=0))
        sizes[label] = len(voxels)
        cut[label] = bool((voxels[:, 1:] == 0).any() or (voxels[:, 1:] == np.array(labels.shape[1:]) - 1).any())
        cut[label] |= hu is not None and _at_filling(hu, voxels)
    small = SMALL_SHARE * np.median(list(sizes.values()))
    return {
        label: Body(
            centres[label], "mask_too_small" if sizes[label] < small else "cut_by_scan_edge" if cut[label] else ""
        )
        for label in present
    }


def boxes_of(labels: np.ndarray) -> dict[int, tuple[slice, ...]]:
    """The smallest box around each vertebra of a mask (i, j, k), by its label; found in one pass over all voxels."""
    boxes = ndimage.find_objects(labels, max_label=max(NAMES))
    return {label: box for label, box in enumerate(boxes, start=1) if box}


def _at_filling(hu: np.ndarray, voxels: np.ndarray) -> bool:
    """Whether a body's voxels (n, 3) end in a filling: above, below, before or behind."""
    steps = ((0, 0, 1), (0, 0, -1), (0, 2, 0), (0, -2, 0))  # in a slice, a filling is seen with a pixel around it
    return any(in_filling(hu, voxels + step).mean() > FILLED_SHARE for step in steps)


def body_of(vertebra: np.ndarray, spacing_mm: np.ndarray) -> np.ndarray:
    """The vertebral body, bool (i, j, k), of one whole vertebra, bool (i, j, k) in RAS+ with its voxel spacing.

    Near the midline the spinal canal separates the body from the arch. The sagittal slab (4 mm) nearest to the
    vertebra's middle in which this is so gives the body's silhouette: the foremost of the large pieces. The body is the
    part of the vertebra that projects into the silhouette from the side. Thickness (distance transform) alone mistakes
    the arch for the body where the body is crushed. A mask of bodies alone is one piece everywhere: the body.
    """
    middle = round(float(np.argwhere(vertebra)[:, 0].mean()))
    half, reach = (int(mm / spacing_mm[0] + 0.01) for mm in (SLAB_HALF_MM, SEARCH_MM))  # 1.0001 mm are 1 mm
    candidates = sorted(range(-reach, reach + 1), key=lambda step: (abs(step), step))
    planes = [middle + step for step in candidates if 0 <= middle + step < len(vertebra)]
    for plane in planes:
        pieces, front = _pieces(vertebra[max(plane - half, 0) : plane + half + 1])
        if pieces > 1:
            return vertebra & front.any(axis=0)
    return _pieces(vertebra)[1]


def _pieces(slab: np.ndarray) -> tuple[int, np.ndarray]:
    """Number of large connected pieces of a bool array (i, j, k), and the foremost of them."""
    labels, count = ndimage.label(slab)
    if count == 0:
        return 0, slab
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    least = min(MIN_SHARE * sizes.sum(), sizes.max())  # of many small pieces none has that share
    large = [piece for piece in range(1, count + 1) if sizes[piece - 1] >= least]
    centres = ndimage.center_of_mass(slab, labels, large)
    front = large[int(np.argmax([centre[1] for centre in centres]))]
    return len(large), labels == front
