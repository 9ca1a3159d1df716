"""Enhanced (multi-frame) CT as vendors write it: one file, geometry and HU in functional groups."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import EnhancedCTImageStorage

from helpers.series import AXIAL, PIXEL_SPACING, make_slice, positions

MOVED = ["ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness", "KVP"]
MOVED += ["RescaleSlope", "RescaleIntercept", "RescaleType", "ConvolutionKernel"]


def write_enhanced(
    folder: Path,
    hu: np.ndarray,
    sop_class: str = EnhancedCTImageStorage,
    places: np.ndarray | None = None,
    orientation: Sequence[float] = AXIAL,
    slopes: Sequence[float] | None = None,
    syntax: str | None = None,
    contents: Sequence[dict[str, object]] | None = None,
) -> Path:
    """Write HU (slices, rows, columns) as one file in `folder`; slopes of the rescaling and what frames say of their
    acquisition (FrameContentSequence), one a frame or none."""
    folder.mkdir(parents=True, exist_ok=True)
    places = positions(len(hu), orientation) if places is None else places
    scale = np.ones(len(hu)) if slopes is None else np.asarray(slopes)
    dataset = make_slice(hu[0], places[0], orientation)
    stored = np.rint((hu + 1024) / scale[:, None, None]).astype("<u2")
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = sop_class
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    dataset.NumberOfFrames, dataset.PixelData = len(hu), stored.tobytes()
    for name in MOVED:
        delattr(dataset, name)
    dataset.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=_item(PixelSpacing=list(PIXEL_SPACING), SliceThickness="1.5"),
            PlaneOrientationSequence=_item(ImageOrientationPatient=[f"{value:.6f}" for value in orientation]),
            CTImageFrameTypeSequence=_item(FrameType=["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]),
            CTReconstructionSequence=_item(ConvolutionKernel="Br38f"),
            CTXRayDetailsSequence=_item(KVP=120),
        )
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        _item(
            PlanePositionSequence=_item(ImagePositionPatient=[f"{value:.5f}" for value in place]),
            PixelValueTransformationSequence=_item(RescaleSlope=str(slope), RescaleIntercept="-1024", RescaleType="HU"),
        )
        for place, slope in zip(places, scale, strict=True)
    ]
    for groups, content in zip(dataset.PerFrameFunctionalGroupsSequence, contents or [], strict=contents is not None):
        groups.FrameContentSequence = DicomSequence([_item(**content)])
    if syntax is not None:
        dataset.compress(syntax)
    dataset.save_as(folder / "enhanced.dcm", enforce_file_format=True)
    return folder


def _item(**elements: object) -> Dataset:
    """A data set with these elements; data sets among them become sequences of one item."""
    item = Dataset()
    for name, value in elements.items():
        setattr(item, name, DicomSequence([value]) if isinstance(value, Dataset) else value)
    return item
