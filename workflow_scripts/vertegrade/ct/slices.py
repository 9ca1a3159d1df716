"""One CT slice: the tags of its header that conversion looks at, and its stored pixels. Frames of enhanced CT too."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pydicom
from pydicom.dataset import Dataset
from pydicom.encaps import get_frame
from pydicom.errors import InvalidDicomError
from pydicom.pixels import get_decoder, pixel_array
from pydicom.tag import Tag
from pydicom.uid import UID, JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless

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
END_OF_IMAGE = b"\xff\xd9"
SHARED, PER_FRAME = "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"
READ_TAGS = [Tag(name) for name in (*TAGS, SHARED, PER_FRAME)]  # looking names up takes as long as reading
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

    frame: its index in a multi-frame file, None in a file of its own.
    """

    file: SourceFile
    header: Dataset
    frame: int | None = None

    @property
    def name(self) -> str:
        """The slice for messages."""
        return self.file.name if self.frame is None else f"{self.file.name} frame {self.frame + 1}"

    def numbers(self, tag: str, count: int) -> np.ndarray:
        """The values of a numeric tag, float64 (count,); Refused where they are not that many finite numbers."""
        if tag not in self.header:
            raise Refused("missing_tag", f"{self.name}: {tag} is missing; export the series again")
        try:
            values = np.atleast_1d(np.asarray(self.header[tag].value, dtype=np.float64))
        except (ValueError, TypeError):
            values = np.full(count, np.nan)
        if values.shape != (count,) or not np.isfinite(values).all():
            raise Refused("bad_tag", f"{self.name}: {tag} is not {count} finite number(s); export the series again")
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

    def kinds(self) -> list[str]:
        """The values of ImageType."""
        kinds = self.header.get("ImageType") or []
        return [kinds] if isinstance(kinds, str) else [str(kind) for kind in kinds]

    def dataset(self) -> Dataset:
        """The whole data set, its pixels not yet decoded; that of the latest multi-frame file is kept."""
        dataset = _read(self.file) if self.frame is None else _kept(self.file)
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
        try:
            if syntax.startswith(JPEG_FAMILY):
                _check_end(dataset, self.frame or 0)
            stored = pixel_array(dataset, index=self.frame)
        except MemoryError:
            raise
        except Exception as error:  # decoders raise whatever a damaged stream runs into
            raise Refused(
                "bad_pixels", f"{self.name}: the pixel data are cut short or cannot be decoded; copy the series again"
            ) from error
        if stored.shape != shape:
            raise Refused(
                "bad_pixels",
                f"{self.name}: the pixel data are not {shape[0]} x {shape[1]} numbers; export the series again",
            )
        return stored


def read_header(file: SourceFile) -> tuple[Dataset | None, str]:
    """The tags that matter, None where the file is not DICOM; and the SOP class (some anonymisers blank the data
    set's own and leave the file header's)."""
    try:
        with file.open() as stream:
            header = pydicom.dcmread(stream, stop_before_pixels=True, specific_tags=list(READ_TAGS))
        return header, str(header.get("SOPClassUID") or header.file_meta.get("MediaStorageSOPClassUID", ""))
    except InvalidDicomError:
        return None, ""
    except MemoryError:
        raise
    except Exception as error:  # pydicom raises whatever a damaged element runs into
        raise Refused(
            "broken_file", f"{file.name}: the DICOM header cannot be read or parsed; copy it again"
        ) from error


def frames_of(file: SourceFile, header: Dataset) -> Iterator[Slice]:
    """Every frame of an enhanced CT as a slice of its own; a frame's functional groups win over the shared ones."""
    frames = header.get(PER_FRAME)
    if not frames:
        raise Refused("missing_tag", f"{file.name}: {PER_FRAME} is missing; export the series again")
    shared = header[SHARED].value[0] if header.get(SHARED) else Dataset()
    for number, groups in enumerate(frames):
        flat = Dataset()
        flat.file_meta = header.file_meta
        for source in (header, *_group_items(shared), *_group_items(groups)):
            for element in source:
                if element.keyword in TAGS:
                    flat[element.tag] = element
                elif element.keyword == "FrameType":
                    flat.ImageType = element.value
        yield Slice(file, flat, number)


def _group_items(groups: Dataset) -> Iterator[Dataset]:
    for name in GROUPS:
        if groups.get(name):
            yield groups[name].value[0]


def _read(file: SourceFile) -> Dataset:
    try:
        with file.open() as stream:
            return pydicom.dcmread(stream)
    except MemoryError:
        raise
    except Exception as error:  # pydicom raises whatever a damaged element runs into
        raise Refused("broken_file", f"{file.name}: the file cannot be read to its end; copy it again") from error


_kept = lru_cache(maxsize=1)(_read)
# A multi-frame file is as large as its scan: to be called when the scan has been read.
forget_kept = _kept.cache_clear


def _check_end(dataset: Dataset, index: int) -> None:
    """Decoders of JPEG make up the last pixels of a stream that lost its last bytes: ValueError without its end."""
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
