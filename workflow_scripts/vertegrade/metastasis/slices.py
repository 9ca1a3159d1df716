"""Axial slices of the vertebrae of a scan, and what is known of each slice and vertebra."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from vertegrade.annotations.masks import boxes_of
from vertegrade.ct.volume import AIR_HU, Volume, mm_to_voxel, voxel_to_mm
from vertegrade.metastasis.classes import PHANTOM_LESIONS, SPINE_METS, UNKNOWN, bone_class
from vertegrade.metastasis.layout.clinical import Case
from vertegrade.metastasis.phantoms.paint import BLASTIC, LEFT, LYTIC, RIGHT
from vertegrade.settings.metastasis import BoneSliceSettings

HU, INSIDE, CODES = 0, 1, 2  # channels of the packed slices; CODES is 0 where lesions were not drawn
# A lesion smaller than this a reader would hardly see; what shows more than nothing and less than this is not used: it
# would be taught, and counted, as either answer by a hair.
LEAST_MM3, LEAST_MM2 = 100.0, 20.0
LEAST_SIDE_MM3, LEAST_SIDE_MM2 = 100.0, 12.0  # of one side's posterolateral elements
ENDS = (4.0, 96.0)  # percentiles of a vertebra's voxels along the height between which slices lie


@dataclass(frozen=True)
class Mask:
    """Labels (i, j, k) with their affine to RAS mm."""

    labels: NDArray[np.integer[Any]]
    affine: NDArray[np.float64]


def cut_slices(
    volume: Volume, mask: Mask, codes: Mask | None, settings: BoneSliceSettings
) -> Iterator[tuple[int, NDArray[np.int16], NDArray[np.float64], bool]]:
    """Of each labelled vertebra: VerSe label, slices (S, 3, H, W) int16, their heights z (S,), whether it is cut.

    A slice lies in the axial plane of the patient. Rows run from anterior to posterior, columns from the patient's
    right to left, as a reader sees it. Channels: HU, mask of the vertebra (0 or 1), codes of lesions (paint.py). The
    middle of the slices is the middle of the vertebra with its processes. Cut: the mask touches the scan's top or
    bottom.
    """
    for label, box in boxes_of(mask.labels).items():
        voxels = np.argwhere(mask.labels[box] == label) + [edge.start for edge in box]
        points = voxel_to_mm(mask.affine, voxels)
        middle = (points.min(axis=0) + points.max(axis=0)) / 2
        ends = np.percentile(points[:, 2], ENDS)
        heights = ends[0] + (np.arange(settings.count) + 0.5) / settings.count * (ends[1] - ends[0])
        grid = _grid(middle, heights, settings)
        hu = _sampled(volume.hu, volume.affine, grid, 1, AIR_HU)
        inside = _sampled(mask.labels, mask.affine, grid, 0, 0) == label
        drawn = np.zeros_like(hu) if codes is None else _sampled(codes.labels, codes.affine, grid, 0, 0) * inside
        yield label, np.stack([hu, inside, drawn], axis=1).astype(np.int16), heights, _is_cut(points, volume, mask)


def _grid(
    middle: NDArray[np.float64], heights: NDArray[np.float64], settings: BoneSliceSettings
) -> NDArray[np.float64]:
    """RAS points (S, H, W, 3): rows to posterior, columns to the left."""
    away = (np.arange(settings.size) - (settings.size - 1) / 2) * settings.pixel_mm
    points = np.empty((len(heights), settings.size, settings.size, 3))
    points[..., 0] = middle[0] - away
    points[..., 1] = (middle[1] - away)[:, None]
    points[..., 2] = heights[:, None, None]
    return points


def _sampled(
    array: np.ndarray, affine: NDArray[np.float64], points: NDArray[np.float64], order: int, outside: float
) -> NDArray[np.float32]:
    """Values of an array at RAS points, linear (order 1) or nearest (0); only the box around the points is read."""
    at = np.moveaxis(mm_to_voxel(affine, points), -1, 0)
    low = np.floor(at.reshape(3, -1).min(axis=1)).astype(int).clip(0, np.array(array.shape) - 1)
    high = np.ceil(at.reshape(3, -1).max(axis=1)).astype(int).clip(low, np.array(array.shape) - 1) + 1
    part = np.asarray(array[tuple(slice(a, b) for a, b in zip(low, high, strict=True))], np.float32)
    values = ndimage.map_coordinates(part, at - low[:, None, None, None], order=order, cval=outside)
    return np.asarray(values, np.float32)


def _is_cut(points: NDArray[np.float64], volume: Volume, mask: Mask) -> bool:
    """Whether a vertebra's voxels reach the scan's first or last slice."""
    step = float(np.linalg.norm(mask.affine[:3, 2]))
    inside = mm_to_voxel(volume.affine, points)[:, 2]
    room = 0.75 * step / float(volume.spacing_mm[2])
    return bool(inside.min() < room or inside.max() > volume.hu.shape[2] - 1 - room)


def read_codes(path: Path) -> Mask:
    """Codes of a phantom's lesions (paint.py)."""
    image = nib.Nifti1Image.from_filename(str(path))
    return Mask(np.asarray(image.dataobj, np.uint8), np.asarray(image.affine, float))


def phantom_label(truth: Mapping[str, Any], cut: bool) -> dict[str, Any]:
    """Columns of BONE_LABELS of a phantom vertebra, from its row of LESION_TRUTH."""
    amounts = [truth[f"{name}_mm3"] for name in ("blastic", "lytic")]
    blastic, lytic = (int(amount >= LEAST_MM3) for amount in amounts)
    small = any(0 < amount < LEAST_MM3 for amount in amounts)
    sides = _sides(np.array([[truth["left_mm3"]], [truth["right_mm3"]]]), LEAST_SIDE_MM3)
    reason = "cut_by_scan_edge" if cut or not truth["complete"] else "lesion_too_small" if small else ""
    return _label(blastic, lytic, int(sides[0]), PHANTOM_LESIONS, reason)


def clinical_label(case: Case | None, vertebra: int, cut: bool) -> dict[str, Any]:
    """Columns of BONE_LABELS of a vertebra, from its case's row of the clinical table (None: it has none).

    A vertebra that the table does not name is normal. A case that is not in the table is unknown, not normal.
    """
    if case is None or case.unreadable:
        reason = "no_label" if case is None else "label_unreadable"
        return _label(UNKNOWN, UNKNOWN, UNKNOWN, SPINE_METS, reason)
    name = case.classes.get(vertebra, "normal")
    blastic, lytic = (UNKNOWN, UNKNOWN) if not name else _answers(name)
    sides = 0 if name == "normal" else UNKNOWN
    reason = case.reasons.get(vertebra, "") or ("cut_by_scan_edge" if cut else "")
    return _label(blastic, lytic, sides, SPINE_METS, reason)


def _answers(name: str) -> tuple[int, int]:
    return int(name in ("blastic", "mixed")), int(name in ("lytic", "mixed"))


def _label(blastic: int, lytic: int, sides: int, source: str, reason: str) -> dict[str, Any]:
    return {
        "bone_class": bone_class(blastic, lytic),
        "blastic": blastic,
        "lytic": lytic,
        "posterolateral": sides,
        "source": source,
        "usable": not reason,
        "reason": reason,
    }


def slice_answers(slices: NDArray[np.int16], label: Mapping[str, Any], settings: BoneSliceSettings) -> pd.DataFrame:
    """What each slice shows: blastic, lytic, posterolateral; -1 where nobody knows.

    Of phantoms it is counted in the drawn voxels. Otherwise slices of a vertebra without an answer of 1 show none
    either, and of one with it nobody knows which slices show it: an ill vertebra's label is not handed down.
    """
    if label["source"] == PHANTOM_LESIONS:
        codes, pixel = slices[:, CODES], settings.pixel_mm**2
        areas = {bit: pixel * np.count_nonzero(codes & bit, axis=(1, 2)) for bit in (LYTIC, BLASTIC, LEFT, RIGHT)}
        seen = {name: _seen(areas[bit], LEAST_MM2) for name, bit in (("blastic", BLASTIC), ("lytic", LYTIC))}
        sides = _sides(np.stack([areas[LEFT], areas[RIGHT]]), LEAST_SIDE_MM2)
        return pd.DataFrame(seen | {"posterolateral": sides})
    handed = {name: 0 if label[name] == 0 else UNKNOWN for name in ("blastic", "lytic", "posterolateral")}
    return pd.DataFrame(handed, index=range(len(slices)))


def _seen(amounts: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    """1 where a lesion is large enough to be seen, 0 where there is none, -1 between."""
    return np.where(amounts >= least, 1, np.where(amounts > 0, UNKNOWN, 0))


def _sides(amounts: NDArray[np.float64], least: float) -> NDArray[np.int64]:
    """How many sides are involved, of amounts left and right (2, N); -1 where that of one side is between."""
    seen = _seen(amounts, least)
    return np.where((seen == UNKNOWN).any(axis=0), UNKNOWN, seen.sum(axis=0))
