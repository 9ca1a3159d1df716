"""One CT slice: the tags of its header that conversion looks at, and its stored pixels. Frames of enhanced CT too."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

import numpy as np
import pydicom
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.pixels import get_decoder
from pydicom.tag import BaseTag, Tag
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from vertegrade.ct.archive import SourceFile
from vertegrade.ct.elements import UNDEFINED, read_elements
from vertegrade.reasons import Refused

# Required numbers, with how many a slice must have.
NUMBERS = {
    "Rows": 1,
    "Columns": 1,
    "PixelSpacing": 2,
    "ImagePositionPatient": 3,
    "ImageOrientationPatient": 6,
    "RescaleSlope": 1,
    "RescaleIntercept": 1,
}
SIDECAR = [
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "KVP",
    "ConvolutionKernel",
    "SliceThickness",
    "SpacingBetweenSlices",
    "PatientPosition",
    "ContrastBolusAgent",
]
CHOICE = [
    "SOPClassUID",
    "ImageType",
    "PatientID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "SeriesNumber",
    "InstanceNumber",
    "ImagesInAcquisition",
    "FrameOfReferenceUID",
    "SamplesPerPixel",
    "RescaleType",
    "LossyImageCompression",
    "BurnedInAnnotation",
    "MultienergyCTAcquisition",
    "ContrastBolusAgentSequence",
]
# What distinguishes passes over the patient (ct/passes.py).
PASS = [
    "AcquisitionNumber",
    "AcquisitionDateTime",
    "AcquisitionTime",
    "ContentTime",
    "StackID",
    "TemporalPositionIndex",
    "ContrastBolusAgentAdministered",
]
TAGS = [*NUMBERS, *SIDECAR, *CHOICE, *PASS]
# What an enhanced CT names differently from a classic slice.
OWN_NAMES = {
    "FrameType": "ImageType",
    "FrameAcquisitionNumber": "AcquisitionNumber",
    "FrameAcquisitionDateTime": "AcquisitionDateTime",
}
JPEG_FAMILY = "1.2.840.10008.1.2.4."  # JPEG, JPEG-LS, JPEG 2000: transfer syntaxes that begin so
ALWAYS_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
PIXEL_DATA = 0x7FE00010
END_OF_IMAGE = b"\xff\xd9"
SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
# What decoders need, by pydicom's name for it.
DECODING = {
    "Rows": "rows",
    "Columns": "columns",
    "SamplesPerPixel": "samples_per_pixel",
    "PhotometricInterpretation": "photometric_interpretation",
    "PlanarConfiguration": "planar_configuration",
    "BitsAllocated": "bits_allocated",
    "BitsStored": "bits_stored",
    "PixelRepresentation": "pixel_representation",
}
# All that is read of a header, by tag, so that each file is parsed once.
READ_TAGS = {
    int(Tag(name)): name
    for name in (*TAGS, *DECODING, "NumberOfFrames", "PixelPaddingValue", "PixelPaddingRangeLimit", SHARED, PER_FRAME)
}
# Where enhanced CT (PS3.3 A.38.1.3) keeps what a classic slice has at its top level.
GROUPS = [
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "CTImageFrameTypeSequence",
    "CTReconstructionSequence",
    "CTXRayDetailsSequence",
    "FrameContentSequence",
    "ContrastBolusUsageSequence",
]


@dataclass(frozen=True)
class Slice:
    """One CT slice: its file and the values of its header that conversion looks at (`READ_TAGS`), by keyword.

    encoding, pixels_at: as in `elements.Header`. frame: its index in a multi-frame file, None in a file with one slice.
    """

    file: SourceFile
    header: dict[str, Any]
    encoding: tuple[bool, bool]
    pixels_at: int | None
    frame: int | None = None
    _numbers: dict[str, np.ndarray] = field(default_factory=dict, init=False, repr=False, compare=False)

    @property
    def name(self) -> str:
        """The slice for messages."""
        return self.file.name if self.frame is None else f"{self.file.name} frame {self.frame + 1}"

    def numbers(self, tag: str, count: int) -> np.ndarray:
        """The values of a numeric tag, float64 (count,); Refused where they are not that many finite numbers."""
        if tag in self._numbers:  # checks, sorting and scaling all ask for the same few
            return self._numbers[tag]
        if tag not in self.header:
            raise Refused("missing_tag", f"{self.name}: {tag} is missing; export the series again")
        value = self.header[tag]
        several = isinstance(value, Sequence) and not isinstance(value, (str, bytes))
        try:
            values = [float(number) for number in (value if several else [value])]
        except (ValueError, TypeError):
            values = []
        if len(values) != count or not all(map(math.isfinite, values)):
            raise Refused("bad_tag", f"{self.name}: {tag} is not {count} finite number(s); export the series again")
        self._numbers[tag] = np.array(values)
        return self._numbers[tag]

    def whole(self, tag: str) -> int | None:
        """The value of a tag that informs, but is not required; None where it is no whole number."""
        try:
            return int(self.header[tag])
        except (KeyError, ValueError, TypeError):
            return None

    def lossy(self) -> bool:
        """Whether the image was ever compressed with loss, by its header or by what it is compressed with now."""
        said = str(self.header.get("LossyImageCompression", "")) == "01"
        return said or self.header.get("TransferSyntaxUID", "") in ALWAYS_LOSSY

    def sop_class(self) -> str:
        """The SOP class; some anonymisers blank the data set's own and leave the file header's."""
        return str(self.header.get("SOPClassUID") or self.header.get("MediaStorageSOPClassUID", ""))

    def kinds(self) -> list[str]:
        """The values of ImageType."""
        kinds = self.header.get("ImageType") or []
        return [kinds] if isinstance(kinds, str) else [str(kind) for kind in kinds]

    def stored(self) -> np.ndarray:
        """The stored values, whatever their compression, (rows, columns) by the header."""
        syntax = UID(str(self.header.get("TransferSyntaxUID", "")))
        if not _decodable(syntax, self.header.get("BitsStored")):
            known = syntax.name if syntax.is_transfer_syntax else "an unknown syntax"
            raise Refused(
                "no_decoder", f"{self.name}: compressed by {known}, which no decoder here reads; export it uncompressed"
            )
        shape = tuple(int(self.numbers(tag, 1)[0]) for tag in ("Rows", "Columns"))
        message = f"{self.name}: the pixel data are cut short or cannot be decoded; copy the series again"
        with _damage_as("bad_pixels", message):
            data, index, options = self._pixel_data(syntax)
            if syntax.startswith(JPEG_FAMILY):
                _check_end(data, index or 0, options["number_of_frames"])
            decoder = get_decoder(syntax)
            stored, _ = decoder.as_array(data, index=index, decoding_plugin=_plugin(syntax), **options)
        if stored.shape != shape:
            raise Refused(
                "bad_pixels",
                f"{self.name}: the pixel data are not {shape[0]} x {shape[1]} numbers; export the series again",
            )
        return stored

    def _pixel_data(self, syntax: UID) -> tuple[bytes, int | None, dict[str, Any]]:
        """The pixel data, not yet decoded, the index of this frame in them, and what pydicom must know to decode them.

        Of an uncompressed multi-frame file this frame alone is read; else the whole of the latest such file is kept.
        """
        options = {name: self.header[tag] for tag, name in DECODING.items() if tag in self.header}
        options |= {"pixel_keyword": "PixelData", "number_of_frames": int(self.header.get("NumberOfFrames") or 1)}
        if self.frame is not None and not syntax.is_encapsulated and not self.file.zipped:
            alone = self._frame_alone()
            if alone is not None:
                return alone, 0, options | {"number_of_frames": 1}
        if self.frame is not None:
            dataset = _kept(self.file)
        elif self.pixels_at is not None:
            dataset = _read_rest(self.file, self.pixels_at, self.encoding)
        else:
            dataset = _read(self.file)
        element = dataset.get_item(PIXEL_DATA)
        if element is None:
            raise Refused(
                "missing_pixels", f"{self.name}: no pixel data, or cut short; copy or export the series again"
            )
        if "ExtendedOffsetTable" in dataset:
            options["extended_offsets"] = (dataset.ExtendedOffsetTable, dataset.ExtendedOffsetTableLengths)
        return element.value, self.frame, options | {"pixel_vr": element.VR}

    def _frame_alone(self) -> bytes | None:
        """The bytes of this frame of an uncompressed multi-frame file (fewer where it is cut short); None where the
        file does not contain them in that form (deflated, big endian, bits packed)."""
        bits = int(self.header.get("BitsAllocated") or 0)
        if self.pixels_at is None or self.frame is None or not self.encoding[1] or bits % 8:
            return None
        place = _pixels_place(self.file, self.pixels_at, self.encoding)
        if place is None:
            return None
        start, length = place
        size = int(self.numbers("Rows", 1)[0]) * int(self.numbers("Columns", 1)[0]) * bits // 8
        with self.file.open() as stream:
            stream.seek(start + self.frame * size)
            return stream.read(max(0, min(size, length - self.frame * size)))


def read_header(file: SourceFile) -> Slice | None:
    """A file's tags that matter, None where it is not DICOM."""
    message = f"{file.name}: the DICOM header cannot be read or parsed; copy it again"
    try:
        with _damage_as("broken_file", message), file.open() as stream:
            return Slice(file, *read_elements(stream, READ_TAGS))
    except InvalidDicomError:
        return None
    except MemoryError as error:  # no header is as large as that: the length of an element is wrong
        raise Refused("broken_file", message) from error


def frames_of(image: Slice) -> list[Slice]:
    """Every frame of an enhanced CT as one slice; a frame's functional groups have priority over the shared ones."""
    file, header = image.file, image.header
    frames = header.get(PER_FRAME)
    if not frames:
        raise Refused("missing_tag", f"{file.name}: {PER_FRAME} is missing; export the series again")
    with _damage_as("broken_file", f"{file.name}: the functional groups cannot be parsed; copy it again"):
        shared = _group_values(header[SHARED][0]) if header.get(SHARED) else {}
        whole = {tag: value for tag, value in header.items() if tag not in (SHARED, PER_FRAME)} | shared
        return [
            replace(image, header=whole | _group_values(groups), frame=number) for number, groups in enumerate(frames)
        ]


def _group_values(groups: Dataset) -> dict[str, Any]:
    """What functional groups say, by the keywords that a classic slice has at its top level."""
    items = [groups[name].value[0] for name in GROUPS if groups.get(name)]
    values = {OWN_NAMES.get(element.keyword, element.keyword): element.value for item in items for element in item}
    return {tag: value for tag, value in values.items() if tag in TAGS}


@contextmanager
def _damage_as(reason: str, message: str) -> Iterator[None]:
    """Refused for whatever pydicom and its decoders raise over damaged bytes; lack of memory is another matter."""
    try:
        yield
    except (Refused, InvalidDicomError, MemoryError):
        raise
    except Exception as error:
        raise Refused(reason, message) from error


def _read(file: SourceFile) -> Dataset:
    with _damage_as("broken_file", _cut_short(file)), file.open() as stream:
        return pydicom.dcmread(stream)


def _read_rest(file: SourceFile, start: int, encoding: tuple[bool, bool], defer_size: int | None = None) -> Dataset:
    """What follows the header."""
    with _damage_as("broken_file", _cut_short(file)), file.open() as stream:
        stream.seek(start)
        return read_dataset(stream, *encoding, defer_size=defer_size)


@lru_cache(maxsize=1)
def _pixels_place(file: SourceFile, start: int, encoding: tuple[bool, bool]) -> tuple[int, int] | None:
    """Where in the file its pixel data begin, and their length in bytes; None where there are none of known length."""
    elements = dict(_read_rest(file, start, encoding, defer_size=1024).items())  # asking for one would read it
    element = elements.get(BaseTag(PIXEL_DATA))
    if not isinstance(element, RawDataElement) or element.length == UNDEFINED:
        return None
    return element.value_tell, element.length


def _cut_short(file: SourceFile) -> str:
    return f"{file.name}: the file cannot be read to its end; copy it again"


_kept = lru_cache(maxsize=1)(_read)


def forget_kept() -> None:
    """Call it when the scan has been read: a multi-frame file is as large as its scan, and headers name the person."""
    _kept.cache_clear()
    _pixels_place.cache_clear()


def _check_end(data: bytes, index: int, frames: int) -> None:
    """ValueError for a stream without its end: gdcm takes a JPEG-LS stream that lost its last bytes for whole."""
    if not get_frame(data, index, number_of_frames=frames).rstrip(b"\0").endswith(END_OF_IMAGE):
        raise ValueError("no end of image")


def _decodable(syntax: UID, bits: Any) -> bool:
    """Whether a decoder is installed; none of the locked ones reads JPEG Extended of more than 8 bits."""
    if syntax == JPEGExtended12Bit and int(bits or 0) > 8:
        return False
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _plugin(syntax: UID) -> str:
    """The decoder to take, "" for pydicom's first: that is gdcm for JPEG-LS, which takes 1.6 times as long."""
    return "pyjpegls" if "pyjpegls" in get_decoder(syntax).available_plugins else ""
