"""The elements of a DICOM header that conversion looks at, by keyword."""

from collections.abc import Mapping
from typing import Any, BinaryIO, NamedTuple

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian

META = ("MediaStorageSOPClassUID", "TransferSyntaxUID")
UNDEFINED = 0xFFFFFFFF  # a length that is not known beforehand


class Header(NamedTuple):
    """A file's header: values by keyword, as pydicom makes them, TransferSyntaxUID and MediaStorageSOPClassUID too.

    encoding: whether the VR is implicit, whether little endian. pixels_at: where in the file the header ends and the
    pixel data begin, None where the file must be read from its start (deflated).
    """

    values: dict[str, Any]
    encoding: tuple[bool, bool]
    pixels_at: int | None


def read_elements(stream: BinaryIO, wanted: Mapping[int, str]) -> Header:
    """Those elements of the header that are in `wanted` (keywords by tag), turned into values now: damage must not be
    found where none is expected.

    InvalidDicomError where the stream is not DICOM, anything else where its header is damaged.
    """
    dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(wanted))
    _parse(dataset)
    meta = {name: dataset.file_meta[name].value for name in META if name in dataset.file_meta}
    values = {wanted[element.tag]: element.value for element in dataset if element.tag in wanted}
    deflated = meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
    implicit, little = dataset.original_encoding
    return Header(meta | values, (bool(implicit), bool(little)), None if deflated else stream.tell())


def _parse(dataset: Dataset) -> None:
    """Turn every element into its value, within sequences too: pydicom does it when asked for the first time."""
    for element in dataset:
        for item in element.value if element.VR == "SQ" else []:
            _parse(item)
