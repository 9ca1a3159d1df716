"""DICOM SEG of vertebrae: one binary segment for each, its level in the segment's label (`T1 vertebra`)."""

import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_file_meta_info
from pydicom.pixels import iter_pixels
from pydicom.uid import SegmentationStorage

from vertegrade.ct.dicom import quiet_reading
from vertegrade.ct.volume import to_ras
from vertegrade.level_texts import parse_level
from vertegrade.levels import NAMES
from vertegrade.reasons import Refused

LEVEL = re.compile(r"(?<![A-Za-z])(Th|[CTDL])\s?(\d{1,2})(?!\d)", re.IGNORECASE)
OFF = 0.05  # share of the slice spacing by which a frame may lie off the grid
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


def find_segmentation(case: Path) -> Path:
    """The only DICOM SEG below a case's folder. Refused where there is none, or more than one."""
    found = [path for path in sorted(case.rglob("*")) if path.is_file() and _is_segmentation(path)]
    if not found:
        raise Refused("mask_unreadable", f"{case}: no DICOM segmentation (Modality SEG); give it with the CT")
    if len(found) > 1:
        raise Refused("mask_unreadable", f"{case}: {len(found)} DICOM segmentations; leave one of them there")
    return found[0]


def _is_segmentation(path: Path) -> bool:
    try:
        with quiet_reading():
            header = read_file_meta_info(path)
    except (InvalidDicomError, OSError, EOFError, ValueError, struct.error):
        return False
    return bool(header.get("MediaStorageSOPClassUID") == SegmentationStorage)


def read_segmentation(path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """VerSe labels (i, j, k) closest to RAS+, and their affine to RAS mm. Segments that name no level are left out.

    Refused: unreadable, not binary, frames that are no stack of slices, or no vertebra at all.
    """
    try:
        with quiet_reading():
            dataset = pydicom.dcmread(path)
            return _volume(dataset, path)
    except Refused:
        raise
    except MemoryError:
        raise
    except Exception as error:  # pydicom raises whatever a damaged element runs into; its text may quote the person
        raise Refused("mask_unreadable", f"{path}: not a readable DICOM SEG ({type(error).__name__})") from None


def _volume(dataset: Dataset, path: Path) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    if dataset.get("SegmentationType") != "BINARY":
        raise Refused("mask_not_labels", f"{path}: SegmentationType is not BINARY; export the segments as labels")
    labels = segment_labels(dataset)
    if not labels:
        raise Refused("no_vertebrae", f"{path}: no segment is named after a vertebra, as in `T1 vertebra`")
    frames = [_Frame(dataset, item) for item in dataset.PerFrameFunctionalGroupsSequence]
    across, down = frames[0].axes
    if any(np.abs(np.stack(frame.axes) - [across, down]).max() > 1e-4 for frame in frames):
        raise Refused("mask_other_grid", f"{path}: its frames are turned against each other")
    normal = np.cross(across, down)
    heights = np.array([frame.position @ normal for frame in frames])
    step = _spacing(dataset, heights)
    places = (heights - heights.min()) / step
    index = np.rint(places).astype(int)
    if np.abs(places - index).max() > OFF:
        raise Refused("mask_other_grid", f"{path}: its frames are not evenly spaced")
    lowest = frames[int(heights.argmin())]
    if any(np.abs(_aside(frame.position - lowest.position, normal)).max() > OFF * step for frame in frames):
        raise Refused("mask_other_grid", f"{path}: its frames do not lie above each other")
    volume = np.zeros((int(dataset.Columns), int(dataset.Rows), int(index.max()) + 1), np.uint8)
    for frame, at, pixels in zip(frames, index, iter_pixels(dataset), strict=True):
        if frame.segment in labels:
            volume[:, :, at][pixels.T > 0] = labels[frame.segment]
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = (
        across * frames[0].spacing[1],
        down * frames[0].spacing[0],
        normal * step,
    )
    affine[:3, 3] = lowest.position
    if not volume.any():
        raise Refused("no_vertebrae", f"{path}: its segments of vertebrae are empty")
    array, turned = to_ras(volume, LPS_TO_RAS @ affine)
    return np.asarray(array), np.asarray(turned)


class _Frame:
    """Segment, place (LPS mm), directions of columns and rows, and spacing (rows, columns; mm) of one frame."""

    def __init__(self, dataset: Dataset, item: Dataset) -> None:
        shared = dataset.SharedFunctionalGroupsSequence[0]

        def group(name: str) -> Dataset:
            return (item if name in item else shared)[name].value[0]

        self.segment = int(group("SegmentIdentificationSequence").ReferencedSegmentNumber)
        self.position = np.array(group("PlanePositionSequence").ImagePositionPatient, float)
        way = np.array(group("PlaneOrientationSequence").ImageOrientationPatient, float)
        self.axes = way[:3], way[3:]
        self.spacing = np.array(group("PixelMeasuresSequence").PixelSpacing, float)


def _aside(offset: NDArray[np.float64], normal: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(offset - (offset @ normal) * normal)


def _spacing(dataset: Dataset, heights: NDArray[np.float64]) -> float:
    """Distance (mm) between slices: the smallest between two frames, since empty slices have none."""
    steps = np.diff(np.unique(np.round(heights, 3)))
    if len(steps):
        return float(steps.min())
    measures = dataset.SharedFunctionalGroupsSequence[0].get("PixelMeasuresSequence")
    return float(measures[0].get("SliceThickness") or 1.0) if measures else 1.0


def segment_labels(dataset: Dataset) -> dict[int, int]:
    """VerSe label by number of segment, where its label or description names one level."""
    found = {}
    for segment in dataset.SegmentSequence:
        for text in (segment.get("SegmentLabel"), segment.get("SegmentDescription")):
            names = LEVEL.findall(str(text or ""))
            label = parse_level("".join(names[0])) if len(names) == 1 else None
            if label is not None:
                found[int(segment.SegmentNumber)] = label
                break
    return found


def frames_of(mask: NDArray[np.uint8]) -> Iterator[tuple[int, int, NDArray[np.bool_]]]:
    """Label, slice k and pixels [row, column] of each frame that is not empty; mask [i, j, k] in RAS."""
    for label in (label for label in NAMES if (mask == label).any()):
        chosen = mask == label
        for k in np.flatnonzero(chosen.any(axis=(0, 1))):
            yield label, int(k), np.ascontiguousarray(chosen[::-1, ::-1, k].T)
