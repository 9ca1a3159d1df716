"""One CT slice: the tags of its header that conversion looks at, and its stored pixels. Frames of enhanced CT too."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_dataset
from pydicom.pixels import get_decoder, pixel_array
from pydicom.tag import Tag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

from vertegrade.ct.archive import SourceFile
from vertegrade.ct.reasons import Refused

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
    "InstanceNumber",
    "ImagesInAcquisition",
    "FrameOfReferenceUID",
    "SamplesPerPixel",
    "RescaleType",
    "LossyImageCompression",
    "BurnedInAnnotation",
    "MultienergyCTAcquisition",
]
TAGS = [*NUMBERS, *SIDECAR, *CHOICE]
JPEG_FAMILY = "1.2.840.10008.1.2.4."  # JPEG, JPEG-LS, JPEG 2000: transfer syntaxes that begin so
ALWAYS_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless)
IMAGE_GROUP = 0x0028  # size, bits and padding of the pixels
END_OF_IMAGE = b"\xff\xd9"
SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
# What decoders and padding need, beyond TAGS; read with the header, so that each file is parsed once.
IMAGE = [
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
    "PixelRepresentation",
    "PixelPaddingValue",
    "PixelPaddingRangeLimit",
]
READ_TAGS = [Tag(name) for name in (*TAGS, *IMAGE, SHARED, PER_FRAME)]  # looking names up takes as long as reading
# Where enhanced CT (PS3.3 A.38.1.3) keeps what a classic slice has at its top level.
GROUPS = [
    "PixelMeasuresSequence",
    "PlanePositionSequence",
    "PlaneOrientationSequence",
    "PixelValueTransformationSequence",
    "CTImageFrameTypeSequence",
    "CTReconstructionSequence",
    "CTXRayDetailsSequence",
]


@dataclass(frozen=True)
class Slice:
    """One CT slice: its file and the tags of its header that conversion looks at (`TAGS`).

    frame: its index in a multi-frame file, None in a file of its own. pixels_at: where in the file the header ends
    and the pixel data begin, None where the file must be read from its start.
    """

    file: SourceFile
    header: Dataset
    frame: int | None = None
    pixels_at: int | None = None
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
        try:
            values = np.atleast_1d(np.asarray(self.header[tag].value, dtype=np.float64))
        except (ValueError, TypeError):
            values = np.full(count, np.nan)
        if values.shape != (count,) or not np.isfinite(values).all():
            raise Refused("bad_tag", f"{self.name}: {tag} is not {count} finite number(s); export the series again")
        self._numbers[tag] = values
        return values

    def whole(self, tag: str) -> int | None:
        """The value of a tag that tells, but does not matter; None where it is no whole number."""
        try:
            return int(self.header[tag].value)
        except (KeyError, ValueError, TypeError):
            return None

    def lossy(self) -> bool:
        """Whether the image was ever compressed with loss, by its own word or by what it is compressed with now."""
        said = str(self.header.get("LossyImageCompression", "")) == "01"
        return said or self.header.file_meta.get("TransferSyntaxUID", "") in ALWAYS_LOSSY

    def sop_class(self) -> str:
        """The SOP class; some anonymisers blank the data set's own and leave the file header's."""
        return str(self.header.get("SOPClassUID") or self.header.file_meta.get("MediaStorageSOPClassUID", ""))

    def kinds(self) -> list[str]:
        """The values of ImageType."""
        kinds = self.header.get("ImageType") or []
        return [kinds] if isinstance(kinds, str) else [str(kind) for kind in kinds]

    def dataset(self) -> Dataset:
        """The data set with its pixels, not yet decoded; that of the latest multi-frame file is kept."""
        if self.frame is not None:
            dataset = _kept(self.file)
        elif self.pixels_at is not None:
            dataset = _read_rest(self.file, self.header, self.pixels_at)
        else:
            dataset = _read(self.file)
        if "PixelData" not in dataset:
            raise Refused(
                "missing_pixels", f"{self.name}: no pixel data, or cut short; copy or export the series again"
            )
        return dataset

    def stored(self, dataset: Dataset) -> np.ndarray:
        """The stored values of `dataset()`, whatever their compression, (rows, columns) by the header."""
        syntax = UID(str(dataset.file_meta.get("TransferSyntaxUID", "")))
        if not _decodable(syntax, dataset):
            known = syntax.name if syntax.is_transfer_syntax else "an unknown syntax"
            raise Refused(
                "no_decoder", f"{self.name}: compressed by {known}, which no decoder here reads; export it uncompressed"
            )
        shape = tuple(int(self.numbers(tag, 1)[0]) for tag in ("Rows", "Columns"))
        told = f"{self.name}: the pixel data are cut short or cannot be decoded; copy the series again"
        with _damage_as("bad_pixels", told):
            if syntax.startswith(JPEG_FAMILY):
                _check_end(dataset, self.frame or 0)
            stored = pixel_array(dataset, index=self.frame, decoding_plugin=_plugin(syntax))
        if stored.shape != shape:
            raise Refused(
                "bad_pixels",
                f"{self.name}: the pixel data are not {shape[0]} x {shape[1]} numbers; export the series again",
            )
        return stored


def read_header(file: SourceFile) -> Slice | None:
    """A file's tags that matter, None where it is not DICOM."""
    told = f"{file.name}: the DICOM header cannot be read or parsed; copy it again"
    try:
        with _damage_as("broken_file", told), file.open() as stream:
            header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(READ_TAGS))
            _parse(header)
            deflated = header.file_meta.get("TransferSyntaxUID") == DeflatedExplicitVRLittleEndian
            return Slice(file, header, pixels_at=None if deflated else stream.tell())
    except InvalidDicomError:
        return None
    except MemoryError as error:  # no header is as large as that: the length of an element lies
        raise Refused("broken_file", told) from error


def frames_of(image: Slice) -> list[Slice]:
    """Every frame of an enhanced CT as a slice of its own; a frame's functional groups win over the shared ones."""
    file, header = image.file, image.header
    frames = header.get(PER_FRAME)
    if not frames:
        raise Refused("missing_tag", f"{file.name}: {PER_FRAME} is missing; export the series again")
    with _damage_as("broken_file", f"{file.name}: the functional groups cannot be parsed; copy it again"):
        shared = _group_items(header[SHARED].value[0]) if header.get(SHARED) else []
        return [
            Slice(file, _flat(header, [*shared, *_group_items(groups)]), number) for number, groups in enumerate(frames)
        ]


def _flat(header: Dataset, groups: list[Dataset]) -> Dataset:
    """The tags that matter as a classic slice has them; later groups win."""
    flat = Dataset()
    flat.file_meta = header.file_meta
    for source in (header, *groups):
        for element in source:
            if element.keyword in TAGS:
                flat[element.tag] = element
            elif element.keyword == "FrameType":
                flat.ImageType = element.value
    return flat


def _group_items(groups: Dataset) -> list[Dataset]:
    return [groups[name].value[0] for name in GROUPS if groups.get(name)]


def _parse(dataset: Dataset) -> None:
    """Turn every element into values now: pydicom does it late, and damage must not be found where none is expected."""
    for element in dataset:
        for item in element.value if element.VR == "SQ" else []:
            _parse(item)


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
    with _damage_as("broken_file", _cut_short(file)):
        with file.open() as stream:
            dataset = pydicom.dcmread(stream)
        _parse(dataset.group_dataset(IMAGE_GROUP))
    return dataset


def _read_rest(file: SourceFile, header: Dataset, start: int) -> Dataset:
    """The header's tags and what stands behind them."""
    with _damage_as("broken_file", _cut_short(file)), file.open() as stream:
        stream.seek(start)
        rest = read_dataset(stream, *header.original_encoding)
        dataset = Dataset({**dict(header.items()), **dict(rest.items())})
        dataset.file_meta = header.file_meta
    return dataset


def _cut_short(file: SourceFile) -> str:
    return f"{file.name}: the file cannot be read to its end; copy it again"


_kept = lru_cache(maxsize=1)(_read)
# A multi-frame file is as large as its scan: to be called when the scan has been read.
forget_kept = _kept.cache_clear


def _check_end(dataset: Dataset, index: int) -> None:
    """ValueError for a stream without its end: gdcm takes a JPEG-LS stream that lost its last bytes for whole."""
    frames = int(dataset.get("NumberOfFrames") or 1)
    if not get_frame(dataset.PixelData, index, number_of_frames=frames).rstrip(b"\0").endswith(END_OF_IMAGE):
        raise ValueError("no end of image")


def _decodable(syntax: UID, dataset: Dataset) -> bool:
    """Whether a decoder is installed; none of the locked ones reads JPEG Extended of more than 8 bits."""
    if syntax == JPEGExtended12Bit and int(dataset.get("BitsStored") or 0) > 8:
        return False
    try:
        return bool(get_decoder(syntax).is_available)
    except NotImplementedError:
        return False


def _plugin(syntax: UID) -> str:
    """The decoder to take, "" for pydicom's first: that is gdcm for JPEG-LS, which takes 1.6 times as long."""
    return "pyjpegls" if "pyjpegls" in get_decoder(syntax).available_plugins else ""
