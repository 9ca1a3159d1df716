"""The elements of a DICOM header that conversion looks at, by keyword.

pydicom needs 0.6 ms for a header: most of it for elements that nobody asked for and for values that all slices of a
series share. Nearly every CT header is plain (little endian, tags in order, no sequence of undefined length). Such a
one is walked here, each distinct value turned into Python by pydicom once; whatever is not plain to the last byte,
damaged headers too, pydicom reads from the start. tests/ct/test_ct_elements.py holds the two together.
"""

import struct
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, BinaryIO, NamedTuple

import pydicom
from pydicom.charset import convert_encodings, default_encoding
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import RawDataElement, convert_raw_data_element, empty_value_for_VR
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag, Tag
from pydicom.uid import AllTransferSyntaxes, DeflatedExplicitVRLittleEndian, ImplicitVRLittleEndian
from pydicom.valuerep import EXPLICIT_VR_LENGTH_32, VR

HEAD_BYTES = 16384  # holds the header of nearly all slices
PREAMBLE = 128
LONG_VR = {vr.encode() for vr in EXPLICIT_VR_LENGTH_32}  # their length takes 32 bits
SHORT_VR = {vr.encode(): vr.value for vr in VR if len(vr) == 2 and vr not in EXPLICIT_VR_LENGTH_32}
UNDEFINED = 0xFFFFFFFF
META = {int(Tag(name)): name for name in ("MediaStorageSOPClassUID", "TransferSyntaxUID")}
META_BEGIN, META_END = 0x00020000, 0x00030000
CHARACTER_SET, PIXEL_REPRESENTATION = 0x00080005, 0x00280103
PIXELS = (0x7FE00008, 0x7FE00009, 0x7FE00010)  # where pydicom's stop_before_pixels stops
PLAIN_SYNTAXES = {
    str(syntax)
    for syntax in AllTransferSyntaxes
    if syntax.is_little_endian and syntax != DeflatedExplicitVRLittleEndian
}
AMBIGUOUS = "US or SS"  # PixelRepresentation decides
_start_of_element = struct.Struct("<HH2sH").unpack_from
_start_implicit = struct.Struct("<HHL").unpack_from
_length_32 = struct.Struct("<L").unpack_from

Raw = tuple[str | None, bytes]  # VR, None where it is implicit, and bytes of an element
Walk = tuple[dict[int, Raw], int, int]


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
    header = _walked(stream.read(HEAD_BYTES), wanted)
    if header is None:
        stream.seek(0)
        header = _by_pydicom(stream, wanted)
    return header


def _parse(dataset: Dataset) -> None:
    """Turn every element into its value, within sequences too: pydicom does it when asked for the first time."""
    for element in dataset:
        for item in element.value if element.VR == "SQ" else []:
            _parse(item)


def _by_pydicom(stream: BinaryIO, wanted: Mapping[int, str]) -> Header:
    dataset = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(wanted))
    _parse(dataset)
    meta = {name: dataset.file_meta[name].value for name in META.values() if name in dataset.file_meta}
    values = {wanted[element.tag]: element.value for element in dataset if element.tag in wanted}
    deflated = meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
    implicit, little = dataset.original_encoding
    return Header(meta | values, (bool(implicit), bool(little)), None if deflated else stream.tell())


def _walked(head: bytes, wanted: Mapping[int, str]) -> Header | None:
    """The header by a file's first bytes; None where it is not plain or longer than they are."""
    if head[PREAMBLE : PREAMBLE + 4] != b"DICM":
        return None
    meta = _walk(head, PREAMBLE + 4, META, META_BEGIN, META_END)
    if meta is None:
        return None
    values = {META[tag]: _value(tag, *raw, (default_encoding,)) for tag, raw in meta[0].items()}
    syntax = values.get("TransferSyntaxUID")
    if not isinstance(syntax, str) or syntax not in PLAIN_SYNTAXES:
        return None
    implicit = syntax == ImplicitVRLittleEndian
    found = (_walk_implicit if implicit else _walk)(head, meta[2], wanted, META_END, PIXELS[0])
    if found is None or found[1] not in PIXELS:
        return None
    elements, _, pixels_at = found
    encoding = _encoding(*elements.pop(CHARACTER_SET, ("CS", b"")))
    values |= {wanted[tag]: _value(tag, *raw, encoding) for tag, raw in elements.items()}
    return Header(values, (implicit, True), pixels_at)


def _walk(head: bytes, at: int, wanted: Mapping[int, str], begin: int, end: int) -> Walk | None:
    """The elements from `at` on that are wanted (or the character set), up to the first tag that is `end` or more, that
    tag, and where it stands; None where one is not plain, or less than `begin`."""
    elements: dict[int, Raw] = {}
    last, size = begin - 1, len(head) - 12
    while at <= size:
        group, number, vr, length = _start_of_element(head, at)
        tag = group << 16 | number
        if tag <= last:
            return None
        if tag >= end:
            return elements, tag, at
        last = tag
        at += 8
        if vr in SHORT_VR:
            if tag in wanted or tag == CHARACTER_SET:
                elements[tag] = SHORT_VR[vr], head[at : at + length]
        elif vr in LONG_VR and tag not in wanted:
            length = _length_32(head, at)[0]
            at += 4
        else:
            return None
        at += length  # beyond the head, if undefined
    return None


def _walk_implicit(head: bytes, at: int, wanted: Mapping[int, str], begin: int, end: int) -> Walk | None:
    """The same of implicit VR; so short as these elements are, no length looks like an explicit VR."""
    elements: dict[int, Raw] = {}
    last, size = begin - 1, len(head) - 8
    while at <= size:
        group, number, length = _start_implicit(head, at)
        tag = group << 16 | number
        if tag <= last:
            return None
        if tag >= end:
            return elements, tag, at
        last = tag
        at += 8
        if tag in wanted or tag == CHARACTER_SET:
            vr = _known_vr(tag)
            if vr == "SQ":
                return None
            if vr == AMBIGUOUS:
                sign = elements.get(PIXEL_REPRESENTATION)
                if sign is None or len(sign[1]) != 2:
                    return None
                elements[tag] = ("SS" if any(sign[1]) else "US"), head[at : at + length]
            else:
                elements[tag] = None, head[at : at + length]
        at += length
    return None


@lru_cache(maxsize=4096)
def _value(tag: int, vr: str | None, raw: bytes, encoding: tuple[str, ...]) -> Any:
    """An element's value by pydicom; many slices share it, so nobody may change it."""
    value = raw or empty_value_for_VR(vr, raw=True)
    element = RawDataElement(BaseTag(tag), vr, len(raw), value, 0, vr is None, True)  # type: ignore[arg-type]
    return convert_raw_data_element(element, encoding=list(encoding)).value


_known_vr = lru_cache(maxsize=256)(dictionary_VR)


@lru_cache(maxsize=16)
def _encoding(vr: str | None, raw: bytes) -> tuple[str, ...]:
    """Python's names of the encodings that SpecificCharacterSet gives."""
    return tuple(convert_encodings(_value(CHARACTER_SET, vr, raw, (default_encoding,))))


def forget_values() -> None:
    """Forget the values of headers read so far; to be called when a scan has been read."""
    _value.cache_clear()
