"""Writing masks of phantom vertebrae as a DICOM SEG, the way archives have them (PS3.3 A.51)."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import pack_bits
from pydicom.uid import UID, CTImageStorage, ExplicitVRLittleEndian, SegmentationStorage

from vertegrade.files import new_file
from vertegrade.levels import NAMES
from vertegrade.metastasis.layout.segmentation import frames_of

# SNOMED CT, of DICOM's CID 7603; levels that have none get the code of a vertebra.
_VERTEBRA = ("51282000", "Vertebra")
_CODES = dict(
    zip(
        (*range(8, 20), *range(20, 25)),
        ("64864005", "53733008", "1626008", "73071006", "56401006", "45296009", "62487009", "11068009", "82687006",
         "7610001", "12989004", "23215003", "66794005", "14293000", "36470004", "11994002", "49668003"),
        strict=True,
    )
)  # fmt: skip
# Number of the segment, then position: each element with the group that contains it.
_DIMENSIONS = ((0x0062000B, 0x0062000A), (0x00200032, 0x00209113))
# What a SEG has in common with the CT that it was drawn on.
_SHARED = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyDescription", "PatientName",
    "PatientID", "PatientBirthDate", "PatientSex", "QualityControlSubject", "StudyInstanceUID", "StudyID",
    "FrameOfReferenceUID", "PositionReferenceIndicator",
)  # fmt: skip


def write_segmentation(
    path: Path, mask: NDArray[np.uint8], header: Dataset, positions: NDArray[np.float64], uid: str
) -> None:
    """Write VerSe labels [i, j, k] (RAS, axis-aligned) as one DICOM SEG with a segment for each vertebra.

    header: of the CT series that has the same grid (PixelSpacing, ImageOrientationPatient, ...). positions: (k, 3)
    ImagePositionPatient of its slices (LPS mm). uid: begins the UIDs; it and the other arguments make the bytes.
    """
    dataset = Dataset()
    for name in _SHARED:
        if name in header:
            dataset[name] = header[name]
    frames = list(frames_of(mask))
    labels = sorted({label for label, _, _ in frames})
    number = {label: place for place, label in enumerate(labels, start=1)}
    dataset.update(_about(header, uid))
    dataset.SegmentSequence = [_segment(label, number[label]) for label in labels]
    dataset.SharedFunctionalGroupsSequence = [_shared_groups(header)]
    dataset.DimensionOrganizationSequence = [_dataset(DimensionOrganizationUID=f"{uid}.3")]
    dataset.DimensionIndexSequence = [
        _dataset(DimensionIndexPointer=pointer, FunctionalGroupPointer=group, DimensionOrganizationUID=f"{uid}.3")
        for pointer, group in _DIMENSIONS
    ]
    dataset.PerFrameFunctionalGroupsSequence = [
        _dataset(
            FrameContentSequence=[_dataset(DimensionIndexValues=[number[label], k + 1])],
            PlanePositionSequence=[_dataset(ImagePositionPatient=[_decimal(at) for at in positions[k]])],
            SegmentIdentificationSequence=[_dataset(ReferencedSegmentNumber=number[label])],
        )
        for label, k, _ in frames
    ]
    dataset.NumberOfFrames = len(frames)
    dataset.Rows, dataset.Columns = mask.shape[1], mask.shape[0]
    dataset.PixelData = pack_bits(np.stack([pixels for _, _, pixels in frames]).astype(np.uint8).ravel(), pad=True)
    dataset["PixelData"].VR = "OB"
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.file_meta.ImplementationClassUID = UID(f"{uid}.4")
    with new_file(path) as temporary:
        dataset.save_as(temporary, enforce_file_format=True)


def _about(header: Dataset, uid: str) -> Dataset:
    """What kind of image this is, and which series it was drawn on."""
    return _dataset(
        SpecificCharacterSet="ISO_IR 100",
        ImageType=["DERIVED", "PRIMARY"],
        SOPClassUID=SegmentationStorage,
        SOPInstanceUID=f"{uid}.1",
        SeriesInstanceUID=f"{uid}.2",
        SeriesDate=header.SeriesDate,
        SeriesTime=header.SeriesTime,
        ContentDate=header.SeriesDate,
        ContentTime=header.SeriesTime,
        Modality="SEG",
        Manufacturer="VERTEGRADE PHANTOM",
        ManufacturerModelName="PHANTOM",
        DeviceSerialNumber="PHANTOM",
        SoftwareVersions="PHANTOM",
        SeriesDescription="Spine Segmentation",
        SeriesNumber="300",
        InstanceNumber="1",
        ContentLabel="SPINE",
        ContentDescription="PHANTOM vertebrae",
        ContentCreatorName="PHANTOM",
        SamplesPerPixel=1,
        PhotometricInterpretation="MONOCHROME2",
        BitsAllocated=1,
        BitsStored=1,
        HighBit=0,
        PixelRepresentation=0,
        LossyImageCompression="00",
        SegmentationType="BINARY",
        ReferencedSeriesSequence=[
            _dataset(
                SeriesInstanceUID=header.SeriesInstanceUID,
                ReferencedInstanceSequence=[
                    _dataset(ReferencedSOPClassUID=CTImageStorage, ReferencedSOPInstanceUID=header.SOPInstanceUID)
                ],
            )
        ],
    )


def _segment(label: int, number: int) -> Dataset:
    value, meaning = (_CODES[label], f"{NAMES[label]} vertebra") if label in _CODES else _VERTEBRA
    return _dataset(
        SegmentNumber=number,
        SegmentLabel=f"{NAMES[label]} vertebra",
        SegmentAlgorithmType="MANUAL",
        SegmentedPropertyCategoryCodeSequence=[_code("123037004", "Anatomical Structure")],
        SegmentedPropertyTypeCodeSequence=[_code(value, meaning)],
    )


def _shared_groups(header: Dataset) -> Dataset:
    return _dataset(
        PixelMeasuresSequence=[
            _dataset(
                PixelSpacing=header.PixelSpacing,
                SliceThickness=header.SliceThickness,
                SpacingBetweenSlices=header.SpacingBetweenSlices,
            )
        ],
        PlaneOrientationSequence=[_dataset(ImageOrientationPatient=header.ImageOrientationPatient)],
    )


def _code(value: str, meaning: str) -> Dataset:
    return _dataset(CodeValue=value, CodingSchemeDesignator="SCT", CodeMeaning=meaning)


def _dataset(**elements: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def _decimal(value: float) -> str:
    return f"{value:.4f}".rstrip("0").rstrip(".")
