"""A delivered phantom volume as a series of CT Image Storage files, in the manner of its scanner.

All that is constant in a series is encoded once; only what differs is encoded per slice. Names, dates and
identifiers are made up and marked as those of a phantom (PatientName, QualityControlSubject). Positions are turned here
from RAS (voxels) to LPS (DICOM): columns run to the patient's left, rows to posterior.
"""

import hashlib
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.pixels import get_encoder
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, CTImageStorage

from vertegrade.files import new_folder
from vertegrade.phantom.scanner.protocol import EXPLICIT_LITTLE_ENDIAN, JPEG_LS_LOSSLESS, RLE_LOSSLESS, Protocol

_PLUGIN = {JPEG_LS_LOSSLESS: "pyjpegls", RLE_LOSSLESS: "gdcm"}
_IMPLEMENTATION = UID("2.25.284511367305213706126937404611562311521")
_VARYING = {"SOPInstanceUID": "UI", "InstanceNumber": "IS", "ImagePositionPatient": "DS", "SliceLocation": "DS"}
_PIXELS_NATIVE = b"\xe0\x7f\x10\x00OW\x00\x00"
_PIXELS_ENCAPSULATED = b"\xe0\x7f\x10\x00OB\x00\x00\xff\xff\xff\xff"
_SEQUENCE_END = b"\xfe\xff\xdd\xe0\x00\x00\x00\x00"


@dataclass(frozen=True)
class Subject:
    """Who was scanned: id, age in years, sex M or F."""

    patient_id: str
    age: int
    sex: str


def write_series(hu: np.ndarray, protocol: Protocol, subject: Subject, seed: int, folder: Path) -> None:
    """Write int16 HU [i, j, k] (RAS) of `protocol.shape` as one DICOM series into a new `folder`.

    File names say nothing about the order of slices. The same arguments give the same bytes. Raises ValueError if the
    shape is not the protocol's or if HU lie outside of the scanner's format.
    """
    if hu.shape != protocol.shape:
        raise ValueError(f"{protocol.scan_id}: volume of {hu.shape} voxels, the protocol says {protocol.shape}")
    constant = _constant_parts(series_header(protocol, subject, seed))
    preamble = _preamble(protocol, seed)
    first_uid = _slice_values(protocol, seed, 0)[0].encode()
    suffix = ".dcm" if _digest(seed, protocol.scan_id, "suffix")[0] % 2 else ""  # as some archives have it, others not
    with new_folder(folder) as temporary:
        for k in range(hu.shape[2]):
            values = _slice_values(protocol, seed, k)
            parts = [preamble.replace(first_uid, values[0].encode()), constant[0]]
            for (keyword, kind), value, part in zip(_VARYING.items(), values, constant[1:], strict=True):
                parts += [_element(keyword, kind, value), part]
            parts.append(_pixel_element(_stored(hu[:, :, k], protocol), protocol))
            name = _digest(seed, protocol.scan_id, f"file/{k}").hex()[:10].upper() + suffix
            (temporary / name).write_bytes(b"".join(parts))


def series_header(protocol: Protocol, subject: Subject, seed: int) -> Dataset:
    """All elements that are the same in every slice of a series."""
    scan = protocol.scan_id
    number = int.from_bytes(_digest(seed, scan, "date")[:4], "big")
    year, month, day = 2014 + number % 10, 1 + number // 10 % 12, 1 + number // 120 % 28
    date, time = f"{year}{month:02d}{day:02d}", f"{8 + number % 9:02d}{number // 9 % 60:02d}00"
    scanner, field = protocol.scanner, protocol.pixel_mm * protocol.shape[0]
    return _dataset(
        SpecificCharacterSet="ISO_IR 100",
        ImageType=["ORIGINAL", "PRIMARY", "AXIAL"],
        SOPClassUID=CTImageStorage,
        **{f"{what}Date": date for what in ("Study", "Series", "Acquisition", "Content")},
        **{f"{what}Time": time for what in ("Study", "Series", "Acquisition", "Content")},
        AccessionNumber="",
        Modality="CT",
        Manufacturer=scanner.manufacturer,
        InstitutionName="VERTEGRADE PHANTOM",
        ReferringPhysicianName="",
        StudyDescription="SYNTHETIC SPINE PHANTOM",
        SeriesDescription=f"SYNTHETIC {protocol.slice_thickness_mm:g} {protocol.kernel.name.split(chr(92))[0]}",
        ManufacturerModelName=scanner.model,
        PatientName=f"PHANTOM^{subject.patient_id.upper()}",
        PatientID=f"PHANTOM-{subject.patient_id}",
        PatientBirthDate=f"{year - subject.age}0101",
        PatientSex=subject.sex,
        QualityControlSubject="YES",
        PatientAge=f"{subject.age:03d}Y",
        BodyPartExamined="SPINE",
        ScanOptions="HELICAL",
        SliceThickness=_decimal(protocol.slice_thickness_mm),
        KVP=str(protocol.kvp),
        SpacingBetweenSlices=_decimal(protocol.slice_spacing_mm),
        DataCollectionDiameter="500",
        DeviceSerialNumber="PHANTOM",
        SoftwareVersions="PHANTOM",
        ReconstructionDiameter=_decimal(field),
        GantryDetectorTilt="0",
        TableHeight="150",
        RotationDirection="CW",
        ExposureTime="500",
        XRayTubeCurrent=str(protocol.tube_current_ma),
        Exposure=str(protocol.tube_current_ma // 2),
        FilterType="BODY FILTER",
        FocalSpots="0.7",
        ConvolutionKernel=protocol.kernel.name.split("\\"),
        PatientPosition=protocol.patient_position,
        StudyInstanceUID=_uid(seed, scan, "study"),
        SeriesInstanceUID=_uid(seed, scan, "series"),
        StudyID="1",
        SeriesNumber="2",
        AcquisitionNumber="1",
        ImageOrientationPatient=["1", "0", "0", "0", "1", "0"],
        FrameOfReferenceUID=_uid(seed, scan, "frame"),
        PositionReferenceIndicator="",
        **_pixel_description(protocol),
    )


def _pixel_description(protocol: Protocol) -> dict[str, object]:
    scanner = protocol.scanner
    padding = {} if scanner.padding is None else {"PixelPaddingValue": scanner.padding}
    return padding | {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": protocol.shape[1],
        "Columns": protocol.shape[0],
        "PixelSpacing": [_decimal(protocol.pixel_mm)] * 2,
        "BitsAllocated": 16,
        "BitsStored": scanner.bits_stored,
        "HighBit": scanner.bits_stored - 1,
        "PixelRepresentation": int(scanner.signed),
        "BurnedInAnnotation": "NO",
        "WindowCenter": "400",
        "WindowWidth": "1800",
        "RescaleIntercept": str(scanner.intercept),
        "RescaleSlope": "1",
        "RescaleType": "HU",
    }


def _slice_values(protocol: Protocol, seed: int, k: int) -> tuple[str, str, str, str]:
    """Values of _VARYING for one slice. Slices are numbered as they are scanned: from the head, or feet first."""
    (x, y, z), (columns, rows, slices) = protocol.origin_mm, protocol.shape
    left = -(x + (columns - 1) * protocol.pixel_mm)
    posterior = -(y + (rows - 1) * protocol.pixel_mm)
    height = z + k * protocol.slice_spacing_mm
    feet_first = protocol.patient_position == "FFS"
    return (
        _uid(seed, protocol.scan_id, f"slice/{k}"),
        str(k + 1 if feet_first else slices - k),
        "\\".join(map(_decimal, (left, posterior, height))),
        _decimal(-height if feet_first else height),
    )


def _stored(hu: np.ndarray, protocol: Protocol) -> np.ndarray:
    """Stored values [row, column] of one slice [i, j], with the scanner's padding outside its circle."""
    scanner = protocol.scanner
    stored = np.ascontiguousarray(hu[::-1, ::-1].T).astype(np.int32) - scanner.intercept
    low, high = (-(2**15), 2**15 - 1) if scanner.signed else (0, 2**scanner.bits_stored - 1)
    if stored.min() < low or stored.max() > high:
        raise ValueError(
            f"{protocol.scan_id}: HU from {hu.min()} to {hu.max()} do not fit the format of {scanner.model} "
            f"({low} to {high} with intercept {scanner.intercept}); clip the volume to {scanner.lowest_hu} HU or more"
        )
    if scanner.padding is not None:
        stored[outside_circle(protocol.shape[0])] = scanner.padding
    return stored.astype("<i2" if scanner.signed else "<u2")


def outside_circle(size: int) -> np.ndarray:
    """Which pixels of a square slice lie outside the circle of reconstruction, bool [size, size]."""
    offset = np.arange(size) - (size - 1) / 2
    return np.asarray(np.hypot(offset[:, None], offset) > size / 2)


def _pixel_element(stored: np.ndarray, protocol: Protocol) -> bytes:
    """PixelData of one slice, encoded."""
    if protocol.transfer_syntax == EXPLICIT_LITTLE_ENDIAN:
        pixels = stored.tobytes()
        return _PIXELS_NATIVE + len(pixels).to_bytes(4, "little") + pixels
    frame = get_encoder(protocol.transfer_syntax).encode(
        stored,
        encoding_plugin=_PLUGIN[protocol.transfer_syntax],
        rows=stored.shape[0],
        columns=stored.shape[1],
        samples_per_pixel=1,
        number_of_frames=1,
        bits_allocated=16,
        bits_stored=protocol.scanner.bits_stored,
        pixel_representation=int(protocol.scanner.signed),
        photometric_interpretation="MONOCHROME2",
    )
    return _PIXELS_ENCAPSULATED + encapsulate([frame], has_bot=False) + _SEQUENCE_END


def _preamble(protocol: Protocol, seed: int) -> bytes:
    """Preamble and file meta information of the first slice; the UIDs of all slices are of the same length."""
    meta = FileMetaDataset()
    meta.FileMetaInformationVersion = b"\x00\x01"
    meta.MediaStorageSOPClassUID = CTImageStorage
    meta.MediaStorageSOPInstanceUID = UID(_slice_values(protocol, seed, 0)[0])
    meta.TransferSyntaxUID = UID(protocol.transfer_syntax)
    meta.ImplementationClassUID = _IMPLEMENTATION
    meta.ImplementationVersionName = "VERTEGRADE"
    buffer = DicomBytesIO()
    buffer.write(b"\x00" * 128 + b"DICM")
    write_file_meta_info(buffer, meta)
    return buffer.getvalue()


def _constant_parts(header: Dataset) -> list[bytes]:
    """The header's bytes (explicit VR little endian), cut where the varying elements go in the order of tags."""
    edges = [BaseTag(0), *map(Tag, _VARYING), BaseTag(0x7FE00000)]
    parts = []
    for low, high in pairwise(edges):
        part = Dataset()
        for element in header:
            if low <= element.tag < high:
                part.add(element)
        buffer = DicomBytesIO()
        buffer.is_little_endian, buffer.is_implicit_VR = True, False
        write_dataset(buffer, part)
        parts.append(buffer.getvalue())
    return parts


def _element(keyword: str, kind: str, value: str) -> bytes:
    """One text element in explicit VR little endian, padded to an even length (UIDs with a null, others a space)."""
    tag, text = Tag(keyword), value.encode()
    text += (b"\x00" if kind == "UI" else b" ") * (len(text) % 2)
    number = tag.group.to_bytes(2, "little") + tag.element.to_bytes(2, "little")
    return number + kind.encode() + len(text).to_bytes(2, "little") + text


def _dataset(**elements: object) -> Dataset:
    dataset = Dataset()
    for keyword, value in elements.items():
        setattr(dataset, keyword, value)
    return dataset


def _digest(seed: int, scan_id: str, what: str) -> bytes:
    return hashlib.sha256(f"{seed}/{scan_id}/{what}".encode()).digest()


def _uid(seed: int, scan_id: str, what: str) -> str:
    """A UID of 43 characters under the root of UUIDs (2.25), fixed by the seed."""
    return f"2.25.{10**37 + int.from_bytes(_digest(seed, scan_id, what)[:16], 'big') % (9 * 10**37)}"


def _decimal(value: float) -> str:
    """A decimal string (at most 16 characters) exact to 1e-4 mm."""
    return f"{value:.4f}".rstrip("0").rstrip(".")
